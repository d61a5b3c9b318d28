"""Figures that several apps draw, and what all figures share."""

import csv
import importlib.util
import warnings
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from PIL import Image

from .console import note
from .errors import UsageError
from .models.folders import whole_file


def draw_history(history, path):
    """Draws the columns of a `history.csv` against the epochs, losses and other measures apart, into a picture file."""
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
    figure.axes[-1].xaxis.get_major_locator().set_params(integer=True)
    save(figure, path)


def draw_confusion(answers, table, path):
    """Draws how often each answer was given where each was right, as a share of the latter, into a picture file.

    Args:
        answers: List of strings.
        table: Integer array `(right, given)`.
        path: The file; its ending, such as `.png` or `.svg`, says which kind.
    """
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.3 * len(answers)
    with matplotlib.rc_context({"font.family": families("".join(answers))}):
        figure = Figure(figsize=(side + 1, side), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(shares, cmap="Greys", vmin=0, vmax=1)
        axes.set_xticks(range(len(answers)), answers, rotation=90, parse_math=False)
        axes.set_yticks(range(len(answers)), answers, parse_math=False)
        axes.set(xlabel="given", ylabel="right")
        figure.colorbar(image, label="share of what is right")
        save(figure, path)


def draw_gates(tokens, gates, path):
    """Draws the gates of a recurrent layer as heat maps over the tokens that it read, into a picture file.

    Args:
        tokens: List of strings.
        gates: Dictionary from a gate to an array `(steps, units)`, such as a row of `layers.gate_activations`.
        path: The file; its ending, such as `.png` or `.svg`, says which kind.
    """
    units = max(values.shape[1] for values in gates.values())
    with matplotlib.rc_context({"font.family": families("".join(tokens))}):
        size = 2 + 0.35 * len(tokens), 0.8 + len(gates) * (0.6 + 0.03 * units)
        figure = Figure(figsize=size, layout="constrained")
        for axes, (name, values) in zip(figure.subplots(len(gates), squeeze=False)[:, 0], gates.items(), strict=True):
            largest = max(1, np.abs(values).max())  # of a candidate with ReLU
            lowest = -largest if values.min() < 0 else 0  # a candidate's are on both sides of 0
            colours = "RdBu_r" if lowest else "Greys"
            image = axes.imshow(values.T, cmap=colours, vmin=lowest, vmax=largest, aspect="auto")
            axes.set(ylabel=name, yticks=[], xticks=[])
            figure.colorbar(image)
        axes.set_xticks(range(len(tokens)), tokens, rotation=90, parse_math=False)
        save(figure, path)


def draw_steps(tokens, norms, path):
    """Draws numbers of each step as a heat map over the tokens that were read, into a picture file.

    A row's largest number is black, and shades are logarithmic: a gradient may fade by a factor a step.

    Args:
        tokens: List of strings.
        norms: Dictionary from what is measured, a row of the picture, to an array `(steps,)` of numbers of 0 or more,
            such as a row of `layers.gradient_flow` or `layers.state_norms`. What is not a number stays white.
        path: The file; its ending, such as `.png` or `.svg`, says which kind.

    Raises:
        ValueError: If there is not a number for each token.
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
        figure.colorbar(image, label="of the largest")
        save(figure, path)


def thumbnail(pixels, side=600):
    """An image of at most so many pixels a side: several panels of a photograph would take gigabytes."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    return np.asarray(image)


def draw_overlay(axes, pixels, weights):
    """An image, black where nothing was looked at, and as it is where most was."""
    height, width = pixels.shape[:2]
    layer = np.zeros((*weights.shape, 4))
    layer[..., 3] = 0.8 * (1 - weights / max(weights.max(), 1e-30))
    axes.imshow(pixels)
    axes.imshow(layer, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="bilinear")


def check_picture(path):
    """Raises a `UsageError` where no picture can be written to `path`: before long work, rather than after it."""
    path = Path(path)
    _kind(path)
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}")


def _kind(path):
    kind = path.suffix.lstrip(".").lower()
    kinds = Figure().canvas.get_supported_filetypes()
    if kind not in kinds:
        raise UsageError(f"{path}: a picture's name ends in one of {', '.join(kinds)}")
    return kind


def save(figure, path):
    path = Path(path)
    kind = _kind(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # `families` has told it
        figure.savefig(partial, dpi=120, format=kind)


def families(text):
    """Fonts that have the characters of a text together: Matplotlib's own, and of all others the fewest."""
    families = ["DejaVu Sans"]
    missing = {ord(character) for character in text if not character.isspace()}
    missing -= FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap().keys()
    if missing:
        extra = importlib.util.find_spec("koreanize_matplotlib")  # looked at, not imported: that changes all figures
        for folder in extra.submodule_search_locations if extra else ():
            font_manager.fontManager.addfont(Path(folder) / "fonts" / "NanumGothic.ttf")
    while missing:
        # Matplotlib's last resort "has" all characters, as boxes.
        fonts = [font for font in font_manager.fontManager.ttflist if not font.name.startswith("Last Resort")]
        found = {font.name: missing & _characters(font.fname) for font in fonts}
        best = max(sorted(found), key=lambda name: len(found[name]))
        if not found[best]:
            note(
                f"no font here has the characters {''.join(map(chr, sorted(missing)))}; install one that has, such as "
                "Noto Sans CJK, or for Korean and Japanese `pip install 'keras-recurrent[cjk]'`"
            )
            break
        families.append(best)
        missing -= found[best]
    return families


def _characters(path):
    try:
        return FT2Font(path).get_charmap().keys()
    except (OSError, RuntimeError):  # a font that cannot be read has none
        return set()
