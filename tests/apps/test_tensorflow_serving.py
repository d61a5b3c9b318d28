"""The configuration and the requests for TensorFlow Serving in the documentation fit the exports."""

import base64
import json
import re
from pathlib import Path

import pytest
import tensorflow as tf
from google.protobuf import text_format
from keras_recurrent.apps import cli

from .conftest import run_in_session
from .data import write

pytestmark = pytest.mark.deploy

MODELS = Path(write.__file__).parent
PAGE = (Path(__file__).parents[2] / "docs/serving.md").read_text(encoding="utf-8")
SECTION = re.search(r"\n## TensorFlow Serving\n(.*?)\n## ", PAGE, flags=re.DOTALL)[1]
REQUESTS = {
    "translation": ["instances", "text"],
    "vqa": ["instances", "image_bytes", "question"],
    "classification": ["instances", "text"],
    "generation": ["inputs", "prompt", "seed"],
}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", SECTION, flags=re.DOTALL)


def body_of(app):
    """The request for an app in the documentation."""
    for body in map(json.loads, blocks("json")):
        for key, value in body.items():
            if [key, *sorted(value if key == "inputs" else value[0])] == REQUESTS[app]:
                return body
    raise AssertionError(f"no request for {app}")


def tensors(body, signature):
    """The inputs that TensorFlow Serving makes of a body."""
    if "instances" in body:  # by rows
        names = sorted(body["instances"][0])
        assert all(sorted(instance) == names for instance in body["instances"])
        body = {"inputs": {name: [instance[name] for instance in body["instances"]] for name in names}}
    assert sorted(body["inputs"]) == sorted(signature)
    values = {}
    for name, value in body["inputs"].items():
        spec = signature[name]
        if spec.dtype == tf.string:
            value = [base64.b64decode(x["b64"], validate=True) if isinstance(x, dict) else x for x in value]
        values[name] = tf.constant(value, spec.dtype)
        assert spec.shape.is_compatible_with(values[name].shape), name
    return values


def test_the_configuration_is_one_of_a_model_server():
    configuration = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2").ModelServerConfig()
    (text,) = blocks("proto")
    text_format.Parse(text, configuration)
    (model,) = configuration.model_config_list.config
    assert model.model_platform == "tensorflow"
    assert f"--to {model.base_path.removeprefix('/')}/1\n" in SECTION
    assert f"/v1/models/{model.name}:predict" in SECTION


@pytest.mark.parametrize("app", REQUESTS)
def test_requests_fit_the_signature(app, request, tmp_path):
    if app == "translation":
        export = request.getfixturevalue("exported")
    else:
        export = tmp_path / "export"
        assert cli.main([app, "export", str(MODELS / app), "--to", str(export)]) == 0
    signature = tf.saved_model.load(export).signatures["serving_default"]
    body = body_of(app)
    inputs = tensors(body, signature.structured_input_signature[1])
    outputs = run_in_session(export, "serving_default", inputs)
    rows = len(outputs["error"])
    if "instances" in body:  # all inputs and outputs must be batches
        assert all(value.shape[0] == rows for value in [*inputs.values(), *outputs.values()])
    for name, value in outputs.items():
        if value.dtype == object:
            assert not name.endswith("_bytes")  # which TensorFlow Serving encodes in Base64
            assert all(isinstance(item.decode(), str) for item in value.ravel())
    if app == "translation":
        answer = next(body for body in map(json.loads, blocks("json")) if "predictions" in body)
        for index, prediction in enumerate(answer["predictions"]):
            assert prediction.keys() == outputs.keys()
            assert prediction["error"] == outputs["error"][index].decode()
            assert bool(prediction["text"]) == bool(outputs["text"][index])
            assert bool(prediction["score"]) == bool(outputs["score"][index])
        assert rows == len(answer["predictions"])
