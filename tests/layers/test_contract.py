"""`SimpleRNN`, `LSTM` and `GRU` keep the contract of their namesakes in Keras: one table of layers, one of options."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent import layers

BATCH, STEPS, FEATURES, UNITS = 5, 6, 3, 4

NAMES = ["SimpleRNN", "LSTM", "GRU"]

LAYERS = [
    pytest.param("SimpleRNN", {}, id="simple_rnn"),
    pytest.param("LSTM", {}, id="lstm"),
    pytest.param("GRU", {}, id="gru"),
    pytest.param("GRU", {"reset_after": False}, id="gru_reset_before"),
]

OPTIONS = [
    {},
    {"use_bias": False, "go_backwards": True},
    {"return_sequences": True, "return_state": True, "go_backwards": True},
    {"activation": "relu", "return_sequences": True},
    {"activation": None, "use_bias": False, "return_state": True},
    {"unroll": True, "return_sequences": True},
    # Not without `return_sequences`, where Keras zeroes the last output.
    {"zero_output_for_mask": True, "return_sequences": True, "return_state": True},
]
# Each layer with every other option, so that each option meets two layers.
COMBINATIONS = [
    pytest.param(
        *layer.values,
        options,
        id=f"{layer.id}-{'-'.join(options) or 'defaults'}",
        marks=() if column < 4 else pytest.mark.slow_on_jax,
    )
    for row, layer in enumerate(LAYERS)
    for column, options in enumerate(OPTIONS)
    if (row + column) % 2 == 0
]

# Row by row: all steps, padding at the right, at the left, gaps, no step at all.
MASK = np.array(
    [[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1], [0, 1, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0]], dtype="bool"
)


# What Keras puts out before a row's first step that counts: 0, but on JAX the initial state, so there it gets none.
MASK_WITH_INITIAL_STATE = keras.config.backend() != "jax"


def pair(name, **options):
    """Ours and Keras's layer with the same random weights."""
    theirs, ours = (getattr(module, name)(UNITS, **options) for module in (keras.layers, layers))
    for layer in (theirs, ours):
        layer.build((BATCH, STEPS, FEATURES))
    rng = np.random.default_rng(2)
    theirs.set_weights([rng.normal(0, 0.5, weight.shape) for weight in theirs.weights])
    ours.set_weights(theirs.get_weights())
    return ours, theirs


def outputs_and_gradients(gradients, layer, sequences, initial_state, mask, training=True):
    """What the layer computes at inference, and the derivative of a weighted sum of it by everything that goes in.

    The derivative is that in training unless told otherwise: the loop may be another one there.
    """

    def outputs(training, sequences, *states):
        found = layer(sequences, initial_state=list(states) or None, mask=mask, training=training)
        return list(found) if isinstance(found, list | tuple) else [found]

    def loss(*inputs):
        found = outputs(training, *inputs)
        weights = [np.random.default_rng(3).normal(size=output.shape).astype("float32") for output in found]
        return sum(ops.sum(ops.multiply(output, weight)) for output, weight in zip(found, weights, strict=True))

    inputs = [sequences, *initial_state]
    found = outputs(False, *(ops.convert_to_tensor(x) for x in inputs))
    return found, gradients(loss, layer.trainable_variables, inputs)


@pytest.mark.parametrize(("name", "variant", "options"), COMBINATIONS)
def test_outputs_states_and_gradients(name, variant, options, gradients, rng, assert_close):
    ours, theirs = pair(name, **variant, **options)
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    # Masked with a given initial state, where Keras allows it, and neither for one option.
    is_masked = "activation" not in options
    states = []
    if is_masked == MASK_WITH_INITIAL_STATE:
        states = [rng.normal(size=(BATCH, UNITS)).astype("float32") for _ in theirs.state_size]
    mask = ops.convert_to_tensor(MASK) if is_masked else None
    outputs, derivatives = outputs_and_gradients(gradients, ours, sequences, states, mask)
    expected, expected_derivatives = outputs_and_gradients(gradients, theirs, sequences, states, mask)
    assert_close(outputs, expected, atol=1e-5)
    assert len(derivatives) == len(ours.weights) + 1 + len(states)
    assert_close(derivatives, expected_derivatives, atol=1e-5)


@pytest.mark.parametrize(("name", "variant"), LAYERS)
def test_gradients_at_inference(name, variant, gradients, rng, assert_close):
    layer, _ = pair(name, **variant, return_sequences=True, return_state=True)
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    states = [rng.normal(size=(BATCH, UNITS)).astype("float32") for _ in layer.state_size]
    found, expected = (
        outputs_and_gradients(gradients, layer, sequences, states, ops.convert_to_tensor(MASK), training=training)
        for training in (False, True)
    )
    assert_close(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    "activation",
    [
        "relu",
        "silu",  # whose derivative is not written
        *(
            pytest.param(activation, marks=pytest.mark.slow_on_jax)
            for activation in ("linear", "sigmoid", "hard_sigmoid", "softsign", "softplus", "elu", "leaky_relu")
        ),
    ],
)
@pytest.mark.slow_on_jax
def test_gradients_of_every_activation(activation, gradients, rng, assert_close):
    ours, theirs = pair("LSTM", activation=activation, recurrent_activation=activation, return_sequences=True)
    sequences = 0.5 * rng.normal(size=(BATCH, 3, FEATURES)).astype("float32")
    found, expected = (outputs_and_gradients(gradients, layer, sequences, [], None) for layer in (ours, theirs))
    assert_close(found, expected, atol=1e-4)


@pytest.mark.parametrize(("name", "variant"), LAYERS)
def test_gradients_with_dropout(name, variant, gradients, rng, assert_close):
    """Keras's layers draw other masks, so the reference is our cell in Keras's loop, with the same seed."""
    options = {"dropout": 0.3, "recurrent_dropout": 0.4, "seed": 4, **variant}
    ours = getattr(layers, name)(UNITS, **options, return_sequences=True, return_state=True)
    cell = getattr(layers, f"{name}Cell")(UNITS, **options)
    theirs = keras.layers.RNN(cell, return_sequences=True, return_state=True)
    for layer in (ours, theirs):
        layer.build((BATCH, STEPS, FEATURES))
    ours.set_weights([rng.normal(0, 0.5, weight.shape) for weight in ours.weights])
    theirs.set_weights(ours.get_weights())
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    states = [rng.normal(size=(BATCH, UNITS)).astype("float32") for _ in ours.state_size]
    mask = ops.convert_to_tensor(MASK) if MASK_WITH_INITIAL_STATE else None
    ours(sequences, training=True)  # Keras's loop draws masks at inference, too, and leaves them unused
    found, expected = (outputs_and_gradients(gradients, layer, sequences, states, mask) for layer in (ours, theirs))
    assert_close(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "variant", "jit_compile"),
    [("SimpleRNN", {}, False), ("LSTM", {}, True), ("GRU", {}, False), ("GRU", {"reset_after": False}, True)],
)
@pytest.mark.slow_on_jax
def test_training_step_in_a_graph(name, variant, jit_compile, rng, assert_close):
    batch = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32"), rng.normal(size=(BATCH, UNITS))
    batch[0][1:3, 4:] = 0
    weights = []
    for layer, eager in zip(pair(name, **variant), (False, True), strict=True):
        # An unknown number of steps, as in every model of texts.
        model = keras.Sequential([keras.Input((None, FEATURES)), keras.layers.Masking(), layer])
        # PyTorch's compiler takes minutes.
        jit = jit_compile and not eager and keras.config.backend() != "torch"
        model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=jit, run_eagerly=eager)
        model.train_on_batch(*batch)
        weights.append(model.get_weights())
    assert_close(*weights, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_signature(name):
    ours, theirs = (inspect.signature(getattr(module, name)).parameters.values() for module in (layers, keras.layers))
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]


@pytest.mark.parametrize("name", NAMES)
def test_cell_takes_every_keyword_of_keras(name):
    ours, theirs = (getattr(module, f"{name}Cell") for module in (layers, keras.layers))
    parameters = inspect.signature(theirs).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
    config = ours(UNITS, name="cell").get_config()
    assert ours(UNITS, name="cell", **defaults).get_config() == config
    assert config == theirs(UNITS, name="cell").get_config()


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(("name", "variant"), LAYERS)
def test_weights_move_both_ways(name, variant, use_bias, assert_close):
    ours, theirs = pair(name, **variant, use_bias=use_bias)
    assert [(w.name, w.shape) for w in ours.weights] == [(w.name, w.shape) for w in theirs.weights]
    # Saved models and optimizers find weights by path.
    assert [w.path.split("/")[1:] for w in ours.weights] == [w.path.split("/")[1:] for w in theirs.weights]
    weights = [weight + 1 for weight in ours.get_weights()]
    ours.set_weights(weights)
    theirs.set_weights(ours.get_weights())
    assert_close(theirs.get_weights(), weights)


@pytest.mark.parametrize("unit_forget_bias", [True, False])
def test_first_bias_of_the_lstm(unit_forget_bias, assert_close):
    options = {"bias_initializer": keras.initializers.Constant(0.5), "unit_forget_bias": unit_forget_bias}
    ours, theirs = (module.LSTM(UNITS, **options) for module in (layers, keras.layers))
    for layer in (ours, theirs):
        layer.build((BATCH, STEPS, FEATURES))
    assert_close(ours.cell.bias, theirs.cell.bias)


@pytest.mark.parametrize("name", NAMES)
def test_stateful(name, rng, assert_close):
    ours, theirs = pair(name, stateful=True)
    sequences = rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
    first = ours(sequences)
    assert_close(first, theirs(sequences), atol=1e-5)
    assert_close(ours(sequences), theirs(sequences), atol=1e-5)
    ours.reset_state()
    assert_close(ours(sequences), first)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("policy", ["float64", "mixed_float16", "mixed_bfloat16"])
def test_dtype_policy(name, policy, rng):
    layer = getattr(layers, name)(UNITS, dtype=policy, return_state=True)
    found = layer(rng.normal(size=(BATCH, STEPS, FEATURES)), mask=ops.convert_to_tensor(MASK))
    dtypes = [keras.backend.standardize_dtype(x.dtype) for x in found]
    if policy == "float64" and keras.config.backend() == "jax":
        policy = "float32"  # unless JAX is told otherwise
    assert dtypes == [policy.removeprefix("mixed_")] * len(found)
