"""The tasks: random sequences whose answer depends on steps far back."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ..shared.training.batches import EpochBatches, slices
from ..shared.training.devices import share
from .config import Config

SYMBOLS = "abcdefgh"  # of the copy task
COPIED = 3  # symbols at the beginning of a sequence; the classic number, ten, takes many more steps to learn
DIGITS = 10  # of the parity task
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\*?")
DIGIT = re.compile(r"[+-]?0*[0-9]")
TEST_SEQUENCES = 1000  # sequences that an error is measured on


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        draw: Function `(generator, count, lag) -> (inputs, targets)`: float32 `(count, steps, features)`, and the
            targets.
        parse: Function from a string and the lag to the inputs, float32 `(steps, features)`, or None if the string is
            no sequence of the task.
        format: Function from the model's outputs for one sequence to a string.
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


def _parse_adding(text: str, lag: int) -> np.ndarray | None:
    words = text.split()
    values = [float(word.removesuffix("*")) for word in words if NUMBER.fullmatch(word)]
    marks = [float(word.endswith("*")) for word in words]
    if len(values) < len(words) or not all(0 <= value <= 1 for value in values) or sum(marks) != 2:
        return None
    return np.array([values, marks], "float32").T


def _format_adding(outputs: np.ndarray) -> str:
    return f"{outputs[0]:.3f}"


def _draw_copy(generator: np.random.Generator, count: int, lag: int) -> tuple[np.ndarray, np.ndarray]:
    symbols = generator.integers(0, len(SYMBOLS), (count, COPIED))
    return copy_inputs(symbols, lag), np.concatenate(
        [np.full((count, lag + COPIED), len(SYMBOLS)), symbols], axis=1, dtype="int32"
    )


def copy_inputs(symbols: np.ndarray, lag: int) -> np.ndarray:
    """Returns one-hot vectors of the symbols, of `lag - 1` blanks, of a signal, and of blanks for the answer."""
    blank, signal = np.eye(len(SYMBOLS) + 2, dtype="float32")[len(SYMBOLS) :]
    rest = np.stack([blank] * (lag - 1) + [signal] + [blank] * COPIED)
    vectors = np.eye(len(SYMBOLS) + 2, dtype="float32")[symbols]
    return np.concatenate([vectors, np.broadcast_to(rest, (len(symbols), *rest.shape))], axis=1)


def _parse_copy(text: str, lag: int) -> np.ndarray | None:
    symbols = [SYMBOLS.find(word) if len(word) == 1 else -1 for word in text.split()]
    if len(symbols) != COPIED or min(symbols) < 0:
        return None
    return copy_inputs(np.array([symbols]), lag)[0]


def _format_copy(outputs: np.ndarray) -> str:
    return " ".join(f"{SYMBOLS}-"[best] for best in outputs[-COPIED:].argmax(axis=-1))


def _draw_parity(generator: np.random.Generator, count: int, lag: int) -> tuple[np.ndarray, np.ndarray]:
    digits = generator.integers(0, DIGITS, (count, lag))
    return np.eye(DIGITS, dtype="float32")[digits], (digits[:, 0] % 2).astype("int32")


def _parse_parity(text: str, lag: int) -> np.ndarray | None:
    digits = [int(word) if DIGIT.fullmatch(word) else -1 for word in text.split()]
    if min(digits, default=-1) < 0:
        return None
    return np.eye(DIGITS, dtype="float32")[digits]


def _format_parity(outputs: np.ndarray) -> str:
    return ("even", "odd")[outputs.argmax()]


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
    task, own = TASKS[config.task], share()
    own.check_divides(config.batch_size)

    def epoch_batches(epoch: int) -> Any:
        generator = np.random.default_rng([config.seed, epoch])
        for _ in range(config.steps_per_epoch):
            yield own.of_batch(task.draw(generator, config.batch_size, config.lag))

    inputs, targets = task.draw(np.random.default_rng(0), 1, config.lag)
    signature = tuple(keras.InputSpec(shape=(None, *x.shape[1:]), dtype=x.dtype.name) for x in (inputs, targets))
    contents = f"{config.batch_size * config.steps_per_epoch:,} new sequences"
    return EpochBatches(epoch_batches, signature, lambda epoch: config.steps_per_epoch, contents=contents)


def validation_batches(config: Config) -> EpochBatches:
    """Batches `(inputs, targets)` that determine when the task is solved, the same for every seed."""
    sequences = TASKS[config.task].draw(np.random.default_rng([986, config.lag]), TEST_SEQUENCES, config.lag)
    own = share()
    count = TEST_SEQUENCES // own.devices * own.devices
    slices_of = (slices(x[:count], config.batch_size) for x in sequences)
    parts = [own.of_batch(part) for part in zip(*slices_of, strict=True)]
    return EpochBatches(lambda epoch: parts, batches(config).signature, lambda epoch: len(parts), contents=f"{count:,}")


def test_sequences(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Returns the `(inputs, targets)` that errors are reported on, the same for every seed."""
    return TASKS[config.task].draw(np.random.default_rng([987, config.lag]), TEST_SEQUENCES, config.lag)
