"""The one time loop, over TensorFlow, JAX or PyTorch: the only file here that names a backend."""

import keras
from keras import tree


def scan(step, carry, inputs, reverse=False):
    """Runs `step` over the leading axis of `inputs`.

    Args:
        step: Function `(carry, input) -> (carry, output)`. The carry keeps its structure, shapes and dtypes; the
            output is any nest of tensors.
        carry: The nest of tensors that enters the first step.
        inputs: Nest of tensors `(steps, ...)`. `steps` may be unknown until the loop runs, and may be 0.
        reverse: Whether the steps are taken from the last to the first. Outputs keep the order of the inputs.

    Returns:
        `(carry, outputs)`: what left the last step taken, and the outputs of all steps, each `(steps, ...)`.

    Example:

    >>> total, sums = scan(lambda total, x: (total + x, total + x), ops.zeros(()), ops.ones(3))
    >>> [float(s) for s in sums]
    [1.0, 2.0, 3.0]
    """
    return _BACKENDS[keras.config.backend()][0](step, carry, inputs, reverse)


def with_gradient(forward, backward, *arguments):
    """Calls `forward` with a derivative of one's own.

    Args:
        forward: Function `(*arguments) -> (outputs, saved)`, a tuple of tensors and what `backward` needs.
        backward: Function `(saved, upstream) -> gradients`: from the derivatives with respect to the outputs, a tuple,
            to those with respect to the arguments, a list.
        *arguments: Tensors.

    Returns:
        The outputs of `forward`.

    Example:

    >>> def forward(x):
    ...     return (x * x,), x
    >>> def backward(x, upstream):
    ...     return [2 * x * upstream[0]]
    >>> (square,) = with_gradient(forward, backward, ops.convert_to_tensor(3.0))
    >>> float(square)
    9.0
    """
    return _BACKENDS[keras.config.backend()][1](forward, backward, *arguments)


def gradients(function, arguments):
    """The derivatives of a scalar `function(*arguments)` with respect to its arguments, a list of tensors.

    Example:

    >>> (double,) = gradients(lambda x: ops.sum(x * x), [ops.ones(2)])
    >>> [float(d) for d in double]
    [2.0, 2.0]
    """
    return _BACKENDS[keras.config.backend()][2](function, arguments)


def _scan_tensorflow(step, carry, inputs, reverse):
    import tensorflow as tf

    # Tells the outputs' shapes, also where there are no steps. A graph prunes it: nothing reads its values.
    example = tree.map_structure(lambda x: tf.zeros(tf.shape(x)[1:], x.dtype), inputs)
    example = tree.map_structure(lambda x, y: tf.ensure_shape(x, y.shape[1:]), example, inputs)
    _, outputs = step(carry, example)

    first = tree.flatten(inputs)[0]
    steps = first.shape[0] if first.shape[0] is not None else tf.shape(first)[0]
    reads = tree.map_structure(lambda x: tf.TensorArray(x.dtype, steps).unstack(x), inputs)
    writes = [tf.TensorArray(x.dtype, steps, element_shape=x.shape) for x in tree.flatten(outputs)]

    def body(count, carry, writes):
        time = steps - 1 - count if reverse else count
        new_carry, output = step(carry, tree.map_structure(lambda array: array.read(time), reads))
        # The loop wants the very structure that entered it: a namedtuple stays one, and a tuple of states a tuple.
        new_carry = tree.pack_sequence_as(carry, tree.flatten(new_carry))
        writes = [array.write(time, x) for array, x in zip(writes, tree.flatten(output), strict=True)]
        return count + 1, new_carry, writes

    _, carry, writes = tf.while_loop(
        lambda count, carry, writes: count < steps, body, (0, carry, writes), maximum_iterations=steps
    )
    return carry, tree.pack_sequence_as(outputs, [array.stack() for array in writes])


def _with_gradient_tensorflow(forward, backward, *arguments):
    import tensorflow as tf

    @tf.custom_gradient
    def function(*arguments):
        outputs, saved = forward(*arguments)
        return outputs, lambda *upstream: backward(saved, upstream)

    return function(*(tf.convert_to_tensor(x) for x in arguments))  # values: a variable would want a gradient itself


def _gradients_tensorflow(function, arguments):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = function(*arguments)
    return tape.gradient(value, arguments, unconnected_gradients="zero")


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


def _scan_torch(step, carry, inputs, reverse):
    import torch

    steps = tree.flatten(inputs)[0].shape[0]
    if steps == 0:
        example = tree.map_structure(lambda x: x.new_zeros(x.shape[1:]), inputs)
        _, output = step(carry, example)
        return carry, tree.map_structure(lambda x: x.new_zeros((0, *x.shape)), output)
    outputs = []
    for time in reversed(range(steps)) if reverse else range(steps):
        carry, output = step(carry, tree.map_structure(lambda x, time=time: x[time], inputs))
        outputs.append(output)
    if reverse:
        outputs.reverse()
    return carry, tree.map_structure(lambda *xs: torch.stack(xs), *outputs)


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


_BACKENDS = {
    "tensorflow": (_scan_tensorflow, _with_gradient_tensorflow, _gradients_tensorflow),
    "jax": (_scan_jax, _with_gradient_jax, _gradients_jax),
    "torch": (_scan_torch, _with_gradient_torch, _gradients_torch),
}
