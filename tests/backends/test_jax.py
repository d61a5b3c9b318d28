"""All apps on JAX, in an environment without TensorFlow."""

import importlib
import importlib.util
import json
import pkgutil
import subprocess
import sys

import keras
import keras_recurrent
import numpy as np
import pytest

if keras.config.backend() != "jax":
    pytest.skip("JAX is not the backend", allow_module_level=True)

import jax
from keras_recurrent.apps import cli, load
from keras_recurrent.apps.long_memory import report
from keras_recurrent.apps.shared.keras_internals import ReadableVariables
from keras_recurrent.apps.shared.models.compiled import compiled
from keras_recurrent.apps.shared.training.batches import EpochBatches
from keras_recurrent.layers.fusion import FUSIONS

from ..apps.data.write import OPTIONS
from ..apps.test_load import EXPECTED, FOLDER, check_predictions
from .commands import parse, run

NEEDS_TENSORFLOW = (".signatures", ".saved_model", ".runtimes", "_dataset_builder", ".export")
TRAININGS = {
    "translation": {"scheduled_sampling": 0.5, "monitor": "bleu", "dropout": 0.2, "tokenizer": "subwords"},
    "captioning": {"risk_epochs": 1, "risk_captions": 2, "monitor": "cider"},
    "vqa": {"fusion": "stacked_attention", "backbone_epoch": 2, "ema": 0.5},
    "classification": {"precision": "mixed_float16", "tensorboard": True},
    "generation": {"mode": "text", "batch_size": 2, "window": 3},
    "forecasting": {"known": "promotion", "static": "kind", "attention": True},
    "long_memory": {},
}
TRAININGS["translation"] |= {"vocabulary_size": 40, "max_length": 30}
EVALUATED = {"generation": ["--split=val", "--adapt=0.1"], "long_memory": [], "forecasting": ["--windows=2"]}
PREDICTED = {
    "translation": ["predict", "ein Hund schläft.", "--json"],
    "captioning": ["predict", "data/images/red.png", "--json"],
    "vqa": ["predict", "data/images/red.png", "Is it red?", "--json"],
    "classification": ["predict", "ein Hund", "--json"],
    "generation": ["generate", "--prompt=a", "--samples=2", "--json"],
    "forecasting": ["predict"],
    "long_memory": ["predict", "7 1 0 3", "--json"],
}


def options(app, **changes):
    data = {} if app == "long_memory" else {"data": f"data/{app}"}
    values = {**OPTIONS[app], **data, "epochs": 2, **TRAININGS[app], **changes}
    names = {name: f"--{name.replace('_', '-')}" for name in values}
    given = {name: value for name, value in values.items() if value is not False}
    return [names[name] if value is True else f"{names[name]}={value}" for name, value in given.items()]


def test_there_is_no_tensorflow():
    assert not any(importlib.util.find_spec(name) for name in ("tensorflow", "tensorflow_datasets"))


def test_all_modules_but_those_of_exports_are_imported():
    names = [module.name for module in pkgutil.walk_packages(keras_recurrent.__path__, "keras_recurrent.")]
    names = [name for name in names if name.split(".")[1] in ("apps", "datasets", "layers")]
    imported = [name for name in names if not any(part in name for part in NEEDS_TENSORFLOW)]
    assert len(imported) > 80
    for name in imported:
        importlib.import_module(name)


@pytest.mark.parametrize("app", TRAININGS)
def test_train_evaluate_and_predict(app, work):
    once, twice = f"models/{app}", f"models/{app}-resumed"
    run(app, "train", *options(app), "--output", once)
    assert list((work / once).glob("tensorboard/events.out.*")) or app != "classification"
    result = json.loads(run(app, "evaluate", once, *EVALUATED.get(app, ["--split=val"])).splitlines()[-1])
    assert np.isfinite([value for value in result.values() if isinstance(value, float)]).all()
    verb, *arguments = PREDICTED[app]
    results = parse(app, run(app, verb, once, *arguments))
    assert len(results) == {"generation": 2, "forecasting": 4}.get(app, 1) and all(results)
    run(app, "train", *options(app), "--output", twice, last=1)
    run(app, "train", *options(app), "--output", twice, "--resume")
    for weight, again in zip(*(load(work / name).model.get_weights() for name in (once, twice)), strict=True):
        np.testing.assert_array_equal(weight, again)


def test_an_autoregressive_forecaster_predicts_the_same_twice(work):
    changes = {"network": "autoregressive", "distribution": "negative_binomial", "attention": False, "samples": 3}
    run("forecasting", "train", *options("forecasting", **changes, epochs=1), "--output", "models/autoregressive")
    first, second = (run("forecasting", "predict", "models/autoregressive") for _ in range(2))
    assert first == second and len(first.splitlines()) == 5


@pytest.mark.devices
@pytest.mark.parametrize("fusion", FUSIONS)
def test_fusions(fusion, work):
    folder = f"models/{fusion}"
    run("vqa", "train", *options("vqa", fusion=fusion, backbone_epoch=0, ema=0, epochs=1), "--output", folder)
    (line,) = run("vqa", "predict", folder, "data/images/red.png", "Is it red?", "--json").splitlines()
    assert 0 < json.loads(line)["answers"][0]["probability"] <= 1


@pytest.mark.devices
def test_report(work, monkeypatch):
    monkeypatch.setattr(report, "KINDS", {"GRU": {"cell": "gru"}})
    monkeypatch.setattr(report, "MAX_STEPS_TIMES_LAG", {"parity": 400})
    run("long_memory", "report", "report", "--task=parity", "--longest=4", "--jobs=1")
    results = json.loads((work / "report" / "report.json").read_text())
    assert results["parity, GRU, lag 4"]["steps"] == 100
    assert "GRU" in (work / "report" / "figures" / "report.html").read_text()


@pytest.mark.parametrize("app", EXPECTED)
def test_a_model_that_was_trained_on_tensorflow_predicts_the_same(app):
    check_predictions(app)


def test_the_batches_of_fit_may_be_computed_with_the_current_weights():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(0.25), "mse")
    weights = []

    def batches(epoch):
        for _ in range(4):
            weights.append(model.get_weights()[0].item())
            yield np.ones((1, 1), "float32"), np.full((1, 1), weights[-1] + 1, "float32")  # a step adds 0.5

    signature = (keras.InputSpec(shape=(None, 1), dtype="float32"),) * 2
    train = EpochBatches(batches, signature, lambda epoch: 4, prefetch=False)
    model.fit(train, verbose=0, shuffle=False, callbacks=[ReadableVariables()])
    assert weights[-4:] == [0.0, 0.5, 1.0, 1.5]


def test_batches_of_similar_size_are_compiled_once():
    sizes = []

    def function(values, factor):
        sizes.append(len(values))
        return {"products": factor * values}

    specs = [keras.InputSpec(shape=(None, 2), dtype="float32"), keras.InputSpec(shape=(), dtype="float32")]
    multiply = compiled(function, keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), specs)
    for rows in (1, 5, 6, 7, 8, 8, 17, 24, 0):
        values = np.random.default_rng(rows).normal(size=(rows, 2)).astype("float32")
        np.testing.assert_array_equal(multiply(values, 2.0)["products"], 2 * values)
    assert sizes == [1, 8, 24, 0]


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (
            jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nMore"),
            2,
            "not enough memory",
        ),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_an_error_of_a_step_is_one_line(error, status, message, work, capsys, monkeypatch):
    def step(*_):
        raise error

    monkeypatch.setattr(
        keras.Model, "make_train_function", lambda model, force=False: setattr(model, "train_function", step)
    )
    assert cli.main(["vqa", "train", *options("vqa"), "--output=failed", "--overwrite"]) == status
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith(f"keras-recurrent: {message}")
    assert "Traceback" not in "".join(lines)


def test_a_process_prints_nothing_of_its_libraries(work):
    command = [sys.executable, "-P", "-m", "keras_recurrent", "classification"]
    train = [*command, "train", *options("classification"), "--output=quiet"]
    result = subprocess.run(train, capture_output=True, text=True, check=True)
    assert all(line.startswith(("keras-recurrent: ", "  keras-recurrent ")) for line in result.stderr.splitlines())
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["translation", "export", FOLDER / "translation"],
            "this needs tensorflow; install it with `pip install 'keras-recurrent[apps]'`",
        ),
        (
            ["translation", "export", FOLDER / "translation", "--backend=jax"],
            "an export requires the backend tensorflow",
        ),
        (["translation", "train", "--data=wmt14_translate/de-en", "--output=x"], "requires tensorflow-datasets"),
    ],
)
def test_what_needs_tensorflow_says_so(arguments, message, work, capsys, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert cli.main([*map(str, arguments)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
