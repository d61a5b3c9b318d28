"""Pictures of scenes."""

import functools
import math

from PIL import Image, ImageChops, ImageDraw

from .scene import RADII, SIDE, Scene

GROUND = (228, 228, 228)
COLOURS = {
    "red": (208, 22, 40),
    "orange": (246, 122, 0),
    "yellow": (250, 222, 16),
    "green": (32, 146, 56),
    "cyan": (10, 190, 214),
    "blue": (34, 66, 208),
    "purple": (140, 44, 170),
    "black": (24, 24, 24),
}
_FINER = 8  # A mask is drawn so many times larger, which smooths its edges.
_OUTLINES = {"small": 1.3, "large": 2.0}
_PERIOD = 4  # from one stripe to the next: as wide as two pixels each, stripes and gaps stay sharp


def _star() -> list[tuple[float, float]]:
    angles = [math.pi * (corner / 5 - 0.5) for corner in range(10)]
    radii = [1.05, 0.5] * 5
    # Lower by a little, as its lowest points are not opposite its highest.
    return [(r * math.cos(angle), r * math.sin(angle) + 0.06) for r, angle in zip(radii, angles, strict=True)]


_ARM = 0.38  # half the width of a cross's arm
# Corners of the shapes in a square from -1 to 1, by which they look equally large; downwards is positive.
_CORNERS = {
    "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
    "triangle": [(0, -1), (1, 0.85), (-1, 0.85)],
    "diamond": [(0, -1), (0.86, 0), (0, 1), (-0.86, 0)],
    "star": _star(),
    "cross": [
        *[(-_ARM, -1), (_ARM, -1), (_ARM, -_ARM), (1, -_ARM), (1, _ARM), (_ARM, _ARM)],
        *[(_ARM, 1), (-_ARM, 1), (-_ARM, _ARM), (-1, _ARM), (-1, -_ARM), (-_ARM, -_ARM)],
    ],
}


def draw(scene: Scene, side: int = SIDE) -> Image.Image:
    """Returns the RGB picture of a scene, `side` pixels wide and high; `side` is a multiple of 64."""
    scale = side // SIDE
    picture = Image.new("RGB", (side, side), GROUND)
    for one in scene.objects:
        mask = _mask(one.size, one.fill, one.shape, scale)
        corner = tuple(centre * scale - mask.width // 2 for centre in (one.x, one.y))
        picture.paste(COLOURS[one.colour], corner, mask)
    return picture


@functools.cache
def _mask(size: str, fill: str, shape: str, scale: int) -> Image.Image:
    """Returns how much of each pixel is covered, from 0 to 255, in a square around the object's centre."""
    unit = scale * _FINER
    half, radius = math.ceil(RADII[size]) * unit, RADII[size] * unit
    mask = _area(shape, half, radius)
    if fill == "hollow":
        mask = ImageChops.multiply(mask, _border(shape, half, radius, 2 * _OUTLINES[size] * unit))
    if fill == "striped":
        border = _border(shape, half, radius, _OUTLINES[size] * unit)
        mask = ImageChops.multiply(mask, ImageChops.lighter(border, _stripes(half, _PERIOD * unit)))
    return mask.reduce(_FINER)


def _area(shape: str, half: int, radius: float) -> Image.Image:
    area = Image.new("L", (2 * half, 2 * half))
    if shape == "circle":
        ImageDraw.Draw(area).ellipse(_circle(half, radius), fill=255)
    else:
        ImageDraw.Draw(area).polygon(_corners(shape, half, radius), fill=255)
    return area


def _border(shape: str, half: int, radius: float, width: float) -> Image.Image:
    """Returns a line along the shape's border, half of it inside."""
    border = Image.new("L", (2 * half, 2 * half))
    if shape == "circle":
        ImageDraw.Draw(border).ellipse(_circle(half, radius + width / 2), outline=255, width=round(width))
    else:
        corners = _corners(shape, half, radius)
        ImageDraw.Draw(border).line([*corners, *corners[:2]], fill=255, width=round(width), joint="curve")
    return border


def _circle(half: int, radius: float) -> tuple[float, float, float, float]:
    """Returns the box of a circle around the centre."""
    # Pillow counts the pixel at a box's far edge in.
    return half - radius, half - radius, half + radius - 1, half + radius - 1


def _corners(shape: str, half: int, radius: float) -> list[tuple[float, float]]:
    return [(half + radius * right, half + radius * down) for right, down in _CORNERS[shape]]


def _stripes(half: int, period: int) -> Image.Image:
    """Returns level stripes, one of which goes through the centre."""
    stripes = Image.new("L", (2 * half, 2 * half))
    drawing = ImageDraw.Draw(stripes)
    for top in range(half % period - period - period // 4, 2 * half, period):
        drawing.rectangle((0, top, 2 * half, top + period // 2 - 1), fill=255)
    return stripes
