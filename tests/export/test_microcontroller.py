"""Models that compute in int8, which the interpreter of LiteRT for Microcontrollers runs."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras_recurrent import layers
from keras_recurrent.export import export_model, export_step

EXAMPLE = Path(__file__).parents[2] / "docs/examples/microcontroller.py"


@pytest.fixture(scope="module")
def example(load_script):
    """The module of the example."""
    pytest.importorskip("tflite_micro")
    pytest.importorskip("ai_edge_litert")
    return load_script(EXAMPLE)


@pytest.fixture(scope="module")
def trained(example):
    """`trained(layer)`: a model with the layer and sequences that it has not seen, with their labels."""

    def trained(layer):
        return example.train(*example.gestures(2000, seed=0), layer), example.gestures(200, seed=1)

    return trained


@pytest.mark.deploy
@pytest.mark.parametrize(("layer", "accuracy", "agreement"), [(layers.GRU, 0.98, 0.98), (layers.LSTM, 0.7, 0.9)])
def test_a_step_in_int8_classifies_as_keras_does(layer, accuracy, agreement, example, trained, tmp_path):
    model, (x, labels) = trained(layer(16))
    path = tmp_path / "step.tflite"
    calibration = example.gestures(50, seed=2)[0]
    states = export_step(model, path, "litert", quantize="int8", representative_data=calibration)
    content = path.read_bytes()
    assert len(content) < 12_000
    types = dtypes(content)
    assert sorted(types) == ["float32", "int32", "int8"]
    ends = 2 * (1 + len(states))  # all inputs and outputs, and no other tensor
    assert types["float32"] == ends

    step = example.Step(content)
    outputs = np.array([example.probabilities(step, sequence, states) for sequence in x])
    expected = model.predict(x, verbose=0)["probabilities"]
    assert (expected.argmax(1) == labels).mean() > accuracy
    assert (outputs.argmax(1) == expected.argmax(1)).mean() > agreement
    assert (outputs != expected).any()


def dtypes(content):
    """How many tensors of a LiteRT file have each type."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # The delegates of the default resolver add tensors.
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    names = [details["dtype"].__name__ for details in interpreter.get_tensor_details() if details["name"]]
    return {name: names.count(name) for name in names}


@pytest.mark.deploy
def test_streaming_equals_the_whole_sequence(example, trained, tmp_path):
    model, (x, _) = trained(layers.GRU(16, name="gru"))
    path = tmp_path / "step.tflite"
    states = export_step(model, path, "litert")
    step = example.Step(path.read_bytes())
    outputs = [example.probabilities(step, sequence, states) for sequence in x[:20]]
    np.testing.assert_allclose(outputs, model(x[:20])["probabilities"], atol=1e-6)


@pytest.mark.deploy
def test_an_unrolled_sequence_in_int8(tmp_path, run, rng):
    x = rng.normal(size=(101, 5, 3)).astype("float32")
    inputs = keras.Input((5, 3), batch_size=2, name="x")
    model = keras.Model(inputs, layers.LSTM(8, unroll=True)(inputs))
    path = tmp_path / "sequence.tflite"
    export_model(model, path, "litert", quantize="int8", representative_data=x)
    output = run(path, "litert", {"x": x[:2]})["output_0"]
    np.testing.assert_allclose(output, model(x[:2]), atol=0.05)


def gru(steps):
    return keras.Sequential([keras.Input((steps, 3), name="x"), layers.GRU(4)])


@pytest.mark.parametrize("export", [export_model, export_step])
@pytest.mark.parametrize(
    ("format", "arguments", "message"),
    [
        ("litert", {"quantize": "int4"}, "must be one of 'float16', 'int8', None for format='litert'"),
        ("saved_model", {"quantize": "int8"}, "must be one of None for format='saved_model'"),
        ("openvino", {"quantize": "int8"}, "must be one of 'float16', None"),
        ("onnx", {"quantize": "int8", "representative_data": np.ones((9, 5, 3))}, "requires format='litert' and"),
        ("litert", {"representative_data": np.ones((9, 5, 3))}, "requires format='litert' and quantize='int8'"),
        ("litert", {"quantize": "int8", "representative_data": np.ones((9, 5, 2))}, r"shapes \[\(9, 5, 2\)\]"),
        ("litert", {"quantize": "int8", "representative_data": [np.ones((9, 5, 3))] * 2}, "one array per input"),
    ],
)
def test_a_quantization_that_cannot_be(export, format, arguments, message, path):
    with pytest.raises(ValueError, match=message):
        export(gru(None), path(format), format, **arguments)
    assert not path(format).exists()


@pytest.mark.deploy
def test_a_loop_in_int8_is_refused(tmp_path):
    path = tmp_path / "loop.tflite"
    with pytest.raises(ValueError, match="no loops in int8"):
        export_model(gru(5), path, "litert", quantize="int8", representative_data=np.ones((9, 5, 3)))
    assert not path.exists()


@pytest.mark.deploy
@pytest.mark.parametrize("format", ["onnx", "litert", "openvino"])
@pytest.mark.parametrize("export", [export_model, export_step])
def test_weights_in_float16(export, format, path):
    model = keras.Sequential([keras.Input((None, 3)), layers.GRU(64)])
    sizes = []
    for quantize in (None, "float16"):
        export(model, path(format), format, quantize=quantize)
        sizes.append(path(format).with_suffix(".bin" if format == "openvino" else path(format).suffix).stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]
