"""Figures of a caption."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ..shared.figures import draw_overlay, families, save, thumbnail


def draw_caption(pixels, caption, grid, path):
    """Draws an image with its caption into a picture file, and for each word where the attention looked.

    Args:
        pixels: uint8 array `(height, width, 3)`.
        caption: Dictionary of `text`, `tokens` and `alignment`: a list for each token with a number in [0, 1] for each
            cell of the grid, row by row, or of none without attention.
        grid: The rows and columns of the cells.
        path: The file; its ending, such as `.png` or `.svg`, says which kind.
    """
    tokens = caption["tokens"] if any(map(len, caption["alignment"])) else []
    columns = min(5, 1 + len(tokens))
    rows = -(-(1 + len(tokens)) // columns)
    with matplotlib.rc_context({"font.family": families(caption["text"])}):
        figure = Figure(figsize=(max(4, 2.2 * columns), 0.6 + (2.5 if tokens else 4) * rows), layout="constrained")
        figure.suptitle(caption["text"], wrap=True, parse_math=False)
        panels = figure.subplots(rows, columns, squeeze=False).flat
        for axes in panels:
            axes.axis("off")
        panels = figure.axes
        pixels = thumbnail(pixels)
        panels[0].imshow(pixels)
        for axes, token, weights in zip(panels[1:], tokens, caption["alignment"], strict=False):
            draw_overlay(axes, pixels, np.reshape(weights, grid))
            axes.set_title(token, fontsize="medium", parse_math=False)
        save(figure, path)
