"""Figures of answers."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ..shared.figures import draw_overlay, families, save, thumbnail


def draw_answers(pixels, question, told, grid, path):
    """Draws an image with a question, the answers as bars, and where the model looked, into a picture file.

    Args:
        pixels: uint8 array `(height, width, 3)`.
        question: String.
        told: Dictionary of `answers`, dictionaries of `text` and `probability`, and `looks`: for each hop a list with a
            number in [0, 1] for each cell of the grid, row by row.
        grid: The rows and columns of the cells.
        path: The file; its ending, such as `.png` or `.svg`, says which kind.
    """
    answers, looks = told["answers"], told["looks"]
    with matplotlib.rc_context({"font.family": families("".join([question, *(a["text"] for a in answers)]))}):
        figure = Figure(figsize=(3.2 * (2 + len(looks)), 3.4), layout="constrained")
        figure.suptitle(question, wrap=True, parse_math=False)
        picture, *maps, bars = figure.subplots(1, 2 + len(looks))
        pixels = thumbnail(pixels)
        picture.imshow(pixels)
        for hop, (axes, weights) in enumerate(zip(maps, looks, strict=True), 1):
            draw_overlay(axes, pixels, np.reshape(weights, grid))
            axes.set_title(f"look {hop}", fontsize="medium")
        for axes in (picture, *maps):
            axes.axis("off")
        bars.barh(range(len(answers)), [answer["probability"] for answer in answers])
        bars.set_yticks(range(len(answers)), [answer["text"] for answer in answers], parse_math=False)
        bars.invert_yaxis()
        bars.set(xlim=(0, 1), xlabel="probability")
        save(figure, path)
