"""The models that come with the package do what their cards say."""

import base64
import json
import re
import tomllib
from pathlib import Path

import pytest
from keras_recurrent.apps import cli, load
from keras_recurrent.apps.demo.answers import ANSWERS, parse
from keras_recurrent.apps.shared.models import packaged

ROOT = Path(__file__).parents[1]
SECTIONS = ["Data", "Training", "Figures", "Limits"]
GENERATED = ("english_korean", "shapes", "negation", "easy_vqa")  # data sets that are there without a download


def card(name):
    return (packaged.FOLDER / name / "README.md").read_text(encoding="utf-8")


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
    assert not re.search(r"^data: [/.]", (packaged.FOLDER / name / "config.yaml").read_text(), flags=re.M)
    metrics = json.loads((packaged.FOLDER / name / "metrics.json").read_text())
    rows = re.findall(r"^\| (\S+) \| (\w+) \| ([\d.]+) \|", text, flags=re.M)
    assert rows
    for split, metric, value in rows:
        digits = len(value.partition(".")[2])
        assert round(metrics[split][metric], digits) == float(value), (split, metric)


def form(name, example):
    picture = example.pop("picture", None)
    if picture:
        example["picture"] = base64.b64encode((packaged.FOLDER / name / "examples" / picture).read_bytes()).decode()
    return parse(example)


def text_of(answer):
    """The text of an answer of any app, as `predict` prints it."""
    match answer:
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
        assert text_of(ANSWERS[model.config.app](model, form(name, example))) == expected


@pytest.mark.rest
@pytest.mark.parametrize(
    "name",
    [
        name
        for name in packaged.names()
        if re.search(
            rf"^data: ({'|'.join(GENERATED)})", (packaged.FOLDER / name / "config.yaml").read_text(), flags=re.M
        )
    ],
)
def test_the_figures(name, tmp_path, monkeypatch, capsys):
    """On a part of the split, within what so few examples allow."""
    monkeypatch.chdir(tmp_path)
    metrics = json.loads((packaged.FOLDER / name / "metrics.json").read_text())
    for split, metric, value in re.findall(r"^\| (\S+) \| (\w+) \| ([\d.]+) \|", card(name), flags=re.M):
        app = load(name).config.app
        assert cli.main([app, "evaluate", name, "--split", split, "--shard", "1/4"]) == 0
        measured = json.loads(capsys.readouterr().out.splitlines()[-1])[metric]
        assert measured == pytest.approx(metrics[split][metric], rel=0.05), (split, metric, value)
