"""`Dilated` against its definition: the layer, run over every `rate`-th step by itself."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent import layers
from keras_recurrent.layers import Dilated

BATCH, STEPS, FEATURES, UNITS, RATE = 4, 8, 2, 3, 3
# Row by row: all steps, padding at the right, at the left with a gap, no step.
MASK = np.array(
    [[1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0, 0, 0]], bool
)
LAYERS = {
    "lstm": lambda **options: layers.LSTM(UNITS, return_sequences=True, **options),
    "keras": lambda **options: keras.layers.GRU(UNITS, return_sequences=True, **options),
    "backward": lambda **options: layers.GRU(UNITS, return_sequences=True, go_backwards=True, **options),
    "bidirectional": lambda **options: keras.layers.Bidirectional(
        layers.GRU(UNITS, return_sequences=True, **options), merge_mode="sum"
    ),
}


def every_step(layer, sequences, mask, rate):
    """The outputs `(batch, steps, units)` of the layer for each of the `rate` sequences of each row."""
    outputs = np.zeros((*sequences.shape[:2], UNITS), "float32")
    for row in range(len(sequences)):
        for phase in range(min(rate, sequences.shape[1])):
            x, counts = (np.ascontiguousarray(array[row : row + 1, phase::rate]) for array in (sequences, mask))
            result = layer(ops.convert_to_tensor(x), mask=ops.convert_to_tensor(counts))
            outputs[row, phase::rate] = ops.convert_to_numpy(result)[0]
    return outputs


@pytest.fixture(params=LAYERS)
def make(request):
    return LAYERS[request.param]


@pytest.mark.parametrize("steps", [STEPS, 6, 2])
@pytest.mark.parametrize("is_masked", [True, False])
@pytest.mark.slow_on_jax
def test_outputs(make, steps, is_masked, rng, assert_close):
    layer = make()
    sequences = rng.normal(size=(BATCH, steps, FEATURES)).astype("float32")
    mask = MASK[:, :steps] if is_masked else np.ones((BATCH, steps), bool)
    dilated = Dilated(layer, RATE)
    outputs = dilated(sequences, mask=ops.convert_to_tensor(mask) if is_masked else None)
    assert tuple(outputs.shape) == dilated.compute_output_shape(sequences.shape) == (BATCH, steps, UNITS)
    if getattr(layer, "go_backwards", False):  # Keras returns the outputs in the order of the steps that were read
        outputs = ops.flip(outputs, 1)
        expected = np.zeros((BATCH, steps, UNITS), "float32")
        for phase in range(min(RATE, steps)):
            part = every_step(layer, sequences[:, phase::RATE], mask[:, phase::RATE], 1)
            expected[:, phase::RATE] = part[:, ::-1]
    else:
        expected = every_step(layer, sequences, mask, RATE)
    assert_close(outputs, expected, atol=1e-5)


@pytest.mark.parametrize("is_masked", [True, False])
@pytest.mark.slow_on_jax
def test_states(make, is_masked, rng, assert_close):
    """The states after the last step that each direction reads; a state begins with the output."""
    layer = make(return_state=True)
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    mask = MASK if is_masked else np.ones_like(MASK)
    dilated = Dilated(layer, RATE)
    _, *states = dilated(sequences, mask=ops.convert_to_tensor(mask) if is_masked else None)
    parts = [getattr(layer, name, layer) for name in ("forward_layer", "backward_layer")]
    parts = parts[: 2 if parts[0] is not layer else 1]
    assert len(states) == sum(len(part.state_size) for part in parts)
    expected = []
    for part in parts:
        arrays = [np.zeros((BATCH, UNITS), "float32") for _ in part.state_size]
        for row in range(BATCH):
            steps = np.flatnonzero(mask[row])
            if len(steps):
                last = steps[0] if part.go_backwards else steps[-1]
                chosen = [step for step in steps if step % RATE == last % RATE]
                _, *ends = part(ops.convert_to_tensor(sequences[row : row + 1, chosen]))
                for array, end in zip(arrays, ends, strict=True):
                    array[row] = ops.convert_to_numpy(end)[0]
        expected += arrays
    assert_close(states, expected, atol=1e-5)


def test_rate_of_1_is_the_layer(make, rng, assert_close):
    layer = make()
    sequences, mask = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32"), ops.convert_to_tensor(MASK)
    assert_close(Dilated(layer, 1)(sequences, mask=mask), layer(sequences, mask=mask))
    assert [w.path for w in Dilated(layer, 1).weights] == [w.path for w in layer.weights]


@pytest.mark.slow_on_jax
def test_training_with_an_unknown_number_of_steps(rng, assert_close):
    """The mask comes from the layer before, and the gradients equal those of the eager computation."""
    x = rng.normal(size=(BATCH, 7, FEATURES)).astype("float32")
    x[1, 4:] = 0
    y = rng.normal(size=(BATCH, 7, UNITS)).astype("float32")
    weights = []
    for eager in (True, False):
        keras.utils.set_random_seed(1)
        inputs = keras.Input((None, FEATURES))
        outputs = Dilated(layers.GRU(UNITS, return_sequences=True), RATE)(keras.layers.Masking()(inputs))
        model = keras.Model(inputs, outputs)
        model.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=eager, jit_compile=False)
        before = model.get_weights()
        model.train_on_batch(x, y)
        weights.append(model.get_weights())
        assert model.output_shape == (None, None, UNITS)
        assert all(np.any(a != b) for a, b in zip(before, weights[-1], strict=True))
    assert_close(*weights, atol=1e-5)


def test_a_stack_with_residual_connections_by_its_definition(rng, assert_close):
    """`h(t) = cell(x(t), h(t - rate))`, and all layers but the first add their inputs: step by step."""
    cells, rates = [layers.GRUCell(UNITS), layers.LSTMCell(UNITS), layers.GRUCell(UNITS)], [1, 2, 4]
    wrapped = [cells[0], *map(layers.ResidualCell, cells[1:])]
    stack = [layers.Recurrent(cell, return_sequences=True) for cell in wrapped]
    model = keras.Sequential([Dilated(layer, rate) for layer, rate in zip(stack, rates, strict=True)])
    sequences = rng.normal(size=(BATCH, 11, FEATURES)).astype("float32")
    outputs = model(sequences)
    states = [[cell.get_initial_state(BATCH)] * rate for cell, rate in zip(cells, rates, strict=True)]
    for step in range(11):
        h = ops.convert_to_tensor(sequences[:, step])
        for index, (cell, own) in enumerate(zip(cells, states, strict=True)):
            output, state = cell(h, own.pop(0))
            own.append(state)
            h = h + output if index else output
        assert_close(outputs[:, step], h, atol=1e-5)


def test_dropout_in_training_only(rng, assert_close):
    layer = Dilated(layers.GRU(UNITS, return_sequences=True, dropout=0.5), RATE)
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    outputs = layer(sequences)
    assert_close(layer(sequences, training=False), outputs)
    assert np.any(ops.convert_to_numpy(layer(sequences, training=True)) != ops.convert_to_numpy(outputs))


def test_mask_goes_on(rng):
    sequences = keras.layers.Masking()(np.where(MASK[..., None], rng.normal(size=(BATCH, STEPS, FEATURES)), 0))
    outputs = Dilated(layers.GRU(UNITS, return_sequences=True), RATE)(sequences)
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs._keras_mask), MASK)


def test_saved_model(rng, tmp_path, assert_close):
    residual = layers.Recurrent(layers.ResidualCell(layers.GRUCell(FEATURES)), return_sequences=True)
    model = keras.Sequential([keras.Input((None, FEATURES)), Dilated(residual, RATE)])
    model.save(tmp_path / "dilated.keras")
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    assert_close(keras.models.load_model(tmp_path / "dilated.keras")(sequences), model(sequences))


def test_no_steps():
    layer = Dilated(layers.GRU(UNITS, return_sequences=True), RATE)
    assert tuple(layer(ops.zeros((2, 0, FEATURES))).shape) == (2, 0, UNITS)


def test_refused():
    for layer in (
        layers.GRU(UNITS),
        layers.GRU(UNITS, return_sequences=True, stateful=True),
        keras.layers.Bidirectional(layers.GRU(UNITS, return_sequences=True), merge_mode=None),
    ):
        with pytest.raises(ValueError, match="layer"):
            Dilated(layer, RATE)
    for rate in (0, 2.0):
        with pytest.raises(ValueError, match="rate"):
            Dilated(layers.GRU(UNITS, return_sequences=True), rate)
