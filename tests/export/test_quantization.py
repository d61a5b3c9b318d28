"""Weights in fewer bits."""

import numpy as np
import pytest
import tensorflow as tf
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
