"""What is measured inside a layer is what the layer computes."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent import layers
from keras_recurrent.layers import (
    GRUCell,
    LSTMCell,
    PeepholeLSTMCell,
    Recurrent,
    SimpleRNNCell,
    gate_activations,
    gradient_flow,
    state_norms,
)

BATCH, STEPS, FEATURES, UNITS = 3, 5, 2, 4
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 0, 1, 1]], bool)
CELLS = {
    "simple_rnn": SimpleRNNCell,
    "lstm": LSTMCell,
    "gru": GRUCell,
    "gru-by-autodiff": lambda units, **options: GRUCell(units, reset_after=False, **options),
    "peephole": PeepholeLSTMCell,
}


@pytest.fixture
def inputs(rng):
    return rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")


def random_weights(layer, rng):
    layer.set_weights([rng.normal(0, 0.8, weight.shape) for weight in layer.weights])
    return layer


def layer_of(name, rng, **options):
    layer = Recurrent(CELLS[name](UNITS), return_sequences=True, **options)
    layer.build((BATCH, STEPS, FEATURES))
    return random_weights(layer, rng)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", ["lstm", "peephole", "gru", "gru-by-autodiff"])
def test_gates_make_the_states(name, masked, inputs, rng):
    layer = layer_of(name, rng)
    mask = MASK if masked else None
    gates = gate_activations(layer, inputs, mask)
    outputs = ops.convert_to_numpy(layer(inputs, mask=None if mask is None else ops.convert_to_tensor(mask)))
    cell_state, output = np.zeros((2, BATCH, UNITS))
    for time in range(STEPS):
        now = {gate: values[:, time] for gate, values in gates.items()}
        if "gru" in name:
            new = now["update"] * output + (1 - now["update"]) * now["candidate"]
            new_cell_state = cell_state
        else:
            new_cell_state = now["forget"] * cell_state + now["input"] * now["candidate"]
            new = now["output"] * np.tanh(new_cell_state)
        counts = np.ones((BATCH, 1), bool) if mask is None else mask[:, time, np.newaxis]
        output, cell_state = np.where(counts, new, output), np.where(counts, new_cell_state, cell_state)
        np.testing.assert_allclose(output, outputs[:, time], atol=1e-5)
    if "gru" in name:
        assert np.all((gates["reset"] > 0) & (gates["reset"] < 1))


def test_gates_at_the_first_step(inputs, rng):
    layer = layer_of("lstm", rng)
    kernel, _, bias = layer.get_weights()
    found = gate_activations(layer, inputs)
    for place, gate in enumerate(("input", "forget", "candidate", "output")):
        columns = slice(place * UNITS, (place + 1) * UNITS)
        sums = inputs[:, 0] @ kernel[:, columns] + bias[columns]
        expected = np.tanh(sums) if gate == "candidate" else 1 / (1 + np.exp(-sums))
        np.testing.assert_allclose(found[gate][:, 0], expected, atol=1e-6)


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_state_norms(name, go_backwards, inputs, rng):
    layer = layer_of(name, rng, go_backwards=go_backwards)
    norms = state_norms(layer, inputs)
    outputs = ops.convert_to_numpy(layer(inputs))
    outputs = outputs[:, ::-1] if go_backwards else outputs
    np.testing.assert_allclose(norms["h"], np.linalg.norm(outputs, axis=-1), rtol=1e-5)
    assert set(norms) == ({"h", "c"} if name in ("lstm", "peephole") else {"h"})


def test_state_norms_under_a_mask(inputs, rng):
    layer = layer_of("gru", rng)
    norms = state_norms(layer, inputs, MASK)["h"]
    np.testing.assert_array_equal(norms[1, 2:], norms[1, 2])
    assert norms[2, 0] == 0 and norms[2, 1] == norms[2, 2] != norms[2, 3]


def unrolled(model, layer, inputs, targets, nudges, mask=None):
    """The loss of the model, its layer taken step by step, with something added to the states after each."""
    states = layer.cell.get_initial_state(BATCH)
    for time in range(STEPS):
        _, new = layer.cell(ops.convert_to_tensor(inputs[:, time]), states)
        if mask is not None:
            counts = ops.convert_to_tensor(mask[:, time, np.newaxis])
            new = [ops.where(counts, after, before) for after, before in zip(new, states, strict=True)]
        states = [state + nudge for state, nudge in zip(new, nudges[time * len(new) :], strict=False)]
    unread = 0 * sum(map(ops.sum, states))  # of the last cell state, so that autodiff has a derivative for it
    return ops.mean(ops.square(ops.convert_to_tensor(targets) - model.layers[-1](states[0]))) + unread


@pytest.mark.parametrize(("name", "masked"), [*((name, True) for name in CELLS), ("lstm", False)])
def test_gradient_flow_is_that_of_autodiff(name, masked, inputs, rng, gradients):
    layer = Recurrent(CELLS[name](UNITS), name="layer")
    inputs[~MASK] = 0
    masking = [keras.layers.Masking()] if masked else []
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), *masking, layer, keras.layers.Dense(1)])
    random_weights(model, rng)
    model.compile(loss="mse")
    targets = rng.normal(size=(BATCH, 1)).astype("float32")
    (flow,) = gradient_flow(model, inputs, targets).values()
    nudges = [np.zeros((BATCH, UNITS), "float32")] * STEPS * layer.cell.state_count
    mask = MASK if masked else None
    found = gradients(lambda *nudges: unrolled(model, layer, inputs, targets, nudges, mask), inputs=nudges)
    found = np.reshape(found, (STEPS, layer.cell.state_count, BATCH, UNITS))
    np.testing.assert_allclose(flow, np.linalg.norm(found, axis=(1, 3)).T, atol=1e-6, rtol=1e-4)
    explicit = gradient_flow(model, inputs, targets, loss=keras.losses.mean_squared_error)
    np.testing.assert_allclose(next(iter(explicit.values())), flow, rtol=1e-5)


def test_gradient_flow_names_every_run(inputs, rng):
    """Two layers, the second of which runs twice, and both directions of one."""
    shared = layers.GRU(UNITS, name="shared")
    sequences = keras.Input((STEPS, FEATURES))
    first = layers.LSTM(FEATURES, return_sequences=True, name="first")(sequences)
    both = layers.Bidirectional(layers.LSTM(UNITS), name="both")(sequences)
    model = keras.Model(
        sequences, keras.layers.Dense(1)(ops.concatenate([shared(first), shared(sequences), both], axis=-1))
    )
    flow = gradient_flow(model, inputs, np.ones((BATCH, 1)), keras.losses.mean_squared_error)
    shapes = {path.split("/")[0] + path[path.find(":") :] * (":" in path): x.shape for path, x in flow.items()}
    one = (BATCH, STEPS)
    assert shapes == {"first": one, "shared:1": one, "shared:2": one, "both": (2, *one)}
    assert all(np.all(np.isfinite(x)) and np.all(x > 0) for x in flow.values())


def test_gradient_flow_of_a_model_that_was_not_built(inputs):
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.parts = [layers.LSTM(UNITS, return_sequences=True), layers.LSTM(1)]

        def call(self, inputs):
            return self.parts[1](self.parts[0](inputs))

    model = Model()
    first, second = (
        gradient_flow(model, inputs, np.ones((BATCH, 1), "float32"), keras.losses.mean_squared_error) for _ in range(2)
    )
    assert len(first) == 2 and first.keys() == second.keys()
    for path, norms in first.items():
        np.testing.assert_array_equal(norms, second[path])
        assert np.all(norms > 0)


@pytest.mark.parametrize("cell", ["relu", "lstm"])
def test_gradient_flow_is_that_of_autodiff_far_back(cell, rng, gradients):
    """The derivatives vanish by many orders of magnitude, and are right all the same."""
    steps, units = 60, 6
    layer = {"lstm": layers.LSTM, "gru": layers.GRU}.get(cell, layers.SimpleRNN)(
        units, activation="relu" if cell == "relu" else "tanh", recurrent_initializer="identity", name="layer"
    )
    model = keras.Sequential([keras.Input((steps, FEATURES)), layer, keras.layers.Dense(1)])
    inputs = rng.normal(size=(1, steps, FEATURES)).astype("float32")
    targets = np.ones((1, 1), "float32")
    (flow,) = gradient_flow(model, inputs, targets, "mse").values()
    count = layer.cell.state_count

    def value(*nudges):
        states = layer.cell.get_initial_state(1)
        for time in range(steps):
            _, states = layer.cell(ops.convert_to_tensor(inputs[:, time]), states)
            states = [state + nudge for state, nudge in zip(states, nudges[time * count :], strict=False)]
        return ops.mean(ops.square(ops.convert_to_tensor(targets) - model.layers[-1](states[0]))) + 0 * sum(
            map(ops.sum, states)
        )

    found = gradients(value, inputs=[np.zeros((1, units), "float32")] * steps * count)
    found = np.reshape(found, (steps, count, 1, units)).astype("float64")
    np.testing.assert_allclose(flow, np.linalg.norm(found, axis=(1, 3)).T, rtol=1e-3)


@pytest.mark.slow_on_jax
def test_gradient_flow_takes_lists_names_and_layers_of_several_types(rng):
    policy = keras.DTypePolicy("mixed_bfloat16")
    parts = [layers.GRU(UNITS, dtype=policy, return_sequences=True), layers.LSTM(UNITS), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((STEPS, 1)), *parts])
    inputs = rng.normal(size=(2, STEPS, 1)).astype("float32")
    flow = gradient_flow(model, inputs.tolist(), [0, 1], "sparse_categorical_crossentropy")
    expected = gradient_flow(model, inputs, np.array([0, 1]), keras.losses.sparse_categorical_crossentropy)
    assert len(flow) == 2
    for path, norms in flow.items():
        np.testing.assert_allclose(norms, expected[path])
        assert norms.shape == (2, STEPS) and np.all(np.isfinite(norms))


@pytest.mark.parametrize("gain", [0.3, 3.0])
def test_gradient_flow_of_what_vanishes_and_what_explodes(gain):
    """Of linear recurrence with `gain` times an orthogonal matrix, a step further back has `gain` times the norm."""
    steps = 60
    layer = layers.SimpleRNN(UNITS, activation=None, recurrent_initializer=keras.initializers.Orthogonal(gain))
    model = keras.Sequential([keras.Input((steps, 1)), layer])
    inputs = np.ones((1, steps, 1), "float32")

    def total(targets, outputs):
        return ops.sum(outputs)

    ((norms,),) = gradient_flow(model, inputs, np.zeros((1, UNITS), "float32"), total).values()
    np.testing.assert_allclose(norms, 2 * gain ** np.arange(steps - 1.0, -1, -1), rtol=1e-4)


def test_what_cannot_be_measured(inputs):
    with pytest.raises(ValueError, match=r"must have the shape \(batch, steps, features\)"):
        gate_activations(layers.GRU(3), inputs[0])
    with pytest.raises(ValueError, match="before it is built"):
        layers.spectral_radii(layers.GRU(3))
    with pytest.raises(ValueError, match="has no gates"):
        gate_activations(layers.SimpleRNN(3), inputs)
    with pytest.raises(ValueError, match="must be a recurrent layer with a cell"):
        state_norms(keras.layers.LSTM(3), inputs)
    model = keras.Sequential([keras.layers.LSTM(3)])
    with pytest.raises(ValueError, match="No recurrent layer of keras_recurrent runs"):
        gradient_flow(model, inputs, np.ones((BATCH, 3)), keras.losses.mean_squared_error)


def test_looking_changes_nothing(inputs, rng):
    parts = [layers.GRU(UNITS, dropout=0.5), keras.layers.BatchNormalization(), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), *parts])
    before = model.get_weights()
    first, second = (
        gradient_flow(model, inputs, np.ones((BATCH, 1), "float32"), keras.losses.mean_squared_error) for _ in range(2)
    )
    for found, weight in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, weight)
    for path, norms in first.items():
        np.testing.assert_allclose(norms, second[path], rtol=1e-5)  # with the same dropout, too


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_spectral_radii(scale):
    layer = layers.GRU(UNITS, recurrent_initializer=layers.PerGate(keras.initializers.Orthogonal(scale), 3))
    layer.build((None, None, FEATURES))
    radii = layers.spectral_radii(layer)
    assert list(radii) == ["update", "reset", "candidate"]
    np.testing.assert_allclose(list(radii.values()), scale, rtol=1e-5)
    assert list(layers.spectral_radii(layer_of("simple_rnn", np.random.default_rng(0)))) == ["state"]
    projected = Recurrent(layers.ProjectedLSTMCell(UNITS, 2))
    projected.build((None, None, FEATURES))
    with pytest.raises(ValueError, match=r"\(2, 4\) have no eigenvalues"):
        layers.spectral_radii(projected)
