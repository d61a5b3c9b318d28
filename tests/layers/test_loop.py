"""The time loop."""

from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent.layers.loop import current_settings, loop_settings, scan, with_gradient


class Carry(NamedTuple):
    count: Any
    sums: Any


def cumulative(total, x):
    return total + x, total + x


def test_cumulative_sum(rng):
    inputs = rng.normal(size=(7, 2, 3)).astype("float32")
    total, sums = scan(cumulative, ops.ones((2, 3)), ops.convert_to_tensor(inputs))
    np.testing.assert_allclose(sums, 1 + np.cumsum(inputs, axis=0), atol=1e-5)
    np.testing.assert_allclose(total, sums[-1])


def test_reverse(rng):
    inputs = rng.normal(size=(7, 2)).astype("float32")
    total, sums = scan(cumulative, ops.zeros((2,)), ops.convert_to_tensor(inputs), reverse=True)
    np.testing.assert_allclose(sums, np.cumsum(inputs[::-1], axis=0)[::-1], atol=1e-5)
    np.testing.assert_allclose(total, sums[0])


def test_gradient_of_ones_own(gradients, rng):
    x, y = rng.normal(size=(2, 3)).astype("float32")

    def forward(x, y):
        return (x * y, x + y), (x, y)

    def backward(saved, upstream):
        # Not the derivative, to tell it from that of autodiff.
        return [10 * saved[1] * upstream[0], 20 * upstream[1]]

    def loss(x, y):
        product, total = with_gradient(forward, backward, x, y)
        return ops.sum(product) + 3 * ops.sum(total)

    d_x, d_y = gradients(loss, inputs=[x, y])
    np.testing.assert_allclose(d_x, 10 * y, rtol=1e-5)
    np.testing.assert_allclose(d_y, [60, 60, 60], rtol=1e-5)


def test_nests(rng):
    inputs = rng.normal(size=(4, 2)).astype("float32")

    def step(carry, x):
        count, (total, product) = carry
        new = Carry(count + 1, [total + x["a"], product * x["b"][0]])
        return new, {"before": total, "pair": (x["a"], ops.expand_dims(count, 0))}

    carry = Carry(ops.zeros((), "int32"), [ops.zeros(2), ops.ones(2)])
    carry, outputs = scan(step, carry, {"a": ops.convert_to_tensor(inputs), "b": [ops.convert_to_tensor(-inputs)]})
    assert isinstance(carry, Carry)
    assert int(carry.count) == 4
    np.testing.assert_allclose(carry.sums[0], inputs.sum(axis=0), atol=1e-5)
    np.testing.assert_allclose(carry.sums[1], np.prod(-inputs, axis=0), atol=1e-5)
    sums = np.concatenate([np.zeros((1, 2)), np.cumsum(inputs, axis=0)[:-1]])
    np.testing.assert_allclose(outputs["before"], sums, atol=1e-5)
    np.testing.assert_allclose(outputs["pair"][0], inputs)
    np.testing.assert_array_equal(outputs["pair"][1], [[0], [1], [2], [3]])


def test_zero_steps():
    total, (sums, pairs) = scan(
        lambda total, x: (total + x, (total, ops.stack([x, x]))), ops.full((3,), 5.0), ops.zeros((0, 3))
    )
    np.testing.assert_array_equal(total, [5, 5, 5])
    assert tuple(sums.shape) == (0, 3)
    assert tuple(pairs.shape) == (0, 2, 3)


def test_gradient(gradients, rng):
    inputs, carry, weights = (rng.normal(size=shape).astype("float32") for shape in ((4, 3), (3,), (4, 3)))

    def loss(inputs, carry):
        carry, outputs = scan(lambda h, x: (ops.tanh(h * x + x), ops.sin(h) * x), carry, inputs)
        return ops.sum(ops.multiply(outputs, weights)) + ops.sum(carry)

    def loss_by_hand(inputs, carry):
        total = 0.0
        for x, weight in zip(inputs, weights, strict=True):
            total += np.sum(np.sin(carry) * x * weight)
            carry = np.tanh(carry * x + x)
        return total + np.sum(carry)

    found = gradients(loss, inputs=[inputs, carry])
    at = [inputs.astype("float64"), carry.astype("float64")]
    for x, gradient in zip(at, found, strict=True):
        expected = np.zeros_like(x)
        for index in np.ndindex(x.shape):
            value = x[index]
            x[index] = value + 1e-5
            above = loss_by_hand(*at)
            x[index] = value - 1e-5
            expected[index] = (above - loss_by_hand(*at)) / 2e-5
            x[index] = value
        np.testing.assert_allclose(gradient, expected, atol=1e-4)


@keras.saving.register_keras_serializable(package="tests")
class CumulativeSum(keras.layers.Layer):
    def call(self, x):
        _, sums = scan(cumulative, ops.zeros_like(x[:, 0]), ops.transpose(x, (1, 0, 2)))
        return ops.transpose(sums, (1, 0, 2))


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "jit"])
def test_compiled_with_an_unknown_number_of_steps(jit_compile, rng):
    model = keras.Sequential([keras.Input((None, 2)), CumulativeSum()])
    # PyTorch's compiler takes minutes.
    model.compile(jit_compile=jit_compile and keras.config.backend() != "torch")
    assert model.output_shape == (None, None, 2)
    for steps in (3, 6, 1):
        inputs = rng.normal(size=(4, steps, 2)).astype("float32")
        np.testing.assert_allclose(model.predict_on_batch(inputs), np.cumsum(inputs, axis=1), atol=1e-5)


def test_unrolled(rng):
    inputs = ops.convert_to_tensor(rng.normal(size=(4, 2)).astype("float32"))
    for reverse in (False, True):
        expected = scan(cumulative, ops.zeros(2), inputs, reverse)
        with loop_settings(unroll=True):
            total, sums = scan(cumulative, ops.zeros(2), inputs, reverse)
        np.testing.assert_allclose(total, expected[0], atol=1e-6)
        np.testing.assert_allclose(sums, expected[1], atol=1e-6)
    assert not current_settings().unroll


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="exports require TensorFlow")
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_loop_of_an_export(steps, reverse, dense, rng):
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None, 2))])
    def run(inputs):
        return scan(lambda total, x: (total + x, (total, x[None] > 0)), tf.ones(2), inputs, reverse)

    inputs = rng.normal(size=(steps, 2)).astype("float32")
    expected = keras.tree.flatten(run(inputs))
    with loop_settings(portable=True, dense=dense):
        outputs = keras.tree.flatten(tf.function(run.python_function, run.input_signature)(inputs))
    for output, value in zip(outputs, expected, strict=True):
        assert output.dtype == value.dtype
        np.testing.assert_allclose(output, value, atol=1e-6)
