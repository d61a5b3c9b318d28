"""What a scene is: a few objects on a plain ground, and where they are to each other."""

import dataclasses
import itertools
import json
from dataclasses import dataclass
from enum import StrEnum

SIZES = ("small", "large")
FILLS = ("solid", "hollow", "striped")
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "black")
SHAPES = ("circle", "square", "triangle", "diamond", "star", "cross")
# In the order in which English names them: a small hollow red circle.
ATTRIBUTES = {"size": SIZES, "fill": FILLS, "colour": COLOURS, "shape": SHAPES}

# Lengths are in 64ths of the picture's width, which are pixels in the smaller of its two sizes.
SIDE = 64
RADII = {"small": 5.5, "large": 9.5}  # half the width of the square that an object fills
GAP = 2  # between two objects
MARGIN = 1  # between an object and the picture's edge

# An object is "left of" another if its distance to the left is more than so many times that up or down; else a person
# might call it "above".
CLEARLY = 1.5

# Captions tell only what is clearer still, so that whoever learns from them need not find out where the border is.
TOLD = 2.0


@dataclass(frozen=True, slots=True)
class Object:
    """An object and the position of its centre, from the left and from the top."""

    size: str
    fill: str
    colour: str
    shape: str
    x: int
    y: int

    @property
    def look(self) -> tuple[str, str, str, str]:
        """All that can be said of the object but its position."""
        return self.size, self.fill, self.colour, self.shape

    @property
    def radius(self) -> float:
        """Half the width of the square that the object fills."""
        return RADII[self.size]

    def is_clear_of(self, other: "Object") -> bool:
        """Whether there is a gap between the squares that the two objects fill."""
        return max(abs(self.x - other.x), abs(self.y - other.y)) >= self.radius + other.radius + GAP


class Relation(StrEnum):
    """Where an object is to another."""

    LEFT = "to the left of"
    RIGHT = "to the right of"
    ABOVE = "above"
    BELOW = "below"


def relation_between(one: Object, other: Object, clearly: float = CLEARLY) -> Relation | None:
    """Returns where `one` clearly is to `other`; none where it is diagonally across."""
    right, down = one.x - other.x, one.y - other.y
    if abs(right) > clearly * abs(down):
        return Relation.RIGHT if right > 0 else Relation.LEFT
    if abs(down) > clearly * abs(right):
        return Relation.BELOW if down > 0 else Relation.ABOVE
    return None


@dataclass(frozen=True, slots=True)
class Scene:
    """Two to five objects."""

    objects: tuple[Object, ...]

    def related(self, clearly: float = CLEARLY) -> list[tuple[Object, Relation, Object]]:
        """Returns the objects that are clearly to one side of another, with the relation and the other object."""
        pairs = itertools.permutations(self.objects, 2)
        return [(one, where, other) for one, other in pairs if (where := relation_between(one, other, clearly))]

    def to_json(self) -> str:
        """Returns the scene as text, from which `from_json` makes it again."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Scene":
        """Returns the scene that `to_json` wrote."""
        return cls(tuple(Object(**fields) for fields in json.loads(text)["objects"]))
