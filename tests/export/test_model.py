"""Models in all formats, each in its own runtime."""

import functools
import importlib
import sys

import keras
import numpy as np
import pytest
from keras_recurrent import layers
from keras_recurrent.export import export_model, to_keras
from keras_recurrent.extras import MissingExtra
from keras_recurrent.layers import keras_internals

FORMATS = ["saved_model", "onnx", "litert", "openvino"]
STEPS, FEATURES, UNITS = 7, 5, 4
SEQUENCES = {"return_sequences": True, "return_state": True}


def plain():
    """The layers that Keras has, too, by name."""
    return {
        "simple_rnn": layers.SimpleRNN(UNITS, **SEQUENCES),
        "lstm": layers.LSTM(UNITS, **SEQUENCES),
        "gru": layers.GRU(UNITS, **SEQUENCES),
        "gru_reset_before": layers.GRU(UNITS, reset_after=False, **SEQUENCES),
        "bidirectional_of_keras": keras.layers.Bidirectional(layers.LSTM(UNITS, **SEQUENCES)),
        "bidirectional": layers.Bidirectional(layers.LSTM(UNITS, **SEQUENCES)),
        "stack": layers.Recurrent([layers.GRUCell(3), layers.LSTMCell(UNITS)], **SEQUENCES),
    }


def variants():
    """The layers that Keras does not have."""
    return {
        "layer_norm": layers.Recurrent(layers.LayerNormLSTMCell(UNITS), return_sequences=True),
        "peephole": layers.Recurrent(layers.PeepholeLSTMCell(UNITS), return_sequences=True),
        "projected": layers.Recurrent(layers.ProjectedLSTMCell(UNITS, projection_units=3), return_sequences=True),
        "zoneout": layers.Recurrent(layers.ZoneoutCell(layers.LSTMCell(UNITS), rates=[0.1, 0.5]), **SEQUENCES),
        "residual": layers.Recurrent(layers.ResidualCell(layers.GRUCell(FEATURES)), **SEQUENCES),
        "dilated": layers.Dilated(layers.LSTM(UNITS, **SEQUENCES), rate=3),
        "series_encoder": layers.SeriesEncoder(UNITS, num_layers=2, dilations=[1, 2], residual=True, segment=2),
    }


MASKS = {
    "right_padded": np.arange(STEPS) < np.array([STEPS, 3, 0, 1])[:, None],
    "all_true": np.ones((4, STEPS), bool),
    "any": np.random.default_rng(2).random((4, STEPS)) < 0.5,
}
SEQUENCE = np.random.default_rng(3).normal(size=(4, STEPS, FEATURES)).astype("float32")


def build(cases, static, masked):
    """A model with one output per output of each layer."""
    batch, steps = (4, STEPS) if static else (None, None)
    inputs = [keras.Input((steps, FEATURES), batch_size=batch, name="sequences")]
    mask = None
    if masked:
        mask = keras.Input((steps,), batch_size=batch, dtype="bool", name="mask")
        inputs.append(mask)
    outputs = {
        f"{name}_{index}": output
        for name, layer in cases.items()
        for index, output in enumerate(keras.tree.flatten(layer(inputs[0], mask=mask)))
    }
    model = keras.Model(inputs, outputs)
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(0, 0.5, weight.shape) for weight in model.get_weights()])  # biases, too
    return model


@functools.cache
def models(static, masked, with_variants):
    """`[(model, {name of the mask: outputs})]`: a few layers in each model, as tf2onnx takes long for many."""
    cases = list((plain() | variants() if with_variants else plain()).items())
    built = [build(dict(cases[start : start + 5]), static, masked) for start in range(0, len(cases), 5)]
    masks = list(MASKS) if masked else [None]
    return [(model, {mask: model(list(inputs(mask).values())) for mask in masks}) for model in built]


def inputs(mask):
    return {"sequences": SEQUENCE} | ({} if mask is None else {"mask": MASKS[mask]})


def check(models, path, format, run, masks, **options):
    for model, expected in models:
        export_model(model, path(format), format, **options)
        for mask in masks:
            outputs = run(path(format), format, inputs(mask))
            for name, value in expected[mask].items():
                np.testing.assert_allclose(outputs[name], value, atol=1e-6, rtol=0, err_msg=f"{mask} {name}")


@pytest.mark.parametrize(
    "format",
    ["onnx", "litert", *(pytest.param(format, marks=pytest.mark.deploy) for format in ("saved_model", "openvino"))],
)
def test_a_small_model(format, path, run, rng):
    model = keras.Sequential([keras.Input((None, 3), name="x"), layers.LSTM(4), keras.layers.Dense(2)])
    export_model(model, path(format), format)
    x = rng.normal(size=(2, 6, 3)).astype("float32")
    np.testing.assert_allclose(run(path(format), format, {"x": x})["output_0"], model(x), atol=1e-6)


@pytest.mark.deploy
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_without_masks(static, format, path, run):
    check(models(static, False, with_variants=not static), path, format, run, [None])


@pytest.mark.deploy
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_masks(static, format, path, run):
    check(models(static, True, with_variants=not static), path, format, run, MASKS)


@pytest.mark.deploy
@pytest.mark.parametrize("format", ["onnx", "openvino"])
@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_right_padded_masks(static, format, path, run):
    check(
        models(static, True, with_variants=False),
        path,
        format,
        run,
        ["right_padded", "all_true"],
        right_padded_masks=True,
    )


@pytest.mark.deploy
@pytest.mark.parametrize("format", ["onnx", "litert"])
def test_static_variants(format, path, run):
    model = build(variants(), True, True)
    expected = {mask: model(list(inputs(mask).values())) for mask in MASKS}
    check([(model, expected)], path, format, run, MASKS)


@pytest.mark.deploy
@pytest.mark.parametrize("mask", [None, *MASKS])
def test_outputs_are_those_of_keras(mask):
    for model, expected in models(False, mask is not None, with_variants=False):
        twin = to_keras(model)(list(inputs(mask).values()))
        for name, output in expected[mask].items():
            np.testing.assert_allclose(output, twin[name], atol=1e-6, rtol=0, err_msg=name)


def operations(path, format):
    """The types of the operations in an ONNX or OpenVINO file."""
    if format == "onnx":
        return [node.op_type for node in pytest.importorskip("onnx").load(path).graph.node]
    return [op.get_type_name() for op in pytest.importorskip("openvino").Core().read_model(path).get_ops()]


@pytest.mark.parametrize(
    ("format", "ending"), [("onnx", ""), pytest.param("openvino", "Sequence", marks=pytest.mark.deploy)]
)
@pytest.mark.deploy
def test_plain_layers_are_one_operation(format, ending, path, rng):
    x = keras.Input((None, 3))
    mask = keras.Input((None,), dtype="bool")
    outputs = [
        layers.SimpleRNN(4)(x),
        layers.GRU(4, reset_after=False)(x, mask=mask),
        keras.layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x, mask=mask),
    ]
    export_model(keras.Model([x, mask], outputs), path(format), format, right_padded_masks=True)
    found = operations(path(format), format)
    assert [found.count(name + ending) for name in ("RNN", "GRU", "LSTM", "Loop")] == [1, 1, 2, 0]


@pytest.mark.deploy
def test_a_mask_of_any_pattern_is_a_loop(path):
    x, mask = keras.Input((None, 3)), keras.Input((None,), dtype="bool")
    export_model(keras.Model([x, mask], layers.GRU(4)(x, mask=mask)), path("onnx"), "onnx")
    assert "GRU" not in operations(path("onnx"), "onnx")


@pytest.mark.deploy
def test_a_loop_reads_its_weights_from_outside(path):
    model = keras.Sequential([keras.Input((None, 3)), layers.Recurrent(layers.PeepholeLSTMCell(4))])
    export_model(model, path("onnx"), "onnx")
    (loop,) = [node for node in pytest.importorskip("onnx").load(path("onnx")).graph.node if node.op_type == "Loop"]
    # The number of trips, the condition, the count of Keras's loop and the two states.
    assert len(loop.input) <= 6


@pytest.mark.deploy
@pytest.mark.parametrize("format", FORMATS)
def test_nested_inputs_and_the_mask_of_an_embedding(format, path, run):
    ids, size = keras.Input((None,), dtype="int32", name="ids"), keras.Input((2,), name="size")
    x = layers.GRU(4)(keras.layers.Embedding(9, 3, mask_zero=True)(ids))
    model = keras.Model({"ids": ids, "sizes": [size]}, {"scores": keras.layers.Concatenate()([x, size])})
    export_model(model, path(format), format, right_padded_masks=True)
    values = {"ids": np.array([[4, 5, 0], [6, 0, 0]], "int32"), "size": np.ones((2, 2), "float32")}
    outputs = run(path(format), format, values)
    expected = model({"ids": values["ids"], "sizes": [values["size"]]})["scores"]
    np.testing.assert_allclose(outputs["scores"], expected, atol=1e-6)


@pytest.mark.deploy
@pytest.mark.parametrize("format", FORMATS)
def test_captured_constants(format, path, run, rng):
    inputs = keras.Input((None, 3), name="x")
    normalized = keras.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0])(inputs)
    model = keras.Model(inputs, layers.GRU(UNITS)(normalized * keras.ops.convert_to_tensor([1.0, 2.0, 3.0])))
    export_model(model, path(format), format)
    x = rng.normal(size=(2, STEPS, 3)).astype("float32")
    np.testing.assert_allclose(run(path(format), format, {"x": x})["output_0"], model(x), atol=1e-6)


@pytest.mark.deploy
def test_input_signature(path, run):
    model = keras.Sequential([keras.Input((None, 3), name="x"), layers.LSTM(4)])
    signature = [keras.layers.InputSpec(shape=(1, 6, 3), dtype="float32")]
    export_model(model, path("litert"), "litert", input_signature=signature)
    outputs = run(path("litert"), "litert", {"x": np.ones((1, 6, 3), "float32")})
    np.testing.assert_allclose(outputs["output_0"], model(np.ones((1, 6, 3))), atol=1e-6)


@pytest.mark.deploy
def test_a_subclassed_model(path, run):
    model = layers.LanguageModel(vocabulary_size=9, units=4, embedding_dim=3)
    ids = np.array([[2, 5, 6]], "int32")
    expected = model(ids)
    with pytest.raises(ValueError, match="`input_signature` must be given for 'language_model"):
        export_model(model, path("onnx"), "onnx")
    signature = [keras.layers.InputSpec(shape=(None, None), dtype="int32")]
    export_model(model, path("onnx"), "onnx", input_signature=signature)
    np.testing.assert_allclose(run(path("onnx"), "onnx", {"input_0": ids})["output_0"], expected, atol=1e-6)


@pytest.mark.deploy
def test_unrolled_layers_of_a_known_length_have_no_loop(path, run):
    model = keras.Sequential([keras.Input((6, 3), name="x"), layers.LSTM(4, unroll=True)])
    model.export(str(path("litert")), format="litert", verbose=False)
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path("litert")))
    assert "WHILE" not in {details["op_name"] for details in interpreter._get_ops_details()}
    x = np.ones((1, 6, 3), "float32")
    np.testing.assert_allclose(run(path("litert"), "litert", {"x": x})["output_0"], model(x), atol=1e-6)


def test_saved_model_of_a_machine_with_a_gpu(path, monkeypatch):
    """Its graph has no kernel of cuDNN, so that it runs on a machine without a GPU."""

    def kernel(*arguments, **options):
        raise AssertionError("a SavedModel calls a kernel of cuDNN")

    for name, value in {"cudnn_ok": lambda *arguments, **options: True, "lstm": kernel}.items():
        monkeypatch.setattr(keras_internals.backend, name, value)
    model = keras.Sequential([keras.Input((3, 4)), layers.LSTM(2, use_cudnn=False)])
    model.layers[0].use_cudnn = "auto"
    with pytest.raises(AssertionError, match="cuDNN"):
        model(np.ones((1, 3, 4)))
    export_model(model, path("saved_model"), "saved_model")


@pytest.mark.deploy
def test_files_are_replaced_or_kept(path, monkeypatch):
    model = keras.Sequential([keras.Input((None, 3)), layers.LSTM(4)])
    for format in FORMATS:
        export_model(model, path(format), format)
        export_model(model, path(format), format)
    entries = sorted(entry.name for entry in path("onnx").parent.iterdir())
    assert entries == ["model", "model.bin", "model.onnx", "model.tflite", "model.xml"]
    before = path("onnx").read_bytes()
    stateful = keras.Sequential([keras.Input(batch_shape=(1, 5, 3)), layers.LSTM(4, stateful=True)])
    for format in ("onnx", "litert", "openvino"):
        with pytest.raises(ValueError, match="as stateful layers do, which only a SavedModel can"):
            export_model(stateful, path(format), format)
    export_model(stateful, path("saved_model"), "saved_model")
    assert path("onnx").read_bytes() == before
    assert sorted(entry.name for entry in path("onnx").parent.iterdir()) == entries


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("model.onnx", {"format": "tensorrt"}, "must be one of saved_model, onnx, litert, openvino"),
        ("model.pb", {"format": "onnx"}, "must end in .onnx"),
        ("file", {"format": "saved_model"}, "must not be a file"),
        ("x.onnx", {"format": "onnx", "input_signature": []}, "one specification per input, 1. Received: 0"),
    ],
)
def test_wrong_arguments(name, options, message, tmp_path):
    (tmp_path / "file").write_text("")
    model = keras.Sequential([keras.Input((None, 3)), layers.LSTM(4)])
    with pytest.raises(ValueError, match=message):
        export_model(model, tmp_path / name, **options)


@pytest.mark.parametrize(("format", "extra"), [("onnx", "onnx"), ("openvino", "openvino")])
def test_a_missing_converter_is_one_line(format, extra, path, monkeypatch):
    monkeypatch.setitem(sys.modules, {"onnx": "tf2onnx"}.get(format, format), None)
    model = keras.Sequential([keras.Input((None, 3)), layers.LSTM(4)])
    with pytest.raises(MissingExtra, match=rf"install it with `pip install 'keras-recurrent\[{extra}\]'`"):
        export_model(model, path(format), format)


def test_exports_without_tensorflow_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.delitem(sys.modules, "keras_recurrent.export")
    with pytest.raises(MissingExtra, match=r"this needs tensorflow; .* 'keras-recurrent\[export\]'`"):
        importlib.import_module("keras_recurrent.export")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (keras.layers.LSTM(4), "the loop of Keras's recurrent layers"),
        (layers.Recurrent(keras.layers.LSTMCell(4)), "the loop of Keras's recurrent layers"),
        (keras.layers.Lambda(lambda x: keras.ops.cholesky(x)), "no operation for TensorFlow's .*Cholesky"),
    ],
)
@pytest.mark.deploy
def test_operations_that_litert_lacks(layer, message, path):
    model = keras.Sequential([keras.Input((3, 3)), layer])
    with pytest.raises(ValueError, match=message):
        export_model(model, path("litert"), "litert")


def test_operations_that_onnx_lacks(path):
    model = keras.Sequential([keras.Input((3, 3)), keras.layers.Lambda(lambda x: keras.ops.cholesky(x))])
    with pytest.raises(ValueError, match="ONNX has no operation for TensorFlow's Cholesky"):
        export_model(model, path("onnx"), "onnx")
