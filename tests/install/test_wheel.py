"""What the wheel installs."""

import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

import keras_recurrent
import pytest
from keras_recurrent.apps import recipes

ROOT = Path(__file__).parents[2]

LIST_FILES = """
import importlib.metadata
for path in importlib.metadata.distribution("keras-recurrent").files:
    print(path)
"""


@pytest.fixture(scope="module")
def files(environment):
    """The files of the wheel, installed without dependencies in an empty environment."""
    binaries = environment("--no-deps", "--no-index")
    result = subprocess.run([binaries / "python", "-I", "-c", LIST_FILES], check=True, capture_output=True, text=True)
    return [Path(line) for line in result.stdout.splitlines()]


def test_the_only_top_level_name_is_the_package(files):
    names = {path.parts[0] for path in files if path.parts[0] != ".." and ".dist-info" not in path.parts[0]}
    assert names == {"keras_recurrent"}


def test_the_wheel_holds_every_module_recipe_page_and_model(files):
    modules = [path for folder in ("apps", "datasets", "layers") for path in (ROOT / folder).rglob("*.py")]
    recipes = list((ROOT / "apps").rglob("*.yaml"))
    assert modules and recipes
    pages = [*(ROOT / "apps" / "shared" / "models" / "web").iterdir(), *(ROOT / "apps" / "demo" / "page").iterdir()]
    models = [path for card in (ROOT / "saved_models").glob("*/README.md") for path in card.parent.rglob("*.*")]
    assert models
    expected = [*modules, *recipes, *pages, *models, ROOT / "__init__.py", ROOT / "__main__.py", ROOT / "py.typed"]
    assert {Path("keras_recurrent") / path.relative_to(ROOT) for path in expected} <= set(files)
    assert not [path for path in files if {"tests", "benchmarks", "docs"} & set(path.parts)]


def test_the_console_script_is_there(files):
    assert "keras-recurrent" in {path.name for path in files}


def test_recipes_are_found_in_another_folder(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    imports = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from keras_recurrent.apps import cli, recipes"
    script = f"{imports}; print(recipes.FOLDER); cli.main(['recipes'])"
    command = [sys.executable, "-I", "-c", script]  # the dependencies are those of this environment
    result = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert result.stdout == f"{tmp_path}/keras_recurrent/apps\n{recipes.table()}\n"


def test_version():
    assert importlib.metadata.version("keras-recurrent") == keras_recurrent.__version__
