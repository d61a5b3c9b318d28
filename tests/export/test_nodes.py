"""The recurrent operations of ONNX."""

import numpy as np
import pytest
import tensorflow as tf
from keras_recurrent import layers
from keras_recurrent.export.formats import to_onnx
from keras_recurrent.export.nodes import RecurrentNodes, share_weights

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.mark.deploy
@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_weights_are_stored_once(kind, rng):
    layer = getattr(layers, kind)(64)
    inputs = rng.normal(size=(2, 5, 32)).astype("float32")

    def function(x):
        last = layer(x)
        return {"last": last, "x": x @ layer.cell.kernel.value, "y": last @ layer.cell.recurrent_kernel.value}

    expected = function(inputs)
    model = to_onnx(function, [tf.TensorSpec([2, 5, 32], name="inputs")], RecurrentNodes(False))
    assert kind.removeprefix("Simple") in [node.op_type for node in model.graph.node]
    size = len(model.SerializeToString())
    share_weights(model.graph)
    content = model.SerializeToString()
    assert len(content) < 4 * layer.count_params() * 1.2 < size
    outputs = onnxruntime.InferenceSession(content).run([*expected], {"inputs": inputs})
    for output, values in zip(outputs, expected.values(), strict=True):
        np.testing.assert_allclose(output, values, atol=1e-5)
