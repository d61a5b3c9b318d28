"""Text as batches of character ids."""

import numpy as np
import tensorflow as tf

from ...datasets import DataError
from ...datasets.texts import read_texts
from ..shared.text.batches import length_batches, pad, rows_of, teacher_forcing
from ..shared.text.tokenizers import END, strings
from ..shared.training.batches import EpochBatches

PART = 10_000  # characters


def read(config, split):
    """The lines of a split of a configuration's data set, as pairs `(text, label)`; a label may be None.

    In the mode `lines`, those without text are left out. In the mode `text`, it is one string, with a line break behind
    each line.

    Raises:
        DataError: If the split cannot be read, has no text, or in the mode `text` has labels.
    """
    lines = [(text.replace("\x00", ""), label) for text, label in read_texts(config.data, split, config.language)]
    kept = [(text, label) for text, label in lines if text.strip()]
    if not kept:
        raise DataError(f"{config.data}: the split '{split}' is empty")
    if config.mode == "lines":
        return kept
    if any(label is not None for _, label in lines):
        raise DataError(f"{config.data}: labels are of lines; the mode text reads one long text without any")
    return "".join(f"{text}\n" for text, _ in lines)


def holding_out(config):
    """What `splits.training_splits` takes beside `read`: a text's end is held out, or a share of each label's lines."""
    return {"ordered": True} if config.mode == "text" else {"kind": lambda line: line[1]}


def labels_of(lines):
    """The labels of lines, each once, sorted; none where there are none.

    Raises:
        DataError: If some lines have a label and others none.
    """
    labels = {label for _, label in lines}
    if len(labels) > 1 and None in labels:
        raise DataError("some lines have a label, others have none")
    return sorted(labels - {None})


def parts_of(text):
    """A long text in parts, one after the other, of which each is encoded by itself: tensors of all were large."""
    return [text[first : first + PART] for first in range(0, len(text), PART)]


def text_ids(text, tokenizer):
    """The ids of a long text `(characters,)`."""
    return np.concatenate([tokenizer.ids_of(strings([part])).values.numpy() for part in parts_of(text)])


def sequences(lines, tokenizer, labels, longest=None):
    """The ids of each line: of its label, if there are labels, of its characters, and the end.

    Of a line with more characters than `longest`, the rest and the end are left out.

    Raises:
        DataError: If a label is not among `labels`, or lines have labels where there are none, or none where there are.
    """
    id_of = {label: len(tokenizer) + place for place, label in enumerate(labels)}
    unknown = {label for _, label in lines} - (set(labels) or {None})
    if unknown and not labels:
        raise DataError("the lines have labels, and those of the training data have none")
    if None in unknown:
        raise DataError("some lines have no label, and those of the training data have one")
    if unknown:
        raise DataError(f"the label '{min(unknown)}' is not in the training data")
    ids = tokenizer.ids_of(strings([text for text, _ in lines]))
    return [
        np.array(
            [*([id_of[label]] if labels else []), *row[:longest], *([END] if len(row[:longest]) == len(row) else [])]
        )
        for (_, label), row in zip(lines, rows_of(ids), strict=True)
    ]


def fed(rows, feed, multiple=1):
    """What a model reads of sequences, and what it should find: `(read, target, weights)` `(batch, steps)`.

    With the feed `previous`, that is teacher forcing. With `zeros`, the first token of each is read and none after it,
    and what follows it should be found.
    """
    if feed == "previous":
        return teacher_forcing(rows, multiple)
    target = pad([row[1:] for row in rows], multiple)
    read = np.zeros_like(target)
    read[:, 0] = [row[0] for row in rows]
    return read, target, (target != 0).astype("float32")


def line_batches(rows, config, split):
    """Sequences as `EpochBatches` of like length, in a new order each epoch for the split `train`."""
    rows = [row for row in rows if len(row) > 1]
    lengths = np.array([[len(row)] for row in rows])

    def order(epoch):
        generator = np.random.default_rng([config.seed, epoch]) if split == "train" else None
        return length_batches(lengths, config.batch_size, generator)

    multiple = 8 if config.jit else 1

    def batches(epoch):
        for batch in order(epoch):
            yield fed([rows[index] for index in batch], config.feed, multiple)

    tokens = tf.TensorSpec((None, None), tf.int32)
    return EpochBatches(batches, (tokens, tokens, tf.TensorSpec((None, None), tf.float32)), len(order(0)), True)


def text_batches(ids, config, split):
    """A long text as `EpochBatches`: `config.batch_size` equal parts of it side by side, in pieces of `config.window`.

    A row of a batch continues that row of the batch before. An epoch of the split `train` begins at a new place, as far
    in as there is text to spare.

    Args:
        ids: Integer array `(characters,)`.
        config: The `Config`.
        split: The split's name.

    Returns:
        Batches `((read, goes_on), target, weights)`: int32 `(batch_size, steps)`, float32 `(batch_size,)`, 0 in the
        first batch and 1 in all others, the characters after those read, and ones.

    Raises:
        DataError: If a part of the text would be shorter than a piece.
    """
    streams, window = config.batch_size, config.window
    if len(ids) <= streams:
        raise DataError(f"{split}: {len(ids)} characters are too few for {streams} parts; lower batch_size")
    pieces = (len(ids) - 1) // streams // window
    if split == "train" and not pieces:
        raise DataError(
            f"train: {len(ids)} characters, fewer than a batch's {streams * window + 1}; lower batch_size or window"
        )
    # In training all pieces are as long, and what is left over is passed over, at another place in each epoch.
    steps = pieces * window if split == "train" else (len(ids) - 1) // streams
    spare = len(ids) - 1 - streams * steps

    def batches(epoch):
        first = np.random.default_rng([config.seed, epoch]).integers(spare + 1) if split == "train" else 0
        parts = ids[first : first + streams * steps].reshape(streams, steps)
        after = ids[first + 1 : first + streams * steps + 1].reshape(streams, steps)
        for begin in range(0, steps, window):
            piece = slice(begin, begin + window)
            goes_on = np.full(streams, begin > 0, "float32")
            yield (parts[:, piece], goes_on), after[:, piece], np.ones_like(after[:, piece], "float32")

    tokens = tf.TensorSpec((streams, None), tf.int32)
    signature = (tokens, tf.TensorSpec((streams,), tf.float32)), tokens, tf.TensorSpec((streams, None), tf.float32)
    return EpochBatches(batches, signature, -(-steps // window), is_fixed=True)
