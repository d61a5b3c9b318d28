"""The package with JAX and without the extra `apps`: the layers work, and the command says what it needs."""

import subprocess

import pytest

pytestmark = pytest.mark.rest

LAYERS = """
import importlib.util
import sys

import keras
import numpy as np
from keras import ops
from keras_recurrent import layers

for module in ("tensorflow", "torch", "jsonargparse", "yaml", "matplotlib"):
    assert importlib.util.find_spec(module) is None, module

sequences = np.random.default_rng(0).normal(size=(8, 5, 3)).astype("float32")
model = keras.Sequential([keras.Input((5, 3)), layers.LSTM(4), keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(sequences, sequences[:, 0, :1], epochs=1, verbose=0)
model.save("model.keras")
restored = keras.saving.load_model("model.keras")
np.testing.assert_allclose(restored.predict(sequences, verbose=0), model.predict(sequences, verbose=0), rtol=1e-6)

best = layers.beam_search(
    lambda token, state: (ops.tile(ops.array([[0.0, 0.1]]), (2, 1)), state),
    ops.zeros((1, 1)), start=0, end=0, max_length=3, beam_size=2,
)
assert best.tokens.shape == (1, 2, 3)
assert layers.gate_activations(layers.GRU(4), sequences)["update"].shape == (8, 5, 4)
"""


@pytest.fixture(scope="module")
def binaries(environment):
    return environment("jax")


@pytest.fixture
def run(binaries, tmp_path):
    """`run(program, *arguments)` runs a program of the environment, away from the repository and with JAX."""

    def run(program, *arguments):
        command = [binaries / program, *arguments]
        settings = {"KERAS_BACKEND": "jax", "PATH": str(binaries), "HOME": str(tmp_path)}
        return subprocess.run(command, env=settings, cwd=tmp_path, capture_output=True, text=True)

    return run


def test_layers(run):
    result = run("python", "-c", LAYERS)
    assert result.returncode == 0, result.stderr


def test_exports_name_the_extra(run):
    result = run("python", "-c", "import keras_recurrent.export")
    assert result.returncode == 1
    line = result.stderr.splitlines()[-1]
    assert line.startswith("keras_recurrent.extras.MissingExtra: this needs tensorflow")
    assert "keras-recurrent[export]" in line


@pytest.mark.parametrize("command", [("keras-recurrent",), ("python", "-m", "keras_recurrent")])
@pytest.mark.parametrize("arguments", [(), ("translation", "train", "--help")])
def test_the_command_names_the_extra(run, command, arguments):
    result = run(*command, *arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert "keras-recurrent[apps]" in line
