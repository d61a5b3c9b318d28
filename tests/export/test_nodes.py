"""The recurrent operations of ONNX."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_recurrent import layers
from keras_recurrent.export.formats import to_onnx
from keras_recurrent.export.nodes import RecurrentNodes, share_weights

onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.deploy


def share_and_run(layer, cell, operation, rng):
    """Shares the weights of a model that also multiplies by the kernels. Returns its sizes before and after."""
    inputs = rng.normal(size=(2, 5, 64)).astype("float32")
    layer(inputs)

    def function(x):
        return {"y": layer(x), "x1": x @ cell.kernel.value, "x2": x @ cell.recurrent_kernel.value}

    expected = function(inputs)
    model = to_onnx(function, [tf.TensorSpec([2, 5, 64], name="inputs")], RecurrentNodes(False))
    assert operation in [node.op_type for node in model.graph.node]
    size = len(model.SerializeToString())
    share_weights(model.graph)
    content = model.SerializeToString()
    outputs = onnxruntime.InferenceSession(content).run([*expected], {"inputs": inputs})
    for output, values in zip(outputs, expected.values(), strict=True):
        np.testing.assert_allclose(output, values, atol=1e-5)
    return size, len(content)


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_weights_are_stored_once(kind, rng):
    layer = getattr(layers, kind)(64)
    size, shared = share_and_run(layer, layer.cell, kind.removeprefix("Simple"), rng)
    assert shared < 4 * layer.count_params() * 1.2 < size


def test_an_operation_for_both_directions_keeps_its_weights(rng):
    layer = keras.layers.Bidirectional(keras.layers.LSTM(64))
    layer.build((2, 5, 64))
    size, shared = share_and_run(layer, layer.forward_layer.cell, "LSTM", rng)
    assert shared == size


def test_logarithms_and_exponentials_near_zero():
    positive = np.geomspace(1e-8, 80, 200)
    x = np.concatenate([positive, -positive, [0]]).astype("float32")

    def function(x):
        return {"log1p": tf.math.log1p(tf.maximum(x, -0.99)), "expm1": tf.math.expm1(x)}

    model = to_onnx(function, [tf.TensorSpec([None], name="x")], RecurrentNodes(False))
    outputs = onnxruntime.InferenceSession(model.SerializeToString()).run(["log1p", "expm1"], {"x": x})
    x = x.astype("float64")
    for output, expected in zip(outputs, (np.log1p(np.maximum(x, -0.99)), np.expm1(x)), strict=True):
        np.testing.assert_allclose(output, expected, rtol=1e-6)
