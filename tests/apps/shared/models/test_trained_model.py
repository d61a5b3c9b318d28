"""What the exports of all apps have in common."""

from pathlib import Path

import pytest
import tensorflow as tf
from keras_recurrent.apps import load

from ...data import write

pytestmark = pytest.mark.rest

APPS = ["captioning", "classification", "generation", "long_memory", "translation", "vqa"]


@pytest.fixture(scope="module", params=APPS)
def trained_and_export(request, tmp_path_factory):
    trained = load(Path(write.__file__).parent / request.param)
    folder = tmp_path_factory.mktemp(request.param) / "export"
    trained.export(folder)
    return trained, folder


def test_an_export_stores_each_weight_once(trained_and_export):
    trained, folder = trained_and_export
    entries = dict(tf.train.list_variables(folder / "variables" / "variables"))
    entries.pop("_CHECKPOINTABLE_OBJECT_GRAPH")
    stored = sorted(tuple(shape) for shape in entries.values())
    weights = sorted(tuple(weight.shape) for weight in trained.model.weights if "seed" not in weight.path)
    assert stored == weights


def rows(spec, count):
    """A batch for an input of a signature, or a scalar."""
    if spec.name == "image_bytes":
        return tf.fill([count], write.image())
    if spec.dtype == tf.string:
        return tf.fill([count], "0 1")
    return tf.ones([size or (count if axis == 0 else 4) for axis, size in enumerate(spec.shape)], spec.dtype)


def test_the_first_axis_of_each_output_is_the_batch(trained_and_export):
    """TensorFlow Serving joins the requests of several clients to a batch, and splits its outputs."""
    _, folder = trained_and_export
    for name, signature in tf.saved_model.load(folder).signatures.items():
        specs = signature.structured_input_signature[1]
        assert all(spec.shape[0] is None for spec in signature.structured_outputs.values()), name
        for count in (0, 1, 3):
            outputs = signature(**{key: rows(spec, count) for key, spec in specs.items()})
            assert {key: len(value) for key, value in outputs.items()} == dict.fromkeys(outputs, count), name


@pytest.mark.parametrize("trained_and_export", ["captioning", "vqa"], indirect=True)
@pytest.mark.parametrize("shape", [(2, 0, 8, 3), (2, 8, 0, 3), (0, 0, 0, 3)])
def test_pixels_of_empty_images_are_errors_of_their_rows(trained_and_export, shape):
    _, folder = trained_and_export
    signature = tf.saved_model.load(folder).signatures["pixels"]
    inputs = {"pixels": tf.zeros(shape, tf.uint8)}
    if "question" in signature.structured_input_signature[1]:
        inputs["question"] = tf.fill(shape[:1], "Is it red?")
    outputs = {name: value.numpy() for name, value in signature(**inputs).items()}
    assert outputs.pop("error").tolist() == shape[0] * [b"the image is empty"]
    assert not any(value.any() for value in outputs.values())
