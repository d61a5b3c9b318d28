import subprocess
from pathlib import Path

import pytest
import tensorflow as tf
from keras_recurrent.apps import load
from tensorflow.core.protobuf import saved_model_pb2

pytestmark = pytest.mark.deploy  # the export itself is run by the tests of the model


@pytest.fixture(scope="module")
def program(compile_c):
    """`serve.c`, compiled with TensorFlow's headers and libraries as pip installed them."""
    include, library = Path(tf.sysconfig.get_include()), Path(tf.sysconfig.get_lib())
    if not (include / "tensorflow/c/c_api.h").exists():
        pytest.skip(f"no headers of TensorFlow's C API in {include}")
    libraries = [path for name in ("cc", "framework") for path in library.glob(f"libtensorflow_{name}.*")]
    if len(libraries) != 2:
        pytest.skip(f"no libraries of TensorFlow's C API in {library}")
    # As system headers, TensorFlow's own are not warned about.
    return compile_c(Path(__file__).with_name("serve.c"), "-isystem", include, *libraries, f"-Wl,-rpath,{library}")


def run(program, *arguments, lines=()):
    contents = "\n".join(lines)
    return subprocess.run(
        [program, *arguments], input=contents, capture_output=True, encoding="utf-8", errors="surrogateescape"
    )


def tensor_names(export):
    """The names of the default signature's tensors: `text` in, and `text`, `score` and `error` out."""
    content = saved_model_pb2.SavedModel.FromString((export / "saved_model.pb").read_bytes())
    signature = content.meta_graphs[0].signature_def["serving_default"]
    return signature.inputs["text"].name, *(signature.outputs[name].name for name in ("text", "score", "error"))


def test_c_program_translates_as_the_python_object_does(program, saved, exported):
    translator = load(saved)
    names = tensor_names(exported)
    texts = [
        "ein Hund schläft hier.",
        "eine Katze isst draußen.",
        "",
        "völlig unbekannt 고양이",
        " ".join(["Hund"] * 500),
        "ein Kind rennt dort.",
    ]
    result = run(program, exported, *names, lines=texts)
    assert result.returncode == 0, result.stderr
    answers = [line.split("\t") for line in result.stdout.removesuffix("\n").split("\n")]
    expected = translator.translate(texts)
    assert [text for _, text in answers] == [translation.text for translation in expected]
    scores = [translation.score for translation in expected]
    assert [float(score) for score, _ in answers] == pytest.approx(scores, rel=1e-4)
    assert expected[0].text == "a dog sleeps here."
    long = "the text has more than 20 tokens, the maximum in training"
    messages = [line for line in result.stderr.splitlines() if line.startswith("serve: ")]  # others are TensorFlow's
    assert messages == ["serve: line 3: the text is empty", f"serve: line 5: {long}"]

    result = run(program, exported, *names, lines=[*texts[:2], "\udcff", *texts[2:]])  # a line of the byte ff
    assert (result.returncode, result.stdout.splitlines()[2]) == (0, "0\t"), result.stderr
    assert "serve: line 3: the text is not UTF-8" in result.stderr.splitlines()
    again = [line.split("\t") for line in result.stdout.removesuffix("\n").split("\n")]
    assert [*again[:2], *again[3:]] == answers

    result = run(program, exported, *names)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr

    result = run(program, exported, names[0], "text:0", *names[2:], lines=texts)
    assert result.returncode == 1
    assert "serve: text:0: the graph has no such tensor" in result.stderr


def test_c_program_without_an_export(program, tmp_path):
    folder = tmp_path / "missing"
    result = run(program, folder, "input:0", "text:0", "score:0", "error:0")
    assert result.returncode == 1
    assert f"serve: {folder}: Could not find SavedModel" in result.stderr
    assert result.stdout == ""
