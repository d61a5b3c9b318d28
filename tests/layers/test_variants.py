"""NumPy oracles of the cells that change the equations or wrap a cell, with masks, and their saving."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent import layers
from keras_recurrent.layers import (
    Chrono,
    DropConnectCell,
    GateConstants,
    GRUCell,
    LayerNormGRUCell,
    LayerNormLSTMCell,
    LayerNormSimpleRNNCell,
    LearnedInitialStateCell,
    LSTMCell,
    PeepholeLSTMCell,
    PerGate,
    ProjectedLSTMCell,
    Recurrent,
    ResidualCell,
    SimpleRNNCell,
    StackedCells,
    ZoneoutCell,
)

BATCH, STEPS, FEATURES, UNITS = 3, 5, 4, 4
MASK = np.array([[1, 1, 0, 1, 1], [0, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)


NO_PEEPHOLE, NO_PROJECTION = np.zeros((3, UNITS)), np.eye(UNITS)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(W, U, b, x, h, c, peephole=NO_PEEPHOLE, projection=NO_PROJECTION):
    i, f, g, o = np.split(x @ W + h @ U + b, 4, axis=-1)
    c_new = sigmoid(f + peephole[1] * c) * c + sigmoid(i + peephole[0] * c) * np.tanh(g)
    return sigmoid(o + peephole[2] * c_new) * np.tanh(c_new) @ projection, c_new


def gru(z, r, x_g, h_g, h):
    z, r = sigmoid(z), sigmoid(r)
    return z * h + (1 - z) * np.tanh(x_g + r * h_g)


def normalise(a, gain):
    return gain * (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-3)


def step_peephole(weights, x, h, c):
    W, U, b, peephole = weights
    return lstm(W, U, b, x, h, c, peephole=peephole)


def step_projected(weights, x, h, c):
    W, U, b, projection = weights
    return lstm(W, U, b, x, h, c, projection=projection)


def step_norm_simple(weights, x, h):
    W, U, b, gain = weights
    return (np.tanh(normalise(x @ W, gain[0]) + normalise(h @ U, gain[1]) + b),)


def step_norm_lstm(weights, x, h, c):
    W, U, b, gain = weights
    i, f, g, o = np.split(normalise(x @ W, gain[0]) + normalise(h @ U, gain[1]) + b, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def step_norm_gru(weights, x, h):
    W, U, b, gain = weights
    x_z, x_r, x_g = np.split(normalise(x @ W, gain[0]) + b[0], 3, axis=-1)
    h_z, h_r, h_g = np.split(normalise(h @ U, gain[1]) + b[1], 3, axis=-1)
    return (gru(x_z + h_z, x_r + h_r, x_g, h_g, h),)


def step_learned(weights, x, h, c):
    return lstm(*weights[2:], x, h, c)


def step_zoneout(weights, x, h, c):
    h_new, c_new = lstm(*weights, x, h, c)
    return 0.2 * h + 0.8 * h_new, 0.5 * c + 0.5 * c_new


CELLS = {
    "peephole": (lambda: PeepholeLSTMCell(UNITS), step_peephole),
    "projected": (lambda: ProjectedLSTMCell(UNITS, projection_units=2), step_projected),
    "norm_simple_rnn": (lambda: LayerNormSimpleRNNCell(UNITS), step_norm_simple),
    "norm_lstm": (lambda: LayerNormLSTMCell(UNITS), step_norm_lstm),
    "norm_gru": (lambda: LayerNormGRUCell(UNITS), step_norm_gru),
    "zoneout": (lambda: ZoneoutCell(LSTMCell(UNITS), rates=[0.2, 0.5]), step_zoneout),
    "drop_connect": (lambda: DropConnectCell(LSTMCell(UNITS), rate=0.5), lambda ws, x, h, c: lstm(*ws, x, h, c)),
    "learned": (lambda: LearnedInitialStateCell(LSTMCell(UNITS)), step_learned),
    "residual": (lambda: ResidualCell(LSTMCell(UNITS)), lambda ws, x, h, c: lstm(*ws, x, h, c)),
}


def made(make, rng, **arguments):
    cell = make()
    layer = Recurrent(cell, return_sequences=True, return_state=True, **arguments)
    layer.build((BATCH, STEPS, FEATURES))
    for weight in layer.weights:
        if weight.trainable:
            weight.assign(rng.normal(size=weight.shape))
    return layer


@pytest.mark.parametrize("name", CELLS)
def test_oracle(name, rng, assert_close):
    make, step = CELLS[name]
    layer = made(make, rng)
    weights = [ops.convert_to_numpy(weight.value) for weight in layer.trainable_weights]
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    found = layer(sequences, mask=ops.convert_to_tensor(MASK))

    sizes = layer.cell.state_size if isinstance(layer.cell.state_size, list) else [layer.cell.state_size]
    states = [np.zeros((BATCH, size)) for size in sizes]
    if name == "learned":
        states = [np.tile(state, (BATCH, 1)) for state in weights[:2]]
    output, outputs = np.zeros((BATCH, sizes[0])), []
    for time in range(STEPS):
        x, keep = sequences[:, time], MASK[:, time, None]
        new = step(weights, x, *states)
        output = np.where(keep, new[0] + (x if name == "residual" else 0), output)
        states = [np.where(keep, n, old) for n, old in zip(new, states, strict=True)]
        outputs.append(output)
    assert_close(list(found), [np.stack(outputs, 1), *states], atol=1e-5)


@pytest.mark.parametrize("name", CELLS)
def test_runs_in_the_layer_of_keras_too(name, rng, assert_close):
    layer = made(CELLS[name][0], rng)
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    keras_layer = keras.layers.RNN(layer.cell, return_sequences=True, return_state=True)
    assert_close(list(layer(sequences)), list(keras_layer(sequences)), atol=1e-5)


@pytest.mark.parametrize("name", CELLS)
def test_saved_and_loaded(name, rng, tmp_path, assert_close):
    layer = made(CELLS[name][0], rng)
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), Recurrent(layer.cell)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    assert_close(loaded(sequences), model(sequences), atol=1e-6)


@pytest.mark.parametrize("name", CELLS)
def test_gradients_are_those_of_the_plain_loop(name, rng, gradients, assert_close):
    layer = made(CELLS[name][0], rng)
    plain = keras.layers.RNN(layer.cell, return_sequences=True, return_state=True)
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")

    def loss_of(layer):
        return lambda sequences: sum(ops.sum(ops.sin(x)) for x in layer(sequences))

    found, expected = (gradients(loss_of(x), layer.trainable_variables, [sequences]) for x in (layer, plain))
    assert_close(found, expected, atol=1e-4)


def test_zoneout_keeps_the_right_share_in_training(rng):
    layer = Recurrent(ZoneoutCell(SimpleRNNCell(200), rates=0.3), return_sequences=True, return_state=True)
    outputs = ops.convert_to_numpy(layer(rng.normal(size=(BATCH, 50, FEATURES)).astype("float32"), training=True)[0])
    kept = (outputs[:, 1:] == outputs[:, :-1]).mean()
    assert kept == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("rates", [[0.0, 0.5], [0.5, 0.0], [0.3, 0.3]])
@pytest.mark.parametrize("cell_class", [LSTMCell, LayerNormLSTMCell], ids=lambda cell_class: cell_class.__name__)
def test_zoneouts_gradient_is_that_of_autodiff(cell_class, rates, rng, assert_close, gradients):
    """Also where one of an LSTM's states is kept and the other moves on."""

    class Differentiated(cell_class):
        def step(self, *arguments):  # the derivative that is written belongs to other equations now
            return super().step(*arguments)

    def layer_of(kind):
        layer = Recurrent(ZoneoutCell(kind(UNITS), rates, seed=3), return_sequences=True, return_state=True)
        layer.build((BATCH, STEPS, FEATURES))
        return layer

    by_hand, by_autodiff = layer_of(cell_class), layer_of(Differentiated)
    assert by_hand.cell.cell.has_step_gradient and not by_autodiff.cell.cell.has_step_gradient
    by_hand.set_weights([rng.normal(0, 0.7, weight.shape) for weight in by_hand.get_weights()])
    by_autodiff.set_weights(by_hand.get_weights())
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    found, expected = (
        gradients(
            lambda x, layer=layer: sum(ops.sum(ops.sin(y)) for y in layer(x, training=True)),
            layer.trainable_variables,
            [sequences],
        )
        for layer in (by_hand, by_autodiff)
    )
    assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_zoneout_with_a_mask_keeps_all(rng):
    layer = made(lambda: ZoneoutCell(LSTMCell(UNITS), rates=0.3), rng)
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    outputs = ops.convert_to_numpy(layer(sequences, mask=ops.convert_to_tensor(MASK), training=True)[0])
    assert (outputs[0, 2] == outputs[0, 1]).all()
    assert (outputs[1, 3:] == outputs[1, 2]).all()


def test_drop_connect_draws_a_mask_a_call_and_none_at_inference(rng):
    layer = made(lambda: DropConnectCell(GRUCell(UNITS), rate=0.5), rng)
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    first, second = (ops.convert_to_numpy(layer(sequences, training=True)[0]) for _ in range(2))
    assert np.allclose(first[:, 0], second[:, 0])  # the first state is zero, and so is its product
    assert not np.allclose(first[:, 1:], second[:, 1:])
    first, second = (ops.convert_to_numpy(layer(sequences)[0]) for _ in range(2))
    assert (first == second).all()


def test_orthogonal_gates():
    kernel = ops.convert_to_numpy(PerGate("orthogonal", gates=4)((6, 24), dtype="float32"))
    blocks = np.split(kernel, 4, axis=-1)
    for block in blocks:
        np.testing.assert_allclose(block.T @ block, np.eye(6), atol=1e-5)
    assert not np.allclose(blocks[0], blocks[1])
    again = keras.initializers.deserialize(
        keras.initializers.serialize(PerGate(keras.initializers.Orthogonal(seed=3), 4))
    )
    first, second = (ops.convert_to_numpy(again((6, 24))) for _ in range(2))
    assert (first == second).all()
    with pytest.raises(ValueError, match="gates"):
        PerGate("orthogonal", gates=4)((6, 23))


def test_gate_constants():
    layer = layers.LSTM(2, bias_initializer=GateConstants([0, 2, 0, 1]), unit_forget_bias=False)
    layer.build((None, None, 3))
    np.testing.assert_array_equal(layer.get_weights()[2], [0, 0, 2, 2, 0, 0, 1, 1])


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_chrono(cell):
    units = 500
    arguments = {"unit_forget_bias": False} if cell == "lstm" else {}
    layer = layers.sequence_layer(cell, units, bias_initializer=Chrono(cell, max_steps=200, seed=1), **arguments)
    layer.build((None, None, 3))
    bias = layer.get_weights()[2]
    remember = bias[units : 2 * units] if cell == "lstm" else bias[0, :units]
    assert (remember >= 0).all()
    assert np.exp(remember).max() == pytest.approx(199, abs=5)
    assert np.exp(remember).mean() == pytest.approx(100, abs=10)
    if cell == "lstm":
        np.testing.assert_array_equal(bias[:units], -remember)
    assert np.abs(bias).sum() == pytest.approx(remember.sum() * (2 if cell == "lstm" else 1), rel=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ZoneoutCell(LSTMCell(2), rates=1.0), "rates"),
        (lambda: ZoneoutCell(LSTMCell(2), rates=[0.1]), "rates"),
        (lambda: DropConnectCell(LSTMCell(2), rate=-0.1), "rate"),
        (lambda: ProjectedLSTMCell(2, projection_units=0), "projection_units"),
        (lambda: LayerNormGRUCell(2, reset_after=False), "reset_after"),
        (lambda: ResidualCell(GRUCell(2)).build((None, 3)), "3 features"),
        (lambda: Chrono("rnn", 10), "cell"),
        (lambda: layers.LSTM(2, bias_initializer=Chrono("lstm", 10)), "unit_forget_bias"),
        (lambda: layers.LSTM(2, bias_initializer=Chrono("gru", 10), unit_forget_bias=False), "bias_initializer"),
        (lambda: layers.GRU(2, bias_initializer=GateConstants([1, 0, 0, 0])), "bias_initializer"),
        (lambda: PerGate("orthogonal", gates=0), "gates"),
        (lambda: ZoneoutCell(ResidualCell(GRUCell(2)), 0.1), "cell"),
        (lambda: ZoneoutCell(keras.layers.LSTMCell(2), 0.1), "cell"),
        (lambda: DropConnectCell(ZoneoutCell(GRUCell(2), 0.1), 0.1), "cell"),
        (lambda: ZoneoutCell(GRUCell(2), "a"), "rates"),
        (lambda: layers.LSTM(2, dropout=None), "dropout"),
        (lambda: layers.LSTM(2, activation="no_such"), "`activation`"),
        (lambda: layers.GRU(2, recurrent_activation="no_such"), "`recurrent_activation`"),
        (lambda: layers.GRU(True), "units"),
        (lambda: LSTMCell(2)(np.ones((2, 3)), [np.ones((2, 2))]), "states"),
        (lambda: Recurrent(GRUCell(2))(np.ones((2, 3))), "ndim=3"),
        (lambda: Chrono("gru", 2), "max_steps"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_wrapped_cell_draws_a_dropout_mask_a_call(rng):
    layer = Recurrent(ZoneoutCell(LSTMCell(50, dropout=0.5, recurrent_dropout=0.5), rates=0.0), return_sequences=True)
    sequences = rng.normal(size=(BATCH, STEPS, 30)).astype("float32")
    for runs in (layer, keras.layers.RNN(layer.cell, return_sequences=True)):
        first, second = (ops.convert_to_numpy(runs(sequences, training=True)) for _ in range(2))
        assert not np.allclose(first, second)


def test_learned_initial_state(rng, assert_close):
    cell = LearnedInitialStateCell(LSTMCell(UNITS), initializer="random_normal")
    layer = Recurrent(cell, return_sequences=True)
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    found = layer(sequences)
    h, c = (ops.broadcast_to(state, (BATCH, UNITS)) for state in cell.initial_states)
    assert_close(found, Recurrent(cell.cell, return_sequences=True)(sequences, initial_state=[h, c]))
    given = [ops.ones((BATCH, UNITS))] * 2
    assert_close(layer(sequences, initial_state=given), Recurrent(cell.cell, return_sequences=True)(sequences, given))


def stacks(rng):
    make = {
        "rnn": lambda: [SimpleRNNCell(5), GRUCell(3)],
        "mixed": lambda: [LSTMCell(5), ZoneoutCell(GRUCell(5), 0.2), ResidualCell(LSTMCell(5))],
    }
    return {name: (StackedCells(make()), keras.layers.StackedRNNCells(make())) for name, make in make.items()}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", ["rnn", "mixed"])
def test_stacked_cells_are_those_of_keras(name, masked, rng, assert_close, gradients):
    ours, theirs = (
        layer(stack, return_sequences=True, return_state=True)
        for layer, stack in zip((Recurrent, keras.layers.RNN), stacks(rng)[name], strict=True)
    )
    if masked and keras.config.backend() == "jax":
        pytest.skip("there Keras's loop gives at masked steps what the cells make of them, not what stood before")
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    mask = ops.convert_to_tensor(MASK) if masked else None
    ours.build(sequences.shape)
    theirs.build(sequences.shape)
    theirs.set_weights(ours.get_weights())
    found, expected = ours(sequences, mask=mask), theirs(sequences, mask=mask)
    if masked:  # before the first step that counts Keras's loop gives what the stack makes of it
        found, expected = ([ops.convert_to_numpy(x[0])[[0, 2]], *x[1:]] for x in (found, expected))
    assert_close(list(found), list(expected), atol=1e-5)


def test_a_list_of_cells_is_a_stack(rng, tmp_path, assert_close):
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), Recurrent([LSTMCell(5, dropout=0.2), GRUCell(3)])])
    assert isinstance(model.layers[0].cell, StackedCells)
    model.compile("adam", "mse")
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    model.fit(sequences, np.zeros((BATCH, 3)), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_close(loaded(sequences), model(sequences), atol=1e-6)
    with pytest.raises(ValueError, match="cells"):
        StackedCells([keras.layers.LSTMCell(2)])


def test_drop_connect_drops_the_whole_kernel(rng):
    for reset_after in (True, False):
        layer = made(
            lambda reset_after=reset_after: DropConnectCell(GRUCell(UNITS, reset_after=reset_after), 0.999), rng
        )
        sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
        found = ops.convert_to_numpy(layer(sequences, training=True)[0])
        layer.cell.cell.recurrent_kernel.assign(ops.zeros((UNITS, 3 * UNITS)))
        np.testing.assert_allclose(found, ops.convert_to_numpy(layer(sequences)[0]), atol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ZoneoutCell(DropConnectCell(LSTMCell(UNITS), 0.5), 0.1),
        lambda: ZoneoutCell(LearnedInitialStateCell(DropConnectCell(GRUCell(UNITS), 0.5)), 0.1),
        lambda: ResidualCell(ZoneoutCell(LSTMCell(UNITS, dropout=0.2), 0.1)),
        lambda: ResidualCell(StackedCells([LSTMCell(3, recurrent_dropout=0.2), GRUCell(UNITS)])),
        lambda: LearnedInitialStateCell(StackedCells([LSTMCell(3), GRUCell(UNITS)]), initializer="ones"),
        lambda: StackedCells([LearnedInitialStateCell(LSTMCell(3)), StackedCells([GRUCell(UNITS), LSTMCell(UNITS)])]),
    ],
)
def test_wrappers_in_wrappers(make, rng, assert_close):
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    layer, mask = Recurrent(make(), return_sequences=True), ops.convert_to_tensor(MASK)
    assert np.isfinite(ops.convert_to_numpy(layer(sequences, mask=mask, training=True))).all()
    keras_layer = keras.layers.RNN(layer.cell, return_sequences=True)
    assert_close(layer(sequences), keras_layer(sequences), atol=1e-5)
    again = Recurrent.from_config(layer.get_config())
    again.build(sequences.shape)
    again.set_weights(layer.get_weights())
    assert_close(again(sequences), layer(sequences), atol=1e-6)


def test_a_stateful_stack(rng, assert_close):
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    cells = [LSTMCell(5), LearnedInitialStateCell(GRUCell(3), initializer="ones")]
    stateful, whole = Recurrent(cells, stateful=True), Recurrent(cells)
    stateful(sequences[:, :2])
    assert_close(stateful(sequences[:, 2:]), whole(sequences), atol=1e-6)
    stateful.reset_state()
    assert_close(stateful(sequences), whole(sequences), atol=1e-6)
    flat = [ops.ones((BATCH, size)) for size in (5, 5, 3)]
    assert_close(whole(sequences, initial_state=flat), whole(sequences, initial_state=[flat[:2], flat[2:]]))
    with pytest.raises(ValueError, match="states"):
        stateful.reset_state([np.zeros((BATCH, 4))] * 3)


def test_no_steps_leave_the_initial_state_of_a_stack():
    stack = Recurrent([LSTMCell(4), GRUCell(5)], return_state=True)
    states = [ops.full((2, size), size) for size in (4, 4, 5)]
    output, lstm_states, gru_state = stack(np.zeros((2, 0, 3), "float32"), initial_state=states)
    assert (ops.convert_to_numpy(output) == 5).all()
    assert output.shape == (2, 5)
    assert [state.shape for state in lstm_states] == [(2, 4)] * 2
    assert gru_state.shape == (2, 5)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="lengths known at run time are TensorFlow's")
def test_no_steps_known_at_run_time_of_a_residual_cell():
    import tensorflow as tf

    layer = Recurrent(ResidualCell(LSTMCell(4)))
    layer.build((2, None, 4))
    call = tf.function(lambda x: layer(x), input_signature=[tf.TensorSpec((2, None, 4))])
    assert (call(tf.zeros((2, 0, 4))).numpy() == 0).all()
    assert call(tf.ones((2, 3, 4))).numpy().all()


def test_a_subclass_with_other_equations_is_differentiated_by_the_backend(rng, gradients, assert_close):
    class Doubled(LSTMCell):
        def step(self, projected, inner, states):
            (h, c), gates = super().step(projected, inner, states)
            return [2 * h, c], gates

    assert LSTMCell(2).has_step_gradient
    assert LayerNormLSTMCell(2).has_step_gradient
    assert not PeepholeLSTMCell(2).has_step_gradient
    layer = made(lambda: Doubled(UNITS), rng)
    plain = keras.layers.RNN(layer.cell, return_sequences=True)
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    found, expected = (
        gradients(lambda x, run=run: ops.sum(run(x, training=True)), layer.trainable_variables, [sequences])
        for run in (lambda x, training: layer(x, training=training)[0], plain)
    )
    assert_close(found, expected, atol=1e-4)


def test_constants_of_a_gru_count_once():
    layer = layers.GRU(2, bias_initializer=GateConstants([1, 0, 0.5]))
    layer.build((None, None, 3))
    np.testing.assert_array_equal(layer.get_weights()[2], [[1, 1, 0, 0, 0.5, 0.5], [0] * 6])
