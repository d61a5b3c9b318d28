"""What differs between the backends, in one place; the tests themselves use `keras.ops` only."""

import random

import keras
import numpy as np
import pytest
from keras import ops, tree


def pytest_configure(config):
    config.addinivalue_line("markers", "requires_trainable_backend: of Keras's own tests")


def _gradients_tensorflow(function, variables, inputs):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = function(*inputs)
    return tape.gradient(loss, [*variables, *inputs])


def _gradients_jax(function, variables, inputs):
    import jax

    def loss(values, inputs):
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return function(*inputs)

    of_variables, of_inputs = jax.grad(loss, argnums=(0, 1))([v.value for v in variables], inputs)
    return [*of_variables, *of_inputs]


def _gradients_torch(function, variables, inputs):
    import torch

    inputs = [x.requires_grad_() for x in inputs]
    return torch.autograd.grad(function(*inputs), [*(v.value for v in variables), *inputs])


_GRADIENTS = {"tensorflow": _gradients_tensorflow, "jax": _gradients_jax, "torch": _gradients_torch}


@pytest.fixture(scope="session")
def gradients():
    """`gradients(function, variables, inputs)`: arrays, the derivatives of the scalar `function(*inputs)` by each."""

    def gradients(function, variables=(), inputs=()):
        inputs = [ops.convert_to_tensor(x) for x in inputs]
        found = _GRADIENTS[keras.config.backend()](function, list(variables), inputs)
        return [ops.convert_to_numpy(gradient) for gradient in found]

    return gradients


@pytest.fixture(scope="session")
def assert_close():
    """`assert_close(found, expected, atol)`, of tensors, arrays or nests of them."""

    def assert_close(found, expected, atol=1e-6, rtol=1e-5):
        # PyTorch's tensors do not become arrays by themselves where they have gradients.
        found, expected = ([ops.convert_to_numpy(x) for x in tree.flatten(nest)] for nest in (found, expected))
        assert len(found) == len(expected)
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_allclose(x, y, atol=atol, rtol=rtol)

    return assert_close


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def seed():
    # Not `keras.utils.set_random_seed`, which discards TensorFlow's compiled kernels each time.
    random.seed(1)
    np.random.seed(1)


@pytest.fixture(scope="module", autouse=True)
def _compiled_code_is_given_back():
    """JAX keeps all it ever compiled; without this it crashed in its compiler, late in a run of all files."""
    yield
    if keras.config.backend() == "jax":
        import jax

        jax.clear_caches()
