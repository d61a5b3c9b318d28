"""An extension of griffe, which `make docs` uses: the docstrings of this package in the form that it reads."""

import re
from typing import Any

import griffe


class Docstrings(griffe.Extension):
    """Fences interactive examples, and makes one list item of each entry under "Call arguments"."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring:
            text = re.sub(r"^>>> .*?(?=\n\n|\Z)", r"```pycon\n\g<0>\n```", obj.docstring.value, flags=re.M | re.S)
            text = re.sub(r"(?<=^Call arguments:\n)(?:    .*\n?)+", _as_list, text, flags=re.M)
            obj.docstring.value = text


def _as_list(block: re.Match[str]) -> str:
    """An entry begins at the indentation of the block, its further lines are indented more."""
    return re.sub(r"^    (?=\S)", "    - ", block[0], flags=re.M)
