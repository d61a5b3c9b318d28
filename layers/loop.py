"""The one time loop, over TensorFlow, JAX or PyTorch: the only file here that names a backend."""

import keras
from keras import ops, tree


def scan(step, carry, inputs):
    """Runs `step` over the leading axis of `inputs`.

    Args:
        step: Function `(carry, input) -> (carry, output)`. The carry keeps its structure, shapes and dtypes; the
            output is any nest of tensors.
        carry: The nest of tensors that enters the first step.
        inputs: Nest of tensors `(steps, ...)`. `steps` may be unknown until the loop runs, and may be 0.

    Returns:
        `(carry, outputs)`: what left the last step, and the outputs of all steps, each `(steps, ...)`.

    Example:

    >>> total, sums = scan(lambda total, x: (total + x, total + x), ops.zeros(()), ops.ones(3))
    >>> [float(s) for s in sums]
    [1.0, 2.0, 3.0]
    """
    return _SCANS[keras.config.backend()](step, carry, inputs)


def _scan_tensorflow(step, carry, inputs):
    import tensorflow as tf

    # Tells the outputs' shapes, also where there are no steps. A graph prunes it: nothing reads its values.
    example = tree.map_structure(lambda x: tf.zeros(tf.shape(x)[1:], x.dtype), inputs)
    _, outputs = step(carry, example)

    steps = ops.shape(tree.flatten(inputs)[0])[0]
    reads = tree.map_structure(lambda x: tf.TensorArray(x.dtype, steps).unstack(x), inputs)
    writes = [tf.TensorArray(x.dtype, steps, element_shape=x.shape) for x in tree.flatten(outputs)]

    def body(time, carry, writes):
        new_carry, output = step(carry, tree.map_structure(lambda array: array.read(time), reads))
        # The loop wants the very structure that entered it: a namedtuple stays one, and a tuple of states a tuple.
        new_carry = tree.pack_sequence_as(carry, tree.flatten(new_carry))
        writes = [array.write(time, x) for array, x in zip(writes, tree.flatten(output), strict=True)]
        return time + 1, new_carry, writes

    _, carry, writes = tf.while_loop(
        lambda time, carry, writes: time < steps, body, (0, carry, writes), maximum_iterations=steps
    )
    return carry, tree.pack_sequence_as(outputs, [array.stack() for array in writes])


def _scan_jax(step, carry, inputs):
    import jax

    return jax.lax.scan(step, carry, inputs)


def _scan_torch(step, carry, inputs):
    import torch

    steps = tree.flatten(inputs)[0].shape[0]
    if steps == 0:
        example = tree.map_structure(lambda x: torch.zeros(x.shape[1:], dtype=x.dtype, device=x.device), inputs)
        _, output = step(carry, example)
        return carry, tree.map_structure(lambda x: x.new_zeros((0, *x.shape)), output)
    outputs = []
    for time in range(steps):
        carry, output = step(carry, tree.map_structure(lambda x, time=time: x[time], inputs))
        outputs.append(output)
    return carry, tree.map_structure(lambda *xs: torch.stack(xs), *outputs)


_SCANS = {"tensorflow": _scan_tensorflow, "jax": _scan_jax, "torch": _scan_torch}
