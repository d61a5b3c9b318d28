"""The time loop on TensorFlow, JAX and PyTorch. No other file of the layers names a backend."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

import keras
from keras import ops, tree

from .types import Nest, Tensor


class LoopSettings(NamedTuple):
    """How time loops run; see `loop_settings`.

    Attributes:
        unroll: Whether a loop over a known number of steps becomes a Python loop.
        portable: Whether the loop is for the converters of an export.
        dense: Whether a portable loop writes its outputs to plain tensors, and not to arrays of tensors, which LiteRT
            does not have.
        node: In an export, a function `(cell, sequences, states, mask, flipped) -> (outputs, states)` that runs a whole
            layer in one operation of the format, or returns None for a layer that the format does not have. Arguments
            and results are those of `RecurrentCell.run`; `flipped` is the setting below.
        flipped: Whether a layer has reversed the order of the time steps.
        layer: In an export of one step, a function `(layer, run, initial_state) -> (last_output, outputs, states)` that
            calls `run` with the states of a layer.
        fused: Whether a layer may run in a fused kernel of a GPU; see `fused.py`.
        right_padded: Whether all masks are True up to the length of a row and False after it.
    """

    unroll: bool = False
    portable: bool = False
    dense: bool = False
    node: Callable | None = None
    flipped: bool = False
    layer: Callable | None = None
    fused: bool = True
    right_padded: bool = False


_DEFAULTS = LoopSettings()
_SETTINGS: ContextVar[LoopSettings] = ContextVar("loop_settings", default=_DEFAULTS)


@contextlib.contextmanager
def loop_settings(**changes: Any) -> Iterator[None]:
    """Within this context, loops run with other `LoopSettings`.

    Example:

    >>> from keras_recurrent.layers import LSTM
    >>> from keras_recurrent.layers.loop import loop_settings
    >>> with loop_settings(unroll=True):
    ...     LSTM(8)(ops.ones((2, 5, 3))).shape
    (2, 8)
    """
    token = _SETTINGS.set(_SETTINGS.get()._replace(**changes))
    try:
        yield
    finally:
        _SETTINGS.reset(token)


def current_settings() -> LoopSettings:
    """Returns the settings of the innermost `loop_settings`."""
    return _SETTINGS.get()


def scan(step: Callable[[Nest, Nest], tuple[Nest, Nest]], carry: Nest, inputs: Nest, reverse: bool = False) -> tuple:
    """Runs `step` over the leading axis of `inputs`.

    Args:
        step: Function `(carry, input) -> (carry, output)`. The carry keeps its structure, shapes and dtypes; the
            output is any nest of tensors.
        carry: Nest of tensors, the carry before the first step.
        inputs: Nest of tensors `(steps, ...)`. `steps` may be unknown until the loop runs, and may be 0.
        reverse: Whether to run from the last step to the first. The outputs keep the order of the inputs.

    Returns:
        `(carry, outputs)`: the carry after the final step, and a nest of the outputs of all steps, each `(steps, ...)`.

    Example:

    >>> from keras_recurrent.layers.loop import scan
    >>> total, sums = scan(lambda total, x: (total + x, total + x), ops.zeros(()), ops.ones(3))
    >>> [float(s) for s in sums]
    [1.0, 2.0, 3.0]
    """
    settings = current_settings()
    if settings.unroll and tree.flatten(inputs)[0].shape[0]:
        return _scan_unrolled(step, carry, inputs, reverse)
    if settings.portable:
        return _scan_portable(step, carry, inputs, reverse, settings.dense)
    return _BACKENDS[keras.config.backend()][0](step, carry, inputs, reverse)


def cut(array: Tensor, length: Tensor, axis: int) -> Tensor:
    """Returns the first `length` entries of an axis; on JAX, whose shapes are static, all of them.

    Example:

    >>> from keras_recurrent.layers.loop import cut
    >>> ops.shape(cut(ops.zeros((2, 8)), 8, axis=1))
    (2, 8)
    """
    return array if keras.config.backend() == "jax" else array[(slice(None),) * axis + (slice(length),)]


def with_gradient(forward: Callable, backward: Callable, *arguments: Tensor) -> tuple[Tensor, ...]:
    """Calls `forward` with a custom derivative.

    Args:
        forward: Function `(*arguments) -> (outputs, saved)`: a tuple of tensors, and what `backward` needs.
        backward: Function `(saved, upstream) -> gradients`: from the tuple of the derivatives with respect to the
            outputs to the list of those with respect to the arguments.
        *arguments: Tensors.

    Returns:
        The outputs of `forward`.

    Example:

    >>> from keras_recurrent.layers.loop import with_gradient
    >>> def forward(x):
    ...     return (x * x,), x
    >>> def backward(x, upstream):
    ...     return [2 * x * upstream[0]]
    >>> (square,) = with_gradient(forward, backward, ops.convert_to_tensor(3.0))
    >>> float(square)
    9.0
    """
    return _BACKENDS[keras.config.backend()][1](forward, backward, *arguments)


def gradients(function: Callable[..., Tensor], arguments: list[Tensor]) -> list[Tensor]:
    """Computes the derivatives of a scalar `function(*arguments)` with respect to its arguments.

    Example:

    >>> from keras_recurrent.layers.loop import gradients
    >>> (double,) = gradients(lambda x: ops.sum(x * x), [ops.ones(2)])
    >>> [float(d) for d in double]
    [2.0, 2.0]
    """
    return _BACKENDS[keras.config.backend()][2](function, arguments)


def fused_kernel(name: str, inputs: Tensor, with_mask: bool) -> Callable | None:
    """Returns the kernel of cuDNN that runs a whole layer, or None if there is none for these inputs.

    Args:
        name: `"lstm"` or `"gru"`.
        inputs: Tensor of the dtype and on the device of the computation.
        with_mask: Whether the kernel gets a mask.

    Returns:
        Function `(inputs, states, mask, weights) -> (outputs, states)` from a tensor `(batch, steps, features)`, a list
        of tensors `(batch, units)`, a right-padded boolean mask `(batch, steps)` without empty rows or None, and the
        kernel, the recurrent kernel and the bias of a cell. The outputs `(batch, steps, units)` of padding are
        undefined. It raises `NotImplementedError` if the kernel does not exist after all.

    Example:

    >>> from keras_recurrent.layers.loop import fused_kernel
    >>> kernel = fused_kernel("lstm", ops.ones((2, 5, 3)), with_mask=False)  # None without a GPU
    """
    return _BACKENDS[keras.config.backend()][3](name, inputs, with_mask)


def fused_excludes_xla() -> bool:
    """Returns whether a graph with fused kernels cannot be compiled by XLA: on TensorFlow, with a GPU."""
    from . import keras_internals  # which imports this module

    return keras.config.backend() == "tensorflow" and keras_internals.keras_kernel("lstm") is not None


def _scan_unrolled(step, carry, inputs, reverse):
    steps = tree.flatten(inputs)[0].shape[0]
    if steps == 0:
        example = tree.map_structure(
            lambda x: ops.zeros(tuple(x.shape[1:]), keras.backend.standardize_dtype(x.dtype)), inputs
        )
        _, output = step(carry, example)
        return carry, tree.map_structure(lambda x: ops.stack([x])[:0], output)
    outputs = []
    for time in reversed(range(steps)) if reverse else range(steps):
        carry, output = step(carry, tree.map_structure(lambda x, time=time: x[time], inputs))
        outputs.append(output)
    if reverse:
        outputs.reverse()
    return carry, tree.map_structure(lambda *xs: ops.stack(xs), *outputs)


def _scan_portable(step, carry, inputs, reverse, dense):
    """Runs the loop of an export, from the first step to the last: a converter may ignore the index of a write."""
    scan = _scan_dense if dense else _scan_tensorflow
    if not reverse:
        return scan(step, carry, inputs)
    carry, outputs = scan(step, carry, tree.map_structure(lambda x: ops.flip(x, 0), inputs))
    return carry, tree.map_structure(lambda x: ops.flip(x, 0), outputs)


def _scan_tensorflow(step, carry, inputs, reverse=False):
    import tensorflow as tf

    outputs, steps = _example_tensorflow(step, carry, inputs)
    reads = tree.map_structure(lambda x: tf.TensorArray(x.dtype, steps).unstack(x), inputs)
    writes = [tf.TensorArray(x.dtype, steps, element_shape=x.shape) for x in tree.flatten(outputs)]

    def body(count, carry, writes):
        time = steps - 1 - count if reverse else count
        new_carry, output = step(carry, tree.map_structure(lambda array: array.read(time), reads))
        # `tf.while_loop` requires the types of the carry's containers to stay the same.
        new_carry = tree.pack_sequence_as(carry, tree.flatten(new_carry))
        writes = [array.write(time, x) for array, x in zip(writes, tree.flatten(output), strict=True)]
        return count + 1, new_carry, writes

    _, carry, writes = tf.while_loop(
        lambda count, carry, writes: count < steps, body, (0, carry, writes), maximum_iterations=steps
    )
    return carry, tree.pack_sequence_as(outputs, [array.stack() for array in writes])


def _scan_dense(step, carry, inputs):
    """`_scan_tensorflow` without arrays of tensors. Each step copies the outputs of all steps."""
    import tensorflow as tf

    outputs, steps = _example_tensorflow(step, carry, inputs)
    times = tf.range(steps)
    writes = []
    for x in tree.flatten(outputs):
        write = tf.zeros(tf.concat([[steps], tf.shape(x)], 0), x.dtype)
        write.set_shape([times.shape[0], *x.shape])
        writes.append(write)

    def body(count, carry, writes):
        new_carry, output = step(carry, tree.map_structure(lambda x: tf.gather(x, count), inputs))
        new_carry = tree.pack_sequence_as(carry, tree.flatten(new_carry))
        # A comparison costs less in LiteRT than the indices of `tf.tensor_scatter_nd_update`.
        writes = [
            tf.where(tf.reshape(times == count, [-1] + [1] * x.shape.rank), x, write)
            for write, x in zip(writes, tree.flatten(output), strict=True)
        ]
        return count + 1, new_carry, writes

    _, carry, writes = tf.while_loop(lambda count, carry, writes: count < steps, body, (0, carry, writes))
    return carry, tree.pack_sequence_as(outputs, writes)


def _example_tensorflow(step, carry, inputs):
    """Returns `(outputs, steps)`: tensors of the shapes of a step's outputs, and the number of steps."""
    import tensorflow as tf

    # For the shapes of the outputs, also if there are no steps. A graph prunes it, since nothing reads its values.
    example = tree.map_structure(lambda x: tf.zeros(tf.shape(x)[1:], x.dtype), inputs)
    for x, y in zip(tree.flatten(example), tree.flatten(inputs), strict=True):
        x.set_shape(y.shape[1:])
    _, outputs = step(carry, example)
    first = tree.flatten(inputs)[0]
    return outputs, first.shape[0] if first.shape[0] is not None else tf.shape(first)[0]


def _with_gradient_tensorflow(forward, backward, *arguments):
    import tensorflow as tf

    @tf.custom_gradient
    def function(*arguments):
        outputs, saved = forward(*arguments)
        return outputs, lambda *upstream: backward(saved, upstream)

    return function(*(tf.convert_to_tensor(x) for x in arguments))  # not variables, which need gradients of their own


def _gradients_tensorflow(function, arguments):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = function(*arguments)
    return tape.gradient(value, arguments, unconnected_gradients="zero")


def _fused_tensorflow(name, inputs, with_mask):
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_util  # private; XLA has no such operations

    from . import keras_internals  # which imports this module

    kernel = keras_internals.keras_kernel(name)
    if kernel is None or control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()):
        return None

    def run(inputs, states, mask, weights):
        _, outputs, states = kernel(inputs, states, mask, weights)
        return outputs, list(states)

    return run


def _scan_jax(step, carry, inputs, reverse):
    import jax

    return jax.lax.scan(step, carry, inputs, reverse=reverse)


def _with_gradient_jax(forward, backward, *arguments):
    import jax

    @jax.custom_gradient
    def function(*arguments):
        outputs, saved = forward(*arguments)
        return outputs, lambda upstream: tuple(backward(saved, upstream))

    return function(*arguments)


def _gradients_jax(function, arguments):
    import jax

    return list(jax.grad(function, argnums=tuple(range(len(arguments))))(*arguments))


def _fused_jax(name, inputs, with_mask):
    import jax
    from jax import numpy as jnp

    # JAX has the kernel of the LSTM, in float32. On several devices, it would run on all of them with the whole batch.
    is_supported = name == "lstm" and inputs.dtype == jnp.float32 and keras.distribution.distribution() is None
    if not is_supported or jax.default_backend() != "gpu":
        return None

    def run(inputs, states, mask, weights):
        try:
            from jax.experimental import rnn
        except ImportError as error:  # experimental modules may move
            raise NotImplementedError("JAX has no kernel of the LSTM") from error
        kernel, recurrent_kernel, bias = weights
        batch, steps, features = inputs.shape
        lengths = jnp.full(batch, steps, "int32") if mask is None else jnp.sum(mask, 1, dtype="int32")
        # cuDNN has the gates in the order of Keras, and a second bias.
        flat = jnp.concatenate([kernel.T.ravel(), recurrent_kernel.T.ravel(), bias, jnp.zeros_like(bias)])
        h, c = (state[None] for state in states)  # each (layers, batch, units)
        sizes = {"input_size": features, "hidden_size": recurrent_kernel.shape[0], "num_layers": 1}
        outputs, h, c = rnn.lstm(inputs, h, c, flat, lengths, **sizes, dropout=0.0, bidirectional=False)
        return outputs, [h[0], c[0]]

    return run


def _with_gradient_torch(forward, backward, *arguments):
    import torch

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(context, *arguments):
            outputs, context.saved = forward(*arguments)
            return outputs

        @staticmethod
        def backward(context, *upstream):
            with torch.no_grad():
                return tuple(backward(context.saved, upstream))

    return Function.apply(*arguments)


def _gradients_torch(function, arguments):
    import torch

    arguments = [x.detach().requires_grad_() for x in arguments]
    return list(torch.autograd.grad(function(*arguments), arguments, allow_unused=True, materialize_grads=True))


def _fused_torch(name, inputs, with_mask):
    import torch

    # PyTorch's kernels take the lengths of rows from the CPU alone.
    if with_mask or not _is_on_gpu_torch(inputs) or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return None

    def run(inputs, states, mask, weights):
        kernel, recurrent_kernel, bias = weights
        if name == "gru":  # PyTorch has the reset gate first
            kernel, recurrent_kernel, bias = (
                torch.cat([r, z, g], -1) for z, r, g in (torch.chunk(weight, 3, -1) for weight in weights)
            )
        biases = bias if name == "gru" else (bias, torch.zeros_like(bias))
        flat = [kernel.T.contiguous(), recurrent_kernel.T.contiguous(), *biases]
        initial = [state[None].contiguous() for state in states]  # each (layers, batch, units)
        # With biases, one layer, without dropout, one direction, batch first.
        options = (True, 1, 0.0, torch.is_grad_enabled(), False, True)
        outputs, *last = getattr(torch, name)(inputs, initial if name == "lstm" else initial[0], flat, *options)
        return outputs, [state[0] for state in last]

    return run


def _is_on_gpu_torch(inputs):
    import torch

    return inputs.is_cuda and torch.backends.cudnn.is_available()


_BACKENDS = {
    "tensorflow": (_scan_tensorflow, _with_gradient_tensorflow, _gradients_tensorflow, _fused_tensorflow),
    "jax": (_scan_jax, _with_gradient_jax, _gradients_jax, _fused_jax),
    "torch": (_scan_unrolled, _with_gradient_torch, _gradients_torch, _fused_torch),
}
