"""Which body runs a layer, and the fused kernels of a GPU.

`RecurrentCell.run` has three bodies:

- A fused kernel, which runs all steps of a layer in one operation: for a plain LSTM or GRU where the backend has such a
  kernel for the inputs and the mask.
- The operation of a file format, in an export; see the `node` of `LoopSettings`.
- The loop of `backprop.py` for everything else.

`kernel_for` decides. cuDNN takes a mask as the lengths of the rows, so that padding must follow the steps that count.
That depends on the data, and a check in each step would make the device wait. The caller promises it with
`loop_settings(right_padded=True)`, as a `TextEncoder` with `right_padded=True` does.
"""

from collections.abc import Callable
from typing import Any

from keras import activations, ops

from .loop import current_settings, fused_kernel
from .types import Tensor


def kernel_for(cell: Any, inputs: Tensor, mask: Any = None, training: bool = False) -> Callable | None:
    """Returns the fused kernel for a cell, or None if the loop has to run it.

    Args:
        cell: A `RecurrentCell`.
        inputs: Tensor of the dtype and on the device of the computation.
        mask: As in `RecurrentCell.run`.
        training: Whether dropout applies.

    Returns:
        A function as `loop.fused_kernel` returns it.

    Example:

    >>> from keras_recurrent.layers import LSTMCell
    >>> from keras_recurrent.layers.fused import kernel_for
    >>> kernel_for(LSTMCell(8, activation="relu"), ops.ones((2, 5, 3))) is None
    True
    """
    settings = current_settings()
    is_export = settings.portable or settings.node is not None or settings.layer is not None
    name = _kernel_name(cell)
    if is_export or settings.unroll or not settings.fused or name is None or not is_plain(cell):
        return None
    if training and cell.recurrent_dropout:
        return None
    if mask is not None and (isinstance(mask, list) or not settings.right_padded):
        return None
    return fused_kernel(name, inputs, mask is not None)


def is_plain(cell: Any) -> bool:
    """Returns whether the equations of a cell are those of cuDNN.

    Example:

    >>> from keras_recurrent.layers import GRUCell
    >>> from keras_recurrent.layers.fused import is_plain
    >>> is_plain(GRUCell(8)), is_plain(GRUCell(8, reset_after=False))
    (True, False)
    """
    return (
        _kernel_name(cell) is not None
        and cell.activation is activations.tanh
        and cell.recurrent_activation is activations.sigmoid
        and cell.use_bias
        and getattr(cell, "reset_after", True)
    )


def _kernel_name(cell: Any) -> str | None:
    return vars(type(cell)).get("fused_kernel_name")  # of this class alone: a subclass may have other equations


def run(
    kernel: Callable, cell: Any, sequences: Tensor, states: list[Tensor], mask: Tensor | None
) -> tuple[Tensor, list[Tensor]]:
    """Runs a cell in a fused kernel.

    Args:
        kernel: What `kernel_for` returns.
        cell: The cell.
        sequences: Tensor `(steps, batch, features)`, after dropout.
        states: List of tensors `(batch, units)`.
        mask: Boolean tensor `(steps, batch, 1)` or None. The padding comes last, or first if the `flipped` of
            `LoopSettings` is True.

    Returns:
        `(outputs, states)`: `(steps, batch, units)` and the last states.

    Raises:
        NotImplementedError: If the kernel does not exist after all.
    """
    weights = [ops.cast(weight, cell.compute_dtype) for weight in (cell.kernel, cell.recurrent_kernel, cell.bias)]
    inputs = ops.transpose(sequences, (1, 0, 2))
    if mask is None:
        outputs, last = kernel(inputs, states, None, weights)
        return ops.transpose(outputs, (1, 0, 2)), last
    is_flipped = current_settings().flipped
    rows = ops.transpose(mask[..., 0])  # (batch, steps)
    steps = ops.shape(rows)[1]
    padding = steps - ops.sum(ops.cast(rows, "int32"), 1, keepdims=True)  # (batch, 1)
    if is_flipped:
        rows = ops.flip(rows, 1)
        inputs = _roll(inputs, padding)
    # A row without any step would be an error; its result is discarded below.
    is_first = ops.expand_dims(ops.arange(steps) == 0, 0)
    outputs, last = kernel(inputs, states, ops.logical_or(rows, is_first), weights)
    if is_flipped:
        outputs = _roll(outputs, -padding)
    last = [ops.where(padding < steps, new, old) for new, old in zip(last, states, strict=True)]
    return ops.where(mask, ops.transpose(outputs, (1, 0, 2)), states[0] if is_flipped else last[0]), last


def _roll(x: Tensor, shifts: Tensor) -> Tensor:
    """Moves each row of a tensor `(batch, steps, features)` to the left by its entry of `shifts`, `(batch, 1)`."""
    batch, steps, features = ops.shape(x)
    indices = ops.expand_dims(ops.arange(batch), 1) * steps + (ops.arange(steps) + shifts) % steps
    return ops.reshape(ops.take(ops.reshape(x, (-1, features)), ops.reshape(indices, (-1,)), 0), (batch, steps, -1))
