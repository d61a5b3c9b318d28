"""Functions of a model, compiled by the backend: arrays in, arrays out."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from ....layers.types import Nest
from ..text.ragged import bucketed


def compiled(function: Callable[..., Any], model: keras.Model, signature: Sequence[Nest]) -> Callable[..., Any]:
    """Compiles a function that computes with a model's weights. It reads their present values in each call.

    Args:
        function: Function from tensors to a nest of tensors, written with `keras.ops`.
        model: The model.
        signature: The specifications of the arguments, each a nest. None is any size. On JAX, which compiles every new
            shape, a batch is filled with copies of its last row to one of few sizes, if all arrays with any number of
            rows have the same number. The results must have as many rows then.

    Returns:
        The same function from arrays to a nest of NumPy arrays.
    """
    run = _COMPILERS[keras.config.backend()](function, model, signature)

    def call(*arguments: Any) -> Any:
        inputs = tree.map_structure(_as_input, list(signature), list(arguments))
        return tree.map_structure(ops.convert_to_numpy, run(*inputs))

    return call


def _as_input(spec: keras.InputSpec, value: Any) -> Any:
    # JAX copies arrays to all devices, but no tensors.
    if keras.config.backend() == "jax":
        array = np.asarray(value)
        return array if array.dtype.name == spec.dtype else array.astype(spec.dtype)
    return ops.convert_to_tensor(value, spec.dtype)


def _tensorflow(function: Callable, model: keras.Model, signature: Sequence[Nest]) -> Callable:
    import tensorflow as tf

    specs = tree.map_structure(lambda spec: tf.TensorSpec(spec.shape, spec.dtype), list(signature))
    return tf.function(function, input_signature=specs, autograph=False)


def _jax(function: Callable, model: keras.Model, signature: Sequence[Nest]) -> Callable:
    import jax

    distribution = keras.distribution.distribution()
    everywhere = None
    if distribution is not None:
        mesh = distribution.device_mesh.backend_mesh
        everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())

    @functools.partial(jax.jit, out_shardings=everywhere)
    def run(values: list[Any], *arguments: Any) -> Any:
        with keras.StatelessScope(zip(model.variables, values, strict=True)):
            return function(*arguments)

    has_rows = [bool(spec.shape) and spec.shape[0] is None for spec in tree.flatten(list(signature))]

    def call(*arguments: Any) -> Any:
        arrays = tree.flatten(list(arguments))
        sizes = {len(array) for array, is_batch in zip(arrays, has_rows, strict=True) if is_batch}
        rows = sizes.pop() if len(sizes) == 1 else 0
        if rows != _rows(rows):
            indices = np.minimum(np.arange(_rows(rows)), rows - 1)
            pairs = zip(arrays, has_rows, strict=True)
            arrays = [np.asarray(array)[indices] if is_batch else array for array, is_batch in pairs]
            arguments = tree.pack_sequence_as(arguments, arrays)
        outputs = run([variable.value for variable in model.variables], *arguments)
        if rows != _rows(rows):
            outputs = tree.map_structure(lambda output: ops.convert_to_numpy(output)[:rows], outputs)
        return outputs

    return call


def _rows(rows: int) -> int:
    """Rounds a number of rows up to 0, 1, 2, 4, 8, 16, 24, 32, 48, 64, 96, ..."""
    return int(bucketed(rows)) if rows > 8 else rows and 2 ** (rows - 1).bit_length()


def _torch(function: Callable, model: keras.Model, signature: Sequence[Nest]) -> Callable:
    import torch

    @torch.no_grad()
    def run(*arguments: Any) -> Any:
        return function(*arguments)

    return run


_COMPILERS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
