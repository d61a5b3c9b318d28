"""Figures of a translation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from ..shared.figures import families, save


def draw_alignment(source: Sequence[str], target: Sequence[str], weights: Any, path: str | Path) -> None:
    """Draws attention weights as a heat map.

    Args:
        source: The source tokens, one per column.
        target: The target tokens, one per row.
        weights: Floats `(target, source)` in [0, 1].
        path: The image file. Its suffix, such as `.png` or `.svg`, determines the format.
    """
    size = 2 + 0.35 * len(source), 1.5 + 0.3 * len(target)
    with matplotlib.rc_context({"font.family": families("".join([*source, *target]))}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(weights, cmap="Greys", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(source)), source, rotation=90, parse_math=False)
        axes.set_yticks(range(len(target)), target, parse_math=False)
        axes.xaxis.tick_top()
        figure.colorbar(image, label="attention")
        save(figure, path)
