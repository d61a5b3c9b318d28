"""Weights in fewer bits."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_recurrent import layers
from keras_recurrent.export.formats import to_onnx
from keras_recurrent.export.nodes import RecurrentNodes
from keras_recurrent.export.quantization import quantize_onnx

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.mark.parametrize(("dtype", "share", "tolerance"), [("float16", 0.55, 1e-3), ("int8", 0.32, 2e-2)])
def test_files_shrink_and_outputs_stay_near(dtype, share, tolerance, rng):
    table = tf.Variable(rng.normal(size=(500, 64)), dtype=tf.float32)
    weight = tf.Variable(rng.normal(size=(64, 64)), dtype=tf.float32)
    signature = [tf.TensorSpec([None], tf.int32, "ids")]
    model = to_onnx(lambda ids: {"y": tf.gather(table, ids) @ weight / 8}, signature, RecurrentNodes(False))
    full = model.SerializeToString()
    quantize_onnx(model, dtype)
    small = model.SerializeToString()
    assert len(small) < share * len(full)
    ids = np.arange(500, dtype="int32")
    outputs, expected = (onnxruntime.InferenceSession(file).run(None, {"ids": ids})[0] for file in (small, full))
    assert np.abs(outputs - expected).max() < tolerance * np.abs(expected).max()
    assert (outputs != expected).any()


@pytest.mark.parametrize("operation", ["Conv", "RNN", "MatMul"])
def test_outputs_of_different_ranges_stay_near(operation, rng):
    layer = {
        "Conv": keras.layers.Conv2D(64, 3),
        "RNN": layers.SimpleRNN(64, activation="relu", recurrent_initializer="zeros"),
        "MatMul": keras.layers.Dense(64),
    }[operation]
    inputs = rng.normal(size=(20, 5, 32) if operation == "RNN" else (2, 8, 8, 32)).astype("float32")
    layer(inputs)
    kernel = (layer.cell if operation == "RNN" else layer).kernel
    kernel.assign(kernel * 10 ** np.linspace(-4, 0, 64, dtype="float32"))
    expected = layer(inputs).numpy()
    signature = [tf.TensorSpec(inputs.shape, name="inputs")]
    model = to_onnx(lambda x: {"y": layer(x)}, signature, RecurrentNodes(False))
    assert operation in [node.op_type for node in model.graph.node]
    quantize_onnx(model, "int8")
    (outputs,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"inputs": inputs})
    others = tuple(range(expected.ndim - 1))
    assert (np.abs(outputs - expected).max(others) <= 2e-2 * np.abs(expected).max(others)).all()
    assert (outputs != expected).any()
