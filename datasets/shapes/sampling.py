"""Random scenes."""

from ..draw import Draw
from .scene import ATTRIBUTES, MARGIN, RADII, SIDE, TOLD, Object, Scene

# The chance that an object takes an attribute from one that is there already, so that there is something to count.
_ALIKE = 0.3
_TRIALS = 20  # places tried for an object before the scene is drawn anew


def draw_scene(draw: Draw, number: int) -> Scene:
    """Returns a random scene of so many objects, no two of which look alike; at least two have a relation to tell."""
    while True:
        objects = []
        while len(objects) < number and (drawn := place(draw, _look(draw, objects), objects)):
            objects.append(drawn)
        scene = Scene(tuple(objects))
        if len(objects) == number == len({one.look for one in objects}) and scene.related(TOLD):
            return scene


def _look(draw: Draw, others: list[Object]) -> dict[str, str]:
    def value(attribute):
        if others and draw.chance(_ALIKE):
            return getattr(draw.choice(others), attribute)
        return draw.choice(ATTRIBUTES[attribute])

    return {attribute: value(attribute) for attribute in ATTRIBUTES}


def place(draw: Draw, look: dict[str, str], others: list[Object]) -> Object | None:
    """Returns an object of that look where there is room for it, or none if there seems to be no such place."""
    edge = RADII[look["size"]] + MARGIN
    places = [place for place in range(SIDE) if edge <= place <= SIDE - edge]
    for _ in range(_TRIALS):
        candidate = Object(**look, x=draw.choice(places), y=draw.choice(places))
        if all(map(candidate.is_clear_of, others)):
            return candidate
    return None
