"""An export for another runtime answers as the Python object does."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from keras import tree
from keras_recurrent.apps import cli, load

from ...data import write

MODELS = Path(write.__file__).parent
TEXTS = ["ein Hund schläft.", "eine Katze rennt , völlig", ""]
QUESTIONS = ["Which colour is it?", "is it"]


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "noise.png"
    path.write_bytes(write.image())
    return str(path)


def arguments_and_answers(app, picture):
    """The arguments of a runner, and what `predict --json` prints for them."""
    model = load(MODELS / app)
    if app == "translation":
        return TEXTS, model.explain(TEXTS)
    if app == "classification":
        return TEXTS, [{"text": text, **answer} for text, answer in zip(TEXTS, model.explain(TEXTS), strict=True)]
    if app == "generation":
        return ["ab", "b"], [{"text": text} for prompt in ("ab", "b") for text in model.generate(prompt)]
    contents = [Path(picture).read_bytes()] * 2
    if app == "captioning":
        return [picture], [{"image": picture, "captions": model.explain(contents[:1])[0]}]
    answers = zip(QUESTIONS, model.explain(contents, QUESTIONS), strict=True)
    arguments = [argument for question in QUESTIONS for argument in (picture, question)]
    return arguments, [{"image": picture, "question": question, **answer} for question, answer in answers]


def run(folder, *arguments):
    return subprocess.run([sys.executable, folder / "runner.py", *arguments], capture_output=True, text=True)


def assert_same(lines, answers):
    """Texts, tokens and shapes are equal, and numbers to four digits."""
    answers = json.loads(json.dumps(answers))
    assert len(lines) == len(answers)
    for line, answer in zip(lines, answers, strict=True):
        leaves = zip(tree.flatten_with_path(json.loads(line)), tree.flatten_with_path(answer), strict=True)
        for (path, actual), (expected_path, expected) in leaves:
            assert path == expected_path
            if isinstance(expected, float):
                np.testing.assert_allclose(actual, expected, atol=1.01e-4, err_msg=str(path))
            else:
                assert actual == expected, path


@pytest.mark.deploy
@pytest.mark.parametrize(
    ("app", "format"),
    [
        *itertools.product(["translation", "captioning", "vqa", "classification", "generation"], ["onnx", "litert"]),
        ("translation", "openvino"),  # takes longest
        ("classification", "openvino"),
    ],
)
def test_the_runner_prints_what_predict_prints(app, format, picture, tmp_path, capsys):
    arguments = [app, "export", str(MODELS / app), "--format", format, "--to", str(tmp_path / "export")]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().err.count("\n") == 1, "warnings of the converter"
    arguments, answers = arguments_and_answers(app, picture)
    result = run(tmp_path / "export", *arguments)
    assert result.returncode == 0, result.stderr
    assert_same(result.stdout.splitlines(), answers)


@pytest.mark.deploy
def test_mistakes_are_one_line_and_the_others_are_answered(tmp_path, picture):
    folder = tmp_path / "export"
    export = ["captioning", "export", str(MODELS / "captioning"), "--format", "litert"]
    assert cli.main([*export, "--to", str(folder)]) == 0
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    result = run(folder, tmp_path / "broken.png", picture)
    assert result.returncode == 2
    assert len(result.stdout.splitlines()) == 1
    (line,) = (line for line in result.stderr.splitlines() if not line.startswith("INFO: "))  # of LiteRT
    assert line.startswith(f"runner.py: {tmp_path / 'broken.png'}: not a readable image")


@pytest.mark.parametrize(
    ("app", "options", "message"),
    [
        (
            "translation",
            ["--quantize", "float16"],
            "float16 requires --format onnx, litert, openvino, web or keras",
        ),
        ("translation", ["--runtime", "folder"], "--runtime requires --format web"),
        ("translation", ["--format", "web", "--runtime", "folder"], "folder/ort.wasm.min.mjs is missing"),
        (
            "translation",
            ["--format", "openvino", "--quantize", "int8"],
            "int8 requires --format onnx, litert, web or keras",
        ),
        ("translation", ["--format", "tflite"], "--format takes saved_model, onnx, litert, openvino, web or keras"),
        ("long_memory", ["--format", "onnx"], "models of the app long_memory are exported as saved_model only"),
    ],
)
def test_what_a_format_lacks(app, options, message, tmp_path, capsys):
    assert cli.main([app, "export", str(MODELS / app), "--to", str(tmp_path / "export"), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())
