"""Models in all formats, each in its own runtime."""

import keras
import numpy as np
import pytest
from keras_recurrent import layers
from keras_recurrent.export import export_model, to_keras

FORMATS = ["saved_model", "onnx", "litert", "openvino"]
STEPS, FEATURES, UNITS = 7, 5, 4
SEQUENCES = {"return_sequences": True, "return_state": True}


def plain():
    """The layers that Keras has, too, by name."""
    return {
        "simple_rnn": layers.SimpleRNN(UNITS, **SEQUENCES),
        "lstm": layers.LSTM(UNITS, **SEQUENCES),
        "gru": layers.GRU(UNITS, **SEQUENCES),
        "gru_reset_before": layers.GRU(UNITS, reset_after=False, **SEQUENCES),
        "backwards": layers.LSTM(UNITS, go_backwards=True, **SEQUENCES),
        "bidirectional_of_keras": keras.layers.Bidirectional(layers.LSTM(UNITS, **SEQUENCES)),
        "bidirectional": layers.Bidirectional(layers.LSTM(UNITS, **SEQUENCES)),
        "bidirectional_last": layers.Bidirectional(layers.GRU(UNITS), merge_mode="sum"),
        "stack": layers.Recurrent([layers.GRUCell(3), layers.LSTMCell(UNITS)], **SEQUENCES),
    }


def variants():
    """The layers that Keras does not have."""
    return {
        "layer_norm": layers.Recurrent(layers.LayerNormLSTMCell(UNITS), return_sequences=True),
        "peephole": layers.Recurrent(layers.PeepholeLSTMCell(UNITS), return_sequences=True),
        "projected": layers.Recurrent(layers.ProjectedLSTMCell(UNITS, projection_units=3), return_sequences=True),
        "zoneout": layers.Recurrent(layers.ZoneoutCell(layers.LSTMCell(UNITS), rates=[0.1, 0.5]), **SEQUENCES),
        "residual": layers.Recurrent(layers.ResidualCell(layers.GRUCell(FEATURES)), **SEQUENCES),
        "learned_state": layers.Recurrent(layers.LearnedInitialStateCell(layers.GRUCell(UNITS), "ones"), **SEQUENCES),
    }


def build(cases, static, masked):
    """A model with one output per output of each layer."""
    batch, steps = (4, STEPS) if static else (None, None)
    inputs = [keras.Input((steps, FEATURES), batch_size=batch, name="sequences")]
    mask = None
    if masked:
        mask = keras.Input((steps,), batch_size=batch, dtype="bool", name="mask")
        inputs.append(mask)
    outputs = {
        f"{name}_{index}": output
        for name, layer in cases.items()
        for index, output in enumerate(keras.tree.flatten(layer(inputs[0], mask=mask)))
    }
    model = keras.Model(inputs, outputs)
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(0, 0.5, weight.shape) for weight in model.get_weights()])  # biases, too
    return model


def compare(model, path, format, run, inputs, atol=1e-6):
    outputs = run(path, format, inputs)
    expected = model(list(inputs.values()))
    assert set(outputs) >= set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(outputs[name], value, atol=atol, rtol=0, err_msg=f"{format} {name}")


MASKS = {
    "right_padded": np.arange(STEPS) < np.array([STEPS, 3, 0, 1])[:, None],
    "any": np.random.default_rng(2).random((4, STEPS)) < 0.5,
}


@pytest.mark.parametrize("format", FORMATS)
def test_a_small_model(format, path, run, rng):
    model = keras.Sequential([keras.Input((None, 3), name="x"), layers.LSTM(4), keras.layers.Dense(2)])
    export_model(model, path(format), format)
    x = rng.normal(size=(2, 6, 3)).astype("float32")
    np.testing.assert_allclose(run(path(format), format, {"x": x})["output_0"], model(x), atol=1e-6)


@pytest.mark.rest
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_without_masks(static, format, path, run, rng):
    model = build(plain() | variants(), static, masked=False)
    export_model(model, path(format), format)
    inputs = {"sequences": rng.normal(size=(4, STEPS, FEATURES)).astype("float32")}
    compare(model, path(format), format, run, inputs)


@pytest.mark.rest
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_any_mask(static, format, path, run, rng):
    model = build(plain() | variants(), static, masked=True)
    export_model(model, path(format), format)
    for mask in MASKS.values():
        inputs = {"sequences": rng.normal(size=(4, STEPS, FEATURES)).astype("float32"), "mask": mask}
        compare(model, path(format), format, run, inputs)


@pytest.mark.rest
@pytest.mark.parametrize("format", ["onnx", "openvino"])
@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_right_padded_masks_become_operations(static, format, path, run, rng):
    model = build(plain(), static, masked=True)
    export_model(model, path(format), format, right_padded_masks=True)
    for mask in (MASKS["right_padded"], np.ones((4, STEPS), bool)):
        inputs = {"sequences": rng.normal(size=(4, STEPS, FEATURES)).astype("float32"), "mask": mask}
        compare(model, path(format), format, run, inputs)


@pytest.mark.rest
@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
def test_outputs_are_those_of_keras(masked, rng):
    model = build(plain(), static=False, masked=masked)
    inputs = [rng.normal(size=(4, STEPS, FEATURES)).astype("float32"), MASKS["any"]][: 1 + masked]
    expected = to_keras(model)(inputs)
    for name, output in model(inputs).items():
        np.testing.assert_allclose(output, expected[name], atol=1e-6, err_msg=name)
