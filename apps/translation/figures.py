"""Figures of a translation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from ..shared.figures import NARROWEST, label_inches, label_ticks, save, span
from ..shared.fonts import families
from ..shared.text.tokenizers import display_form


def draw_alignment(source: Sequence[str], target: Sequence[str], weights: Any, path: str | Path) -> None:
    """Draws attention weights as a heat map.

    Args:
        source: The source tokens, one per column.
        target: The target tokens, one per row.
        weights: Floats `(target, source)` in [0, 1].
        path: The image file. Its suffix, such as `.png` or `.svg`, determines the format.
    """
    width, height = span(len(source)), span(len(target))
    with matplotlib.rc_context({"font.family": families("".join([*source, *target]))}):
        size = max(NARROWEST, 1.7 + label_inches(target) + width), 0.9 + label_inches(source) + height
        figure = Figure(figsize=size, layout="constrained")
        figure.suptitle("Attention of each target token to the source")
        axes = figure.subplots()
        image = axes.imshow(weights, cmap="Greys", vmin=0, vmax=1, aspect="auto")
        label_ticks(axes.xaxis, source, width)
        label_ticks(axes.yaxis, target, height)
        axes.set(xlabel="source token", ylabel="target token")
        axes.xaxis.set_label_position("top")
        axes.xaxis.tick_top()
        figure.colorbar(image, label="attention weight")
        save(figure, path)


def draw_explanation(explanation: Mapping[str, Any], path: str | Path) -> None:
    """Draws the alignment of the best translation that `Translator.explain` returns for a sentence."""
    best = explanation["translations"][0]
    source, target = ([*map(display_form, tokens)] for tokens in (explanation["source_tokens"], best["tokens"]))
    draw_alignment(source, target, best["alignment"], path)
