"""What the cells share: arguments, configuration and dropout."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent import layers

BATCH, STEPS, UNITS = 8, 5, 16
RATE = 0.25

CELLS = ["SimpleRNNCell", "LSTMCell", "GRUCell"]
LAYERS = [
    pytest.param("SimpleRNN", {}, id="simple_rnn"),
    pytest.param("LSTM", {}, id="lstm"),
    pytest.param("GRU", {}, id="gru"),
    pytest.param("GRU", {"reset_after": False}, id="gru_reset_before"),
]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(
    ("argument", "value"),
    [("units", 0), ("units", -3), ("units", 2.5), ("units", "8")]
    + [(rate, value) for rate in ("dropout", "recurrent_dropout") for value in (-0.1, 1.0, float("nan"))]
    + [("activation", "no_such")],
)
def test_wrong_argument(name, argument, value):
    with pytest.raises(ValueError, match=rf"\b{argument}\b"):
        getattr(layers, name)(**{"units": UNITS, argument: value})


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell"])
def test_wrong_recurrent_activation(name):
    with pytest.raises(ValueError, match="no_such"):
        getattr(layers, name)(UNITS, recurrent_activation="no_such")


@pytest.mark.parametrize("name", CELLS)
def test_config_round_trip(name):
    cell = getattr(layers, name)(
        UNITS,
        activation="relu",
        use_bias=False,
        kernel_initializer=keras.initializers.RandomUniform(seed=1),
        recurrent_initializer="zeros",
        bias_initializer="ones",
        kernel_regularizer=keras.regularizers.L2(0.1),
        recurrent_regularizer="l1",
        bias_regularizer="l2",
        kernel_constraint=keras.constraints.MaxNorm(2),
        recurrent_constraint="non_neg",
        bias_constraint="unit_norm",
        dropout=0.1,
        recurrent_dropout=0.2,
        seed=7,
        dtype="float64",
        name="cell",
    )
    config = cell.get_config()
    assert type(cell).from_config(config).get_config() == config


@pytest.mark.parametrize("name", CELLS)
def test_regularizers_and_constraints_act(name):
    cell = getattr(layers, name)(
        UNITS,
        kernel_regularizer=keras.regularizers.L2(2.0),
        recurrent_regularizer=keras.regularizers.L2(3.0),
        bias_regularizer=keras.regularizers.L2(5.0),
        kernel_constraint="non_neg",
        recurrent_constraint="unit_norm",
        bias_constraint="max_norm",
    )
    cell.build((BATCH, 3))
    kernel, recurrent_kernel, bias = (np.sum(np.square(weight)) for weight in cell.get_weights())
    assert float(sum(cell.losses)) == pytest.approx(2 * kernel + 3 * recurrent_kernel + 5 * bias, rel=1e-5)
    constraints = [weight.constraint for weight in (cell.kernel, cell.recurrent_kernel, cell.bias)]
    assert [type(constraint).__name__ for constraint in constraints] == ["NonNeg", "UnitNorm", "MaxNorm"]


def linear(name, *, w, u, **options):
    """A layer whose output is h' = x w I + h u I: its activation is linear, its gates stand wide open or shut."""
    layer = getattr(layers, name)(UNITS, activation=None, return_sequences=True, **options)
    layer.build((BATCH, STEPS, UNITS))
    # The candidate's place among the blocks of columns, and the bias of each block.
    candidate, biases = {
        "SimpleRNN": (0, [0]),
        "LSTM": (2, [1e3, -1e3, 0, 1e3]),
        "GRU": (2, [-1e3, 1e3, 0]),
    }[name]
    position = np.arange(len(biases)) == candidate
    kernel, recurrent_kernel = (np.kron(position, scale * np.eye(UNITS)) for scale in (w, u))
    bias = np.repeat(biases, UNITS)
    if layer.cell.bias.shape != bias.shape:
        bias = np.stack([bias, np.zeros_like(bias)])
    layer.set_weights([kernel, recurrent_kernel, bias])
    return layer


def run(layer, training, initial=0.0, batch=BATCH):
    states = [ops.full((batch, UNITS), initial) for _ in layer.state_size]
    outputs = layer(ops.ones((batch, STEPS, UNITS)), initial_state=states, training=training)
    return ops.convert_to_numpy(outputs)


@pytest.mark.parametrize(("name", "variant"), LAYERS)
def test_dropout_draws_one_mask_a_sequence(name, variant):
    layer = linear(name, w=1, u=0, dropout=RATE, **variant)
    outputs = run(layer, training=True)
    mask = outputs[:, 0]
    np.testing.assert_allclose(np.unique(mask), [0, 1 / (1 - RATE)], rtol=1e-6)
    np.testing.assert_allclose(outputs, np.repeat(mask[:, None], STEPS, axis=1), rtol=1e-6)
    assert len(np.unique(mask, axis=0)) > 1
    assert np.any(run(layer, training=True)[:, 0] != mask)


@pytest.mark.parametrize(("name", "variant"), LAYERS)
def test_recurrent_dropout_draws_one_mask_a_sequence(name, variant):
    layer = linear(name, w=0, u=1, recurrent_dropout=RATE, **variant)
    outputs = run(layer, training=True, initial=1.0)
    mask = outputs[:, 0]
    np.testing.assert_allclose(np.unique(mask), [0, 1 / (1 - RATE)], rtol=1e-6)
    np.testing.assert_allclose(outputs, np.stack([mask ** (step + 1) for step in range(STEPS)], axis=1), rtol=1e-5)
    assert len(np.unique(mask, axis=0)) > 1
    assert np.any(run(layer, training=True, initial=1.0)[:, 0] != mask)


@pytest.mark.parametrize("rate", ["dropout", "recurrent_dropout"])
@pytest.mark.parametrize(("name", "variant"), LAYERS)
def test_dropout_keeps_the_expectation(name, variant, rate):
    layer = linear(name, w=rate == "dropout", u=rate == "recurrent_dropout", **{rate: RATE}, **variant)
    draws = run(layer, training=True, initial=1.0, batch=1024)[:, 0]
    # The mean of 16,384 draws has a standard deviation of 0.0045.
    assert np.mean(draws) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(("name", "variant"), LAYERS)
def test_no_dropout_at_inference(name, variant):
    layer = linear(name, w=1, u=1, dropout=RATE, recurrent_dropout=RATE, **variant)
    plain = linear(name, w=1, u=1, **variant)
    expected = run(plain, training=False, initial=1.0)
    np.testing.assert_allclose(run(layer, training=False, initial=1.0), expected, rtol=1e-6)
    assert np.any(run(layer, training=True, initial=1.0) != expected)


@pytest.mark.parametrize(("name", "variant"), LAYERS)
def test_dropout_repeats_with_its_seed(name, variant):
    first, second = (
        run(linear(name, w=1, u=0, dropout=RATE, recurrent_dropout=RATE, seed=5, **variant), training=True)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
