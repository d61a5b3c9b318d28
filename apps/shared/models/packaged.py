"""The trained models that come with the package, each a folder of `saved_models/` with a card, `README.md`."""

from pathlib import Path

from ..errors import ModelFolderError
from ..options import suggestion
from . import outputs
from .folders import read_config

FOLDER = Path(__file__).parents[3] / "saved_models"


def names() -> list[str]:
    """Returns the names of the models."""
    return sorted(card.parent.name for card in FOLDER.glob("*/README.md"))


def find(model: str | Path) -> Path:
    """Returns the folder of a model.

    Args:
        model: A folder, or the name of a model that comes with the package. A folder of this name in the current folder
            takes precedence.

    Raises:
        ModelFolderError: If there is neither, but a model with a similar name.
    """
    path = outputs.find(Path(model))
    if path.is_dir() or path.name != str(model):
        return path
    if path.name in names():
        return FOLDER / path.name
    if hint := suggestion(path.name, names()):
        raise ModelFolderError(f"there is no folder and no model {path.name!r}{hint}")
    return path  # whose reader says that it does not exist


def results_folder(folder: str | Path) -> Path:
    """Returns where evaluations and exports of a model belong: its folder, or `NAME-results` for one of the package."""
    folder = Path(folder)
    is_packaged = folder.resolve().parent == FOLDER.resolve() and folder.name in names()
    return Path(f"{folder.name}-results") if is_packaged else folder


def table() -> str:
    """Lists the models that come with the package. Commands take their names in place of a folder."""
    return "\n\n".join(
        f"{name}\n"
        f"  app      {read_config(FOLDER / name)['app']}\n"
        f"  does     {summary(FOLDER / name)}\n"
        f"  size     {sum(path.stat().st_size for path in (FOLDER / name).iterdir()) / 1e6:.1f} MB\n"
        f"  card     {FOLDER / name / 'README.md'}"
        for name in names()
    )


def summary(folder: Path) -> str:
    """Returns what a model does, the first paragraph of its card after the title."""
    return (folder / "README.md").read_text(encoding="utf-8").split("\n\n")[1].replace("\n", " ")
