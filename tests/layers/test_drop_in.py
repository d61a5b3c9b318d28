"""Any configuration that Keras's layers have, drawn at random, against Keras's layers; in float64 where Keras can."""

import os

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from keras_recurrent import layers

# Keras's operations are float32 at most on JAX, and so are its matrix products on PyTorch.
DTYPE, TOLERANCE = ("float64", 1e-9) if keras.config.backend() == "tensorflow" else ("float32", 1e-4)

ACTIVATIONS = ["tanh", "sigmoid", "relu", "linear", "hard_sigmoid", "softsign", "elu", "softplus", "silu"]


@st.composite
def configurations(draw):
    """A layer's name, its arguments and the shapes and flags of a call."""
    name = draw(st.sampled_from(["SimpleRNN", "LSTM", "GRU"]))
    arguments = {
        "units": draw(st.integers(1, 4)),
        "activation": draw(st.sampled_from(ACTIVATIONS)),
        "use_bias": draw(st.booleans()),
        "go_backwards": draw(st.booleans()),
        "return_sequences": draw(st.booleans()),
        "return_state": draw(st.booleans()),
    }
    if name != "SimpleRNN":
        arguments["use_cudnn"] = False  # Keras's fused loop on PyTorch computes in float32
        arguments["recurrent_activation"] = draw(st.sampled_from(["sigmoid", "hard_sigmoid", "tanh"]))
    if name == "GRU":
        arguments["reset_after"] = draw(st.booleans())
    batch, steps = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    mask = None
    if draw(st.booleans()):
        mask = np.array(
            draw(st.lists(st.lists(st.booleans(), min_size=steps, max_size=steps), min_size=batch, max_size=batch))
        )
        # Of the last output alone, Keras's is zero where the last step is masked; ours is the last that counts.
        arguments["zero_output_for_mask"] = arguments["return_sequences"] and draw(st.booleans())
    return name, arguments, batch, steps, draw(st.integers(1, 3)), mask, draw(st.booleans()), draw(st.booleans())


@pytest.mark.skipif(keras.config.backend() == "jax", reason="on JAX Keras's first masked output is the initial state")
@given(configurations(), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None, derandomize="CI" in os.environ)
def test_outputs_states_and_gradients_are_those_of_keras(gradients, assert_close, configuration, seed):
    name, arguments, batch, steps, features, mask, has_initial_state, training = configuration
    random = np.random.default_rng(seed)
    inputs = [random.normal(size=(batch, steps, features)).astype(DTYPE)]
    if has_initial_state:
        count = 2 if name == "LSTM" else 1
        inputs += [random.normal(size=(batch, arguments["units"])).astype(DTYPE) for _ in range(count)]

    ours, theirs = (getattr(module, name)(**arguments, dtype=DTYPE) for module in (layers, keras.layers))
    for layer in (ours, theirs):
        layer.build(inputs[0].shape)
    weights = [random.normal(size=weight.shape) for weight in ours.get_weights()]
    mask = None if mask is None else ops.convert_to_tensor(mask)
    found = []
    for layer in (ours, theirs):
        layer.set_weights(weights)

        def outputs(sequences, *states, layer=layer):
            outputs = layer(sequences, initial_state=list(states) or None, mask=mask, training=training)
            return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]

        def loss(*inputs, outputs=outputs):
            return sum(ops.sum(ops.sin(output + index)) for index, output in enumerate(outputs(*inputs)))

        values = outputs(*(ops.convert_to_tensor(x) for x in inputs))
        found.append((values, gradients(loss, layer.trainable_variables, inputs)))
    (values, derivatives), (expected_values, expected_derivatives) = found
    assert_close(values, expected_values, atol=TOLERANCE, rtol=TOLERANCE)
    assert_close(derivatives, expected_derivatives, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="finite differences need float64")
@pytest.mark.parametrize("recurrent_dropout", [0.0, 0.5])
@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU"])
def test_gradients_are_finite_differences(name, recurrent_dropout, gradients, rng):
    layer = getattr(layers, name)(3, return_sequences=True, return_state=True, dtype="float64", seed=5)
    layer.cell.recurrent_dropout = recurrent_dropout
    sequences = rng.normal(size=(2, 4, 2))
    states = [rng.normal(size=(2, 3)) for _ in layer.state_size]
    mask = ops.convert_to_tensor(np.array([[1, 0, 1, 1], [0, 1, 1, 0]], bool))
    layer.build(sequences.shape)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    seed = layer.cell.seed_generator.state
    start = ops.convert_to_numpy(seed.value)

    def loss(sequences, *states):
        seed.assign(start)  # the same dropout masks each time
        outputs = layer(sequences, initial_state=list(states), mask=mask, training=True)
        return sum(ops.sum(ops.sin(output)) for output in outputs)

    inputs = [sequences, *states]
    derivatives = gradients(loss, layer.trainable_variables, inputs)
    values = [*layer.get_weights()[: len(layer.trainable_variables)], *inputs]
    for index, (value, derivative) in enumerate(zip(values, derivatives, strict=True)):
        # Along a direction that no entry is left out of.
        direction = rng.uniform(0.5, 1.5, size=value.shape) * rng.choice([-1, 1], size=value.shape)
        ends = []
        for epsilon in (1e-6, -1e-6):
            moved = [*values]
            moved[index] = value + epsilon * direction
            for weight, array in zip(layer.trainable_variables, moved, strict=False):
                weight.assign(array)
            ends.append(float(loss(*map(ops.convert_to_tensor, moved[-len(inputs) :]))))
        assert np.sum(derivative * direction) == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-6)


@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU"])
def test_weights_file_of_built_in_layers_loads(name, tmp_path, rng):
    theirs, ours = (
        keras.Sequential([keras.Input((None, 3)), keras.layers.Bidirectional(getattr(module, name)(4))])
        for module in (keras.layers, layers)
    )
    theirs.save_weights(tmp_path / "model.weights.h5")
    ours.load_weights(tmp_path / "model.weights.h5")
    sequences = rng.normal(size=(2, 5, 3)).astype("float32")
    found, expected = (ops.convert_to_numpy(model(sequences)) for model in (ours, theirs))
    np.testing.assert_allclose(found, expected, atol=1e-6)
