import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SHOW = """
import importlib.metadata
for path in importlib.metadata.distribution("keras-recurrent").files:
    print(path)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The files of the wheel, installed without dependencies in an empty environment."""
    folder = tmp_path_factory.mktemp("package")
    ignored = shutil.ignore_patterns(".*", "saved_models", "build", "*.egg-info", "__pycache__")
    source = shutil.copytree(ROOT, folder / "source", ignore=ignored)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", "--no-deps", "--no-index", wheel], check=True)
    shown = subprocess.run([python, "-I", "-c", SHOW], check=True, capture_output=True, text=True)
    return [Path(line) for line in shown.stdout.splitlines()]


def test_the_only_top_level_name_is_the_package(installed):
    names = {path.parts[0] for path in installed if path.parts[0] != ".." and ".dist-info" not in path.parts[0]}
    assert names == {"keras_recurrent"}


def test_the_wheel_holds_every_module_and_configuration(installed):
    folders = ("apps", "datasets", "layers")
    files = [path for folder in folders for kind in ("*.py", "*.yaml") for path in (ROOT / folder).rglob(kind)]
    expected = {Path("keras_recurrent") / path.relative_to(ROOT) for path in files}
    assert expected
    assert expected <= set(installed)
    assert not [path for path in installed if "tests" in path.parts or "benchmarks" in path.parts]


def test_the_console_script_is_there(installed):
    assert "keras-recurrent" in {path.name for path in installed}


def test_version():
    import keras_recurrent

    assert importlib.metadata.version("keras-recurrent") == keras_recurrent.__version__
