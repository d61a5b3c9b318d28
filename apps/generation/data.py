"""Texts as batches of character ids."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from ...datasets import DataError
from ...datasets.texts import read_texts
from ..shared.text.batches import batches_by_length, length_multiple, pad, rows_of, teacher_forcing
from ..shared.text.tokenizers import END, Tokenizer, strings
from ..shared.training.batches import EpochBatches, slices
from .config import Config

CHUNK = 10_000  # characters of a long text that are encoded at once, because the tensors of all would be large

Line: TypeAlias = tuple[str, str | None]  # a text and its label


def read(config: Config, split: str) -> Any:
    """Reads a split: in the mode `lines` a list of pairs `(text, label)`, in the mode `text` one string.

    A label may be None. In the mode `lines`, lines without text are left out. In the mode `text`, each line ends in a
    line break.

    Raises:
        DataError: If the split cannot be read, has no text, or in the mode `text` has labels.
    """
    lines = [(text.replace("\x00", ""), label) for text, label in read_texts(config.data, split, config.language)]
    lines_with_text = [(text, label) for text, label in lines if text.strip()]
    if not lines_with_text:
        raise DataError(f"{config.data}: the split '{split}' is empty")
    if config.mode == "lines":
        return lines_with_text
    if any(label is not None for _, label in lines):
        raise DataError(f"{config.data}: the mode text reads one long text without labels")
    return "".join(f"{text}\n" for text, _ in lines)


def split_arguments(config: Config) -> dict[str, Any]:
    """Returns options of `training_splits`, which hold out the end of a text or a fraction of each label's lines."""
    return {"ordered": True} if config.mode == "text" else {"kind": lambda line: line[1]}


def labels_of(lines: Sequence[Line]) -> list[str]:
    """Returns the distinct labels of lines, sorted.

    Raises:
        DataError: If some lines have a label and others have none.
    """
    labels = {label for _, label in lines}
    if len(labels) > 1 and None in labels:
        raise DataError("some lines have a label, others have none")
    return sorted(label for label in labels if label is not None)


def chunks_of(text: str) -> list[str]:
    """Divides a long text into chunks of at most `CHUNK` characters."""
    return slices(text, CHUNK)


def text_ids(text: str, tokenizer: Tokenizer) -> np.ndarray:
    """Encodes a long text to ids `(characters,)`."""
    return np.concatenate([tokenizer.ids_of(strings([chunk])).values.numpy() for chunk in chunks_of(text)])


def sequences(
    lines: Sequence[Line], tokenizer: Tokenizer, labels: Sequence[str], max_length: int | None = None
) -> list[np.ndarray]:
    """Encodes lines to the ids of their label, if there are labels, of their characters, and of the end.

    Args:
        lines: Pairs `(text, label)`.
        tokenizer: The tokenizer.
        labels: The labels of the model, whose ids follow those of the characters.
        max_length: Maximum number of characters. Longer lines are cut and have no end.

    Raises:
        DataError: If a label is not one of `labels`, or only the lines or only the model has labels.
    """
    id_of = {label: len(tokenizer) + index for index, label in enumerate(labels)}
    unknown = {label for _, label in lines if label is not None} - set(labels)
    if unknown and not labels:
        raise DataError("the lines have labels, but those of the training data have none")
    if labels and any(label is None for _, label in lines):
        raise DataError("some lines have no label, but those of the training data have one")
    if unknown:
        raise DataError(f"the label '{min(unknown)}' is not in the training data")
    rows = []
    for (_, label), ids in zip(lines, rows_of(tokenizer.ids_of(strings([text for text, _ in lines]))), strict=True):
        is_cut = max_length is not None and len(ids) > max_length
        rows.append(
            np.array([*([id_of[label]] if label is not None else []), *ids[:max_length], *([] if is_cut else [END])])
        )
    return rows


def inputs_and_targets(
    rows: Sequence[np.ndarray], feed: str, multiple: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the inputs, targets and weights of sequences, each `(batch, steps)`.

    Args:
        rows: List of id arrays.
        feed: `"previous"` is teacher forcing. With `"zeros"` the first token is the only input, and the targets are the
            tokens after it.
        multiple: As in `pad`.
    """
    if feed == "previous":
        return teacher_forcing(rows, multiple)
    targets = pad([row[1:] for row in rows], multiple)
    inputs = np.zeros_like(targets)
    inputs[:, 0] = [row[0] for row in rows]
    return inputs, targets, (targets != 0).astype("float32")


def line_batches(rows: Sequence[np.ndarray], config: Config, split: str) -> EpochBatches:
    """Batches of sequences of similar length, in a new order each epoch for the split `train`."""
    rows = [row for row in rows if len(row) > 1]
    multiple = length_multiple(config)

    def make_batch(indices: np.ndarray) -> Any:
        return inputs_and_targets([rows[index] for index in indices], config.feed, multiple)

    tokens = tf.TensorSpec((None, None), tf.int32)
    signature = tokens, tokens, tf.TensorSpec((None, None), tf.float32)
    return batches_by_length(make_batch, signature, np.array([[len(row)] for row in rows]), config, split)


def text_batches(ids: np.ndarray, config: Config, split: str) -> EpochBatches:
    """Batches of a long text that is read at `config.batch_size` positions in parallel, in windows of `config.window`.

    Each row of a batch continues the same row of the previous batch. Each epoch of the split `train` starts at a random
    position, as far as there is text to spare.

    Args:
        ids: Integer array `(characters,)`.
        config: The `Config`.
        split: The name of the split.

    Returns:
        Batches `((inputs, is_continuation), targets, weights)`: int32 `(batch_size, steps)`; float32 `(batch_size,)`, 0
        in the first batch and 1 in the others; the characters after the inputs; and ones.

    Raises:
        DataError: If the text is shorter than a batch.
    """
    streams, window = config.batch_size, config.window
    if len(ids) <= streams:
        raise DataError(f"{split}: {len(ids)} characters are too few for {streams} streams; lower batch_size")
    windows = (len(ids) - 1) // streams // window
    if split == "train" and not windows:
        raise DataError(
            f"train: {len(ids)} characters, fewer than a batch's {streams * window + 1}; lower batch_size or window"
        )
    # In training all windows have the same length. The remaining characters are skipped, others in each epoch.
    steps = windows * window if split == "train" else (len(ids) - 1) // streams
    spare = len(ids) - 1 - streams * steps

    def batches(epoch: int) -> Iterator[Any]:
        first = np.random.default_rng([config.seed, epoch]).integers(spare + 1) if split == "train" else 0
        inputs = ids[first : first + streams * steps].reshape(streams, steps)
        targets = ids[first + 1 : first + streams * steps + 1].reshape(streams, steps)
        for begin in range(0, steps, window):
            columns = slice(begin, begin + window)
            is_continuation = np.full(streams, begin > 0, "float32")
            weights = np.ones_like(targets[:, columns], "float32")
            yield (inputs[:, columns], is_continuation), targets[:, columns], weights

    tokens = tf.TensorSpec((streams, None), tf.int32)
    signature = (tokens, tf.TensorSpec((streams,), tf.float32)), tokens, tf.TensorSpec((streams, None), tf.float32)
    return EpochBatches(batches, signature, -(-steps // window), is_fixed=True)
