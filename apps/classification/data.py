"""Texts with labels as batches of token ids."""

from collections import Counter

import numpy as np
import tensorflow as tf

from ...datasets import DataError
from ...datasets.texts import read_texts
from ..shared.console import note
from ..shared.text.batches import length_batches, pad, rows_of
from ..shared.text.tokenizers import strings
from ..shared.training.batches import EpochBatches


def read(config, split):
    """The texts of a split of a configuration's data set, as pairs `(text, label)`.

    Those without text or without a label are left out, and counted on standard error.

    Raises:
        DataError: If the split cannot be read, or none is left.
    """
    texts = read_texts(config.data, split)
    kept = [(text, label) for text, label in texts if text.strip() and label is not None]
    if not kept:
        raise DataError(f"{config.data}: the split '{split}' has no text with a label")
    if len(kept) < len(texts):
        note(f"{split}: {len(texts) - len(kept)} rows without text or label are left out")
    return kept


def label_of(example):
    """The label of a text with its label."""
    return example[1]


def labels_of(examples):
    """The labels of the split `train`, sorted.

    Args:
        examples: Dictionary of the splits `train` and `validation`.

    Raises:
        DataError: If there is only one, one has a single text, or one is in one of the splits only.
    """
    counts = {split: Counter(label for _, label in texts) for split, texts in examples.items()}
    if len(counts["train"]) < 2:
        raise DataError(f"train: {' and '.join(counts['train'])} is the only label, so that there is nothing to learn")
    for label, count in sorted(counts["train"].items()):
        if count == 1:
            raise DataError(f"train: only one text has the label '{label}'; a label needs two")
    for split, other in (("train", "validation"), ("validation", "train")):
        alone = sorted(counts[split].keys() - counts[other].keys())
        if alone:
            raise DataError(f"the label '{alone[0]}' is in the split '{split}', but not in '{other}'")
    return sorted(counts["train"])


def labels_known(texts, labels, split):
    """Raises a `DataError` if a text of a split has a label that is not among `labels`."""
    unknown = sorted({label for _, label in texts} - set(labels))
    if unknown:
        raise DataError(f"{split}: the model knows no label '{unknown[0]}'; its labels are {', '.join(labels)}")


def batches(texts, tokenizer, labels, config, split):
    """Texts as `EpochBatches` of like length, in a new order each epoch for the split `train`.

    Args:
        texts: Pairs `(text, label)`.
        tokenizer: The tokenizer.
        labels: List of strings, the labels that the model knows.
        config: The `Config`.
        split: The split's name.

    Returns:
        Batches `(tokens, labels, weights)`: int32 `(batch, steps)`, 0 at padding; int32 `(batch,)`; and float32
        `(batch,)`, 1, or with `config.class_weights` in training so that all labels weigh alike together.
    """
    place_of = {label: place for place, label in enumerate(labels)}
    places = np.array([place_of[label] for _, label in texts], "int32")
    rows = rows_of(tokenizer.encode(strings([text for text, _ in texts]), config.max_length))
    if split == "train" and (cut := sum(len(row) == config.max_length for row in rows)):
        note(f"train: {cut} texts have max_length tokens, {config.max_length}, with the end, or are cut there")
    lengths = np.array([[len(row)] for row in rows])
    weights = np.ones(len(texts), "float32")
    if config.class_weights and split == "train":
        weights = (len(texts) / len(labels) / np.bincount(places, minlength=len(labels)))[places].astype("float32")

    def order(epoch):
        generator = np.random.default_rng([config.seed, epoch]) if split == "train" else None
        return length_batches(lengths, config.batch_size, generator)

    multiple = 8 if config.jit else 1

    def epoch_batches(epoch):
        for batch in order(epoch):
            yield pad([rows[index] for index in batch], multiple), places[batch], weights[batch]

    tokens = tf.TensorSpec((None, None), tf.int32)
    signature = tokens, tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None,), tf.float32)
    return EpochBatches(epoch_batches, signature, len(order(0)), True)
