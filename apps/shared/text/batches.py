"""Token ids as padded batches of texts of similar length."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..training.batches import EpochBatches, slices
from .tokenizers import PADDING, START


def rows_of(ragged: Any) -> list[np.ndarray]:
    """Converts a ragged tensor of ids to a list of arrays, one per row."""
    return np.split(ragged.values.numpy(), ragged.row_splits.numpy()[1:-1])


def length_multiple(config: Any) -> int:
    """Returns what the lengths of a training's batches are padded to multiples of: XLA compiles every new shape."""
    return 8 if config.jit else 1


def pad(sequences: Sequence[np.ndarray], multiple: int = 1) -> np.ndarray:
    """Pads id arrays with 0 to one int32 array `(batch, steps)`.

    Args:
        sequences: List of id arrays.
        multiple: `steps` is the smallest multiple of this number that fits the longest array.
    """
    steps = -(-max(map(len, sequences)) // multiple) * multiple
    padded = np.zeros((len(sequences), steps), "int32")
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return padded


def teacher_forcing(sequences: Sequence[np.ndarray], multiple: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the inputs, targets and weights that a decoder is trained on.

    Args:
        sequences: List of id arrays that end in the end token.
        multiple: As in `pad`.

    Returns:
        `(inputs, targets, weights)`, each `(batch, steps)`: the sequences shifted right by a start token, the
        sequences, and float32 weights, 0 at padding and 1 elsewhere.

    Example:

    >>> from keras_recurrent.apps.shared.text.batches import teacher_forcing
    >>> inputs, targets, weights = teacher_forcing([[7, 8, 3], [9, 3]])
    >>> inputs.tolist(), targets.tolist()
    ([[2, 7, 8], [2, 9, 3]], [[7, 8, 3], [9, 3, 0]])
    """
    targets = pad(sequences, multiple)
    inputs = np.concatenate([np.full((len(targets), 1), START, "int32"), targets[:, :-1]], axis=1)
    return inputs, targets, (targets != PADDING).astype("float32")


def map_by_length(function: Callable, texts: Sequence[str], batch_size: int = 64) -> Iterator[tuple[int, Any]]:
    """Applies a function of a list of texts to batches of texts of similar length.

    Args:
        function: Function from a list of texts to a list of results.
        texts: List of strings.
        batch_size: Positive integer, texts per batch.

    Yields:
        `(index, result)` for each text, in the order of the lengths.

    Example:

    >>> from keras_recurrent.apps.shared.text.batches import map_by_length
    >>> [(int(index), result) for index, result in map_by_length(lambda texts: [len(t) for t in texts], ["abc", "a"])]
    [(1, 1), (0, 3)]
    """
    order = np.argsort([len(text) for text in texts], kind="stable")
    for indices in slices(order, batch_size):
        yield from zip(indices, function([texts[index] for index in indices]), strict=True)


def length_batches(
    lengths: np.ndarray,
    batch_size: int,
    generator: np.random.Generator | None = None,
    batch_tokens: int | None = None,
) -> list[np.ndarray]:
    """Groups examples of similar length.

    Args:
        lengths: Integer array `(examples, keys)`, the lengths of each example, the most important key last.
        batch_size: Positive integer, examples per batch. The last batch of a pool may be smaller.
        generator: Shuffles the examples into pools of 200 batches, which are sorted by length, and then the batches.
            None sorts all examples by length.
        batch_tokens: Positive integer, instead of `batch_size` the maximum number of tokens per batch in its longest
            key, padding included. A longer example is a batch of its own.

    Returns:
        List of index arrays that together contain each example once.
    """
    order = np.arange(len(lengths)) if generator is None else generator.permutation(len(lengths))
    if batch_tokens is None:
        sizes, capacity = np.ones(len(lengths), int), batch_size
    else:
        sizes, capacity = lengths.max(axis=1), batch_tokens
    pool_size = len(lengths) if generator is None else round(200 * capacity / sizes.mean())
    batches = []
    for start in range(0, len(order), max(pool_size, 1)):
        pool = order[start : start + pool_size]
        others, last = lengths[pool].T[:-1], lengths[pool].T[-1]
        # The other keys ascend for even values of the most important key and descend for odd ones, so that they are
        # similar in a batch that contains two of its values.
        pool = pool[np.lexsort([*np.where(last % 2, -others, others), last])]
        first = largest = 0
        for position, size in enumerate(sizes[pool]):
            largest = max(largest, size)
            if position > first and (position - first + 1) * largest > capacity:
                batches.append(pool[first:position])
                first, largest = position, size
        batches.append(pool[first:])
    if generator is not None:
        generator.shuffle(batches)
    return batches


def batches_by_length(
    make_batch: Callable[[np.ndarray], Any],
    signature: Any,
    lengths: np.ndarray,
    config: Any,
    split: str,
    batch_tokens: int | None = None,
) -> EpochBatches:
    """Batches of examples of similar length, in a new order each epoch for the split `train` and sorted for others.

    Args:
        make_batch: Function from the indices of examples to a batch.
        signature: The `tf.TensorSpec`s of a batch.
        lengths: As in `length_batches`.
        config: A configuration with `batch_size` and `seed`.
        split: The name of the split.
        batch_tokens: As in `length_batches`.
    """

    def order(epoch: int) -> list[np.ndarray]:
        generator = np.random.default_rng([config.seed, epoch]) if split == "train" else None
        return length_batches(lengths, config.batch_size, generator, batch_tokens)

    # With `batch_tokens`, epochs differ in their number of batches.
    return EpochBatches(
        lambda epoch: map(make_batch, order(epoch)), signature, len(order(0)), is_fixed=batch_tokens is None
    )
