"""Recipes: YAML files with the options of a command, beside the code of its app.

The first three lines of a recipe are comments: its command, the result, and the duration.
"""

import re
from pathlib import Path
from typing import NamedTuple

from ..datasets.generated import NAMES
from .shared.errors import UsageError
from .shared.options import alternatives, read_yaml, suggestion

FOLDER = Path(__file__).parent


class Recipe(NamedTuple):
    """A recipe.

    Attributes:
        path: The file, whose name without `.yaml` is the name of the recipe.
        command: The command that uses it.
        result: What the command achieves.
        duration: How long it takes, such as "6 minutes on one core."
    """

    path: Path
    command: str
    result: str
    duration: str

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def app(self) -> str:
        return self.path.parent.name

    @property
    def verb(self) -> str:
        return self.command.split()[2]

    @property
    def data(self) -> str:
        """The data set, and who provides it."""
        data = read_yaml(self.path).get("data")
        if data is None:
            return "generated"
        return f"{data}, generated" if data.partition("/")[0] in NAMES else f"your copy of {data}"


def recipes() -> list[Recipe]:
    """Returns all recipes, ordered by app and name."""
    return [_read(path) for path in sorted(FOLDER.glob("*/*.yaml"))]


def names(app: str, verb: str) -> list[str]:
    """Returns the names of the recipes of a verb."""
    return [recipe.name for recipe in map(_read, sorted((FOLDER / app).glob("*.yaml"))) if recipe.verb == verb]


def find(app: str, verb: str, name: str) -> Path:
    """Returns the file of a recipe.

    Raises:
        UsageError: If the verb has no recipe of this name.
    """
    own = names(app, verb)
    if name in own:
        return FOLDER / app / f"{name}.yaml"
    others = [f"{recipe.app} {recipe.verb}" for recipe in recipes() if recipe.name == name]
    hint = (
        f"; it belongs to {alternatives(others)}"
        if others
        else suggestion(name, own) or f"; choose {alternatives(own)}"
    )
    raise UsageError(f"{app} {verb} has no recipe {name!r}{hint}")


def table() -> str:
    """Lists the recipes with their data, duration, result and command.

    `--recipe NAME` uses a recipe; options on the command line override it.
    """
    return "\n\n".join(
        f"{recipe.app} {recipe.name}\n"
        f"  data      {recipe.data}\n"
        f"  duration  {recipe.duration}\n"
        f"  result    {recipe.result}\n"
        f"  command   {recipe.command}"
        for recipe in recipes()
    )


def _read(path: Path) -> Recipe:
    lines = path.read_text(encoding="utf-8").splitlines()[:3]
    return Recipe(path, *(re.sub(r"^# *", "", line) for line in lines))
