"""The history and the states of a training, from which an interrupted training is resumed."""

import csv
import json
import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from ....files import atomic_file
from ..config import TrainingConfig
from ..console import note
from ..errors import TrainingError, first_line


class History:
    """The rows of a `history.csv`, and what they decide: the best epoch, early stopping and the plateau schedule.

    Args:
        path: The file.
        config: The options of the training.
        monitor: The column that decides which epoch is the best: the lowest `val_loss`, or the highest value of another
            column. Ties are broken by the lower `val_loss`.

    Attributes:
        rows: List of dictionaries, one per finished epoch.
    """

    def __init__(self, path: Path, config: TrainingConfig, monitor: str = "val_loss"):
        self.path = path
        self.config = config
        self.monitor = monitor
        self.rows: list[dict[str, Any]] = []

    def write(self) -> None:
        """Writes the rows to the file."""
        with atomic_file(self.path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.rows[0].keys())
            writer.writeheader()
            writer.writerows(self.rows)

    def quality(self, row: dict[str, Any]) -> tuple[float, ...]:
        """A key that orders rows from worse to better."""
        loss = -float(row["val_loss"])
        return (loss,) if self.monitor == "val_loss" else (float(row[self.monitor]), loss)

    def is_best(self, row: dict[str, Any]) -> bool:
        """Whether `row` is better than all rows so far."""
        return all(self.quality(row) > self.quality(other) for other in self.rows)

    @property
    def best(self) -> dict[str, Any]:
        """The row of the best epoch; of equal ones, the first."""
        return max(self.rows, key=self.quality)

    def has_ended(self, goal: float | None = None) -> bool:
        """Whether training stops: all epochs are done, patience has run out, or `val_loss` is below `goal`."""
        if not self.rows:
            return False
        if goal is not None and float(self.best["val_loss"]) < goal:
            return True
        return self.is_out_of_patience or len(self.rows) >= self.config.epochs

    @property
    def is_out_of_patience(self) -> bool:
        """Whether the last `patience` epochs were not better than the best one before."""
        return len(self.rows) - int(self.best["epoch"]) >= self.config.patience

    def plateau_rate(self) -> float:
        """The learning rate, halved once for each epoch that was not better than all epochs before it."""
        qualities = [self.quality(row) for row in self.rows]
        worse = sum(quality <= max(qualities[:index]) for index, quality in enumerate(qualities) if index)
        return self.config.learning_rate * 0.5**worse


class _State(NamedTuple):
    """The content of a state's file: the data's checksum, the rows of the history, the best weights, and the values of
    all variables."""

    data: int
    rows: list[dict[str, Any]]
    best: list[np.ndarray]
    values: list[np.ndarray]


class States:
    """The states of a training after each of its last epochs, one file per epoch.

    Args:
        folder: The folder of the files.
        model: A built and compiled model.
        keep: Positive integer, the number of epochs whose states are kept.
        data: Integer, a checksum of the training data.
    """

    def __init__(self, folder: Path, model: keras.Model, keep: int, data: int = 0):
        self.folder = folder
        self.model = model
        self.keep = keep
        self.data = data
        weights = {id(weight) for weight in model.weights}
        self.variables = [
            *model.weights,
            *(variable for variable in model.variables if id(variable) not in weights),  # of the random generators
            *model.optimizer.variables,
        ]
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = ThreadPoolExecutor(1)
        self._written: Future | None = None

    def _path(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:04}.npz"

    def save(self, rows: list[dict[str, Any]], best: list[np.ndarray], then: Callable[[], None] = lambda: None) -> None:
        """Saves the state after the epochs of `rows` with the weights of the best one; deletes the oldest state.

        A background thread writes the file and then calls `then`. The next call waits for it.
        """
        self.wait()
        values = [np.array(ops.convert_to_numpy(variable)) for variable in self.variables]
        state = _State(self.data, [*rows], [*best], values)
        self._written = self._writer.submit(self._write, state, then)

    def _write(self, state: _State, then: Callable[[], None]) -> None:
        epoch, rows = len(state.rows), json.dumps(state.rows, default=float)
        with atomic_file(self._path(epoch)) as partial, open(partial, "wb") as file:
            np.savez(file, np.array(state.data), *state.best, *state.values, rows=np.array(rows))
        self._path(epoch - self.keep).unlink(missing_ok=True)
        then()

    def wait(self) -> None:
        """Waits until the last state is written, and raises what went wrong."""
        if self._written is not None:
            written, self._written = self._written, None
            written.result()

    def _load(self, epoch: int) -> _State | None:
        """Reads the state after `epoch` epochs; None if it is missing or damaged."""
        if not self._path(epoch).exists():
            return None
        try:
            with np.load(self._path(epoch)) as content:
                rows = json.loads(str(content["rows"]))
                data, *arrays = (content[f"arr_{index}"] for index in range(len(content.files) - 1))
            expected = [*self.model.weights, *self.variables]
            if [array.shape for array in arrays] != [tuple(variable.shape) for variable in expected]:
                raise ValueError("its arrays do not have the shapes of the model's weights")
            if len(rows) != epoch:
                raise ValueError(f"it has the history of {len(rows)} epochs")
        except Exception as error:  # the type depends on where the file is damaged
            note(f"the checkpoint of epoch {epoch} cannot be read ({first_line(error)})")
            return None
        count = len(self.model.weights)
        return _State(int(data), rows, arrays[:count], arrays[count:])

    def restore(self) -> tuple[list[dict[str, Any]], list[np.ndarray] | None]:
        """Restores the newest readable state.

        Returns:
            `(rows, best)`: the rows of the finished epochs and the weights of the best one; `([], None)` if there is no
            state.

        Raises:
            TrainingError: If no state is readable, or it belongs to other training data.
        """
        names = (re.fullmatch(r"epoch-(\d+)\.npz", path.name) for path in self.folder.iterdir())
        epochs = sorted((int(name[1]) for name in names if name), reverse=True)
        for epoch in epochs:
            if state := self._load(epoch):
                if state.data != self.data:
                    raise TrainingError(
                        "the data differs from that of the interrupted training; --overwrite starts over"
                    )
                for variable, value in zip(self.variables, state.values, strict=True):
                    variable.assign(value)
                return state.rows, state.best
        if epochs:
            raise TrainingError(f"no checkpoint in {self.folder} can be read; --overwrite starts over")
        return [], None

    def average(self, epoch: int) -> list[np.ndarray]:
        """The mean of the model's weights over the kept epochs up to `epoch`."""
        epochs = range(epoch, max(0, epoch - self.keep), -1)
        states = [state for state in map(self._load, epochs) if state is not None]
        weights = [state.values[: len(self.model.weights)] for state in states]
        return [np.mean(values, axis=0) for values in zip(*weights, strict=True)]
