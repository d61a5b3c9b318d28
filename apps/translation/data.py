"""Pairs of sentences as batches of token ids."""

import numpy as np
import tensorflow as tf

from ...datasets import DataError, read_pairs, read_pairs_file
from ..text import PADDING, START, length_batches, pad


def read(config, split):
    """The sentence pairs of a split of a configuration's data set, as two lists."""
    if config.source == config.target:
        raise DataError(f"source and target are the same language, '{config.source}'")
    if config.pairs is not None:
        pairs = read_pairs_file(config.pairs, split, config.swap)
    else:
        pairs = read_pairs(config.data, split, config.source, config.target)
    sources, targets = zip(*pairs, strict=True)
    return list(sources), list(targets)


def batches(sources, targets, tokenizers, config, shuffle):
    """Sentence pairs as a `tf.data.Dataset` for `fit`.

    Pairs longer than `config.max_length` tokens on a side, and pairs without text on a side, are left out.

    Args:
        sources: List of strings.
        targets: List of strings, one a source.
        tokenizers: The tokenizers of the source and of the target.
        config: The `Config`.
        shuffle: Whether each epoch has an order of its own, which `config.seed` decides.

    Returns:
        Batches of like length, each `((source, start + target), target + end, weights)`: int32 arrays
        `(batch, steps)`, 0 at padding, and float32 weights, 0 there and 1 elsewhere. Their number is known.

    Raises:
        DataError: If no pair is left.
    """
    encoded = [tokenizer.encode(texts) for tokenizer, texts in zip(tokenizers, (sources, targets), strict=True)]
    lengths = np.stack([ids.row_lengths().numpy() for ids in encoded], axis=1)
    fits = np.logical_and(lengths > 1, lengths <= config.max_length).all(axis=1)
    if not fits.any():
        raise DataError(f"no sentence pair has text on both sides and at most {config.max_length} tokens on each")
    source_ids, target_ids = ([row for row, fit in zip(_rows(ids), fits, strict=True) if fit] for ids in encoded)
    generator = np.random.default_rng(config.seed) if shuffle else None
    lengths = lengths[fits]

    def epoch():
        for batch in length_batches(lengths, config.batch_size, generator):
            source = pad([source_ids[index] for index in batch])
            target = pad([target_ids[index] for index in batch])
            read = np.concatenate([np.full((len(batch), 1), START, "int32"), target[:, :-1]], axis=1)
            yield (source, read), target, (target != PADDING).astype("float32")

    ids = tf.TensorSpec((None, None), tf.int32)
    dataset = tf.data.Dataset.from_generator(
        epoch, output_signature=((ids, ids), ids, tf.TensorSpec((None, None), tf.float32))
    )
    count = len(length_batches(lengths, config.batch_size, generator and np.random.default_rng(0)))
    return dataset.apply(tf.data.experimental.assert_cardinality(count)).prefetch(tf.data.AUTOTUNE)


def _rows(ragged):
    return np.split(ragged.values.numpy(), ragged.row_splits.numpy()[1:-1])
