"""Random scenes."""

from collections.abc import Mapping, Sequence

from ..draw import Draw
from .scene import ATTRIBUTES, CAPTION_RATIO, MARGIN, RADII, SIDE, Object, Scene

# The probability that an object copies an attribute of an earlier object, so that there is something to count.
_COPY_PROBABILITY = 0.3
_TRIALS = 20  # positions tried for an object before the scene is redrawn


def draw_scene(draw: Draw, count: int, attributes: Mapping[str, Sequence[str]] = ATTRIBUTES) -> Scene:
    """Returns a random scene in which no two objects look alike and at least two have a relation for a caption.

    Args:
        draw: Source of random choices.
        count: Number of objects.
        attributes: The values of the attributes.
    """
    while True:
        objects: list[Object] = []
        while len(objects) < count and (placed := place(draw, _draw_appearance(draw, objects, attributes), objects)):
            objects.append(placed)
        scene = Scene(tuple(objects))
        are_distinct = len({obj.appearance for obj in objects}) == len(objects) == count
        if are_distinct and scene.relations(CAPTION_RATIO):
            return scene


def _draw_appearance(draw: Draw, others: list[Object], attributes: Mapping[str, Sequence[str]]) -> dict[str, str]:
    def value(attribute: str) -> str:
        if others and draw.chance(_COPY_PROBABILITY):
            return getattr(draw.choice(others), attribute)
        return draw.choice(attributes[attribute])

    return {attribute: value(attribute) for attribute in attributes}


def place(draw: Draw, appearance: dict[str, str], others: list[Object]) -> Object | None:
    """Places an object at a random position with enough distance from the others and from the edge.

    Args:
        draw: Source of random choices.
        appearance: Value of each attribute in `ATTRIBUTES`.
        others: Objects that are already placed.

    Returns:
        The object, or None if a number of random positions were all too close to another object.
    """
    edge = RADII[appearance["size"]] + MARGIN
    positions = [position for position in range(SIDE) if edge <= position <= SIDE - edge]
    for _ in range(_TRIALS):
        candidate = Object(**appearance, x=draw.choice(positions), y=draw.choice(positions))
        if all(map(candidate.is_clear_of, others)):
            return candidate
    return None
