"""A model that was trained on one backend is resumed, evaluated and exported on the other."""

import csv
import json
import os
import shutil
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

from ..apps.data.write import OPTIONS
from . import commands

pytest.importorskip("tensorflow")

PYTHON = Path(__file__).parents[2] / ".venv-backends" / "bin" / "python"
STEPS = 20
CHANGES = {"translation": {"dropout": 0}, "vqa": {"dropout": 0, "fusion": "stacked_attention", "hops": 1}}
PREDICTED = {
    "translation": ["ein Hund schläft.", "eine Katze"],
    "vqa": ["data/images/red.png", "Which colour is it?"],
}


@pytest.fixture(scope="module")
def on_jax(work):
    """`commands.run` in an environment with JAX and without TensorFlow."""
    flags = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    process = subprocess.Popen(
        [PYTHON, "-P", commands.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": flags},
    )

    def on_jax(*arguments, **options):
        process.stdin.write(json.dumps([arguments, options]) + "\n")
        process.stdin.flush()
        result, error = json.loads(process.stdout.readline())
        assert not error, error
        return result

    yield on_jax
    process.stdin.close()
    process.wait()


@pytest.fixture
def on_tensorflow(work):
    """`commands.run` in this process, without tracing, which takes longer than a few steps of a small model."""
    import tensorflow as tf

    assert keras.config.backend() == "tensorflow"
    tf.config.run_functions_eagerly(True)
    yield commands.run
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
    for run in (first, second):
        measured = json.loads(run(app, "evaluate", folder, "--split=val").splitlines()[-1])
        lines = run(app, "predict", folder, *PREDICTED[app], "--json").splitlines()
        speed = [name for name in measured if name.endswith("per_second")]
        results.append([{name: measured[name] for name in measured if name not in speed}, *map(json.loads, lines)])
    leaves = [keras.tree.flatten(result) for result in results]
    for value, other in zip(*leaves, strict=True):
        assert value == other or value == pytest.approx(other, abs=2e-4)


@pytest.mark.parametrize(
    "app", [pytest.param("translation", marks=pytest.mark.rest), pytest.param("vqa", marks=pytest.mark.devices)]
)
def test_trainings_and_models_move_between_backends(app, work, on_jax, on_tensorflow):
    begun, resumed, other = (f"{app}/{name}" for name in ("begun", "resumed", "other"))
    train = training(app, STEPS + 1)
    on_tensorflow(*train, "--output", begun, last=1)
    shutil.copytree(work / app / ".begun.unfinished", work / app / ".resumed.unfinished")
    on_tensorflow(*train, "--output", begun, "--resume")
    on_jax(*train, "--output", resumed, "--resume")
    expected = losses(work / begun)
    assert expected.shape == (STEPS + 1, 2) and np.ptp(expected[1:, 0]) > 0.1
    np.testing.assert_allclose(losses(work / resumed), expected, atol=1e-4)
    train = training(app, 3)
    on_jax(*train, "--output", other, last=1)
    on_tensorflow(*train, "--output", other, "--resume")
    assert len(losses(work / other)) == 3
    for folder in (resumed, other):
        check_equal(app, folder, on_jax, on_tensorflow)
    on_tensorflow(app, "export", resumed)
    assert (work / resumed / "export" / "saved_model.pb").exists()
