"""The example of a C program that runs a step through LiteRT's C API."""

import importlib.metadata
import importlib.util
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
from keras_recurrent import layers
from keras_recurrent.export import export_step

pytestmark = pytest.mark.deploy

SOURCE = Path(__file__).parents[2] / "docs/examples/stream.c"


@pytest.fixture(scope="module")
def run(compile_c):
    """`run(path, lines)`: runs the program on a file."""
    package = importlib.util.find_spec("ai_edge_litert")
    if package is None or not (library := Path(package.origin).with_name("libLiteRt.so")).exists():
        pytest.skip("no libLiteRt.so in ai_edge_litert")
    if tuple(map(int, importlib.metadata.version("ai-edge-litert").split(".")[:2])) < (2, 2):
        pytest.skip("the C API of LiteRT before 2.2 is another")
    program = compile_c(SOURCE, library, f"-Wl,-rpath,{library.parent}")

    def run(path, lines=()):
        text = "".join(f"{line}\n" for line in lines)
        return subprocess.run([program, path], input=text, capture_output=True, text=True)

    return run


def lines_of(sequence):
    return [" ".join(map(repr, step.tolist())) for step in sequence]


@pytest.fixture(scope="module")
def step(tmp_path_factory):
    """A model with two layers and an output per step, and the file of its step."""
    cells = [layers.LSTM(8, return_sequences=True), layers.GRU(4, return_sequences=True)]
    model = keras.Sequential([keras.Input((None, 3)), *cells, keras.layers.Dense(2)])
    path = tmp_path_factory.mktemp("step") / "step.tflite"
    export_step(model, path, "litert")
    return model, path


def test_streaming_equals_the_whole_sequence(step, run, rng):
    model, path = step
    x = rng.normal(size=(200, 3)).astype("float32")
    result = run(path, lines_of(x))
    assert result.returncode == 0, result.stderr
    outputs = np.array([line.split() for line in result.stdout.splitlines()], "float32")
    np.testing.assert_allclose(outputs, model(x[None])[0], atol=1e-6)
    empty = run(path)
    assert (empty.returncode, empty.stdout) == (0, "")


@pytest.mark.parametrize(
    ("line", "message"),
    [("1 2", "too few numbers in a line"), ("1 2 3 4", "too many numbers in a line"), ("a", "too few")],
)
def test_a_wrong_line_ends_the_program(line, message, step, run):
    result = run(step[1], ["1 2 3", line])
    assert result.returncode == 1
    assert len(result.stdout.splitlines()) == 1
    assert message in result.stderr.splitlines()[-1]


def test_a_file_that_is_no_model(run, tmp_path):
    path = tmp_path / "step.tflite"
    assert run(path).returncode == 1
    path.write_bytes(b"no model")
    result = run(path)
    assert result.returncode == 1
    assert f"stream: {path}: LiteRT's status" in result.stderr
