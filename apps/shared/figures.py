"""Figures that several apps draw, and what all figures share: sizes, labels, overlays and files."""

import csv
import math
import textwrap
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageOps

from ...files import atomic_file
from .errors import UsageError
from .fonts import families

DPI = 120
NARROWEST, WIDEST = 5.0, 13.0  # inches, the range of the width of a figure
SHORTEST_AXIS, LONGEST_AXIS = 1.6, 9.5  # inches, the range of the length of a heat map's axis
LONGEST_LABEL = 24  # characters
MOST_LABELS = 25  # of a confusion matrix
SMALLEST_FONT, LARGEST_FONT = 6.0, 10.0  # points
_ATTENTION = LinearSegmentedColormap.from_list("attention", [(0.85, 0, 0, 0), (0.85, 0, 0, 0.85)])


def draw_history(history: str | Path, path: str | Path, kept: Sequence[int] = ()) -> None:
    """Draws the losses and the other measures of a `history.csv` against the epochs.

    Args:
        history: The `history.csv` of a training.
        path: The image file to write, such as `history.png` or `history.svg`.
        kept: The epoch whose weights the model has, or the epochs over which its weights are averaged. It is marked.
    """
    with open(history, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    epochs = [int(row["epoch"]) for row in rows]
    measures = [column for column in rows[0] if column not in ("epoch", "learning_rate", "loss", "val_loss")]
    figure = Figure(figsize=(6.5, 4 + 2 * len(measures)), layout="constrained")
    losses, *others = figure.subplots(1 + len(measures), squeeze=False, sharex=True)[:, 0]
    figure.suptitle(f"Training history, {len(rows)} epoch{'s' if len(rows) > 1 else ''}")
    panels = [(losses, "loss", {"training": "loss", "validation": "val_loss"})]
    for axes, column in zip(others, measures, strict=True):
        label = column.replace("val_", "validation ").replace("_", " ")
        panels.append((axes, label, {label: column}))
    for axes, ylabel, curves in panels:
        for label, column in curves.items():
            axes.plot(epochs, [float(row[column]) for row in rows], marker="o", markersize=3, label=label)
        if len(kept) == 1:
            axes.axvline(kept[0], color="tab:green", linestyle="--", zorder=1, label=f"kept: epoch {kept[0]}")
        elif kept:
            label = f"kept: average of epochs {kept[0]} to {kept[-1]}"
            axes.axvspan(kept[0], kept[-1], color="tab:green", alpha=0.3, linewidth=0, label=label)
        axes.set(ylabel=ylabel, xlim=(epochs[0] - 0.5, epochs[-1] + 0.5))
        axes.grid(alpha=0.3)
    losses.legend()
    figure.axes[-1].set(xlabel="epoch")
    figure.axes[-1].xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    save(figure, path)


def draw_confusion(labels: Sequence[str], table: np.ndarray, path: str | Path) -> None:
    """Draws a confusion matrix: the counts, in shades of the shares of each gold label.

    Of more than 25 labels, the most frequent ones are drawn, and all others together as "(other)".

    Args:
        labels: The labels.
        table: Integer array `(gold, predicted)` of counts.
        path: The image file to write, such as `confusion.png` or `confusion.svg`.
    """
    title = f"Confusion matrix of {table.sum():,} predictions"
    if len(labels) > MOST_LABELS:
        title += f", the {MOST_LABELS - 1} most frequent of {len(labels):,} labels"
        labels, table = _most_frequent(labels, table)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    side = span(len(labels), max(0.38, 0.09 * len(str(table.max()))))
    margin = label_inches(labels)
    with matplotlib.rc_context({"font.family": families("".join(labels))}):
        figure = Figure(figsize=(max(NARROWEST, 1.9 + margin + side), 1.3 + margin + side), layout="constrained")
        figure.suptitle(title)
        axes = figure.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (row, column), value in np.ndenumerate(table):
            color = "white" if shares[row, column] > 0.5 else "black" if value else "0.7"
            axes.text(column, row, str(value), color=color, ha="center", va="center", fontsize="small")
        label_ticks(axes.xaxis, labels, side)
        label_ticks(axes.yaxis, labels, side)
        axes.set(xlabel="predicted label", ylabel="gold label")
        figure.colorbar(image, label="share of the gold label")
        save(figure, path)


def _most_frequent(labels: Sequence[str], table: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Adds up the rows and columns of all labels but the most frequent gold labels."""
    kept = np.sort(np.argsort(-table.sum(axis=1), kind="stable")[: MOST_LABELS - 1])
    groups = np.full(len(labels), len(kept))
    groups[kept] = np.arange(len(kept))
    merged = np.zeros((len(kept) + 1, len(kept) + 1), table.dtype)
    np.add.at(merged, (groups[:, None], groups), table)
    return [*(labels[index] for index in kept), "(other)"], merged


def draw_gates(tokens: Sequence[str], gates: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Draws the gates of a recurrent layer as heat maps over the tokens that it reads.

    Args:
        tokens: The tokens, one per step.
        gates: Dictionary from a gate's name to an array `(steps, units)`, such as one row of the batch of
            `layers.gate_activations`. `candidate` is the new content, all others are gates with values in [0, 1].
        path: The image file to write, such as `gates.png` or `gates.svg`.

    Example:

    >>> from keras_recurrent.apps.shared.figures import draw_gates
    >>> draw_gates(["a", "dog"], {"update": np.array([[0.1, 0.9], [0.5, 0.2]])}, "gates.png")
    """
    width = span(len(tokens))
    panel = min(2.2, 0.6 + 0.03 * max(values.shape[1] for values in gates.values()))
    size = max(NARROWEST, 2 + width), 0.8 + label_inches(tokens) + len(gates) * (0.4 + panel)
    with matplotlib.rc_context({"font.family": families("".join(tokens)), "image.interpolation": "nearest"}):
        figure = Figure(figsize=size, layout="constrained")
        figure.suptitle("Gates of each unit at each step")
        panels = figure.subplots(len(gates), squeeze=False)[:, 0]
        for axes, (name, values) in zip(panels, gates.items(), strict=True):
            is_gate = name != "candidate"
            largest = max(1, np.abs(values).max())  # a candidate with ReLU exceeds 1
            lowest = 0 if is_gate else -largest
            cmap = "Greys" if is_gate else "RdBu_r"
            image = axes.imshow(values.T, cmap=cmap, vmin=lowest, vmax=largest, aspect="auto")
            axes.set_title(f"{name} gate" if is_gate else name, loc="left", fontsize="medium")
            axes.set(ylabel="unit", xticks=[])
            axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
            figure.colorbar(image, label="0 closed, 1 open" if is_gate else "value")
        label_ticks(panels[-1].xaxis, tokens, width)
        panels[-1].set(xlabel="token read at the step")
        save(figure, path)


def draw_steps(tokens: Sequence[str], norms: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Draws one number per step, such as a norm, as a heat map over the tokens.

    Shades are logarithmic, because a gradient may vanish exponentially. Black is the largest number of a row.

    Args:
        tokens: The tokens, one per step.
        norms: Dictionary from the name of a row to an array `(steps,)` of non-negative numbers, such as one row of the
            batch of `layers.gradient_flow` or `layers.state_norms`. NaN is hatched.
        path: The image file to write, such as `steps.png` or `steps.svg`.

    Raises:
        ValueError: If a row does not have one number per token.

    Example:

    >>> from keras_recurrent.apps.shared.figures import draw_steps
    >>> draw_steps(["a", "dog"], {"gradient": np.array([0.01, 1.0])}, "steps.png")
    """
    for name, values in norms.items():
        if len(values) != len(tokens):
            raise ValueError(f"{name} has {len(values)} numbers for {len(tokens)} tokens")
    width, height = span(len(tokens)), span(len(norms), shortest=0.7)
    with matplotlib.rc_context({"font.family": families("".join([*tokens, *norms]))}):
        size = max(NARROWEST, 0.6 + label_inches([*norms]) + width), 1.8 + label_inches(tokens) + height
        figure = Figure(figsize=size, layout="constrained")
        figure.suptitle("Norm at each step, relative to the largest of its row")
        axes = figure.subplots()
        shares = np.stack([values / max(np.nanmax(values), 1e-30) for values in norms.values()])
        lowest = max(1e-6, np.nanmin(np.where(shares > 0, shares, 0.1)))
        norm = LogNorm(min(lowest, 0.1), 1, clip=True)
        axes.patch.set(hatch="////", edgecolor="0.7")  # shows through where the image is NaN
        image = axes.imshow(shares, cmap="Greys", norm=norm, aspect="auto")
        label_ticks(axes.xaxis, tokens, width)
        label_ticks(axes.yaxis, [*norms], height)
        axes.set(xlabel="token read at the step")
        figure.colorbar(image, label="share of the largest", location="bottom", aspect=40)
        save(figure, path)


def span(count: int, cell: float = 0.35, shortest: float = SHORTEST_AXIS) -> float:
    """Returns the inches of an axis of `count` cells; few cells become larger, and many become smaller."""
    return min(max(count * cell, shortest), LONGEST_AXIS)


def label_ticks(axis: XAxis | YAxis, labels: Sequence[str], inches: float) -> None:
    """Labels the cells along an axis of a heat map, as many of them as are legible.

    Args:
        axis: The x-axis or y-axis.
        labels: One label per cell. Long ones are cut.
        inches: Length of the axis.
    """
    points = 0.9 * 72 * inches / max(1, len(labels))  # the height of a line
    every = math.ceil(SMALLEST_FONT / points)
    indices = range(0, len(labels), every)
    fontsize = min(LARGEST_FONT, points * every)
    rotation = 90 if isinstance(axis, XAxis) else 0
    texts = [cut(labels[index]) for index in indices]
    axis.set_ticks(indices, texts, fontsize=fontsize, rotation=rotation, parse_math=False)


def label_inches(labels: Sequence[str]) -> float:
    """Returns an estimate of the space that labels take beside an axis."""
    return 0.2 + 0.085 * max(map(_columns, map(cut, labels)), default=0)


def _columns(text: str) -> int:
    """The width of a text in columns of a terminal. Chinese, Japanese and Korean characters take two."""
    return sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in text)


def cut(text: str) -> str:
    """Cuts a label that is too long."""
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"


def wrapped(text: str, inches: float) -> str:
    """Breaks a title into lines that fit into a figure of this width, at most six."""
    columns = int(9 * inches * len(text) / max(1, _columns(text)))
    return textwrap.fill(text, columns, max_lines=6, placeholder=" …")


def thumbnail(pixels: np.ndarray, side: int = 600) -> np.ndarray:
    """Scales an image down to at most `side` pixels per side. Several panels of a photograph would take gigabytes.

    Args:
        pixels: uint8 array `(height, width, 3)`.
        side: Positive integer.
    """
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    return np.asarray(image)


def draw_overlays(panels: Sequence[Axes], pixels: np.ndarray, maps: Sequence[np.ndarray]) -> None:
    """Draws an image and, beside it, its attention maps in red over a pale grey version of the image.

    Args:
        panels: The axes to draw into, one for the image, and one for each map.
        pixels: uint8 array `(height, width, 3)`.
        maps: Arrays `(rows, columns)`, the attention to the cells of the feature map.
    """
    height, width = pixels.shape[:2]
    grey = np.asarray(ImageOps.autocontrast(Image.fromarray(pixels).convert("L"))) / 255
    grey = 0.35 + 0.55 * grey  # neither black, on which red is dark, nor white, as the page is
    for axes in panels:
        axes.axis("off")
    panels[0].imshow(pixels)
    for axes, weights in zip(panels[1:], maps, strict=True):
        axes.imshow(grey, cmap="gray", vmin=0, vmax=1)
        image = axes.imshow(
            weights / max(weights.max(), 1e-30),
            cmap=_ATTENTION,
            vmin=0,
            vmax=1,
            extent=(-0.5, width - 0.5, height - 0.5, -0.5),
            interpolation="bilinear",
        )
    if maps:
        label = "attention, relative to the peak, which is in parentheses"
        bar = axes.figure.colorbar(image, ax=[*panels], location="bottom", shrink=0.6, aspect=40, fraction=0.05)
        bar.set_label(label)


def check_picture(path: str | Path) -> None:
    """Raises a `UsageError` if no figure can be written to `path`. Commands call it before long work."""
    path = Path(path)
    _file_format(path)
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path}: no such folder {path.parent}")


def _file_format(path: Path) -> str:
    file_format = path.suffix.lstrip(".").lower()
    supported = Figure().canvas.get_supported_filetypes()
    if file_format not in supported:
        raise UsageError(f"{path}: the name of a figure ends in one of {', '.join(supported)}")
    return file_format


def save(figure: Figure, path: str | Path) -> None:
    """Writes a figure to an image file, whose suffix selects the format; creates its folder."""
    path = Path(path)
    file_format = _file_format(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as partial, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # `families` reports it
        figure.savefig(partial, dpi=DPI, format=file_format)
