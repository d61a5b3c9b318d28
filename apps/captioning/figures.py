"""Figures of captions."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ..shared.figures import NARROWEST, WIDEST, cut, draw_overlays, save, thumbnail, wrapped
from ..shared.fonts import families


def draw_caption(pixels: np.ndarray, caption: Mapping[str, Any], grid: Sequence[int], path: str | Path) -> None:
    """Draws an image with its caption, and the attention for each token, above which its largest weight is written.

    Args:
        pixels: uint8 array `(height, width, 3)`.
        caption: Dictionary of `text`, `tokens` and `alignment`: for each token the attention weights in [0, 1] of the
            cells of the grid, row by row, or an empty list without attention.
        grid: The rows and columns of the feature map.
        path: The image file to write, such as `caption.png` or `caption.svg`.
    """
    tokens = [*map(cut, caption["tokens"])] if any(map(len, caption["alignment"])) else []
    maps = [np.reshape(weights, grid) for weights in caption["alignment"][: len(tokens)]]
    pixels = thumbnail(pixels)
    aspect = min(max(pixels.shape[0] / pixels.shape[1], 0.3), 2)
    count = 1 + len(tokens)
    columns = min(count, max(5, math.ceil(math.sqrt(1.5 * count * aspect))))
    rows = math.ceil(count / columns)
    side = min(2.2 if tokens else 4, WIDEST / columns)
    width = max(NARROWEST, side * columns)
    title = wrapped(caption["text"] or "(empty caption)", width)
    height = (1.1 if tokens else 0.4) + 0.2 * title.count("\n") + rows * (0.3 + side * aspect)
    with matplotlib.rc_context(
        {"font.family": families("".join([title, *tokens])), "axes.titlesize": min(10, 5 * side)}
    ):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.suptitle(title, parse_math=False)
        figure.subplots(rows, columns)
        for axes in figure.axes[count:]:
            axes.remove()
        draw_overlays(figure.axes, pixels, maps)
        for axes, token, weights in zip(figure.axes[1:count], tokens, maps, strict=True):
            axes.set_title(f"{token} ({weights.max():.2f})", parse_math=False)
        save(figure, path)
