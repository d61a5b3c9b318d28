import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel of the package."""
    folder = tmp_path_factory.mktemp("package")
    patterns = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
    own = {
        path.name for path in (ROOT / "saved_models").iterdir() if path.is_dir() and not (path / "README.md").exists()
    }

    def ignored(directory, names):
        return {*patterns(directory, names), *(own if Path(directory).name == "saved_models" else ())}

    source = shutil.copytree(ROOT, folder / "source", ignore=ignored)
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def environment(wheel, tmp_path_factory):
    """`environment(*arguments)` installs the wheel with these arguments of pip and returns the folder `bin`."""

    def environment(*arguments):
        folder = tmp_path_factory.mktemp("environment") / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        python = folder / "bin" / "python"
        subprocess.run([*PIP, "--python", python, "install", wheel, *arguments], check=True)
        return python.parent

    return environment
