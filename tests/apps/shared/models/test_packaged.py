"""Models that come with the package are found by name from any folder, and commands write nothing into them."""

import json
import shutil
from pathlib import Path

import pytest
from keras_recurrent.apps import cli, load
from keras_recurrent.apps.shared.models import packaged

from ...data import write


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A package with one model, and an empty current folder."""
    folder = tmp_path / "package"
    shutil.copytree(Path(write.__file__).parent / "classification", folder / "reviews")
    (folder / "reviews" / "README.md").write_text("# reviews\n\nJudges reviews,\nin a word.\n\n## Data\n\n...\n")
    shutil.copytree(folder / "reviews", folder / "trained-here")
    (folder / "trained-here" / "README.md").unlink()
    monkeypatch.setattr(packaged, "FOLDER", folder)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return folder


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "test.tsv").write_text("text\tlabel\n" + "meow\tcat\nwoof\tdog\n" * 3)
    return tmp_path / "data"


def test_a_model_is_found_by_name(capsys):
    assert cli.main(["classification", "predict", "reviews", "good"]) == 0
    assert capsys.readouterr().out.endswith("good\n")
    assert load("reviews").classify(["good"])


def test_a_folder_of_that_name_takes_precedence(folder):
    shutil.copytree(folder / "reviews", "reviews")
    assert packaged.find("reviews") == Path("reviews")
    assert packaged.find("./other") == Path("./other")  # not a name


def test_a_name_that_is_not_there(capsys):
    assert cli.main(["classification", "predict", "review", "good"]) == 2
    assert "did you mean reviews?" in capsys.readouterr().err
    assert cli.main(["classification", "predict", "trained-here", "good"]) == 2
    assert cli.main(["translation", "predict", "reviews", "good"]) == 2
    assert "of the app 'classification'" in capsys.readouterr().err


def test_results_are_written_to_the_current_folder(folder, data, tmp_path, monkeypatch):
    (tmp_path / "linked").symlink_to(folder)
    monkeypatch.setattr(packaged, "FOLDER", tmp_path / "linked")
    before = {path.name for path in (folder / "reviews").iterdir()}
    assert cli.main(["classification", "evaluate", "reviews", "--data", str(data)]) == 0
    arguments = ["classification", "export", "reviews", "--format", "keras", "--quantize", "int8"]
    assert cli.main(arguments) == 0
    assert {path.name for path in (folder / "reviews").iterdir()} == before
    results = Path("reviews-results")
    assert json.loads((results / "metrics.json").read_text())[f"test of {data}"]["texts"] == 6
    assert [path.parent.name for path in results.rglob("*.png")] == ["figures"]
    assert (results / "export-keras-int8" / "model.keras").exists()


def test_the_list(capsys):
    assert cli.main(["models"]) == 0
    output = capsys.readouterr().out
    assert "reviews\n  app      classification\n  does     Judges reviews, in a word.\n" in output
    assert "trained-here" not in output
