"""The notebooks of the documentation run, and print what they say they print."""

import difflib
import os
import re
import sys
from importlib.metadata import metadata
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.deploy
NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))


def printed(cell):
    """The words that a cell prints on standard output. Numbers and bars depend on the machine."""
    text = "".join(output.text for output in cell.get("outputs", []) if output.get("name") == "stdout")
    return re.sub(r"[\d.,]+|#+", "", text).split()


def test_there_are_notebooks():
    assert len(NOTEBOOKS) == 5


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_cell_is_about_colab(path):
    text = nbformat.read(path, as_version=4).cells[0].source
    extra = re.search(r'`%pip install --find-links \. "keras-recurrent(?:\[(\w+)\])?"`', text)[1]
    assert extra is None or extra in metadata("keras-recurrent").get_all("Provides-Extra")
    assert "The outputs below are those of a CPU. On Colab, expect the same words" in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_prints_what_it_says(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # for keras-recurrent
    stored = nbformat.read(path, as_version=4)
    assert not [output for cell in stored.cells for output in cell.get("outputs", []) if output.get("name") == "stderr"]
    executed = nbformat.read(path, as_version=4)
    NotebookClient(executed, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for before, after in zip(stored.cells, executed.cells, strict=True):
        difference = list(difflib.unified_diff(printed(before), printed(after), lineterm=""))
        assert not difference, f"{before.source}\n" + "\n".join(difference)
        pictures = [
            [list(output.data) for output in cell.get("outputs", []) if "data" in output] for cell in (before, after)
        ]
        assert len(pictures[0]) == len(pictures[1])
