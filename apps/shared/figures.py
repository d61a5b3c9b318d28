"""Figures that several apps draw, and what all figures share: fonts, overlays and files."""

import csv
import importlib.util
import warnings
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.ticker import MaxNLocator
from PIL import Image

from ...files import atomic_file
from .console import note
from .errors import UsageError


def draw_history(history: str | Path, path: str | Path) -> None:
    """Draws the losses and the other measures of a `history.csv` against the epochs.

    Args:
        history: The `history.csv` of a training.
        path: The image file to write, such as `history.png` or `history.svg`.
    """
    with open(history, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    epochs = [int(row["epoch"]) for row in rows]
    measures = [column for column in rows[0] if column not in ("epoch", "learning_rate", "loss", "val_loss")]
    figure = Figure(figsize=(6, 4 + 2 * len(measures)), layout="constrained")
    losses, *others = figure.subplots(1 + len(measures), squeeze=False, sharex=True)[:, 0]
    for column, label in (("loss", "training"), ("val_loss", "validation")):
        losses.plot(epochs, [float(row[column]) for row in rows], marker="o", markersize=3, label=label)
    losses.set(ylabel="loss")
    losses.legend()
    for axes, column in zip(others, measures, strict=True):
        axes.plot(epochs, [float(row[column]) for row in rows], marker="o", markersize=3)
        axes.set(ylabel=column)
    figure.axes[-1].set(xlabel="epoch")
    figure.axes[-1].xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    save(figure, path)


def draw_confusion(labels: Sequence[str], table: np.ndarray, path: str | Path) -> None:
    """Draws a confusion matrix, as shares of each target.

    Args:
        labels: The classes.
        table: Integer array `(targets, predictions)` of counts.
        path: The image file to write, such as `confusion.png` or `confusion.svg`.
    """
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.3 * len(labels)
    with matplotlib.rc_context({"font.family": families("".join(labels))}):
        figure = Figure(figsize=(side + 1, side), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(shares, cmap="Greys", vmin=0, vmax=1)
        axes.set_xticks(range(len(labels)), labels, rotation=90, parse_math=False)
        axes.set_yticks(range(len(labels)), labels, parse_math=False)
        axes.set(xlabel="predicted", ylabel="target")
        figure.colorbar(image, label="share of the target")
        save(figure, path)


def draw_gates(tokens: Sequence[str], gates: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Draws the gates of a recurrent layer as heat maps over the tokens that it reads.

    Args:
        tokens: The tokens, one per step.
        gates: Dictionary from a gate's name to an array `(steps, units)`, such as one row of the batch of
            `layers.gate_activations`.
        path: The image file to write, such as `gates.png` or `gates.svg`.

    Example:

    >>> from keras_recurrent.apps.shared.figures import draw_gates
    >>> draw_gates(["a", "dog"], {"update": np.array([[0.1, 0.9], [0.5, 0.2]])}, "gates.png")
    """
    units = max(values.shape[1] for values in gates.values())
    with matplotlib.rc_context({"font.family": families("".join(tokens))}):
        size = 2 + 0.35 * len(tokens), 0.8 + len(gates) * (0.6 + 0.03 * units)
        figure = Figure(figsize=size, layout="constrained")
        for axes, (name, values) in zip(figure.subplots(len(gates), squeeze=False)[:, 0], gates.items(), strict=True):
            largest = max(1, np.abs(values).max())  # a candidate with ReLU exceeds 1
            lowest = -largest if values.min() < 0 else 0  # a candidate with tanh is negative, too
            colours = "RdBu_r" if lowest else "Greys"
            image = axes.imshow(values.T, cmap=colours, vmin=lowest, vmax=largest, aspect="auto")
            axes.set(ylabel=name, yticks=[], xticks=[])
            figure.colorbar(image)
        axes.set_xticks(range(len(tokens)), tokens, rotation=90, parse_math=False)
        save(figure, path)


def draw_steps(tokens: Sequence[str], norms: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Draws one number per step, such as a norm, as a heat map over the tokens.

    Shades are logarithmic, because a gradient may vanish exponentially. Black is the largest number of a row.

    Args:
        tokens: The tokens, one per step.
        norms: Dictionary from the name of a row to an array `(steps,)` of non-negative numbers, such as one row of the
            batch of `layers.gradient_flow` or `layers.state_norms`. NaN is drawn white.
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
    with matplotlib.rc_context({"font.family": families("".join(tokens))}):
        figure = Figure(figsize=(2.5 + 0.35 * len(tokens), 1.6 + 0.3 * len(norms)), layout="constrained")
        axes = figure.subplots()
        shares = np.stack([values / max(np.nanmax(values), 1e-30) for values in norms.values()])
        lowest = max(1e-6, np.nanmin(np.where(shares > 0, shares, 0.1)))
        norm = LogNorm(min(lowest, 0.1), 1, clip=True)
        image = axes.imshow(shares, cmap="Greys", norm=norm, aspect="auto")
        axes.set_xticks(range(len(tokens)), tokens, rotation=90, parse_math=False)
        axes.set_yticks(range(len(norms)), norms, parse_math=False)
        figure.colorbar(image, label="share of the largest")
        save(figure, path)


def thumbnail(pixels: np.ndarray, side: int = 600) -> np.ndarray:
    """Scales an image down to at most `side` pixels per side. Several panels of a photograph would take gigabytes.

    Args:
        pixels: uint8 array `(height, width, 3)`.
        side: Positive integer.
    """
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    return np.asarray(image)


def draw_overlay(axes: Axes, pixels: np.ndarray, weights: np.ndarray) -> None:
    """Draws an image that is darker where the attention is lower.

    Args:
        axes: The axes to draw into.
        pixels: uint8 array `(height, width, 3)`.
        weights: Array `(rows, columns)`, the attention to the cells of the feature map.
    """
    height, width = pixels.shape[:2]
    layer = np.zeros((*weights.shape, 4))
    layer[..., 3] = 0.8 * (1 - weights / max(weights.max(), 1e-30))
    axes.imshow(pixels)
    axes.imshow(layer, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="bilinear")


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
        figure.savefig(partial, dpi=120, format=file_format)


def families(text: str) -> list[str]:
    """Returns font families that together have the characters of a text: Matplotlib's own, and as few others as needed.

    Characters that no installed font has are reported on standard error.
    """
    families = ["DejaVu Sans"]
    missing = {ord(character) for character in text if not character.isspace()} - _characters(
        font_manager.findfont("DejaVu Sans")
    )
    if missing:
        # Found, but not imported, because importing it changes the font of all figures.
        extra = importlib.util.find_spec("koreanize_matplotlib")
        for folder in (extra.submodule_search_locations if extra else None) or ():
            font_manager.fontManager.addfont(Path(folder) / "fonts" / "NanumGothic.ttf")
    while missing:
        # Matplotlib's "Last Resort" fonts have all characters, but as boxes.
        fonts = [font for font in font_manager.fontManager.ttflist if not font.name.startswith("Last Resort")]
        covered = {font.name: missing & _characters(font.fname) for font in fonts}
        best = max(sorted(covered), key=lambda name: len(covered[name]))
        if not covered[best]:
            note(
                f"no installed font has the characters {''.join(map(chr, sorted(missing)))}; install one that "
                "has, such as Noto Sans CJK, or for Korean and Japanese `pip install 'keras-recurrent[cjk]'`"
            )
            break
        families.append(best)
        missing -= covered[best]
    return families


def _characters(path: str) -> Set[int]:
    """The code points of a font; none if it cannot be read."""
    try:
        return FT2Font(path).get_charmap().keys()
    except (OSError, RuntimeError):
        return set()
