"""Figures of a translation."""

import matplotlib
from matplotlib.figure import Figure

from ..shared.figures import families, save


def draw_alignment(source, target, weights, path):
    """Draws where an attention looked as a heat map, into a picture file.

    Args:
        source: List of strings, the tokens that were read: the columns.
        target: List of strings, the tokens that were written: the rows.
        weights: Floats `(target, source)` in [0, 1].
        path: The file; its ending, such as `.png` or `.svg`, says which kind.
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
