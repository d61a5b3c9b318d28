"""Scenes: a few objects on a plain background, and the spatial relations between them."""

import dataclasses
import itertools
import json
from dataclasses import dataclass
from enum import StrEnum

SIZES = ("small", "large")
FILLS = ("solid", "hollow", "striped")
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "black")
SHAPES = ("circle", "square", "triangle", "diamond", "star", "cross")
# In the order of English adjectives: a small hollow red circle.
ATTRIBUTES = {"size": SIZES, "fill": FILLS, "colour": COLOURS, "shape": SHAPES}

# Lengths are in 64ths of the image width, which are pixels in the smaller of the two image sizes.
SIDE = 64
RADII = {"small": 5.5, "large": 9.5}  # half the width of an object's bounding square
GAP = 2  # minimum distance between two objects
MARGIN = 1  # minimum distance between an object and the edge of the image

# An object is "left of" another if its horizontal distance exceeds this multiple of the vertical distance. With a
# smaller ratio, people might say "above".
CLEAR_RATIO = 1.5

# Captions only mention relations that are clearer still, so that a model need not learn where exactly the border is.
CAPTION_RATIO = 2.0


@dataclass(frozen=True, slots=True)
class Object:
    """An object and the position of its centre.

    Args:
        size: One of `SIZES`.
        fill: One of `FILLS`.
        colour: One of `COLOURS`.
        shape: One of `SHAPES`.
        x: Distance of the centre from the left edge, in 64ths of the image width.
        y: Distance of the centre from the top edge, in 64ths of the image width.
    """

    size: str
    fill: str
    colour: str
    shape: str
    x: int
    y: int

    @property
    def appearance(self) -> tuple[str, str, str, str]:
        """The attributes except the position, in the order of `ATTRIBUTES`."""
        return self.size, self.fill, self.colour, self.shape

    @property
    def radius(self) -> float:
        """Half the width of the bounding square."""
        return RADII[self.size]

    def is_clear_of(self, other: "Object") -> bool:
        """Whether there is a gap between the bounding squares of the two objects."""
        return max(abs(self.x - other.x), abs(self.y - other.y)) >= self.radius + other.radius + GAP


class Relation(StrEnum):
    """The position of an object relative to another."""

    LEFT = "to the left of"
    RIGHT = "to the right of"
    ABOVE = "above"
    BELOW = "below"


def relation_between(subject: Object, reference: Object, ratio: float = CLEAR_RATIO) -> Relation | None:
    """Returns the position of one object relative to another.

    Args:
        subject: The object whose position is described.
        reference: The object that it is compared with.
        ratio: By what factor the distance along one axis must exceed the distance along the other.

    Returns:
        The relation, or None if the subject is diagonally across from the reference.

    Example:

    >>> from keras_recurrent.datasets.shapes.scene import Object, relation_between
    >>> circle = Object("small", "solid", "red", "circle", x=10, y=32)
    >>> square = Object("large", "hollow", "blue", "square", x=50, y=30)
    >>> relation_between(circle, square).value
    'to the left of'
    """
    right, down = subject.x - reference.x, subject.y - reference.y
    if abs(right) > ratio * abs(down):
        return Relation.RIGHT if right > 0 else Relation.LEFT
    if abs(down) > ratio * abs(right):
        return Relation.BELOW if down > 0 else Relation.ABOVE
    return None


@dataclass(frozen=True, slots=True)
class Scene:
    """A few objects that do not overlap.

    Args:
        objects: The objects.
    """

    objects: tuple[Object, ...]

    def relations(self, ratio: float = CLEAR_RATIO) -> list[tuple[Object, Relation, Object]]:
        """Returns every clear relation as `(subject, relation, reference)`; see `relation_between` for `ratio`."""
        return [
            (subject, relation, reference)
            for subject, reference in itertools.permutations(self.objects, 2)
            if (relation := relation_between(subject, reference, ratio))
        ]

    def to_json(self) -> str:
        """Returns the scene as JSON, which `from_json` reads."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Scene":
        """Returns the scene that `to_json` wrote."""
        return cls(tuple(Object(**fields) for fields in json.loads(text)["objects"]))
