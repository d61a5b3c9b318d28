"""Figures of answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ..shared.figures import WIDEST, cut, draw_overlays, save, thumbnail, wrapped
from ..shared.fonts import families


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
    answers, maps = explanation["answers"], [np.reshape(weights, grid) for weights in explanation["looks"]]
    texts = [answer["text"] for answer in answers]
    pixels = thumbnail(pixels)
    side = min(3.2, WIDEST / (2 + len(maps)))
    width = side * (2 + len(maps))
    title = wrapped(f"{question} – {texts[0]}", width)
    height = 1.4 + 0.2 * title.count("\n") + side * min(max(pixels.shape[0] / pixels.shape[1], 0.6), 2)
    with matplotlib.rc_context({"font.family": families("".join([question, *texts])), "axes.titlesize": "medium"}):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.suptitle(title, parse_math=False)
        picture, *panels, bars = figure.subplots(1, 2 + len(maps))
        draw_overlays([picture, *panels], pixels, maps)
        for hop, (axes, weights) in enumerate(zip(panels, maps, strict=True), 1):
            axes.set_title(f"hop {hop} ({weights.max():.2f})")
        bars.set_title("answers")
        rectangles = bars.barh(range(len(answers)), [answer["probability"] for answer in answers])
        bars.bar_label(rectangles, fmt="%.2f", padding=2, fontsize="small")
        bars.set_yticks(range(len(answers)), [*map(cut, texts)], parse_math=False)
        bars.invert_yaxis()
        bars.set(xlim=(0, 1.2), xticks=[0, 0.5, 1], xlabel="probability")
        save(figure, path)
