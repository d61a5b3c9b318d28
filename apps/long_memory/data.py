"""The tasks: sequences that are drawn as they are needed, whose answer lies far behind."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from ..shared.training.batches import EpochBatches

SYMBOLS = "abcdefgh"  # that are copied
COPIED = 3  # of them, at the beginning of a sequence; ten, the classic number, need many more steps
DIGITS = 10  # of whose first the parity is asked
TESTED = 1000  # sequences that an error is measured on


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        draw: Function `(generator, count, lag) -> (inputs, targets)`: float32 `(count, steps, features)`, and what
            should be found in them.
        read: The same inputs from strings `(batch,)` and the lag, in a graph: a ragged tensor.
        tell: Function of the model's outputs for those strings to strings `(batch,)`, in a graph.
        features: Integer, the size of an input vector.
        outputs: Integer, the size of an answer.
        is_sequence: Whether there is an answer to each step, not to the last alone.
        asked: The step, from 0, whose input the last answer needs.
        guess: Function of the lag to the loss of the best answer that reads nothing.
        solved: The share of that below which the task is solved.
        what: The task in words.
    """

    draw: Callable
    read: Callable
    tell: Callable
    features: int
    outputs: int
    is_sequence: bool
    asked: int
    guess: Callable
    solved: float
    what: str


def _draw_adding(generator, count, lag):
    values = generator.random((count, lag), "float32")
    marks = np.zeros((count, lag), "float32")
    rows, half = np.arange(count), lag // 2
    marks[rows, generator.integers(0, half, count)] = 1
    marks[rows, generator.integers(half, lag, count)] = 1
    return np.stack([values, marks], axis=-1), np.sum(values * marks, axis=1, keepdims=True)


def _read_adding(texts, lag):
    words = tf.strings.split(texts)
    values = tf.strings.to_number(tf.strings.regex_replace(words.values, r"\*$", ""))
    marks = tf.cast(tf.strings.regex_full_match(words.values, r".*\*"), tf.float32)
    fits = tf.reduce_all((values >= 0) & (values <= 1))  # of what is not a number, too
    fits &= tf.reduce_all(tf.reduce_sum(words.with_values(marks), axis=1) == 2)
    message = "text: a sequence is numbers from 0 to 1 with spaces between them, two of them with a star"
    with tf.control_dependencies([tf.debugging.Assert(fits, [message])]):
        return words.with_values(tf.stack([values, marks], axis=-1))


def _tell_adding(outputs):
    return tf.strings.as_string(outputs[:, 0], precision=3)


def _draw_copy(generator, count, lag):
    symbols = generator.integers(0, len(SYMBOLS), (count, COPIED))
    return _copied(symbols, lag), np.concatenate(
        [np.full((count, lag + COPIED), len(SYMBOLS)), symbols], axis=1, dtype="int32"
    )


def _copied(symbols, lag):
    """The symbols, a blank for each step of the lag, a signal in its last, and blanks for the answer, as vectors."""
    blank, signal = np.eye(len(SYMBOLS) + 2, dtype="float32")[len(SYMBOLS) :]
    rest = np.stack([blank] * (lag - 1) + [signal] + [blank] * COPIED)
    vectors = np.eye(len(SYMBOLS) + 2, dtype="float32")[symbols]
    return np.concatenate([vectors, np.broadcast_to(rest, (len(symbols), *rest.shape))], axis=1)


def _read_copy(texts, lag):
    words = tf.strings.split(texts)
    places = tf.argmax(words.values[:, tf.newaxis] == tf.constant(list(SYMBOLS)), axis=1)
    known = tf.reduce_any(words.values[:, tf.newaxis] == tf.constant(list(SYMBOLS)), axis=1)
    fits = tf.reduce_all(known) & tf.reduce_all(words.row_lengths() == COPIED)
    message = f"text: a sequence is {COPIED} of the letters {', '.join(SYMBOLS)}, with spaces between them"
    with tf.control_dependencies([tf.debugging.Assert(fits, [message])]):
        symbols = tf.one_hot(tf.reshape(places, [-1, COPIED]), len(SYMBOLS) + 2)
    rest = tf.constant(_copied(np.zeros((1, 0), int), lag))
    return tf.RaggedTensor.from_tensor(tf.concat([symbols, tf.repeat(rest, tf.shape(symbols)[0], axis=0)], axis=1))


def _tell_copy(outputs):
    best = tf.argmax(outputs[:, -COPIED:], axis=-1)
    return tf.strings.reduce_join(tf.gather(tf.constant([*SYMBOLS, "-"]), best), axis=1, separator=" ")


def _draw_parity(generator, count, lag):
    digits = generator.integers(0, DIGITS, (count, lag))
    return np.eye(DIGITS, dtype="float32")[digits], (digits[:, 0] % 2).astype("int32")


def _read_parity(texts, lag):
    digits = tf.strings.to_number(tf.strings.split(texts), tf.int32)
    fits = tf.reduce_all((digits.values >= 0) & (digits.values < DIGITS)) & tf.reduce_all(digits.row_lengths() > 0)
    with tf.control_dependencies([tf.debugging.Assert(fits, ["text: a sequence is digits with spaces between them"])]):
        return digits.with_values(tf.one_hot(digits.values, DIGITS))


def _tell_parity(outputs):
    return tf.gather(tf.constant(["even", "odd"]), tf.argmax(outputs, axis=-1))


TASKS = {
    "adding": Task(
        _draw_adding,
        _read_adding,
        _tell_adding,
        features=2,
        outputs=1,
        is_sequence=False,
        asked=0,
        guess=lambda lag: 1 / 6,  # the variance of the sum of two numbers in [0, 1)
        solved=0.06,  # an error of 0.01
        what="the sum of the two marked numbers of a sequence",
    ),
    "copy": Task(
        _draw_copy,
        _read_copy,
        _tell_copy,
        features=len(SYMBOLS) + 2,
        outputs=len(SYMBOLS) + 1,
        is_sequence=True,
        asked=COPIED - 1,
        # Blanks are certain, and of the symbols at the end each is as likely.
        guess=lambda lag: COPIED * math.log(len(SYMBOLS)) / (lag + 2 * COPIED),
        solved=0.1,
        what=f"the first {COPIED} symbols once more, after a signal",
    ),
    "parity": Task(
        _draw_parity,
        _read_parity,
        _tell_parity,
        features=DIGITS,
        outputs=2,
        is_sequence=False,
        asked=0,
        guess=lambda lag: math.log(2),
        solved=0.1,
        what="whether the first digit of a sequence is odd",
    ),
}


def goal(config):
    """The loss below which a task is solved."""
    task = TASKS[config.task]
    return task.solved * task.guess(config.lag)


def batches(config):
    """New sequences in each epoch, as `EpochBatches` of `(inputs, targets)`."""
    task = TASKS[config.task]

    def epoch_batches(epoch):
        generator = np.random.default_rng([config.seed, epoch])
        for _ in range(config.steps_per_epoch):
            yield task.draw(generator, config.batch_size, config.lag)

    inputs, targets = task.draw(np.random.default_rng(0), 1, config.lag)
    signature = tuple(tf.TensorSpec((None, *x.shape[1:]), x.dtype) for x in (inputs, targets))
    return EpochBatches(epoch_batches, signature, config.steps_per_epoch, True)


def validated(config):
    """The sequences that tell when a task is solved, the same in every run: `(inputs, targets)`."""
    return TASKS[config.task].draw(np.random.default_rng([986, config.lag]), TESTED, config.lag)


def tested(config):
    """Those that errors are reported on, which decide nothing."""
    return TASKS[config.task].draw(np.random.default_rng([987, config.lag]), TESTED, config.lag)
