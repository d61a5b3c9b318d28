"""The function of an experiment's SavedModel, from sequences that are written as strings to answers."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from ...layers.types import Tensor
from ..shared.saved_model.rows import answer_usable, first_error
from ..shared.saved_model.texts import TEXTS
from .data import COPIED, DIGIT, DIGITS, NUMBER, SYMBOLS, TASKS, copy_inputs

if TYPE_CHECKING:
    from .model import Experiment


def signatures(experiment: "Experiment") -> tuple[dict[str, Any], list[Any]]:
    """Returns one signature from sequences `text` `(batch,)`; see `TrainedModel.signatures`.

    Its outputs are the answers, `text` `(batch,)`, and `error` `(batch,)`, which is empty for a sequence of the task.
    The answer to any other string is empty.
    """
    config = experiment.config
    task = TASKS[config.task]
    parse, format_outputs = GRAPHS[config.task]

    def answer_inputs(inputs: Tensor) -> dict[str, Tensor]:
        padded = tf.ensure_shape(inputs.to_tensor(), (None, None, task.features))
        padded = tf.pad(padded, [[0, 0], [0, tf.maximum(0, 1 - tf.shape(padded)[1])], [0, 0]])  # a batch without rows
        mask = tf.sequence_mask(inputs.row_lengths(), tf.shape(padded)[1])
        return {"text": format_outputs(experiment.outputs(padded, mask))}

    def answer(text: Tensor) -> dict[str, Tensor]:
        inputs, is_valid = parse(text, config.lag)
        message = f"not a sequence of the task {config.task}: a sequence is {task.form}"
        error = first_error((~is_valid, message))
        return answer_usable(answer_inputs, error, is_valid, inputs)

    return {"serving_default": (answer, TEXTS)}, []


def _parse_adding(texts: Tensor, lag: int) -> tuple[Tensor, Tensor]:
    words = tf.strings.split(texts)
    is_number = tf.strings.regex_full_match(words.values, NUMBER.pattern)
    numbers = tf.strings.regex_replace(tf.where(is_number, words.values, "-1"), r"\*$", "")
    values = tf.strings.to_number(numbers)
    marks = tf.cast(tf.strings.regex_full_match(words.values, r".*\*"), tf.float32)
    is_valid = _all_valid(words, (values >= 0) & (values <= 1))
    is_valid &= tf.reduce_sum(words.with_values(marks), axis=1) == 2
    return words.with_values(tf.stack([values, marks], axis=-1)), is_valid


def _all_valid(words: Tensor, is_valid: Tensor) -> Tensor:
    """Returns whether all words of each row of a ragged tensor are valid."""
    return tf.reduce_all(words.with_values(is_valid), axis=1)


def _format_adding(outputs: Tensor) -> Tensor:
    return tf.strings.as_string(outputs[:, 0], precision=3)


def _parse_copy(texts: Tensor, lag: int) -> tuple[Tensor, Tensor]:
    words = tf.strings.split(texts)
    is_symbol = words.values[:, tf.newaxis] == tf.constant(list(SYMBOLS))
    is_valid = _all_valid(words, tf.reduce_any(is_symbol, axis=1)) & (words.row_lengths() == COPIED)
    indices = words.with_values(tf.argmax(is_symbol, axis=1))
    symbols = tf.one_hot(indices.to_tensor(shape=(None, COPIED)), len(SYMBOLS) + 2)
    rest = tf.constant(copy_inputs(np.zeros((1, 0), int), lag))
    inputs = tf.concat([symbols, tf.repeat(rest, tf.shape(symbols)[0], axis=0)], axis=1)
    return tf.RaggedTensor.from_tensor(inputs), is_valid


def _format_copy(outputs: Tensor) -> Tensor:
    best = tf.argmax(outputs[:, -COPIED:], axis=-1)
    return tf.strings.reduce_join(tf.gather(tf.constant([*SYMBOLS, "-"]), best), axis=1, separator=" ")


def _parse_parity(texts: Tensor, lag: int) -> tuple[Tensor, Tensor]:
    words = tf.strings.split(texts)
    is_digit = tf.strings.regex_full_match(words.values, DIGIT.pattern)
    digits = tf.strings.to_number(tf.where(is_digit, words.values, "-1"), tf.int32)
    is_valid = _all_valid(words, digits >= 0) & (words.row_lengths() > 0)
    return words.with_values(tf.one_hot(digits, DIGITS)), is_valid


def _format_parity(outputs: Tensor) -> Tensor:
    return tf.gather(tf.constant(["even", "odd"]), tf.argmax(outputs, axis=-1))


# For each task the functions `parse` and `format` of `Task` for a batch: `parse` returns `(inputs, is_valid)`, a ragged
# tensor `(batch, None, features)`, and booleans `(batch,)`, whether each string is a sequence of the task.
GRAPHS: dict[str, tuple[Callable, Callable]] = {
    "adding": (_parse_adding, _format_adding),
    "copy": (_parse_copy, _format_copy),
    "parity": (_parse_parity, _format_parity),
}
