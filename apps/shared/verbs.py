"""Input and results of commands."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...datasets.files import decode_lines
from .models import folders


def report(folder: str, split: str, metrics: dict[str, Any], data: str | None = None) -> None:
    """Prints the metrics of an evaluation as one line of JSON and writes them to the model's folder.

    Args:
        folder: The model's folder.
        split: The name of the split.
        metrics: The metrics by name.
        data: The data set, or None if it is the one that the model was trained on.
    """
    print(json.dumps(metrics, ensure_ascii=False), flush=True)  # a folder that is read-only costs no result
    folders.write_metrics(folder, split if data is None else f"{split} of {data}", metrics)


def figure_path(folder: str, name: str, split: str, data: str | None = None) -> Path:
    """Returns the path of an evaluation's figure in the model's folder; `split` and `data` are those of `report`."""
    suffix = "" if data is None else f"-of-{Path(data).name}"
    return Path(folder) / "figures" / f"{name}-{split}{suffix}.png"


def input_batches(texts: Sequence[str], size: int = 64) -> Iterator[Sequence[str]]:
    """Yields the texts of a command in batches; without texts, the lines of standard input.

    At a terminal each line is a batch, so that each result is printed before the next line is typed.
    """
    if not texts and sys.stdin.isatty():
        return ([line.rstrip("\n")] for line in sys.stdin)
    lines = texts or decode_lines(sys.stdin.buffer.read(), "standard input")
    return (lines[first : first + size] for first in range(0, len(lines), size))
