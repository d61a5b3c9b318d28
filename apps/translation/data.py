"""Pairs of sentences as batches of token ids."""

import numpy as np
import tensorflow as tf

from ...datasets import DataError, read_pairs, read_pairs_file
from ..shared.console import note
from ..shared.text.batches import length_batches, pad, rows_of, teacher_forcing
from ..shared.training.batches import EpochBatches


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


def batches(sources, targets, tokenizers, config, split):
    """Sentence pairs as `EpochBatches`, in a new order each epoch for the split `train`, and sorted for another.

    A pair without text on a side is left out; of one with more than `config.max_length` tokens on a side,
    `config.long_pairs` says what becomes. Both are counted on standard error.

    Args:
        sources: List of strings.
        targets: List of strings, one a source.
        tokenizers: The tokenizers of the source and of the target.
        config: The `Config`.
        split: The split's name.

    Returns:
        Batches of like length, each `((source, start + target), target + end, weights)`: int32 arrays
        `(batch, steps)`, 0 at padding, and float32 weights, 0 there and 1 elsewhere.

    Raises:
        DataError: If no pair is left.
    """
    ids = [tokenizer.encode(texts) for tokenizer, texts in zip(tokenizers, (sources, targets), strict=True)]
    lengths = np.stack([side.row_lengths().numpy() for side in ids], axis=1)
    has_text = (lengths > 1).all(axis=1)
    is_long = has_text & (lengths > config.max_length).any(axis=1)
    kept = has_text & ~is_long if config.long_pairs == "skip" else has_text
    for what, count in {
        "without text on a side are left out": np.sum(~has_text),
        f"of more than {config.max_length} tokens are {'left out' if config.long_pairs == 'skip' else 'cut'}": np.sum(
            is_long
        ),
    }.items():
        if count:
            note(f"{split}: {count} pairs {what}")
    if not kept.any():
        raise DataError(f"no sentence pair has text on both sides and at most {config.max_length} tokens on each")
    source_ids, target_ids = (
        [_cut(row, config.max_length) for row, keep in zip(rows_of(side), kept, strict=True) if keep] for side in ids
    )
    lengths = np.minimum(lengths[kept], config.max_length)

    multiple = 8 if config.jit else 1
    padded = -(-lengths // multiple) * multiple

    def order(epoch):
        generator = np.random.default_rng([config.seed, epoch]) if split == "train" else None
        return length_batches(padded, config.batch_size, generator, config.batch_tokens)

    def epoch_batches(epoch):
        for batch in order(epoch):
            source = pad([source_ids[index] for index in batch], multiple)
            read, target, weights = teacher_forcing([target_ids[index] for index in batch], multiple)
            yield (source, read), target, weights

    tokens = tf.TensorSpec((None, None), tf.int32)
    signature = (tokens, tokens), tokens, tf.TensorSpec((None, None), tf.float32)
    return EpochBatches(epoch_batches, signature, len(order(0)), config.batch_tokens is None)


def _cut(row, longest):
    """Ids that end in the end token, at most `longest`."""
    return row if len(row) <= longest else np.append(row[: longest - 1], row[-1])
