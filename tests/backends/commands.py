"""Runs commands. As a program, it runs those that it reads, and so those of another environment."""

import contextlib
import csv
import io
import json
import sys
import traceback
from pathlib import Path
from unittest import mock

import keras
import numpy as np
from keras_recurrent.apps import cli
from keras_recurrent.apps.shared.keras_internals import AsyncCallbacks, ReadableVariables
from keras_recurrent.apps.shared.training.checkpoints import States


class Killed(Exception):
    """Ends a training where a process would have been killed."""


def run(*arguments, last=None):
    """Runs a command and returns its standard output.

    Args:
        *arguments: The arguments of the command.
        last: The epoch after whose state is saved the training ends. None trains to the end.
    """

    def save(states, rows, *arguments, save=States.save, **options):
        save(states, rows, *arguments, **options)
        if len(rows) == last:
            states.wait()
            raise Killed

    output = io.StringIO()
    with contextlib.redirect_stdout(output), mock.patch.object(States, "save", save):
        try:
            status = cli.main([*map(str, arguments)])
        except Killed:
            return None
    assert status == 0 and last is None, f"exit status {status}"
    return output.getvalue()


def parse(app, output):
    """Returns what `predict --json`, or `predict` of a forecaster, has printed."""
    if app != "forecasting":
        return [json.loads(line) for line in output.splitlines()]
    _, *rows = csv.reader(io.StringIO(output))
    return [[name, time, *map(float, quantiles)] for name, time, *quantiles in rows]


class _Losses(ReadableVariables):
    """Appends the loss of each training step to a list, and ends the training when the list is full."""

    def __init__(self, values, steps):
        super().__init__()
        self.values = values
        self.steps = steps

    def on_train_batch_begin(self, batch, logs=None):
        self.model.reset_metrics()  # or else the loss would be the mean since the epoch began

    def on_train_batch_end(self, batch, logs=None):
        self.values.append(float(logs["loss"]))
        if len(self.values) == self.steps:
            raise Killed


def losses(*arguments, weights, steps=20):
    """Runs a training, and returns the losses of its first steps.

    Args:
        *arguments: The arguments of the command.
        weights: The file of the initial weights, an `.npz` file. It is written if it does not exist.
        steps: The number of steps.
    """
    values = []

    def fit(model, *arguments, callbacks, fit=keras.Model.fit, **options):
        if not values and Path(weights).exists():
            with np.load(weights) as file:
                model.set_weights([*file.values()])
        elif not values:
            np.savez(weights, *model.get_weights())
        callbacks.callbacks.append(_Losses(values, steps))
        callbacks.set_model(model)
        return fit(model, *arguments, callbacks=callbacks, **options)

    status = None
    with (
        mock.patch.object(AsyncCallbacks, "_configure_async_dispatch", lambda *_: None),
        mock.patch.object(keras.Model, "fit", fit),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.suppress(Killed),
    ):
        status = cli.main([*map(str, arguments)])
    assert status is None, f"exit status {status} after {len(values)} steps"
    return values


def main():
    """Reads lines with a function's name and arguments as JSON, and answers each with `[result, error]`."""
    functions = {"run": run, "losses": losses}
    for line in sys.stdin:
        name, arguments, options = json.loads(line)
        try:
            answer = functions[name](*arguments, **options), ""
        except BaseException:
            answer = None, traceback.format_exc()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
