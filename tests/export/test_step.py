"""One time step of a model in all formats."""

import keras
import numpy as np
import pytest
from keras_recurrent import layers
from keras_recurrent.export import export_step


@pytest.fixture
def stream(path, run):
    """`stream(format, inputs, states)`: the outputs of each step of sequences by name, with the states carried on."""

    def stream(format, inputs, states):
        steps = next(iter(inputs.values())).shape[1]
        for time in range(steps):
            outputs = run(path(format), format, {**{name: x[:, time] for name, x in inputs.items()}, **states})
            states = {name: outputs[f"next_{name}"] for name in states}
            yield time, outputs

    return stream


@pytest.mark.deploy
@pytest.mark.parametrize("format", ["saved_model", "onnx", "litert", "openvino"])
def test_steps_compute_what_the_model_does(format, path, stream):
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32", name="ids"),
            keras.layers.Embedding(9, 5),
            layers.LSTM(4, return_sequences=True, name="lstm"),
            layers.Dilated(layers.LSTM(4, return_sequences=True, name="dilated"), rate=2),
            layers.Recurrent([layers.GRUCell(3), layers.LSTMCell(2)], return_sequences=True, name="stack"),
            layers.Recurrent(layers.LearnedInitialStateCell(layers.GRUCell(3), "ones"), name="learned"),
            keras.layers.Dense(2),
        ]
    )
    states = export_step(model, path(format), format)
    names = ["lstm_h", "lstm_c", "dilated_h", "dilated_c", *(f"stack_state_{i}" for i in range(3)), "learned_state_0"]
    assert list(states) == names and states["dilated_h"].shape == (1, 8)
    np.testing.assert_array_equal(states["learned_state_0"], np.ones((1, 3)))
    ids = np.array([[4, 5, 6, 7, 4]], "int32")
    for time, outputs in stream(format, {"ids": ids}, states):
        expected = model(ids[:, : time + 1])
        np.testing.assert_allclose(outputs["output_0"], expected, atol=1e-6)


@pytest.mark.deploy
def test_outputs_lose_the_axis_of_the_steps(path, stream):
    x = keras.Input((None, 3), name="x")
    y = layers.GRU(4, return_sequences=True, name="gru")(x)
    model = keras.Model(x, {"all": keras.layers.Dense(2)(y), "last": layers.GRU(1, name="last")(y)})
    states = export_step(model, path("litert"), "litert", batch_size=2)
    states = {name: np.repeat(state, 2, axis=0) for name, state in states.items()}
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    for time, outputs in stream("litert", {"x": x}, states):
        np.testing.assert_allclose(outputs["all"], model(x)["all"][:, time], atol=1e-6)
    np.testing.assert_allclose(outputs["last"], model(x)["last"], atol=1e-6)


def test_a_dilated_layer_has_the_states_of_its_last_steps(path, stream):
    encoder = layers.SeriesEncoder(3, num_layers=2, dilations=[1, 3], residual=True)
    x = keras.Input((None, 2), name="x")
    memory = encoder(x)
    model = keras.Model(x, {"values": memory.values, "summary": memory.summary})
    states = export_step(model, path("saved_model"), batch_size=2)
    assert [state.shape for state in states.values()] == [(1, 3), (1, 9)]
    states = {name: np.repeat(state, 2, axis=0) for name, state in states.items()}
    x = np.random.default_rng(0).normal(size=(2, 8, 2)).astype("float32")
    for time, outputs in stream("saved_model", {"x": x}, states):
        np.testing.assert_allclose(outputs["values"], model(x)["values"][:, time], atol=1e-6)
        np.testing.assert_allclose(outputs["summary"], model(x[:, : time + 1])["summary"], atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "model_layers", "message"),
    [
        ((None, 3), [layers.Bidirectional(layers.GRU(4))], "'backward_gru.*' runs backwards"),
        ((None, 3), [layers.GRU(4, return_sequences=True), keras.layers.GlobalMaxPool1D()], "reads several time steps"),
        ((None, 3), [layers.Dilated(layers.Bidirectional(layers.GRU(4, return_sequences=True)), 2)], "runs backwards"),
        ((None, 3), [layers.GRU(4, return_sequences=True), keras.layers.GRU(4)], "reads several time steps"),
        ((None, 3), [keras.layers.GRU(4)], "no recurrent layer of this package"),
        ((5, 3), [layers.GRU(4)], r"must have the shape \(batch, None, ...\)"),
    ],
)
def test_models_that_need_the_whole_sequence(shape, model_layers, message, path):
    with pytest.raises(ValueError, match=message):
        export_step(keras.Sequential([keras.Input(shape), *model_layers]), path("onnx"), "onnx")


def test_a_stateful_layer(path):
    model = keras.Sequential([keras.Input(batch_shape=(1, None, 3)), layers.GRU(4, stateful=True, name="gru")])
    with pytest.raises(ValueError, match=r"'gru' is stateful\. Build the same model with stateful=False"):
        export_step(model, path("onnx"), "onnx")
