"""Texts with labels as batches of token ids, and what texts and time series share."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from ...datasets import DataError
from ...datasets.columns import Categories, Columns, Strings
from ...datasets.files import nfc
from ...datasets.texts import iter_texts
from ..shared.console import note
from ..shared.text.batches import batches_by_length, encode_texts
from ..shared.text.tokenizers import SpacedTexts, Tokenizer
from ..shared.training.batches import EpochBatches
from ..shared.training.splits import training_splits
from .config import Config


def read(config: Config, split: str) -> Columns:
    """Reads the texts of a split as a sequence of pairs `(text, label)`, in Unicode's normalization form C.

    Rows without text or label are left out, and their number is printed on standard error.

    Raises:
        DataError: If the split cannot be read, or no row is left.
    """
    return Columns.of(iterate(config, split), Strings, Categories)


def iterate(config: Config, split: str) -> Iterator[tuple[str, str]]:
    """Yields the rows of a split without keeping them; see `read`. Prints the number of rows left out at the end."""
    usable = left_out = 0
    for text, label in iter_texts(config.data, split):
        if text.strip() and label is not None:
            usable += 1
            yield nfc(text), nfc(label)
        else:
            left_out += 1
    if not usable:
        raise DataError(f"{config.data}: the split '{split}' has no text with a label")
    if left_out:
        note(f"{split}: {left_out} rows without text or label are left out")


def item_of(example: tuple[str, str]) -> str:
    """Returns the text of a pair `(text, label)`."""
    return example[0]


def label_of(example: tuple[Any, str]) -> str:
    """Returns the label of a pair of a text or series and its label."""
    return example[1]


def training_examples(read: Callable[[Config, str], Columns], config: Config) -> dict[str, Any]:
    """Reads the splits `train` and `validation`; see `training_splits`.

    With `config.train_on_validation`, `train` also has the examples of `validation`.
    """
    examples: dict[str, Any] = training_splits(read, config, kind=label_of)
    if config.train_on_validation:
        examples["train"] = examples["train"] + examples["validation"]
    return examples


def labels_of(examples: dict[str, Sequence[tuple[Any, str]]], inputs: str = "text") -> list[str]:
    """Returns the labels of the split `train`, sorted.

    Args:
        examples: Dictionary of the splits `train` and `validation`.
        inputs: The option of this name, for messages.

    Raises:
        DataError: If there is only one label, a label has only one example, or a label is missing in one of the splits.
    """
    counts = {split: Counter(map(label_of, rows)) for split, rows in examples.items()}
    if len(counts["train"]) < 2:
        raise DataError(f"train: {' and '.join(counts['train'])} is the only label; a classifier needs two or more")
    for label, count in sorted(counts["train"].items()):
        if count == 1:
            raise DataError(f"train: only one {inputs} has the label '{label}'; each label needs two or more")
    for split, other in (("train", "validation"), ("validation", "train")):
        missing = sorted(counts[split].keys() - counts[other].keys())
        if missing:
            raise DataError(f"the label '{missing[0]}' is in the split '{split}', but not in '{other}'")
    return sorted(counts["train"])


def with_known_labels(
    examples: Iterable[tuple[Any, str]], labels: Sequence[str], split: str
) -> Iterator[tuple[Any, str]]:
    """Yields examples, and raises a `DataError` at one whose label is not one of the model's labels."""
    known = set(labels)
    for example, label in examples:
        if label not in known:
            raise DataError(f"{split}: the model has no label '{label}'; its labels are {', '.join(labels)}")
        yield example, label


def label_weights(targets: Sequence[str], labels: Sequence[str], is_balanced: bool) -> tuple[np.ndarray, np.ndarray]:
    """Returns the index of each target among the labels, int32, and its weight in the loss, float32.

    Args:
        targets: The label of each example.
        labels: The labels of the model.
        is_balanced: Whether all labels have the same total weight. Otherwise all weights are 1.
    """
    index_of = {label: index for index, label in enumerate(labels)}
    indices = np.array([index_of[label] for label in targets], "int32")
    weights = np.ones(len(targets), "float32")
    if is_balanced:
        weight_of = len(targets) / len(labels) / np.bincount(indices, minlength=len(labels))
        weights = weight_of[indices].astype("float32")
    return indices, weights


def batches(
    texts: Iterable[str] | SpacedTexts,
    targets: Sequence[str],
    tokenizer: Tokenizer,
    labels: Sequence[str],
    config: Config,
    split: str,
) -> EpochBatches:
    """Batches of texts of similar length, in a new order each epoch for the split `train`.

    Args:
        texts: Strings, which may be prepared for the tokenizer.
        targets: The label of each text.
        tokenizer: The tokenizer.
        labels: List of strings, the labels of the model.
        config: The `Config`.
        split: The name of the split.

    Returns:
        Batches `(tokens, labels, weights)`: int32 `(batch, steps)`, 0 at padding; int32 `(batch,)`; and float32
        `(batch,)`, see `label_weights`, which are equal except with `config.class_weights` in training.
    """
    indices, weights = label_weights(targets, labels, config.class_weights and split == "train")
    ids = encode_texts(tokenizer, texts, config.max_length)
    if split == "train" and (count := np.sum(ids.lengths == config.max_length)):
        note(f"train: {count} texts have max_length tokens, {config.max_length}, or are cut there")

    def make_batch(batch: np.ndarray) -> Any:
        is_text = batch >= 0
        # The loss divides by the number of rows, empty ones included.
        own_weights = weights[batch] * is_text * (len(batch) / is_text.sum())
        return ids.padded(batch, config.jit), indices[batch], own_weights.astype("float32")

    signature = (
        keras.InputSpec(dtype="int32", shape=(None, None)),
        keras.InputSpec(dtype="int32", shape=(None,)),
        keras.InputSpec(dtype="float32", shape=(None,)),
    )
    return batches_by_length(make_batch, signature, ids.lengths[:, np.newaxis], config, split)
