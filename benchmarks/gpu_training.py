"""The parts of `gpu.py` that train with the real command, on JAX."""

import contextlib
import csv
import io
import json
import shlex
import statistics
import time
from pathlib import Path

START = time.perf_counter()  # of the command, before JAX and Keras are imported

import keras  # noqa: E402
import numpy as np  # noqa: E402
from gpu import emit  # noqa: E402
from keras_recurrent.apps.shared.training.batches import EpochBatches  # noqa: E402
from steps import read_steps, summarize, traced_training  # noqa: E402


def translation(options):
    """Trains a translator with the recipe of Multi30k, and evaluates it."""
    if options.multi30k is None:
        emit(skipped="--multi30k DIR names the folder of the data")
        return
    arguments = ["--recipe", "multi30k", "--data", options.multi30k, *shlex.split(options.translation_options)]
    folder = _train("translation", "target_tokens", arguments, options)
    metrics = _run(
        "translation", "evaluate", folder, "--data", options.multi30k, "--split", options.split, "--lowercase"
    )
    emit(split=options.split, **json.loads(metrics.splitlines()[-1]))


def questions(options):
    """Trains a model that answers questions about generated images."""
    arguments = ["--recipe", "shapes-relational", "--data", options.questions, "--epochs", "2"]
    arguments += shlex.split(options.questions_options)
    _train("vqa", "questions", arguments, options)


def _run(*arguments):
    """Runs the command `keras-recurrent` in this process, and returns what it prints."""
    from keras_recurrent.__main__ import main

    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = main(list(arguments))
    if status:
        raise SystemExit(status)
    return output.getvalue()


def _train(app, unit, arguments, options):
    """Runs the command `train` of an app, and emits its epochs and what it measured; returns the model's folder."""
    folder, trace = Path(options.folder) / app, Path(options.folder) / f"{app}-trace"
    with traced_training(trace, epoch=2, first=2, steps=10), _watched_training(app, unit) as rates:
        _run(app, "train", *arguments, "--output", str(folder))
    minutes = (time.perf_counter() - START) / 60
    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        *_, last = csv.DictReader(file)
    # The first epoch compiles.
    rate = {f"{unit}_per_second": statistics.median(rates[1:])} if len(rates) > 1 else {}
    emit(app=app, minutes=minutes, **rate, **{name: float(value) for name, value in last.items()})
    if steps := read_steps(trace):
        emit(app=app, **{f"traced_{name}": value for name, value in summarize(steps).items()})
    return str(folder)


@contextlib.contextmanager
def _watched_training(app, unit):
    """Emits a row per epoch of the training in this context: what was trained on per second, and the share of waiting.

    Yields:
        List to which each epoch adds its amount per second.
    """
    fit, iterate = keras.Model.fit, EpochBatches.get_jax_iterator
    rates, amounts, waits = [], [], []

    def watched_iterator(batches):
        iterator = iterate(batches)
        while True:
            start = time.perf_counter()
            batch = next(iterator, None)
            waits.append(time.perf_counter() - start)
            if batch is None:
                return
            amounts.append(np.count_nonzero(batch[2]))  # the weights of the targets
            yield batch

    def watched_fit(model, *arguments, **options):
        amounts.clear()
        waits.clear()
        start = time.perf_counter()
        result = fit(model, *arguments, **options)
        seconds = time.perf_counter() - start
        rates.append(int(sum(amounts)) / seconds)
        rate = {f"{unit}_per_second": rates[-1]}
        emit(app=app, epoch=len(rates), seconds=seconds, steps=len(amounts), **rate, waiting=sum(waits) / seconds)
        return result

    keras.Model.fit, EpochBatches.get_jax_iterator = watched_fit, watched_iterator
    try:
        yield rates
    finally:
        keras.Model.fit, EpochBatches.get_jax_iterator = fit, iterate
