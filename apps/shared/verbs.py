"""What the verbs of several apps share: their input, and what an evaluation leaves behind."""

import json
import sys
from pathlib import Path

from ...datasets.files import decode_lines
from .models import folders


def report(folder, split, metrics, data=None):
    """Ends an evaluation: writes its metrics to the model's folder, and prints them as one line of JSON.

    Args:
        folder: The model's folder.
        split: The split's name.
        metrics: Dictionary.
        data: The data set, if it is not the model's own.
    """
    folders.write_metrics(folder, split if data is None else f"{split} of {data}", metrics)
    print(json.dumps(metrics, ensure_ascii=False), flush=True)


def figure_path(folder, name, split, data=None):
    """The path of an evaluation's figure in the model's folder; `split` and `data` are those of `report`."""
    suffix = "" if data is None else f"-of-{Path(data).name}"
    return Path(folder) / "figures" / f"{name}-{split}{suffix}.png"


def input_batches(texts, size=64):
    """The texts of a command in batches; without any, the lines of standard input.

    At a terminal each line is a batch, so that a person gets each answer before typing the next line.
    """
    if not texts and sys.stdin.isatty():
        return ([line.rstrip("\n")] for line in sys.stdin)
    lines = texts or decode_lines(sys.stdin.buffer.read(), "standard input")
    return (lines[first : first + size] for first in range(0, len(lines), size))
