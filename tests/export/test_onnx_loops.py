"""Loops of ONNX graphs without values that no step changes."""

import numpy as np
import pytest
from keras_recurrent.export.onnx_loops import inline_invariants

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
helper = pytest.importorskip("onnx.helper")
FLOAT, INT, BOOL = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL


def loop(outputs):
    """A graph that adds `b` to `a` three times; its loop passes `b` and a copy of it from step to step."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["x", "y"], ["new_x"]),
            helper.make_node("Identity", ["y"], ["new_y"]),
        ],
        "body",
        [value("count", INT, []), value("go", BOOL, []), value("x", FLOAT, [2]), value("y", FLOAT, [2])],
        [value("go_on", BOOL, []), value("new_x", FLOAT, [2]), value("new_y", FLOAT, [2])],
    )
    nodes = [
        helper.make_node("Loop", ["trips", "", "a", "b"], ["sum", "same"], body=body),
        helper.make_node("Add", ["sum", "same"], ["total"]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [value("a", FLOAT, [2]), value("b", FLOAT, [2])],
        [value(name, FLOAT, [2]) for name in outputs],
        [onnx.numpy_helper.from_array(np.array(3), "trips")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(("outputs", "states"), [(["total", "sum"], 1), (["total", "same"], 2)])
def test_inline_invariants(outputs, states):
    model = loop(outputs)
    inline_invariants(model.graph)
    onnx.checker.check_model(model)
    assert len(model.graph.node[0].output) == states
    session = onnxruntime.InferenceSession(model.SerializeToString())
    a, b = np.array([1, 2], "float32"), np.array([3, 4], "float32")
    expected = {"total": a + 4 * b, "sum": a + 3 * b, "same": b}
    for name, output in zip(outputs, session.run(None, {"a": a, "b": b}), strict=True):
        np.testing.assert_allclose(output, expected[name])
