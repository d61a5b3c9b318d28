"""Images of scenes."""

import functools
import math

from PIL import Image, ImageChops, ImageDraw

from .scene import RADII, SIDE, Scene

BACKGROUND = (228, 228, 228)
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
_OVERSAMPLING = 8  # masks are drawn larger and reduced by this factor, which smooths their edges
_OUTLINES = {"small": 1.3, "large": 2.0}  # widths of outlines
_PERIOD = 4  # of the stripes; stripes and gaps are two pixels each, which stay sharp


def _star() -> list[tuple[float, float]]:
    angles = [math.pi * (corner / 5 - 0.5) for corner in range(10)]
    radii = [1.05, 0.5] * 5
    # Shifted down a little to centre it vertically: no point is opposite the top one.
    return [(r * math.cos(angle), r * math.sin(angle) + 0.06) for r, angle in zip(radii, angles, strict=True)]


_ARM = 0.38  # half the width of an arm of a cross
# Corners of the shapes in a square from -1 to 1, with y pointing down, scaled so that all shapes look equally large.
_CORNERS: dict[str, list[tuple[float, float]]] = {
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
    """Draws a scene.

    Args:
        scene: A `Scene`.
        side: Width and height of the image in pixels, a multiple of 64.

    Returns:
        RGB image of Pillow.

    Example:

    >>> from keras_recurrent.datasets.shapes.drawing import draw
    >>> from keras_recurrent.datasets.shapes.splits import scenes
    >>> np.asarray(draw(scenes("test", 1)[0])).shape
    (64, 64, 3)
    """
    scale = side // SIDE
    image = Image.new("RGB", (side, side), BACKGROUND)
    for obj in scene.objects:
        mask = _mask(obj.size, obj.fill, obj.shape, scale)
        corner = (obj.x * scale - mask.width // 2, obj.y * scale - mask.height // 2)
        image.paste(COLOURS[obj.colour], corner, mask)
    return image


@functools.cache
def _mask(size: str, fill: str, shape: str, scale: int) -> Image.Image:
    """Returns the coverage of each pixel, from 0 to 255, in a square around the centre of an object."""
    unit = scale * _OVERSAMPLING
    half, radius = math.ceil(RADII[size]) * unit, RADII[size] * unit
    mask = _area(shape, half, radius)
    if fill == "hollow":
        mask = ImageChops.multiply(mask, _border(shape, half, radius, 2 * _OUTLINES[size] * unit))
    if fill == "striped":
        border = _border(shape, half, radius, _OUTLINES[size] * unit)
        mask = ImageChops.multiply(mask, ImageChops.lighter(border, _stripes(half, _PERIOD * unit)))
    return mask.reduce(_OVERSAMPLING)


def _area(shape: str, half: int, radius: float) -> Image.Image:
    area = Image.new("L", (2 * half, 2 * half))
    if shape == "circle":
        ImageDraw.Draw(area).ellipse(_circle(half, radius), fill=255)
    else:
        ImageDraw.Draw(area).polygon(_corners(shape, half, radius), fill=255)
    return area


def _border(shape: str, half: int, radius: float, width: float) -> Image.Image:
    """Returns a line along the outline of a shape, half of its width inside the shape."""
    border = Image.new("L", (2 * half, 2 * half))
    if shape == "circle":
        ImageDraw.Draw(border).ellipse(_circle(half, radius + width / 2), outline=255, width=round(width))
    else:
        corners = _corners(shape, half, radius)
        ImageDraw.Draw(border).line([*corners, *corners[:2]], fill=255, width=round(width), joint="curve")
    return border


def _circle(half: int, radius: float) -> tuple[float, float, float, float]:
    """Returns the bounding box of a circle around the centre."""
    # Pillow includes the pixels at the far edges of a box.
    return half - radius, half - radius, half + radius - 1, half + radius - 1


def _corners(shape: str, half: int, radius: float) -> list[tuple[float, float]]:
    return [(half + radius * x, half + radius * y) for x, y in _CORNERS[shape]]


def _stripes(half: int, period: int) -> Image.Image:
    """Returns horizontal stripes, one of them through the centre."""
    stripes = Image.new("L", (2 * half, 2 * half))
    drawing = ImageDraw.Draw(stripes)
    for top in range(half % period - period - period // 4, 2 * half, period):
        drawing.rectangle((0, top, 2 * half, top + period // 2 - 1), fill=255)
    return stripes
