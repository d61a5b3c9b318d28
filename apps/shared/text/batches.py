"""Token ids as padded batches of texts of similar length."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..backends import uses_xla
from ..memory import BATCH, in_halves
from ..training.batches import EpochBatches, order_of_epochs, slices
from ..training.devices import share
from .ragged import Ragged, bucketed
from .tokenizers import END, PADDING, START, SpacedTexts, chunks


def encode_texts(
    tokenizer: Any, texts: Iterable[str] | SpacedTexts, max_length: int | None = None, end: bool = True
) -> Ragged:
    """Converts texts to ids.

    Args:
        tokenizer: The tokenizer.
        texts: Strings, which may be prepared for the tokenizer.
        max_length: Maximum number of ids per text, the end token included. Longer texts are cut before their last id.
        end: Whether each text ends in the end token.
    """
    if isinstance(texts, SpacedTexts):
        parts = tokenizer.encode_spaced(texts)
    else:
        parts = map(tokenizer.encode_all, chunks(texts))
    if end:
        parts = (part.with_last(END) for part in parts)
    if max_length is not None:
        parts = (part.cut(max_length) for part in parts)
    return Ragged.join(parts, "uint16" if len(tokenizer) <= 2**16 else "int32")


def encode_padded(tokenizer: Any, texts: Sequence[str], max_length: int | None = None) -> np.ndarray:
    """Converts texts to ids with an end token, int32 `(batch, steps)`, padded with 0; see `encode_texts`."""
    ids = encode_texts(tokenizer, texts, max_length)
    return ids.padded(np.arange(len(ids)))


def teacher_forcing(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the inputs, targets and weights that a decoder is trained on.

    Args:
        targets: int32 array `(batch, steps)`, sequences of ids, padded with 0.

    Returns:
        `(inputs, targets, weights)`, each `(batch, steps)`: the sequences shifted right by a start token, the
        sequences, and float32 weights, 0 at padding and 1 elsewhere.

    Example:

    >>> from keras_recurrent.apps.shared.text.batches import teacher_forcing
    >>> inputs, targets, weights = teacher_forcing(np.array([[7, 8, 3], [9, 3, 0]]))
    >>> inputs.tolist(), weights.tolist()
    ([[2, 7, 8], [2, 9, 3]], [[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    """
    inputs = np.concatenate([np.full((len(targets), 1), START, "int32"), targets[:, :-1]], axis=1)
    return inputs, targets, (targets != PADDING).astype("float32")


def map_by_length(function: Callable, texts: Sequence[str], batch_size: int = BATCH) -> Iterator[tuple[int, Any]]:
    """Applies a function of a list of texts to batches of texts of similar length.

    Args:
        function: Function from a list of texts to a list of results.
        texts: List of strings.
        batch_size: Positive integer, texts per batch. A batch for which there is not enough memory is divided.

    Yields:
        `(index, result)` for each text, in the order of the lengths.

    Example:

    >>> from keras_recurrent.apps.shared.text.batches import map_by_length
    >>> [(int(index), result) for index, result in map_by_length(lambda texts: [len(t) for t in texts], ["abc", "a"])]
    [(1, 1), (0, 3)]
    """
    order = np.argsort([len(text) for text in texts], kind="stable")
    for indices in slices(order, batch_size):
        yield from zip(indices, in_halves(function, [texts[index] for index in indices]), strict=True)


def length_batches(
    lengths: np.ndarray,
    batch_size: int,
    generator: np.random.Generator | None = None,
    batch_tokens: int | None = None,
) -> list[np.ndarray]:
    """Groups examples of similar length.

    The groups are the same with and without XLA. Examples are sorted by their `bucketed` lengths, to which XLA pads
    them, and then by their lengths.

    Args:
        lengths: Integer array `(examples, keys)`, the lengths of each example, the most important key last.
        batch_size: Positive integer, examples per batch. The last batch of a pool may be smaller.
        generator: Shuffles the examples into pools of 200 batches, which are sorted by length, and then the batches.
            None sorts all examples by length.
        batch_tokens: Positive integer, instead of `batch_size` the maximum number of tokens per batch in its longest
            key, `bucketed` and with padding. An example with more tokens forms a batch alone.

    Returns:
        List of index arrays that together contain each example once.
    """
    order = np.arange(len(lengths)) if generator is None else generator.permutation(len(lengths))
    if batch_tokens is None:
        sizes, capacity = np.ones(len(lengths), int), batch_size
    else:
        sizes, capacity = bucketed(lengths.max(axis=1)), batch_tokens
    pool_size = len(lengths) if generator is None else round(200 * capacity / sizes.mean())
    batches = []
    for start in range(0, len(order), max(pool_size, 1)):
        pool = order[start : start + pool_size]
        others, last = lengths[pool].T[:-1], lengths[pool].T[-1]
        buckets = bucketed(lengths[pool]).T
        # The other keys ascend for even values of the most important key and descend for odd ones, so that they are
        # similar in a batch that contains two of its values.
        pool = pool[np.lexsort([*np.where(last % 2, -others, others), last, *buckets])]
        pool_sizes, first = sizes[pool], 0
        while first < len(pool):
            longest = np.maximum.accumulate(pool_sizes[first : first + capacity // pool_sizes[first] + 1])
            fits = longest * np.arange(1, len(longest) + 1) <= capacity
            count = max(1, int(fits.sum()))
            batches.append(pool[first : first + count])
            first += count
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

    With XLA, each batch has as many rows as `batch_size` or `batch_tokens` allow for its `bucketed` length.

    Args:
        make_batch: Function from the indices of examples to a batch. -1 is an empty row, which has no weight.
        signature: The specifications of a batch; see `EpochBatches`.
        lengths: As in `length_batches`.
        config: A configuration with `batch_size` and `seed`.
        split: The name of the split.
        batch_tokens: As in `length_batches`.
    """

    is_static, own = uses_xla(config.jit), share()

    def batch_of(indices: np.ndarray) -> Any:
        if is_static:
            rows = config.batch_size if batch_tokens is None else batch_tokens // int(bucketed(lengths[indices].max()))
            indices = np.pad(indices, (0, max(0, rows - len(indices))), constant_values=-1)
        return own.of_batch(make_batch(own.filled(indices)))

    def order(epoch: int) -> list[np.ndarray]:
        generator = np.random.default_rng([config.seed, epoch]) if split == "train" else None
        return length_batches(lengths, config.batch_size, generator, batch_tokens)

    order_of = order_of_epochs(order, split)
    return EpochBatches(
        lambda epoch: map(batch_of, order_of(epoch)),
        signature,
        lambda epoch: len(order_of(epoch)),
        contents=f"{len(lengths):,} examples",
    )
