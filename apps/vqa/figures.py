"""Figures of answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ..shared.figures import draw_overlay, families, save, thumbnail


def draw_answers(
    pixels: np.ndarray, question: str, explanation: Mapping[str, Any], grid: Sequence[int], path: str | Path
) -> None:
    """Draws an image with a question, the attention of the fusion, and the answers as bars.

    Args:
        pixels: uint8 array `(height, width, 3)`.
        question: The question.
        explanation: Dictionary of `answers`, dictionaries of `text` and `probability`, and `looks`: for each hop the
            attention weights in [0, 1] of the cells of the grid, row by row.
        grid: The rows and columns of the feature map.
        path: The image file to write, such as `answer.png` or `answer.svg`.
    """
    answers, maps = explanation["answers"], explanation["looks"]
    with matplotlib.rc_context({"font.family": families("".join([question, *(a["text"] for a in answers)]))}):
        figure = Figure(figsize=(3.2 * (2 + len(maps)), 3.4), layout="constrained")
        figure.suptitle(question, wrap=True, parse_math=False)
        picture, *panels, bars = figure.subplots(1, 2 + len(maps))
        pixels = thumbnail(pixels)
        picture.imshow(pixels)
        for hop, (axes, weights) in enumerate(zip(panels, maps, strict=True), 1):
            draw_overlay(axes, pixels, np.reshape(weights, grid))
            axes.set_title(f"attention, hop {hop}", fontsize="medium")
        for axes in (picture, *panels):
            axes.axis("off")
        bars.barh(range(len(answers)), [answer["probability"] for answer in answers])
        bars.set_yticks(range(len(answers)), [answer["text"] for answer in answers], parse_math=False)
        bars.invert_yaxis()
        bars.set(xlim=(0, 1), xlabel="probability")
        save(figure, path)
