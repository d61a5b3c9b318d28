"""What a training writes while it runs, and goes on from after an interruption."""

import csv
import zipfile

import numpy as np
from keras import ops

from ..console import note
from ..errors import TrainingError
from ..models.folders import whole_file


class History:
    """The rows of a `history.csv`, and what follows from them: the best epoch, patience, the plateau's learning rate.

    Args:
        path: The file. What it holds already is the history so far.
        config: The `TrainingConfig`.
        measure: Name of the column that decides, the higher the better, and of equals that with the lower `val_loss`;
            without it, `val_loss` alone decides.
    """

    def __init__(self, path, config, measure=None):
        self.path = path
        self.config = config
        self.measure = measure
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

    def quality(self, row):
        """What is higher for a better row."""
        loss = -float(row["val_loss"])
        return (loss,) if self.measure is None else (float(row[self.measure]), loss)

    def is_best(self, row):
        """Whether `row` is better than all before."""
        return all(self.quality(row) > self.quality(other) for other in self.rows)

    @property
    def best(self):
        """The row of the best epoch, the first of several."""
        return max(self.rows, key=self.quality)

    def has_ended(self, goal=None):
        """Whether as many epochs as the patience is have passed since the best one, or all, or `val_loss` is so low."""
        if not self.rows:
            return False
        if goal is not None and float(self.best["val_loss"]) < goal:
            return True
        waited = len(self.rows) - int(self.best["epoch"])
        return waited >= self.config.patience or len(self.rows) >= self.config.epochs

    def plateau_rate(self):
        """The learning rate, halved once for each epoch that was not better than all before it."""
        qualities = [self.quality(row) for row in self.rows]
        worse = sum(quality <= max(qualities[:index]) for index, quality in enumerate(qualities) if index)
        return self.config.learning_rate * 0.5**worse


class States:
    """Where a training is after each of its last epochs, a file an epoch.

    Args:
        folder: Where the files are.
        model: A compiled model that has its weights.
        keep: Positive integer, how many epochs are kept.
        data: Integer that is another one for other data, such as a checksum.
    """

    def __init__(self, folder, model, keep, data=0):
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

    def _path(self, epoch):
        return self.folder / f"epoch-{epoch:04}.npz"

    def save(self, epoch, best):
        """Keeps the state after so many epochs, and the weights of the best of them."""
        arrays = [ops.convert_to_numpy(variable) for variable in self.variables]
        with whole_file(self._path(epoch)) as partial, open(partial, "wb") as file:
            np.savez(file, np.array(self.data), *best, *arrays)
        self._path(epoch - self.keep).unlink(missing_ok=True)

    def _load(self, epoch):
        """The state after so many epochs, as `(data, best, arrays)`; None if it is not there whole."""
        if not self._path(epoch).exists():
            return None
        try:
            with np.load(self._path(epoch)) as content:
                data, *arrays = (content[f"arr_{index}"] for index in range(len(content.files)))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            note(f"the state after epoch {epoch} cannot be read ({error}); going back to the one before")
            return None
        count = len(self.model.weights)
        return int(data), arrays[:count], arrays[count:]

    def restore(self, newest):
        """Goes back to the newest whole state, of epoch `newest` at most.

        Returns:
            `(epoch, best)`: its epoch and the best weights; `(0, None)` if there is none.

        Raises:
            TrainingError: If it is of other data.
        """
        for epoch in range(newest, 0, -1):
            if state := self._load(epoch):
                data, best, arrays = state
                if data != self.data:
                    raise TrainingError("the data is not what the training began with; --overwrite begins anew")
                for variable, array in zip(self.variables, arrays, strict=True):
                    variable.assign(array)
                return epoch, best
        return 0, None

    def average(self, epoch):
        """The average of the weights after the last epochs up to `epoch`, of those that are there whole."""
        states = filter(None, (self._load(one) for one in range(epoch, max(0, epoch - self.keep), -1)))
        weights = [arrays[: len(self.model.weights)] for *_, arrays in states]
        return [np.mean(arrays, axis=0) for arrays in zip(*weights, strict=True)]
