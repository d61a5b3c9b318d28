"""The tasks: random sequences whose answer depends on steps far back."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from ...layers.types import Tensor
from ..shared.training.batches import EpochBatches
from .config import Config

SYMBOLS = "abcdefgh"  # of the copy task
COPIED = 3  # symbols at the beginning of a sequence; the classic number, ten, takes many more steps to learn
DIGITS = 10  # of the parity task
TEST_SEQUENCES = 1000  # sequences that an error is measured on


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        draw: Function `(generator, count, lag) -> (inputs, targets)`: float32 `(count, steps, features)`, and the
            targets.
        parse: Function from strings `(batch,)` and the lag to `(inputs, is_valid)`, in the graph: a ragged tensor
            `(batch, None, features)`, and booleans `(batch,)`, whether each string is a sequence of the task. The
            inputs of the others are meaningless.
        format: Function from the model's outputs for those inputs to strings `(batch,)`, in the graph.
        form: How a sequence is written.
        features: Integer, the size of an input vector.
        outputs: Integer, the size of an output vector.
        is_sequence: Whether there is an output for each step instead of the last one only.
        needed_step: The step, from 0, whose input the last output depends on.
        guess: Function from the lag to the loss of the best prediction that ignores the inputs.
        solved: The fraction of that loss below which the task is solved.
        description: The task in words.
    """

    draw: Callable
    parse: Callable
    format: Callable
    form: str
    features: int
    outputs: int
    is_sequence: bool
    needed_step: int
    guess: Callable[[int], float]
    solved: float
    description: str


def _draw_adding(generator: np.random.Generator, count: int, lag: int) -> tuple[np.ndarray, np.ndarray]:
    values = generator.random((count, lag), "float32")
    marks = np.zeros((count, lag), "float32")
    rows, half = np.arange(count), lag // 2
    marks[rows, generator.integers(0, half, count)] = 1
    marks[rows, generator.integers(half, lag, count)] = 1
    return np.stack([values, marks], axis=-1), np.sum(values * marks, axis=1, keepdims=True)


def _parse_adding(texts: Tensor, lag: int) -> tuple[Tensor, Tensor]:
    words = tf.strings.split(texts)
    is_number = tf.strings.regex_full_match(words.values, r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\*?")
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


def _draw_copy(generator: np.random.Generator, count: int, lag: int) -> tuple[np.ndarray, np.ndarray]:
    symbols = generator.integers(0, len(SYMBOLS), (count, COPIED))
    return _copy_inputs(symbols, lag), np.concatenate(
        [np.full((count, lag + COPIED), len(SYMBOLS)), symbols], axis=1, dtype="int32"
    )


def _copy_inputs(symbols: np.ndarray, lag: int) -> np.ndarray:
    """Returns one-hot vectors of the symbols, of `lag - 1` blanks, of a signal, and of blanks for the answer."""
    blank, signal = np.eye(len(SYMBOLS) + 2, dtype="float32")[len(SYMBOLS) :]
    rest = np.stack([blank] * (lag - 1) + [signal] + [blank] * COPIED)
    vectors = np.eye(len(SYMBOLS) + 2, dtype="float32")[symbols]
    return np.concatenate([vectors, np.broadcast_to(rest, (len(symbols), *rest.shape))], axis=1)


def _parse_copy(texts: Tensor, lag: int) -> tuple[Tensor, Tensor]:
    words = tf.strings.split(texts)
    is_symbol = words.values[:, tf.newaxis] == tf.constant(list(SYMBOLS))
    is_valid = _all_valid(words, tf.reduce_any(is_symbol, axis=1)) & (words.row_lengths() == COPIED)
    indices = words.with_values(tf.argmax(is_symbol, axis=1))
    symbols = tf.one_hot(indices.to_tensor(shape=(None, COPIED)), len(SYMBOLS) + 2)
    rest = tf.constant(_copy_inputs(np.zeros((1, 0), int), lag))
    inputs = tf.concat([symbols, tf.repeat(rest, tf.shape(symbols)[0], axis=0)], axis=1)
    return tf.RaggedTensor.from_tensor(inputs), is_valid


def _format_copy(outputs: Tensor) -> Tensor:
    best = tf.argmax(outputs[:, -COPIED:], axis=-1)
    return tf.strings.reduce_join(tf.gather(tf.constant([*SYMBOLS, "-"]), best), axis=1, separator=" ")


def _draw_parity(generator: np.random.Generator, count: int, lag: int) -> tuple[np.ndarray, np.ndarray]:
    digits = generator.integers(0, DIGITS, (count, lag))
    return np.eye(DIGITS, dtype="float32")[digits], (digits[:, 0] % 2).astype("int32")


def _parse_parity(texts: Tensor, lag: int) -> tuple[Tensor, Tensor]:
    words = tf.strings.split(texts)
    is_digit = tf.strings.regex_full_match(words.values, r"[+-]?0*\d")
    digits = tf.strings.to_number(tf.where(is_digit, words.values, "-1"), tf.int32)
    is_valid = _all_valid(words, digits >= 0) & (words.row_lengths() > 0)
    return words.with_values(tf.one_hot(digits, DIGITS)), is_valid


def _format_parity(outputs: Tensor) -> Tensor:
    return tf.gather(tf.constant(["even", "odd"]), tf.argmax(outputs, axis=-1))


TASKS = {
    "adding": Task(
        _draw_adding,
        _parse_adding,
        _format_adding,
        form="numbers from 0 to 1 with spaces between them, two of them with a star",
        features=2,
        outputs=1,
        is_sequence=False,
        needed_step=0,
        guess=lambda lag: 1 / 6,  # the variance of the sum of two numbers in [0, 1)
        solved=0.06,  # a mean squared error of 0.01
        description="the sum of the two marked numbers of a sequence",
    ),
    "copy": Task(
        _draw_copy,
        _parse_copy,
        _format_copy,
        form=f"{COPIED} of the letters {', '.join(SYMBOLS)}, with spaces between them",
        features=len(SYMBOLS) + 2,
        outputs=len(SYMBOLS) + 1,
        is_sequence=True,
        needed_step=COPIED - 1,
        # Blanks are certain, and all symbols at the end are equally likely.
        guess=lambda lag: COPIED * math.log(len(SYMBOLS)) / (lag + 2 * COPIED),
        solved=0.1,
        description=f"the first {COPIED} symbols once more, after a signal",
    ),
    "parity": Task(
        _draw_parity,
        _parse_parity,
        _format_parity,
        form="digits with spaces between them",
        features=DIGITS,
        outputs=2,
        is_sequence=False,
        needed_step=0,
        guess=lambda lag: math.log(2),
        solved=0.1,
        description="whether the first digit of a sequence is odd",
    ),
}


def goal(config: Config) -> float:
    """Returns the loss below which the task is solved."""
    task = TASKS[config.task]
    return task.solved * task.guess(config.lag)


def batches(config: Config) -> EpochBatches:
    """Batches `(inputs, targets)` of new sequences in each epoch."""
    task = TASKS[config.task]

    def epoch_batches(epoch: int) -> Any:
        generator = np.random.default_rng([config.seed, epoch])
        for _ in range(config.steps_per_epoch):
            yield task.draw(generator, config.batch_size, config.lag)

    inputs, targets = task.draw(np.random.default_rng(0), 1, config.lag)
    signature = tuple(tf.TensorSpec((None, *x.shape[1:]), x.dtype) for x in (inputs, targets))
    return EpochBatches(epoch_batches, signature, config.steps_per_epoch, is_fixed=True)


def validation_sequences(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Returns the `(inputs, targets)` that determine when the task is solved, the same for every seed."""
    return TASKS[config.task].draw(np.random.default_rng([986, config.lag]), TEST_SEQUENCES, config.lag)


def test_sequences(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Returns the `(inputs, targets)` that errors are reported on, the same for every seed."""
    return TASKS[config.task].draw(np.random.default_rng([987, config.lag]), TEST_SEQUENCES, config.lag)
