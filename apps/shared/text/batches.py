"""Token ids as padded batches of similar length."""

import numpy as np

from .tokenizers import PADDING, START


def rows_of(ragged):
    """The rows of a ragged tensor of ids as a list of arrays."""
    return np.split(ragged.values.numpy(), ragged.row_splits.numpy()[1:-1])


def pad(sequences, multiple=1):
    """A list of id arrays as one int32 array `(batch, positions)`, 0 after each end.

    The positions are those of the longest, or the next multiple of `multiple`.
    """
    longest = -(-max(map(len, sequences)) // multiple) * multiple
    padded = np.zeros((len(sequences), longest), "int32")
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return padded


def teacher_forcing(sequences, multiple=1):
    """What a decoder is trained on with a list of id arrays that end in the end token.

    Returns:
        `(read, target, weights)` `(batch, steps)`: the sequences after a start token, but for their ends; the
        sequences; and float32 weights, 0 at padding and 1 elsewhere. `multiple` is that of `pad`.
    """
    target = pad(sequences, multiple)
    read = np.concatenate([np.full((len(target), 1), START, "int32"), target[:, :-1]], axis=1)
    return read, target, (target != PADDING).astype("float32")


def sorted_batches(texts, batch_size):
    """The places of texts in batches of like length, as index arrays."""
    order = np.argsort([len(text) for text in texts], kind="stable")
    return [order[first : first + batch_size] for first in range(0, len(order), batch_size)]


def length_batches(lengths, batch_size, generator=None, batch_tokens=None):
    """Groups examples of like length.

    Args:
        lengths: Integer array `(examples, keys)`: an example's lengths, the most important key last.
        batch_size: Positive integer, the examples of a batch; the last of a pool has what is left.
        generator: A `numpy.random.Generator` that shuffles: the examples into pools of 200 batches, sorted by length
            inside a pool, and then the batches. Without it all are sorted by length.
        batch_tokens: Positive integer: instead of `batch_size`, the most tokens of a batch, in its longest key and with
            padding. A longer example is a batch of its own.

    Returns:
        List of index arrays, which together hold each example once.
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
        keys = lengths[pool].T
        # One length of the most important key has the others from short to long, and the next from long to short, so
        # that a batch with two lengths has like ones of the others.
        keys = [*np.where(keys[-1] % 2, -keys[:-1], keys[:-1]), keys[-1]]
        pool = pool[np.lexsort(keys)]
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
