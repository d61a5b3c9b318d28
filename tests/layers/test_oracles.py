"""The cells and their sequence layers against their equations in plain NumPy."""

import numpy as np
import pytest
from keras import ops
from keras_recurrent.layers import GRU, LSTM, GRUCell, LSTMCell, SimpleRNN, SimpleRNNCell

BATCH, STEPS, FEATURES, UNITS = 4, 6, 3, 5


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def simple_rnn(x, states, w, u, b):
    (h,) = states
    return [np.tanh(x @ w + h @ u + b)]


def lstm(x, states, w, u, b):
    h, c = states
    w_i, w_f, w_g, w_o = np.split(w, 4, axis=1)
    u_i, u_f, u_g, u_o = np.split(u, 4, axis=1)
    b_i, b_f, b_g, b_o = np.split(b, 4)
    i = sigmoid(x @ w_i + h @ u_i + b_i)
    f = sigmoid(x @ w_f + h @ u_f + b_f)
    g = np.tanh(x @ w_g + h @ u_g + b_g)
    o = sigmoid(x @ w_o + h @ u_o + b_o)
    c = f * c + i * g
    return [o * np.tanh(c), c]


def gru_reset_after(x, states, w, u, biases):
    (h,) = states
    w_z, w_r, w_g = np.split(w, 3, axis=1)
    u_z, u_r, u_g = np.split(u, 3, axis=1)
    (b_z, b_r, b_g), (d_z, d_r, d_g) = (np.split(bias, 3) for bias in biases)
    z = sigmoid(x @ w_z + h @ u_z + b_z + d_z)
    r = sigmoid(x @ w_r + h @ u_r + b_r + d_r)
    g = np.tanh(x @ w_g + b_g + r * (h @ u_g + d_g))
    return [z * h + (1 - z) * g]


def gru_reset_before(x, states, w, u, b):
    (h,) = states
    w_z, w_r, w_g = np.split(w, 3, axis=1)
    u_z, u_r, u_g = np.split(u, 3, axis=1)
    b_z, b_r, b_g = np.split(b, 3)
    z = sigmoid(x @ w_z + h @ u_z + b_z)
    r = sigmoid(x @ w_r + h @ u_r + b_r)
    g = np.tanh(x @ w_g + b_g + (r * h) @ u_g)
    return [z * h + (1 - z) * g]


def masked_sequence(step, sequences, mask, states, weights, go_backwards):
    """All outputs and the last states; a masked step leaves the row's states and output as they were, 0 at first."""
    states = [state.copy() for state in states]
    outputs = np.zeros((BATCH, STEPS, UNITS))
    for row in range(BATCH):
        output, row_states = np.zeros(UNITS), [state[row] for state in states]
        times = range(STEPS)[::-1] if go_backwards else range(STEPS)
        for position, time in enumerate(times):
            if mask[row, time]:
                row_states = step(sequences[row, time], row_states, *weights)
                output = row_states[0]
            outputs[row, position] = output
        for state, row_state in zip(states, row_states, strict=True):
            state[row] = row_state
    return outputs, states


ORACLES = [
    pytest.param(simple_rnn, SimpleRNNCell, SimpleRNN, {}, id="simple_rnn"),
    pytest.param(lstm, LSTMCell, LSTM, {}, id="lstm"),
    pytest.param(gru_reset_after, GRUCell, GRU, {"reset_after": True}, id="gru_reset_after"),
    pytest.param(gru_reset_before, GRUCell, GRU, {"reset_after": False}, id="gru_reset_before"),
]


def randomize(layer, rng):
    layer.set_weights([rng.normal(0, 0.5, weight.shape) for weight in layer.weights])
    return layer.get_weights()


@pytest.mark.parametrize(("oracle", "cell_class", "layer_class", "options"), ORACLES)
def test_cell(oracle, cell_class, layer_class, options, rng, assert_close):
    cell = cell_class(UNITS, **options)
    cell.build((BATCH, FEATURES))
    weights = randomize(cell, rng)
    inputs = rng.normal(size=(BATCH, FEATURES)).astype("float32")
    states = [rng.normal(size=(BATCH, UNITS)).astype("float32") for _ in cell.get_initial_state(BATCH)]
    output, new_states = cell(ops.convert_to_tensor(inputs), [ops.convert_to_tensor(state) for state in states])
    expected = oracle(inputs, states, *weights)
    assert_close(output, expected[0])
    assert_close(new_states, expected)


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize(("oracle", "cell_class", "layer_class", "options"), ORACLES)
def test_sequence(oracle, cell_class, layer_class, options, go_backwards, rng, assert_close):
    layer = layer_class(UNITS, return_sequences=True, return_state=True, go_backwards=go_backwards, **options)
    layer.build((BATCH, STEPS, FEATURES))
    weights = randomize(layer, rng)
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    states = [rng.normal(size=(BATCH, UNITS)).astype("float32") for _ in layer.state_size]
    mask = rng.random((BATCH, STEPS)) < 0.6
    mask[0] = False
    outputs, *last_states = layer(sequences, initial_state=states, mask=ops.convert_to_tensor(mask))
    expected, expected_states = masked_sequence(oracle, sequences, mask, states, weights, go_backwards)
    assert_close(outputs, expected)
    assert_close(last_states, expected_states)
