"""What a training reports on standard error."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras

from ..config import TrainingConfig
from ..console import duration, note, progress_bar
from . import devices
from .batches import EpochBatches
from .checkpoints import History

ESTIMATE_SECONDS = 5.0  # of steps after the first one, which compiles
ESTIMATE_STEPS = 10  # at least


class Progress:
    """Reports what is trained on, the expected duration, and each epoch with the time left.

    Args:
        model: The model.
        train: The batches to train on.
        validation: The batches to validate on.
        config: The options of the training.
    """

    def __init__(
        self, model: keras.Model, train: EpochBatches, validation: EpochBatches, config: TrainingConfig
    ) -> None:
        self.train = train
        self.validation = validation
        self.epochs = config.epochs
        self.is_chief = devices.is_chief()
        self._is_estimated = False
        self._began = time.monotonic()
        if self.is_chief:
            held_out = f", {validation.contents} for validation" if validation.contents else ""
            note(f"training on {devices.description()}: {model.count_params():,} weights")
            note(f"{train.contents or 'data'} in {len(train):,} batches per epoch{held_out}")

    @contextlib.contextmanager
    def epoch(self, epoch: int) -> Iterator[keras.callbacks.Callback]:
        """Shows the progress of an epoch, counted from 0, while the block trains with the callback."""
        self._began = time.monotonic()
        label = f"epoch {epoch + 1}/{self.epochs}"
        with progress_bar(label, len(self.train), is_visible=self.is_chief, is_transient=True) as advance:
            yield _Steps(advance, lambda steps, seconds: self._estimate(epoch, steps, seconds))

    def _estimate(self, epoch: int, steps: int, seconds: float) -> None:
        """Reports the expected duration once, given the seconds that a number of steps took."""
        if self._is_estimated or not self.is_chief or seconds < ESTIMATE_SECONDS or steps < ESTIMATE_STEPS:
            return
        self._is_estimated = True
        # A validation step has no backward pass, which takes about two thirds of a training step.
        per_epoch = len(self.train) + len(self.validation) / 3
        epochs = self.epochs - epoch
        expected = duration(epochs * per_epoch * seconds / steps)
        note(f"about {expected} for {'one epoch' if epochs == 1 else f'at most {epochs} epochs'}")

    def end_epoch(self, row: dict[str, Any], is_best: bool) -> None:
        """Reports a row of the history, the time that the epoch took, and the time left."""
        self._is_estimated = True  # better than from the first steps
        seconds = time.monotonic() - self._began
        left = (self.epochs - row["epoch"]) * seconds
        times = f"{duration(seconds)}{f', about {duration(left)} left' if left else ''}"
        if self.is_chief:
            note(
                f"epoch {row['epoch']}/{self.epochs}: {measurements(row)}{', best so far' if is_best else ''} ({times})"
            )

    def end(self, history: History, row: dict[str, Any]) -> None:
        """Reports why the training ends early, and what is kept, given the measurements of the final weights."""
        epochs = len(history.rows)
        if not self.is_chief:
            return
        if epochs < self.epochs and history.is_out_of_patience:
            note(f"stopped, because the last {history.config.patience} epochs were not better")
        kept = f"epoch {row['epoch']} of {epochs}" if row is history.best else "the average of the last epochs"
        note(f"kept {kept}: {measurements(row)}")


class _Steps(keras.callbacks.Callback):
    """Counts the steps of an epoch, and measures those after the first one.

    Args:
        advance: Function that is called with the number of further steps.
        measure: Function that is called with the number of steps after the first call, and their seconds.
    """

    def __init__(self, advance: Callable[[int], None], measure: Callable[[int, float], None]) -> None:
        super().__init__()
        self._lock = threading.Lock()  # Keras calls it in several threads, and not in order
        self._advance = advance
        self._measure = measure
        self._completed = 0
        self._first: tuple[int, float] | None = None

    def on_train_batch_end(self, batch, logs=None):
        with self._lock:
            steps = batch + 1 - self._completed  # several with `steps_per_execution`
            if steps <= 0:
                return
            self._completed += steps
            self._advance(steps)
            now = time.monotonic()
            if self._first is None:
                self._first = self._completed, now
            completed, since = self._first
            self._measure(self._completed - completed, now - since)


def measurements(row: dict[str, Any]) -> str:
    """Returns the measurements in a row of the history as text, with four digits."""
    return ", ".join(f"{name} {value:.4g}" for name, value in row.items() if name not in ("epoch", "learning_rate"))
