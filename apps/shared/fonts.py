"""Fonts that have the characters of a text."""

import importlib.util
from collections.abc import Set
from pathlib import Path

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from .console import note


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
