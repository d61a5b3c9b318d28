"""Figures of captions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ..shared.figures import draw_overlay, families, save, thumbnail


def draw_caption(pixels: np.ndarray, caption: Mapping[str, Any], grid: Sequence[int], path: str | Path) -> None:
    """Draws an image with its caption, and the attention for each token.

    Args:
        pixels: uint8 array `(height, width, 3)`.
        caption: Dictionary of `text`, `tokens` and `alignment`: for each token the attention weights in [0, 1] of the
            cells of the grid, row by row, or an empty list without attention.
        grid: The rows and columns of the feature map.
        path: The image file to write, such as `caption.png` or `caption.svg`.
    """
    tokens = caption["tokens"] if any(map(len, caption["alignment"])) else []
    columns = min(5, 1 + len(tokens))
    rows = -(-(1 + len(tokens)) // columns)
    with matplotlib.rc_context({"font.family": families(caption["text"])}):
        figure = Figure(figsize=(max(4, 2.2 * columns), 0.6 + (2.5 if tokens else 4) * rows), layout="constrained")
        figure.suptitle(caption["text"], wrap=True, parse_math=False)
        figure.subplots(rows, columns)
        panels = figure.axes
        for axes in panels:
            axes.axis("off")
        pixels = thumbnail(pixels)
        panels[0].imshow(pixels)
        for axes, token, weights in zip(panels[1:], tokens, caption["alignment"], strict=False):
            draw_overlay(axes, pixels, np.reshape(weights, grid))
            axes.set_title(token, fontsize="medium", parse_math=False)
        save(figure, path)
