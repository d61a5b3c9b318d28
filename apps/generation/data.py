"""Texts as batches of character ids."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from ...datasets import DataError
from ...datasets.columns import Categories, Columns, Strings
from ...datasets.texts import iter_texts
from ..shared.text.batches import batches_by_length, encode_texts, teacher_forcing
from ..shared.text.ragged import Ragged
from ..shared.text.tokenizers import END, Tokenizer
from ..shared.training.batches import EpochBatches, slices
from ..shared.training.devices import share
from .config import Config

CHUNK = 10_000  # characters of a long text that are encoded at once, or lines that are joined

Line: TypeAlias = tuple[str, str | None]  # a text and its label


def read(config: Config, split: str) -> Any:
    """Reads a split: in the mode `lines` a sequence of pairs `(text, label)`, in the mode `text` one string.

    A label may be None. In the mode `lines`, lines without text are left out. In the mode `text`, each line ends in a
    line break.

    Raises:
        DataError: If the split cannot be read, has no text, or in the mode `text` has labels.
    """
    examples = iterate(config, split)
    return "".join(examples) if config.mode == "text" else Columns.of(examples, Strings, Categories)


def iterate(config: Config, split: str) -> Iterator[Any]:
    """Yields a split without keeping it: in the mode `lines` the pairs, in the mode `text` parts of the text.

    See `read`.
    """
    rows = iter_texts(config.data, split, config.language)
    lines = ((text.replace("\x00", ""), label) for text, label in rows)
    is_empty = True
    if config.mode == "lines":
        for line in lines:
            if line[0].strip():
                is_empty = False
                yield line
    else:
        for part in iter(lambda: [*itertools.islice(lines, CHUNK)], []):
            if any(label is not None for _, label in part):
                raise DataError(f"{config.data}: the mode text reads one long text without labels")
            text = "".join(f"{text}\n" for text, _ in part)
            is_empty = is_empty and not text.strip()
            yield text
    if is_empty:
        raise DataError(f"{config.data}: the split '{split}' is empty")


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


def check_labels(lines: Iterable[Line], labels: Sequence[str]) -> None:
    """Checks the labels of lines.

    Raises:
        DataError: If a label is not one of `labels`, or only the lines or only the model has labels.
    """
    own = {label for _, label in lines}
    unknown = {label for label in own if label is not None} - set(labels)
    if unknown and not labels:
        raise DataError("the lines have labels, but those of the training data have none")
    if labels and None in own:
        raise DataError("some lines have no label, but those of the training data have one")
    if unknown:
        raise DataError(f"the label '{min(unknown)}' is not in the training data")


def chunks_of(text: str) -> list[str]:
    """Divides a long text into chunks of at most `CHUNK` characters."""
    return slices(text, CHUNK)


def text_ids(text: str, tokenizer: Tokenizer) -> np.ndarray:
    """Encodes a long text to ids `(characters,)`."""
    return encode_texts(tokenizer, chunks_of(text), end=False).values


def sequences(
    lines: Sequence[Line], tokenizer: Tokenizer, labels: Sequence[str], max_length: int | None = None
) -> Ragged:
    """Encodes lines to the ids of their label, if there are labels, of their characters, and of the end.

    Args:
        lines: Pairs `(text, label)`.
        tokenizer: The tokenizer.
        labels: The labels of the model, whose ids follow those of the characters.
        max_length: Maximum number of characters. Longer lines are cut and have no end.

    Raises:
        DataError: As `check_labels` does.
    """
    check_labels(lines, labels)
    id_of = {label: len(tokenizer) + index for index, label in enumerate(labels)}

    def rows() -> Iterator[list[int]]:
        for text, label in lines:
            ids = tokenizer.encode(text)
            is_cut = max_length is not None and len(ids) > max_length
            yield [*([] if label is None else [id_of[label]]), *ids[:max_length], *([] if is_cut else [END])]

    return Ragged.of(rows())


def inputs_and_targets(ids: np.ndarray, feed: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the inputs, targets and weights of sequences, each `(batch, steps)`.

    Args:
        ids: int32 array `(batch, steps)`, the sequences, padded with 0.
        feed: `"previous"` is teacher forcing. With `"zeros"` the first token is the only input, and the targets are the
            tokens after it, in one step less.
    """
    if feed == "previous":
        return teacher_forcing(ids)
    targets = ids[:, 1:]
    inputs = np.zeros_like(targets)
    inputs[:, 0] = ids[:, 0]
    return inputs, targets, (targets != 0).astype("float32")


def line_batches(rows: Ragged, config: Config, split: str) -> EpochBatches:
    """Batches of sequences of similar length, in a new order each epoch for the split `train`."""
    rows = rows.select(rows.lengths > 1)

    def make_batch(indices: np.ndarray) -> Any:
        return inputs_and_targets(rows.padded(indices, config.jit), config.feed)

    tokens = keras.InputSpec(dtype="int32", shape=(None, None))
    signature = tokens, tokens, keras.InputSpec(dtype="float32", shape=(None, None))
    return batches_by_length(make_batch, signature, rows.lengths[:, np.newaxis], config, split)


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
    streams, window, own = config.batch_size, config.window, share()
    own.check_divides(streams)
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
            window_inputs, window_targets = (x[:, columns].astype("int32") for x in (inputs, targets))
            yield own.of_batch(
                ((window_inputs, is_continuation), window_targets, np.ones_like(window_targets, "float32"))
            )

    tokens = keras.InputSpec(dtype="int32", shape=(streams // own.count, None))
    is_continuation = keras.InputSpec(dtype="float32", shape=(streams // own.count,))
    signature = (tokens, is_continuation), tokens, keras.InputSpec(dtype="float32", shape=(streams // own.count, None))
    return EpochBatches(batches, signature, lambda epoch: -(-steps // window), contents=f"{len(ids):,} characters")
