"""One loop for both directions computes what Keras's two loops do."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent import layers
from keras_recurrent.layers import Bidirectional, LayerNormGRUCell, PeepholeLSTMCell, Recurrent, ZoneoutCell

BATCH, STEPS, FEATURES, UNITS = 3, 5, 2, 4
MASK = np.array([[1, 1, 0, 1, 1], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]], bool)
MAKE = {
    "simple_rnn": lambda **arguments: layers.SimpleRNN(UNITS, **arguments),
    "lstm": lambda **arguments: layers.LSTM(UNITS, **arguments),
    "gru": lambda **arguments: layers.GRU(UNITS, **arguments),
    "no_bias": lambda **arguments: layers.GRU(UNITS, use_bias=False, **arguments),
    "norm": lambda **arguments: Recurrent(LayerNormGRUCell(UNITS), **arguments),
}


def pair(make, rng, merge_mode="concat", **arguments):
    ours, theirs = (
        kind(make(**arguments), merge_mode=merge_mode) for kind in (Bidirectional, keras.layers.Bidirectional)
    )
    for layer in (ours, theirs):
        layer.build((BATCH, STEPS, FEATURES))
    ours.set_weights([rng.normal(size=w.shape) for w in ours.get_weights()])
    theirs.set_weights(ours.get_weights())
    return ours, theirs


@pytest.mark.parametrize(
    ("name", "return_sequences", "masked", "training"),
    [
        pytest.param("simple_rnn", True, True, True, marks=pytest.mark.slow_on_jax),
        ("lstm", True, True, True),
        pytest.param("lstm", False, True, False, marks=pytest.mark.slow_on_jax),
        ("gru", True, False, True),
        pytest.param("gru", False, True, True, marks=pytest.mark.slow_on_jax),
        pytest.param("no_bias", True, True, False, marks=pytest.mark.slow_on_jax),
        ("norm", True, True, True),
        pytest.param("norm", False, False, True, marks=pytest.mark.slow_on_jax),
    ],
)
def test_outputs_and_gradients(name, return_sequences, masked, training, rng, assert_close, gradients):
    ours, theirs = pair(MAKE[name], rng, return_sequences=return_sequences, return_state=True)
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    states = [ops.convert_to_tensor(rng.normal(size=(BATCH, UNITS)).astype("float32"))] * (4 if name == "lstm" else 2)
    mask = ops.convert_to_tensor(MASK) if masked else None

    def run(layer, sequences):
        return layer(sequences, initial_state=states, mask=mask, training=training)

    assert_close(list(run(ours, sequences)), list(run(theirs, sequences)), atol=1e-5)
    found, expected = (
        gradients(
            lambda x, layer=layer: sum(ops.sum(ops.sin(y)) for y in run(layer, x)),
            layer.trainable_variables,
            [sequences],
        )
        for layer in (ours, theirs)
    )
    assert_close(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("merge_mode", "return_state"),
    [("concat", False), ("sum", True), ("ave", False), ("mul", True), (None, True), (None, False)],
)
def test_merge_modes(merge_mode, return_state, rng, assert_close):
    arguments = {"return_sequences": True, "return_state": return_state}
    ours, theirs = pair(MAKE["gru"], rng, merge_mode=merge_mode, **arguments)
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    assert_close(ours(sequences), theirs(sequences), atol=1e-5)
    assert ours.compute_output_shape(sequences.shape) == theirs.compute_output_shape(sequences.shape)


@pytest.mark.slow_on_jax
def test_dropout_draws_each_direction_its_own(rng):
    layer = Bidirectional(layers.GRU(50, recurrent_dropout=0.5, dropout=0.5, return_sequences=True))
    sequences = rng.normal(size=(BATCH, STEPS, 40)).astype("float32")
    first, second = (ops.convert_to_numpy(layer(sequences, training=True)) for _ in range(2))
    assert not np.allclose(first[..., :50], second[..., :50])
    assert not np.allclose(first[..., 50:], second[..., 50:])


@pytest.mark.slow_on_jax
@pytest.mark.rest
def test_trains_saves_and_loads(rng, tmp_path, assert_close):
    model = keras.Sequential([keras.Input((None, FEATURES)), keras.layers.Masking(), Bidirectional(layers.LSTM(UNITS))])
    model.compile("adam", "mse")
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    model.fit(sequences, np.zeros((BATCH, 2 * UNITS)), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[-1]) is Bidirectional
    assert_close(loaded(sequences), model(sequences), atol=1e-6)


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
@pytest.mark.slow_on_jax
def test_a_layer_of_another_precision(half, rng, assert_close):
    layer, theirs = (
        kind(layers.LSTM(UNITS, dtype=f"mixed_{half}", return_sequences=True))
        for kind in (Bidirectional, keras.layers.Bidirectional)
    )
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    states = [rng.normal(size=(BATCH, UNITS)).astype("float32")] * 4
    found = layer(sequences, initial_state=states)
    theirs.build(sequences.shape)
    theirs.set_weights(layer.get_weights())
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    assert_close(found, theirs(sequences, initial_state=states), atol=2e-2)


def test_no_steps():
    output, *states = Bidirectional(layers.GRU(UNITS, return_state=True))(np.zeros((2, 0, FEATURES), "float32"))
    assert output.shape == (2, 2 * UNITS)
    assert [state.shape for state in states] == [(2, UNITS)] * 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Bidirectional(keras.layers.LSTM(2)), "keras.layers.Bidirectional"),
        (lambda: Bidirectional(Recurrent(PeepholeLSTMCell(2))), "by hand"),
        (lambda: Bidirectional(Recurrent(ZoneoutCell(layers.GRUCell(2), 0.1))), "by hand"),
        (lambda: Bidirectional(layers.GRU(2, stateful=True)), "stateful"),
        (lambda: Bidirectional(layers.GRU(2), backward_layer=layers.GRU(3, go_backwards=True)), "units"),
        (lambda: Bidirectional(layers.GRU(2), backward_layer=layers.LSTM(2, go_backwards=True)), "one type"),
        (lambda: Bidirectional(layers.GRU(2), merge_mode="stack"), "merge mode"),
        (lambda: Bidirectional(layers.GRU(2))(np.zeros((2, 3, 4)), initial_state=[np.zeros((2, 2))] * 3), "2 tensors"),
        (lambda: Bidirectional(layers.GRU(2))(np.zeros((2, 3, 4)), mask=np.ones((2, 4), bool)), "mask"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
