"""A model that was trained on one backend is resumed, evaluated and exported on the other."""

import csv
import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from ..apps.data.write import OPTIONS
from . import commands
from .data import write_data

tf = pytest.importorskip("tensorflow")

PYTHON = Path(__file__).parents[2] / ".venv-backends" / "bin" / "python"
CHANGES = {
    "translation": {"dropout": 0},
    "vqa": {"dropout": 0, "fusion": "stacked_attention", "hops": 1},
    "forecasting": {"dropout": 0, "windows_per_epoch": 64, "known": "promotion"},
}
FIRST_LOSSES = [
    ("translation", ["--dropout", "0", "--tokenizer", "words"]),
    ("translation", ["--dropout", "0", "--tokenizer", "words", "--max-length", "8", "--jit", "true"]),
    ("captioning", ["--dropout", "0"]),
    ("vqa", ["--fusion", "concatenate"]),
    ("vqa", ["--fusion", "mlb", "--backbone-epoch", "0"]),
    # At larger rates, FiLM on TensorFlow also differs from itself if its initial weights change by a millionth.
    ("vqa", ["--fusion", "film", "--backbone-epoch", "0", "--learning-rate", "0.0001"]),
    ("generation", []),
    ("long_memory", []),
    ("forecasting", ["--dropout", "0", "--epochs", "2"]),
    ("forecasting", ["--dropout", "0", "--epochs", "2", "--distribution", "student_t"]),
    ("forecasting", ["--dropout", "0", "--epochs", "2", "--distribution", "gaussian", "--network", "autoregressive"]),
]
PREDICTED = {
    "translation": ["ein Hund schläft.", "eine Katze", "--json"],
    "vqa": ["data/images/red.png", "Which colour is it?", "--json"],
    "forecasting": [],
}


@pytest.fixture(scope="module")
def on_jax(work):
    """The functions of `commands`, in an environment with JAX and without TensorFlow."""
    flags = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    process = subprocess.Popen(
        [PYTHON, "-P", commands.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": flags},
    )

    def call(name, *arguments, **options):
        process.stdin.write(json.dumps([name, arguments, options]) + "\n")
        process.stdin.flush()
        result, error = json.loads(process.stdout.readline())
        assert not error, error
        return result

    yield SimpleNamespace(**{name: functools.partial(call, name) for name in ("run", "losses")})
    process.stdin.close()
    process.wait()


@pytest.fixture
def on_tensorflow(work):
    """`commands` in this process, without tracing, which takes longer than a few steps of a small model."""
    assert keras.config.backend() == "tensorflow"
    tf.config.run_functions_eagerly(True)
    yield commands
    tf.config.run_functions_eagerly(False)


def training(app, epochs):
    """The command of a training in which an epoch is one step."""
    values = {**OPTIONS[app], **CHANGES[app], "data": f"data/{app}", "epochs": epochs, "patience": epochs}
    return [app, "train", *(f"--{name.replace('_', '-')}={value}" for name, value in values.items())]


def losses(folder):
    """The losses in training and validation after each epoch, which is one step."""
    with open(folder / "history.csv", newline="", encoding="utf-8") as file:
        return np.array([(float(row["loss"]), float(row["val_loss"])) for row in csv.DictReader(file)])


def check_equal(app, folder, first, second):
    """Checks that two backends measure and predict the same with a model."""
    results = []
    for run in (first.run, second.run):
        measured = json.loads(run(app, "evaluate", folder, "--split=validation").splitlines()[-1])
        predicted = commands.parse(app, run(app, "predict", folder, *PREDICTED[app]))
        speed = [name for name in measured if name.endswith("per_second")]
        results.append([{name: measured[name] for name in measured if name not in speed}, *predicted])
    leaves = [keras.tree.flatten(result) for result in results]
    for value, other in zip(*leaves, strict=True):
        assert value == other or value == pytest.approx(other, abs=2e-4)


@pytest.mark.parametrize(
    ("app", "options"),
    [
        pytest.param(
            "classification",
            ["--dropout", "0", "--max-length", "8", "--no-bidirectional"],
            marks=pytest.mark.rest,
        ),
        *(pytest.param(*case, marks=pytest.mark.devices) for case in FIRST_LOSSES),
    ],
)
def test_the_first_losses_are_equal(app, options, tmp_path, on_jax, on_tensorflow):
    options = [*write_data(app, tmp_path / "data"), "--epochs", "3", "--learning-rate", "0.002", *options]
    if "--jit" in options:
        tf.config.run_functions_eagerly(False)
    weights = str(tmp_path / "weights.npz")
    expected = on_tensorflow.losses(*options, "--output", tmp_path / "tensorflow", weights=weights)
    losses = on_jax.losses(*options, "--output", str(tmp_path / "jax"), weights=weights)
    assert len(expected) == 20 and np.ptp(expected) > 0.02
    np.testing.assert_allclose(losses, expected, atol=1e-4)


@pytest.mark.devices
@pytest.mark.parametrize("app", CHANGES)
def test_trainings_and_models_move_between_backends(app, work, on_jax, on_tensorflow):
    begun, resumed, other = (f"{app}/{name}" for name in ("begun", "resumed", "other"))
    train = training(app, 4)
    on_tensorflow.run(*train, "--output", begun, last=1)
    shutil.copytree(work / app / ".begun.unfinished", work / app / ".resumed.unfinished")
    on_tensorflow.run(*train, "--output", begun, "--resume")
    on_jax.run(*train, "--output", resumed, "--resume")
    expected = losses(work / begun)
    assert expected.shape == (4, 2) and np.ptp(expected[1:, 0]) > 0.01
    np.testing.assert_allclose(losses(work / resumed), expected, atol=1e-4)
    train = training(app, 3)
    on_jax.run(*train, "--output", other, last=1)
    on_tensorflow.run(*train, "--output", other, "--resume")
    assert len(losses(work / other)) == 3
    for folder in (resumed, other):
        check_equal(app, folder, on_jax, on_tensorflow)
    on_tensorflow.run(app, "export", resumed)
    assert (work / resumed / "export" / "saved_model.pb").exists()
