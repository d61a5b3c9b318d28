"""The cells and the sequence layers among the layers of Keras, and their configuration."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent import layers

BATCH, STEPS, FEATURES, UNITS = 3, 5, 4, 6

LAYERS = ["SimpleRNN", "LSTM", "GRU"]
VARIANTS = {
    "SimpleRNN": {},
    "LSTM": {"recurrent_activation": "hard_sigmoid", "unit_forget_bias": False, "use_cudnn": False},
    "GRU": {"recurrent_activation": "hard_sigmoid", "reset_after": False, "use_cudnn": False},
}


@pytest.fixture
def sequences(rng):
    return ops.convert_to_tensor(rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32"))


@pytest.fixture
def mask():
    return ops.convert_to_tensor(np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 0, 1, 0]], dtype="bool"))


@pytest.mark.parametrize("runner", [keras.layers.RNN, layers.Recurrent])
@pytest.mark.parametrize("name", LAYERS)
def test_cell_in_a_runner(name, runner, sequences, mask, assert_close):
    layer = getattr(layers, name)(UNITS, return_sequences=True)
    expected = layer(sequences, mask=mask)
    rnn = runner(getattr(layers, f"{name}Cell")(UNITS), return_sequences=True)
    rnn.build(sequences.shape)
    rnn.set_weights(layer.get_weights())
    assert_close(rnn(sequences, mask=mask), expected)


@pytest.mark.parametrize("runner", [keras.layers.RNN, layers.Recurrent])
def test_stacked_cells(runner, sequences, mask, assert_close):
    single = [getattr(layers, name)(UNITS, return_sequences=True) for name in LAYERS]
    expected = sequences
    for layer in single:
        expected = layer(expected, mask=mask)
    # Keras's own cell stands among ours.
    cells = [layers.SimpleRNNCell(UNITS), keras.layers.LSTMCell(UNITS), layers.GRUCell(UNITS)]
    stack = runner(cells, return_sequences=True, return_state=True)
    stack.build(sequences.shape)
    stack.set_weights([weight for layer in single for weight in layer.get_weights()])
    outputs, *states = stack(sequences, mask=mask)
    assert_close(outputs, expected)
    assert [len(state) if isinstance(state, list | tuple) else 1 for state in states] == [1, 2, 1]


@pytest.mark.parametrize("name", LAYERS)
def test_stacked_cells_drop_in_training_only(name, sequences):
    cells = [getattr(layers, f"{name}Cell")(UNITS, dropout=0.5, recurrent_dropout=0.5) for _ in range(2)]
    stack = keras.layers.RNN(keras.layers.StackedRNNCells(cells))
    inference, again, training = (
        ops.convert_to_numpy(stack(sequences, training=training)) for training in (False, False, True)
    )
    np.testing.assert_array_equal(inference, again)
    assert np.any(inference != training)


@pytest.mark.parametrize("name", LAYERS)
def test_bidirectional(name, sequences, mask, assert_close):
    layer = keras.layers.Bidirectional(getattr(layers, name)(UNITS, return_sequences=True))
    theirs = keras.layers.Bidirectional(getattr(keras.layers, name)(UNITS, return_sequences=True))
    outputs = layer(sequences, mask=mask)
    theirs.build(sequences.shape)
    theirs.set_weights(layer.get_weights())
    assert_close(outputs, theirs(sequences, mask=mask), atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_time_distributed(name, rng, assert_close):
    paragraphs = ops.convert_to_tensor(rng.normal(size=(BATCH, 2, STEPS, FEATURES)).astype("float32"))
    layer = getattr(layers, name)(UNITS)
    outputs = keras.layers.TimeDistributed(layer)(paragraphs)
    for sentence in range(2):
        assert_close(outputs[:, sentence], layer(paragraphs[:, sentence]))


@pytest.mark.parametrize("name", LAYERS)
def test_functional_model(name, sequences, assert_close):
    layer = getattr(layers, name)(UNITS, return_sequences=True, return_state=True)
    inputs = keras.Input((None, FEATURES))
    outputs = layer(inputs)
    assert [output.shape for output in outputs] == [(None, None, UNITS)] + [(None, UNITS)] * len(layer.state_size)
    found = keras.Model(inputs, outputs).predict_on_batch(ops.convert_to_numpy(sequences))
    assert_close(found, layer(sequences))


@pytest.mark.parametrize("name", LAYERS)
def test_config_round_trip(name):
    layer_class = getattr(layers, name)
    layer = layer_class(
        UNITS,
        activation="relu",
        use_bias=False,
        kernel_initializer=keras.initializers.RandomUniform(seed=1),
        recurrent_initializer="zeros",
        bias_initializer="ones",
        kernel_regularizer=keras.regularizers.L2(0.1),
        recurrent_regularizer="l1",
        bias_regularizer="l2",
        activity_regularizer=keras.regularizers.L2(0.3),
        kernel_constraint=keras.constraints.MaxNorm(2),
        recurrent_constraint="non_neg",
        bias_constraint="unit_norm",
        dropout=0.1,
        recurrent_dropout=0.2,
        seed=7,
        return_sequences=True,
        return_state=True,
        go_backwards=True,
        stateful=True,
        unroll=True,
        zero_output_for_mask=True,
        trainable=False,
        dtype="float64",
        name="layer",
        **VARIANTS[name],
    )
    config = layer.get_config()
    again = layer_class.from_config(config)
    assert again.get_config() == config
    assert again.cell.get_config() == layer.cell.get_config()
    theirs = getattr(keras.layers, name).from_config({key: v for key, v in config.items() if key != "use_cudnn"})
    assert theirs.units == UNITS


@pytest.mark.parametrize("name", LAYERS)
def test_config_names_what_the_constructor_takes(name):
    layer_class = getattr(layers, name)
    layer = layer_class(UNITS, **VARIANTS[name])
    config = layer.get_config()
    assert all(config[key] == value for key, value in VARIANTS[name].items())
    assert layer.units == UNITS
    assert layer.dropout == 0.0
    assert not hasattr(layer, "no_such")


@pytest.mark.parametrize("name", LAYERS)
def test_activity_regularizer_acts(name, sequences):
    layer = getattr(layers, name)(UNITS, activity_regularizer=keras.regularizers.L2(0.5))
    output = layer(sequences)
    # Releases of Keras differ in whether they divide by the size of the batch.
    identity = keras.layers.Activation("linear", activity_regularizer=keras.regularizers.L2(0.5))
    identity(output)
    assert float(sum(identity.losses)) > 0
    assert float(sum(layer.losses)) == pytest.approx(float(sum(identity.losses)), rel=1e-5)


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_use_cudnn_is_one_of_keras_values(name):
    with pytest.raises(ValueError, match="use_cudnn"):
        getattr(layers, name)(UNITS, use_cudnn="no")
