"""The recurrent operations of ONNX: `RNN`, `LSTM` and `GRU` run a whole layer.

While a model is traced, `RecurrentNodes.mark` puts a placeholder operation in place of the loop of a layer. When
tf2onnx converts the traced graph, `RecurrentNodes.convert` replaces the placeholder with the operation of ONNX.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ..layers import GRUCell, LSTMCell, SimpleRNNCell
from ..layers.types import Tensor

_ACTIVATIONS = {
    keras.activations.sigmoid: "Sigmoid",
    keras.activations.tanh: "Tanh",
    keras.activations.relu: "Relu",
}

# The type of the operation, and the order of its gates as indices of Keras's gates.
_OPERATIONS = {SimpleRNNCell: ("RNN", [0]), LSTMCell: ("LSTM", [0, 3, 1, 2]), GRUCell: ("GRU", [0, 1, 2])}

# What a sigmoid of 32 bits maps to 1, and its negative to 0, whatever is added.
_CERTAIN = 1e4


class _Node(NamedTuple):
    """An operation of ONNX without its inputs.

    Attributes:
        type: Name of the operation.
        weights: List of the arrays `W`, `R` and `B`.
        attributes: The attributes of the operation.
    """

    type: str
    weights: list[np.ndarray]
    attributes: dict[str, Any]


class RecurrentNodes:
    """The recurrent operations of one ONNX model.

    Args:
        right_padded: Whether all masks of the model are True up to the length of a row and False after it. Layers with
            other masks have no operation in ONNX.
        with_lengths: Whether the operations take the lengths of the rows. Without them the results are the same, since
            a step depends on the steps before it alone. OpenVINO (2026.4) ignores the lengths on a CPU unless the
            shapes are static.
    """

    def __init__(self, right_padded: bool, with_lengths: bool = True) -> None:
        self.right_padded = right_padded
        self.with_lengths = with_lengths
        self._nodes: dict[bytes, _Node] = {}

    @property
    def handlers(self) -> dict[str, tuple[Any, list[Any]]]:
        """The `custom_op_handlers` of `tf2onnx`."""
        return {
            "PyFunc": (self.convert, []),
            "ReverseV2": (_convert_reverse, []),
            "SelectV2": (_convert_select, []),
            "Log1p": (_convert_log1p, []),
            "Expm1": (_convert_expm1, []),
        }

    def mark(
        self, cell: Any, sequences: Tensor, states: list[Tensor], mask: Any, flipped: bool
    ) -> tuple[Tensor, list[Tensor]] | None:
        """Runs a cell in a placeholder operation; the `node` of `LoopSettings`."""
        if not _has_operation(cell) or (mask is not None and (isinstance(mask, list) or not self.right_padded)):
            return None
        if mask is None:
            return self._place(cell, sequences, states)
        lengths = tf.reduce_sum(tf.cast(mask[..., 0], "int32"), 0)
        if flipped:  # the padding comes first, but the operations take it at the end only
            sequences = _reverse(sequences)
        if self.with_lengths:
            outputs, last = self._place(cell, sequences, states, lengths, reverse=flipped)
        else:
            if flipped:
                sequences = _reverse(sequences, lengths)
            outputs, last = self._place(cell, sequences, states, padding=tf.sequence_mask(lengths, tf.shape(mask)[0]))
            ends = tf.stack([tf.maximum(lengths - 1, 0), tf.range(tf.size(lengths))], 1)
            last = [tf.gather_nd(outputs, ends), *last[1:]]
            if flipped:
                outputs = _reverse(outputs, lengths)
        if flipped:
            outputs = _reverse(outputs)
        # For padding, the operations do not output what a layer does.
        last = [tf.where(tf.reduce_any(mask, 0), new, old) for new, old in zip(last, states, strict=True)]
        return tf.where(mask, outputs, states[0] if flipped else last[0]), last

    def _place(
        self,
        cell: Any,
        sequences: Tensor,
        states: list[Tensor],
        lengths: Tensor | None = None,
        reverse: bool = False,
        padding: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Places a placeholder operation.

        Args:
            cell: The cell.
            sequences: Tensor `(steps, batch, features)`.
            states: List of tensors `(batch, units)`.
            lengths: Integer tensor `(batch,)`, or None.
            reverse: Whether to run from the last step to the first.
            padding: Boolean tensor `(batch, steps)`, False at the steps at which an LSTM keeps `c`, or None.

        Returns:
            `(outputs, states)`: `(steps, batch, units)`, in the order of `sequences`, and the last states.
        """
        keeps = False
        if padding is not None and len(states) == 2:
            keeps = True
            column = tf.cast(~padding[..., None], sequences.dtype)
            sequences = _time_major(tf.concat([_time_major(sequences), column], -1))
        inputs = [sequences, *(state[None] for state in states), *([] if lengths is None else [lengths])]
        outputs = tf.numpy_function(_cannot_run, inputs, [sequences.dtype] * (1 + len(states)))
        self._nodes[outputs[0].op.get_attr("token")] = _node(cell, reverse, keeps)
        shape = [sequences.shape[0], 1, sequences.shape[1], cell.units]
        return tf.ensure_shape(outputs[0], shape)[:, 0], [tf.ensure_shape(x, shape[1:])[0] for x in outputs[1:]]

    def convert(self, context: Any, node: Any, name: str, arguments: list[Any]) -> None:
        """Replaces a placeholder with the operation; a custom handler of `tf2onnx`."""
        operation = self._nodes[node.get_attr("token").s]
        sequences, *states = node.input
        lengths = states.pop() if len(states) == len(node.output) else ""
        weights = [
            context.make_const(f"{name}_{key}", array).output[0]
            for key, array in zip("WRB", operation.weights, strict=True)
        ]
        shapes, dtypes = node.output_shapes, node.output_dtypes
        context.remove_node(node.name)
        context.make_node(
            operation.type,
            [sequences, *weights, lengths, *states],
            name=name,
            outputs=node.output,
            shapes=shapes,
            dtypes=dtypes,
            attr=operation.attributes,
        )


def share_weights(graph: Any) -> None:
    """Replaces the weights of the recurrent operations that are copies of other weights, in ONNX's layout.

    The decoder of an attention model has such copies: it runs in a loop to search, and then over the whole result.

    Args:
        graph: An `onnx.GraphProto`, which is changed. Operations at its beginning compute the replaced weights.
    """
    from onnx import helper, numpy_helper

    arrays = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    names = {(array.shape, array.tobytes()): name for name, array in arrays.items()}
    orders = dict(_OPERATIONS.values())
    copies = {name: orders[node.op_type] for node in graph.node if node.op_type in orders for name in node.input[1:3]}
    for copy, order in copies.items():
        if copy not in arrays or len(arrays[copy]) > 1:  # of both directions
            continue
        gates = np.split(arrays[copy][0].T, len(order), axis=-1)
        kernel = np.concatenate([gates[order.index(gate)] for gate in range(len(order))], axis=-1)
        name = names.get((kernel.shape, kernel.tobytes()))
        if name is None:
            continue
        parts = [f"{copy}_{gate}" for gate in range(len(order))]
        nodes = [
            helper.make_node("Split", [name], parts, axis=1),
            helper.make_node("Concat", [parts[gate] for gate in order], [f"{copy}_gates"], axis=1),
            helper.make_node("Transpose", [f"{copy}_gates"], [f"{copy}_matrix"]),
            helper.make_node("Unsqueeze", [f"{copy}_matrix", f"{copy}_axes"], [copy]),
        ]
        for index, node in enumerate(nodes):
            graph.node.insert(index, node)
        graph.initializer.remove(next(weight for weight in graph.initializer if weight.name == copy))
        graph.initializer.append(numpy_helper.from_array(np.array([0]), f"{copy}_axes"))


def _reverse(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Reverses the steps of a tensor `(steps, batch, features)`, or the first `lengths` steps of each row."""
    x = _time_major(x)
    return _time_major(tf.reverse(x, [1]) if lengths is None else tf.reverse_sequence(x, lengths, 1, 0))


def _time_major(x: Tensor) -> Tensor:
    """Swaps the steps and the batch. Whatever changes inputs does so with the batch first; see `formats.py`."""
    return tf.transpose(x, (1, 0, 2))


def _has_operation(cell: Any) -> bool:
    return (
        type(cell) in _OPERATIONS
        and cell.compute_dtype == cell.variable_dtype == "float32"
        and all(activation in _ACTIVATIONS for activation in cell.activations)
    )


def _node(cell: Any, reverse: bool, keeps: bool) -> _Node:
    """Returns the operation of a cell, with the cell's weights in ONNX's order.

    With `keeps`, a further feature of the input is 1 where an LSTM keeps `c`: it opens the forget gate and closes the
    input gate completely.
    """
    operation, order = _OPERATIONS[type(cell)]
    with tf.init_scope():  # the values, not their symbols in the traced graph
        kernel, recurrent_kernel = (
            keras.ops.convert_to_numpy(weight) for weight in (cell.kernel, cell.recurrent_kernel)
        )
        bias = keras.ops.convert_to_numpy(cell.bias) if cell.use_bias else np.zeros(kernel.shape[1], kernel.dtype)

    if keeps:
        row = np.repeat(np.array([-_CERTAIN, _CERTAIN, 0, 0], kernel.dtype), cell.units)
        kernel = np.concatenate([kernel, row[None]])

    def reordered(weight: np.ndarray) -> np.ndarray:
        gates = np.split(weight, len(order), axis=-1)
        return np.concatenate([gates[index] for index in order], axis=-1)

    biases = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])  # of the input and of the state
    weights = [reordered(kernel).T, reordered(recurrent_kernel).T, reordered(biases).ravel()]
    names = [_ACTIVATIONS[activation] for activation in cell.activations]
    attributes: dict[str, Any] = {
        "hidden_size": cell.units,
        "direction": "reverse" if reverse else "forward",
        # Of the gates, of the candidate and of the LSTM's cell state.
        "activations": [*reversed(names), *names[:1]] if operation == "LSTM" else names[::-1],
    }
    if operation == "GRU":
        attributes["linear_before_reset"] = int(cell.reset_after)
    return _Node(operation, [np.ascontiguousarray(weight[None]) for weight in weights], attributes)


def _cannot_run(*inputs: Any) -> None:
    raise RuntimeError("This graph is for ONNX; TensorFlow cannot run it.")


def _convert_reverse(context: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """Converts a reversal to one `Slice`, for which `tf2onnx` has several operations."""
    data, axes = node.input[0], np.atleast_1d(node.inputs[1].get_tensor_value(as_list=False))
    slices = [np.full(axes.shape, value, "int64") for value in (-1, np.iinfo("int64").min)]
    constants = [
        context.make_const(f"{name}_{key}", np.ascontiguousarray(value)).output[0]
        for key, value in zip(
            ("starts", "ends", "axes", "steps"), (*slices, axes.astype("int64"), slices[0]), strict=True
        )
    ]
    shapes, dtypes = node.output_shapes, node.output_dtypes
    context.remove_node(node.name)
    context.make_node("Slice", [data, *constants], name=name, outputs=node.output, shapes=shapes, dtypes=dtypes)


def _convert_select(context: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """Converts `tf.where` to `Where`. `tf2onnx` multiplies by the condition, which keeps a NaN that is not selected."""
    inputs, outputs, shapes, dtypes = list(node.input), node.output, node.output_shapes, node.output_dtypes
    context.remove_node(node.name)
    context.make_node("Where", inputs, name=name, outputs=outputs, shapes=shapes, dtypes=dtypes)


def _convert_log1p(context: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """Converts `log(1 + x)`. Near 0, where the sum loses digits of `x`, it is `2 atanh(x / (2 + x))`."""
    make, x = _maker(context, node), node.input[0]
    near = make("Mul", make("Atanh", make("Div", x, make("Add", x, 2.0))), 2.0)
    _replace(context, node, near, make("Log", make("Add", x, 1.0)))


def _convert_expm1(context: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """Converts `exp(x) - 1`. Near 0, where the difference loses digits, it is `2 t / (1 - t)`, `t = tanh(x / 2)`."""
    make, x = _maker(context, node), node.input[0]
    tanh = make("Tanh", make("Mul", x, 0.5))
    near = make("Div", make("Mul", tanh, 2.0), make("Sub", 1.0, tanh))
    _replace(context, node, near, make("Sub", make("Exp", x), 1.0))


def _replace(context: Any, node: Any, near: str, far: str) -> None:
    """Replaces an operation by `near` where its input is between -0.5 and 0.5, and by `far` elsewhere."""
    make, outputs, shapes, dtypes = _maker(context, node), node.output, node.output_shapes, node.output_dtypes
    is_near = make("Less", make("Abs", node.input[0]), 0.5)
    context.remove_node(node.name)
    context.make_node("Where", [is_near, near, far], outputs=outputs, shapes=shapes, dtypes=dtypes)


def _maker(context: Any, node: Any) -> Callable[..., str]:
    """Returns a function that adds an operation, whose inputs are names or numbers, and returns its output."""
    from tf2onnx import utils

    dtype = utils.map_onnx_to_numpy_type(node.output_dtypes[0])

    def make(operation: str, *inputs: str | float) -> str:
        names = []
        for value in inputs:
            if not isinstance(value, str):
                value = context.make_const(utils.make_name("number"), np.array(value, dtype)).output[0]
            names.append(value)
        return context.make_node(operation, names).output[0]

    return make
