"""Runs a file of each format in its own runtime."""

import numpy as np
import pytest
import tensorflow as tf


def _run_saved_model(path, inputs):
    function = tf.saved_model.load(path).signatures["serving_default"]
    return {name: x.numpy() for name, x in function(**{name: tf.constant(x) for name, x in inputs.items()}).items()}


def _run_onnx(path, inputs):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(path)
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, inputs), strict=True))


def _run_openvino(path, inputs):
    openvino = pytest.importorskip("openvino")
    # Without the hint, OpenVINO computes with 16 bits where the processor can.
    compiled = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return {name: value.copy() for output, value in compiled(inputs).items() for name in output.get_names()}


def _run_litert(path, inputs):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))
    assert not [d["op_name"] for d in interpreter._get_ops_details() if d["op_name"].startswith("Flex")]
    return interpreter.get_signature_runner("serving_default")(**inputs)


_RUNTIMES = {
    "saved_model": ("", _run_saved_model),
    "onnx": (".onnx", _run_onnx),
    "openvino": (".xml", _run_openvino),
    "litert": (".tflite", _run_litert),
}


@pytest.fixture
def path(tmp_path):
    """`path(format)`: a path for a file of a format."""
    return lambda format: tmp_path / f"model{_RUNTIMES[format][0]}"


@pytest.fixture
def run():
    """`run(path, format, inputs)`: the outputs by name, of inputs by name."""

    def run(path, format, inputs):
        return _RUNTIMES[format][1](path, {name: np.asarray(x) for name, x in inputs.items()})

    return run


@pytest.fixture
def rng():
    return np.random.default_rng(0)
