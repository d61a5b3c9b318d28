"""A model's folder with smaller weights is a model's folder."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras_recurrent.apps import cli, load
from keras_recurrent.apps.shared.models import quantized

from ...data import write

MODELS = Path(write.__file__).parent


@pytest.fixture
def model(tmp_path):
    """A `.keras` file with large matrices."""
    path = tmp_path / "model.keras"
    layers = [keras.layers.Embedding(200, 50, name="embedding"), keras.layers.Dense(300, name="dense")]
    keras.Sequential([keras.Input((None,), dtype="int32"), *layers]).save(path)
    return path


@pytest.mark.parametrize(("quantize", "size", "error"), [("float16", 0.5, 2**-11), ("int8", 0.32, 2 / 127 / 2)])
def test_keras_reads_smaller_weights(quantize, size, error, model, tmp_path):
    smaller = tmp_path / "smaller.keras"
    quantized._quantize(model, smaller, quantize)
    # The rest of the file, the configuration in JSON and HDF5's groups, is 20 kB.
    assert smaller.stat().st_size < size * model.stat().st_size + 20_000
    pairs = zip(keras.models.load_model(smaller).weights, keras.models.load_model(model).weights, strict=True)
    for weight, original in pairs:
        before, after = (keras.ops.convert_to_numpy(array) for array in (original, weight))
        assert weight.dtype == "float32"
        largest = np.abs(before).max(axis=0) if before.ndim > 1 else 0  # a vector is unchanged
        assert (np.abs(after - before) <= error * largest + 1e-7).all()


def test_rounding_to_multiples_of_a_power_of_two():
    values = np.array([[1.27, 0.0, -300.0], [-0.014, 0.0, 100.0]], "float32")
    steps = np.array([2**-6, 1, 4])  # the smallest powers with at most 127 steps up to the largest value
    np.testing.assert_array_equal(quantized._rounded(values), np.round(values / steps) * steps)


@pytest.mark.parametrize("app", ["translation", "classification"])
def test_the_copy_computes_as_the_model(app, tmp_path):
    folder = tmp_path / "copy"
    arguments = [app, "export", str(MODELS / app), "--format", "keras", "--quantize", "float16", "--to", str(folder)]
    assert cli.main(arguments) == 0
    for weight, original in zip(load(folder).model.weights, load(MODELS / app).model.weights, strict=True):
        np.testing.assert_allclose(np.asarray(weight), np.asarray(original), atol=1e-3)
    assert cli.main(arguments) == 2  # it exists


def test_options_of_the_search_are_those_of_the_copy(tmp_path):
    folder = tmp_path / "copy"
    arguments = ["translation", "export", str(MODELS / "translation"), "--format", "keras", "--quantize", "int8"]
    assert cli.main([*arguments, "--to", str(folder), "--beam-size", "2"]) == 0
    assert load(folder).config.beam_size == 2


def test_a_smaller_type_is_required(tmp_path, capsys):
    arguments = ["translation", "export", str(MODELS / "translation"), "--format", "keras", "--to", str(tmp_path / "x")]
    assert cli.main(arguments) == 2
    assert "--format keras requires --quantize" in capsys.readouterr().err
