"""The scenes of each split.

One in eight pairs of a shape and a colour is held out, such as yellow circles. No object of the training, validation
and test scenes is such a pair; every scene of `test_unseen` contains at least one. A model can therefore only describe
a yellow circle by combining what it learned from other yellow objects and from other circles.
"""

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..draw import Draw
from .sampling import draw_scene
from .scene import ATTRIBUTES, Object, Scene

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
_OBJECT_COUNTS = (2, 3, 4, 5)


def is_held_out(obj: Object) -> bool:
    """Whether the shape and colour of the object only occur together in the split `test_unseen`."""
    return (obj.shape, obj.colour) in HELD_OUT


@functools.cache
def scenes(split: str, count: int | None = None) -> tuple[Scene, ...]:
    """Returns the scenes of a split, which have two, three, four and five objects in turn.

    Args:
        split: One of `SIZES`.
        count: Number of scenes from the start of the split; all by default. Drawing the 120,000 training scenes takes
            about half a minute.

    Raises:
        ValueError: If there is no such split.

    Example:

    >>> from keras_recurrent.datasets.shapes.splits import scenes
    >>> [len(scene.objects) for scene in scenes("train", 4)]
    [2, 3, 4, 5]
    """
    if split not in SIZES:
        raise ValueError(f"the splits are {', '.join(SIZES)}, not {split!r}")
    drawn = draw_scenes(Draw(_SEEDS[split]), _OBJECT_COUNTS, split == "test_unseen")
    return tuple(itertools.islice(drawn, SIZES[split] if count is None else count))


def draw_scenes(
    draw: Draw,
    object_counts: Iterable[int],
    is_unseen: bool,
    attributes: Mapping[str, Sequence[str]] = ATTRIBUTES,
) -> Iterator[Scene]:
    """Yields random scenes.

    Args:
        draw: Source of random choices.
        object_counts: The numbers of objects, in turn.
        is_unseen: Whether each scene has an object of a held-out pair, or none has.
        attributes: The values of the attributes.
    """
    for count in itertools.cycle(object_counts):
        scene = draw_scene(draw, count, attributes)
        while any(map(is_held_out, scene.objects)) != is_unseen:
            scene = draw_scene(draw, count, attributes)
        yield scene
