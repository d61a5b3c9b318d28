"""Weights of ONNX models in fewer bits."""

from typing import Any

import numpy as np

# Smaller weights, such as biases, stay as they are.
_MIN_SIZE = 1024
# The axis of the outputs in the weights of an operation, or of the rows of a table. With others it is the last.
_AXES = {"Gather": 0, "Conv": 0, "RNN": 1, "LSTM": 1, "GRU": 1}


def quantize_onnx(model: Any, dtype: str) -> None:
    """Stores the large weights of an ONNX model as float16 or int8, in place.

    The file shrinks. The computation stays in float32: an operation at the beginning converts the weights back. With
    int8, the weights of each output of an operation, and each row of an embedding table, have a scale.

    Args:
        model: An `onnx.ModelProto`.
        dtype: `"float16"` or `"int8"`.
    """
    import onnx
    from onnx import numpy_helper

    graphs = [model.graph]
    for graph in graphs:  # grows
        graphs += [a.g for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    nodes = [node for graph in graphs for node in graph.node]
    axes = {name: _AXES[node.op_type] for node in nodes if node.op_type in _AXES for name in node.input}
    conversions, kept = [], []
    for graph in graphs:
        weights = list(graph.initializer)
        del graph.initializer[:]
        for weight in weights:
            values = numpy_helper.to_array(weight)
            if values.dtype != np.float32 or values.size < _MIN_SIZE or values.ndim < 2:
                graph.initializer.append(weight)
                continue
            # In the main graph, where a loop reads them: the conversion runs once.
            stored, conversion = _stored(weight.name, values, dtype, axes.get(weight.name, values.ndim - 1))
            kept += stored
            conversions.append(conversion)
    model.graph.initializer.extend(kept)
    for index, conversion in enumerate(conversions):
        model.graph.node.insert(index, conversion)


def _stored(name: str, values: np.ndarray, dtype: str, axis: int) -> tuple[list[Any], Any]:
    """The initializers that hold a weight, and the node that converts them to float32 under its name."""
    from onnx import TensorProto, helper, numpy_helper

    if dtype == "float16":
        stored = numpy_helper.from_array(values.astype("float16"), f"{name}_float16")
        return [stored], helper.make_node("Cast", [stored.name], [name], to=TensorProto.FLOAT)
    others = tuple(index for index in range(values.ndim) if index != axis)
    scales = np.maximum(np.abs(values).max(axis=others), 1e-12) / 127
    integers = np.round(values / np.expand_dims(scales, others)).astype("int8")
    arrays = {"int8": integers, "scale": scales.astype("float32"), "zero": np.zeros(len(scales), "int8")}
    initializers = [numpy_helper.from_array(array, f"{name}_{kind}") for kind, array in arrays.items()]
    inputs = [initializer.name for initializer in initializers]
    return initializers, helper.make_node("DequantizeLinear", inputs, [name], axis=axis)
