"""What a training writes while it runs, and goes on from after an interruption."""

import csv
import zipfile

import numpy as np
from keras import ops

from . import cli
from .folders import whole_file


class History:
    """The rows of a `history.csv`, and what follows from them: nothing else decides when a training ends."""

    def __init__(self, path, config, score):
        self.path = path
        self.config = config
        self.column, self.sign = ("val_loss", -1) if score is None else (score.__name__, 1)
        self.rows = []
        if path.exists():
            with open(path, newline="", encoding="utf-8") as file:
                self.rows = list(csv.DictReader(file))

    def add(self, row):
        self.rows.append(row)
        with whole_file(self.path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row.keys())
            writer.writeheader()
            writer.writerows(self.rows)

    def value(self, row):
        return float(row[self.column])

    def is_better(self, value, other):
        return self.sign * value > self.sign * other

    @property
    def best(self):
        """The row of the best epoch, the first of several."""
        return max(self.rows, key=lambda row: self.sign * self.value(row))

    def has_ended(self):
        """Whether as many epochs as the patience is have passed since the best one, or all have."""
        if not self.rows:
            return False
        waited = len(self.rows) - int(self.best["epoch"])
        return waited >= self.config.patience or len(self.rows) >= self.config.epochs

    def plateau_rate(self):
        """The learning rate, halved once for each epoch that was not better than all before it."""
        values = [self.sign * self.value(row) for row in self.rows]
        worse = sum(value <= max(values[:index]) for index, value in enumerate(values) if index)
        return self.config.learning_rate * 0.5**worse


class States:
    """Where a training is after each of its last epochs, a file an epoch, and the weights of its best one."""

    def __init__(self, folder, model, keep):
        self.folder = folder
        self.keep = keep
        self.model = model
        weights = {id(weight) for weight in model.weights}
        self.variables = [
            *model.weights,
            *(variable for variable in model.variables if id(variable) not in weights),  # of the random generators
            *model.optimizer.variables,
        ]
        folder.mkdir(exist_ok=True)

    def _path(self, epoch):
        return self.folder / f"epoch-{epoch:04}.npz"

    def save(self, epoch):
        """Keeps the state after so many epochs."""
        _write_arrays(self._path(epoch), self.variables)
        self._path(epoch - self.keep).unlink(missing_ok=True)

    def restore(self, newest):
        """Goes back to the newest whole state, of epoch `newest` at most, and returns its epoch, or 0."""
        for epoch in range(newest, 0, -1):
            if self._path(epoch).exists():
                try:
                    arrays = _read_arrays(self._path(epoch))
                except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
                    cli.note(f"the state after epoch {epoch} cannot be read ({error}); going back to the one before")
                    continue
                for variable, array in zip(self.variables, arrays, strict=True):
                    variable.assign(array)
                return epoch
        return 0

    def save_best(self):
        """Keeps the model's weights as the best."""
        _write_arrays(self.folder / "best.npz", self.model.weights)

    def restore_best(self):
        """Gives the model its best weights."""
        self.model.set_weights(_read_arrays(self.folder / "best.npz"))

    def restore_average(self, epoch):
        """Gives the model the average of the weights after the last epochs up to `epoch`."""
        epochs = range(max(1, epoch - self.keep + 1), epoch + 1)
        states = [_read_arrays(self._path(epoch))[: len(self.model.weights)] for epoch in epochs]
        self.model.set_weights([np.mean(arrays, axis=0) for arrays in zip(*states, strict=True)])


def _write_arrays(path, variables):
    with whole_file(path) as partial, open(partial, "wb") as file:
        np.savez(file, *(ops.convert_to_numpy(variable) for variable in variables))


def _read_arrays(path):
    with np.load(path) as arrays:
        return [arrays[f"arr_{index}"] for index in range(len(arrays.files))]
