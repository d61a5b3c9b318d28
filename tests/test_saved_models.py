"""The models that come with the package do what their cards say."""

import base64
import json
import re
import tomllib
from pathlib import Path

import pytest
from keras_recurrent.apps import cli, load
from keras_recurrent.apps.demo.answers import ANSWERS, parse
from keras_recurrent.apps.shared.models import folders, packaged

ROOT = Path(__file__).parents[1]
SECTIONS = ["Data", "Training", "Figures", "Limits"]
GENERATED = ("english_korean", "shapes", "negation", "easy_vqa", "sales")  # data sets that are there without a download


def card(name):
    return (packaged.FOLDER / name / "README.md").read_text(encoding="utf-8")


def figures(name):
    """The rows `(split, metric, value)` of the card's table."""
    return re.findall(r"^\| (\S+) \| (\w+) \| ([\d.]+) \|", card(name), flags=re.M)


def data_of(name):
    return folders.read_config(packaged.FOLDER / name)["data"]


def test_they_are_small_and_in_the_wheel_and_in_git():
    files = [path for name in packaged.names() for path in (packaged.FOLDER / name).rglob("*") if path.is_file()]
    assert packaged.names()
    assert sum(path.stat().st_size for path in files) <= 15e6
    package_data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert sorted(package_data["keras_recurrent.saved_models"]) == [f"{name}/**" for name in packaged.names()]
    unignored = re.findall(r"!saved_models/(\S+)/", (ROOT / ".gitignore").read_text())
    assert sorted(unignored) == packaged.names()
    assert not {"figures", "export"} & {path.parent.name for path in files}


@pytest.mark.parametrize("name", packaged.names())
def test_the_card(name):
    text = card(name)
    assert text.startswith(f"# {name}\n\n")
    assert re.findall(r"^## (.*)", text, flags=re.M) == SECTIONS
    assert not data_of(name).startswith(("/", "."))
    metrics = json.loads((packaged.FOLDER / name / "metrics.json").read_text())
    assert figures(name)
    for split, metric, value in figures(name):
        digits = len(value.partition(".")[2])
        assert round(metrics[split][metric], digits) == float(value), (split, metric)


def form(name, example):
    example.pop("title", None)
    picture = example.pop("picture", None)
    if picture:
        example["picture"] = base64.b64encode((packaged.FOLDER / name / "examples" / picture).read_bytes()).decode()
    return parse(example)


def result(answer):
    """The text of an answer of any app, as `predict` prints it, or the median forecasts of the first series."""
    match answer:
        case {"series": [{"levels": levels, "quantiles": quantiles}, *_]}:
            return quantiles[levels.index(0.5)]
        case [{"text": text}] | {"translations": [{"text": text}, *_]} | {"captions": [{"text": text}, *_]}:
            return text
        case {"answers": [{"text": text}, *_]} | {"label": text}:
            return text


@pytest.mark.parametrize("name", packaged.names())
def test_the_examples(name):
    examples = json.loads((packaged.FOLDER / name / "examples.json").read_text(encoding="utf-8"))
    assert len(examples) >= 3
    model = load(name)
    for example in examples:
        expected = example.pop("answer")
        answer = ANSWERS[model.config.app](model, form(name, example))
        assert result(answer) == (expected if isinstance(expected, str) else pytest.approx(expected, rel=1e-3))


@pytest.mark.rest
@pytest.mark.parametrize("name", [name for name in packaged.names() if data_of(name).startswith(GENERATED)])
def test_the_figures(name, tmp_path, monkeypatch, capsys):
    """On a part of the split, within what so few examples allow."""
    monkeypatch.chdir(tmp_path)
    app = folders.read_config(packaged.FOLDER / name)["app"]
    metrics = json.loads((packaged.FOLDER / name / "metrics.json").read_text())
    part = [] if app == "forecasting" else ["--shard", "1/4"]
    for split in {split for split, _, _ in figures(name)}:
        assert cli.main([app, "evaluate", name, "--split", split, *part]) == 0
        measured = json.loads(capsys.readouterr().out.splitlines()[-1])
        for metric in [metric for own, metric, _ in figures(name) if own == split]:
            assert measured[metric] == pytest.approx(metrics[split][metric], rel=0.05), (split, metric)
