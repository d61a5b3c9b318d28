"""The scenes of each split.

One in eight pairs of a shape and a colour is held out, such as yellow circles: no object of the training, validation
and test scenes is of such a pair, and every scene of `test_unseen` has one that is. What a model says of a yellow
circle, it can only have put together from other yellow objects and other circles.
"""

import functools
import itertools
from collections.abc import Iterator

from ..draw import Draw
from .sampling import draw_scene
from .scene import Object, Scene

SIZES = {"train": 120_000, "validation": 1_000, "test": 1_000, "test_unseen": 1_000}
HELD_OUT = frozenset(
    {
        ("circle", "yellow"),
        ("square", "red"),
        ("triangle", "purple"),
        ("diamond", "green"),
        ("star", "blue"),
        ("cross", "orange"),
    }
)
_SEEDS = {"train": 1, "validation": 2, "test": 3, "test_unseen": 4}
_NUMBERS = (2, 3, 4, 5)


def is_held_out(one: Object) -> bool:
    """Whether the object's shape and colour together are kept for the split `test_unseen`."""
    return (one.shape, one.colour) in HELD_OUT


@functools.cache
def scenes(split: str) -> tuple[Scene, ...]:
    """Returns the scenes of a split, of two, three, four and five objects in turn."""
    if split not in SIZES:
        raise ValueError(f"the splits are {', '.join(SIZES)}, not {split!r}")
    return tuple(itertools.islice(_drawn(split), SIZES[split]))


def _drawn(split: str) -> Iterator[Scene]:
    draw = Draw(_SEEDS[split])
    for number in itertools.cycle(_NUMBERS):
        scene = draw_scene(draw, number)
        while any(map(is_held_out, scene.objects)) != (split == "test_unseen"):
            scene = draw_scene(draw, number)
        yield scene
