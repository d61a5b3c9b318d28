"""Data, trained models and exports that several files of tests share."""

import contextlib
import fcntl
import itertools
import json
import os
import re
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_recurrent.apps import cli
from keras_recurrent.apps.shared.models import folders, outputs
from keras_recurrent.apps.shared.training.checkpoints import States
from keras_recurrent.apps.translation import model
from keras_recurrent.apps.translation.config import Config
from matplotlib.figure import Figure
from PIL import Image

SUBJECTS = {"a man": "ein Mann", "a dog": "ein Hund", "a child": "ein Kind", "a cat": "eine Katze"}
VERBS = {"sleeps": "schläft", "runs": "rennt", "eats": "isst", "sits": "sitzt"}
PLACES = {"here": "hier", "there": "dort", "outside": "draußen"}


@pytest.fixture
def drawn(monkeypatch):
    """The Matplotlib figures that were saved in the test: each at most 2,000 pixels wide and high, nothing cut off."""
    figures, savefig = [], Figure.savefig

    def save(figure, *args, dpi, **options):
        figure.dpi = dpi
        savefig(figure, *args, dpi=dpi, **options)
        box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(box.x0, box.y0) >= -0.02 and box.x1 <= width + 0.02 and box.y1 <= height + 0.02
        assert max(width, height) * dpi <= 2000
        figures.append(figure)

    monkeypatch.setattr(Figure, "savefig", save)
    return figures


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A folder with 48 sentence pairs, all of them in each split."""
    folder = tmp_path_factory.mktemp("data")
    phrases = list(itertools.product(SUBJECTS.items(), VERBS.items(), PLACES.items()))
    for split in ("train", "val", "test"):
        for index, language in enumerate(("en", "de")):
            lines = [" ".join(words[index] for words in phrase) + "." for phrase in phrases]
            (folder / f"{split}.{language}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def config(data):
    """A translator small enough to learn those pairs in seconds."""
    return Config(
        data=str(data),
        source="de",
        target="en",
        embedding_dim=16,
        encoder_units=16,
        decoder_units=32,
        batch_size=8,
        epochs=25,
        patience=25,
        learning_rate=0.01,
        max_length=20,
    )


@pytest.fixture(scope="module")
def chromium():
    """A browser."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("Chromium is not installed")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """`shared_folder(name, write)`: a folder that `write(folder)` writes once for all processes of `pytest -n`."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def shared_folder(name, write):
        folder = root / "shared" / name
        folder.parent.mkdir(exist_ok=True)
        with open(folder.with_name(f"{name}.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                with outputs.atomic_output(folder) as partial:
                    write(partial)
        return folder

    return shared_folder


@pytest.fixture(scope="session")
def saved(config, shared_folder):
    """The folder of a trained translator."""
    return shared_folder("de-en", lambda folder: model.train(config, folder))


@pytest.fixture
def exported(saved, shared_folder):
    """The export of `saved`, an app's trained model, by the command line."""

    def export(folder):
        app = folders.read_config(saved)["app"]
        assert cli.main([app, "export", str(saved), "--to", str(folder / "export")]) == 0

    return shared_folder(f"{saved.name}-export", export) / "export"


def run_in_session(export, name, inputs):
    """The outputs of a signature in a session, as TensorFlow Serving and the C API run it."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        content = tf.compat.v1.saved_model.load(session, ["serve"], str(export))
        signature = content.signature_def[name]
        assert signature.outputs["error"].dtype == tf.string.as_datatype_enum
        feeds = {signature.inputs[key].name: value.numpy() for key, value in inputs.items()}
        return session.run({key: output.name for key, output in signature.outputs.items()}, feeds)


@pytest.fixture
def check_rows():
    """`check_rows(export, signature, inputs, errors, scalars)`: checks the answer to a batch with unusable rows.

    `errors` has a regular expression for each row, empty if nothing is wrong. A row whose error says that the rest is
    ignored is used.
    """

    def check_rows(export, name, inputs, errors, scalars=None):
        signature = tf.saved_model.load(export).signatures[name]
        inputs = {key: tf.constant(values) for key, values in inputs.items()}
        outputs = {key: value.numpy() for key, value in signature(**inputs, **(scalars or {})).items()}
        found = [error.decode() for error in outputs.pop("error")]
        for error, expected in zip(found, errors, strict=True):
            assert re.fullmatch(expected, error)
        usable = np.array([re.fullmatch("|.*(rest is ignored|in training)", error) is not None for error in found])
        assert usable.any() and not usable.all()
        served = run_in_session(export, name, {**inputs, **(scalars or {})})
        assert served.pop("error").tolist() == [error.encode() for error in found]
        assert served.keys() == outputs.keys()
        alone = signature(**{key: tf.boolean_mask(value, usable) for key, value in inputs.items()}, **(scalars or {}))
        for key, value in outputs.items():
            np.testing.assert_array_equal(value[usable], alone[key].numpy())  # bit for bit
            assert not any(value[~usable].ravel())
            if value.dtype.kind == "f":
                np.testing.assert_allclose(served[key], value, rtol=1e-4, atol=1e-6)
            else:
                np.testing.assert_array_equal(served[key], value)
        return outputs

    return check_rows


@pytest.fixture
def evaluate_in_shards(tmp_path, capsys):
    """`evaluate_in_shards(app, folder, split="val", *options)`: the lines of the output of an evaluation.

    Asserts that the outputs of two shards are that output, and that their metrics are those of the evaluation.
    """

    def evaluate_in_shards(app, folder, split="val", *options):
        def evaluate(*own):
            assert cli.main([app, "evaluate", str(folder), "--split", split, *options, *map(str, own)]) == 0
            metrics = json.loads(capsys.readouterr().out)
            return {name: value for name, value in metrics.items() if not name.endswith("_per_second")}

        outputs = {part: tmp_path / f"{part.replace('/', '-')}.{app}" for part in ("1/1", "1/2", "2/2")}
        whole = evaluate("--output", outputs["1/1"])
        for part in ("1/2", "2/2"):
            assert evaluate("--shard", part, "--output", outputs[part])["shard"] == part
        text = outputs["1/1"].read_text()
        predictions = tmp_path / f"predictions.{app}"
        predictions.write_text(outputs["1/2"].read_text() + outputs["2/2"].read_text())
        if app == "generation":  # of sums of float32, which depend on the batch; `ended` is of the model alone
            rows = [[line.split("\t") for line in part.splitlines()] for part in (text, predictions.read_text())]
            assert [row[1] for row in rows[0]] == [row[1] for row in rows[1]]
            assert [float(row[0]) for row in rows[0]] == pytest.approx([float(row[0]) for row in rows[1]], rel=1e-5)
            whole.pop("ended")
        else:
            assert predictions.read_text() == text
        assert evaluate("--predictions", predictions) == {
            **{name: value if not isinstance(value, float) else pytest.approx(value) for name, value in whole.items()},
            "predictions": str(predictions),
        }
        return text.splitlines()

    return evaluate_in_shards


@pytest.fixture
def eagerly():
    """Functions of TensorFlow run without being traced, which takes longer than a few steps of a small model."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


PLAIN_TENSORFLOW = """
import contextlib, io, json, sys, traceback
sys.modules["keras_recurrent"] = None  # importing it fails
import tensorflow as tf
for line in sys.stdin:
    script, names = json.loads(line)
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            exec(script, {"tf": tf, "json": json, **names})
        answer = [output.getvalue(), ""]
    except BaseException:
        answer = ["", traceback.format_exc()]
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture(scope="session")
def plain_tensorflow(tmp_path_factory):
    """`plain_tensorflow(script, **names)`: what a script prints as JSON, in a process that cannot import the package.

    The script sees `tf`, `json` and `names`.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", PLAIN_TENSORFLOW],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path_factory.mktemp("plain"),
    )

    def plain_tensorflow(script, **names):
        process.stdin.write(json.dumps([script, names], default=str) + "\n")
        process.stdin.flush()
        output, error = json.loads(process.stdout.readline())
        assert not error, error
        return json.loads(output)

    yield plain_tensorflow
    process.stdin.close()
    process.wait()


class Killed(Exception):
    """What ends a training where a process would have been killed."""


@pytest.fixture
def killed_after():
    """`with killed_after(epoch): train(...)`: the training ends when that epoch has been saved."""

    @contextlib.contextmanager
    def killed_after(last):
        def save(states, rows, best, then, save=States.save):
            save(states, rows, best, then)
            if len(rows) == last:
                states.wait()
                raise Killed

        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            patch.setattr(States, "save", save)
            yield

    return killed_after


COLOURS = {"red": (230, 30, 30), "green": (30, 180, 30), "blue": (30, 30, 230)}
SIDES = {"left": 4, "right": 18}
SIZE = 32


def draw(colour, side, top):
    picture = Image.new("RGB", (SIZE, SIZE), (220, 220, 220))
    picture.paste(COLOURS[colour], (SIDES[side], top, SIDES[side] + 10, top + 10))
    return picture


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder with 84 pictures of a square, two captions each; the two splits differ in how high it stands."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "images").mkdir()
    tops = {"train": range(2, 22, 2), "val": range(3, 23, 5)}
    for split, heights in tops.items():
        lines = ["image\tcaption"]
        for colour, side, top in itertools.product(COLOURS, SIDES, heights):
            name = f"{split}-{colour}-{side}-{top}.png"
            draw(colour, side, top).save(folder / "images" / name)
            lines += [f"{name}\ta {colour} square on the {side}.", f"{name}\ton the {side} a {colour} square."]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def contents(pictures):
    """The encoded pictures of the validation split, by name."""
    return {path.name: path.read_bytes() for path in sorted((pictures / "images").glob("val-*"))}


@pytest.fixture
def backbone_file(tmp_path):
    """A `.keras` file with a backbone that has batch normalisation."""
    path = tmp_path / "backbone.keras"
    keras.utils.set_random_seed(3)
    network = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 5, strides=4, activation="relu"),
            keras.layers.BatchNormalization(),
        ]
    )
    network(np.random.default_rng(0).uniform(0, 255, (16, 16, 16, 3)), training=True)
    network.save(path)
    return path
