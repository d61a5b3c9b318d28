"""Scenes and questions similar to Sort-of-CLEVR, where half of the questions require more than one object.

A scene has six small circles and squares of different colours, so that a colour identifies an object. There are ten
questions about a single object and ten about an object and the others:

    what shape is the red object?                     what shape is the object closest to the red object?
    is the red object on the left?                    what shape is the object furthest from the red object?
    is the red object at the top?                     how many objects have the shape of the red object?

Reference:
    Santoro et al. 2017, A simple neural network module for relational reasoning, section 3.3.
"""

import functools
import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum

from ..draw import Draw
from .phrases import NUMBERS
from .questions import Question
from .sampling import place
from .scene import COLOURS, SIDE, Object, Scene

SIZES = {"train": 10_000, "validation": 1_000, "test": 1_000}
_SEEDS = {"train": 11, "validation": 12, "test": 13}
_OBJECTS = 6
_QUESTIONS = 10  # of each type about a scene
_MIDDLE = 2  # an object within this distance of the middle is on neither side


class Type(StrEnum):
    """The types of questions."""

    RELATIONAL = "relational"
    NONRELATIONAL = "nonrelational"

    @property
    def relational(self) -> bool:
        """Whether the answer depends on several objects together."""
        return self is Type.RELATIONAL


@functools.cache
def scenes(split: str, count: int | None = None) -> tuple[Scene, ...]:
    """Returns the scenes of a split.

    Args:
        split: One of `SIZES`.
        count: Number of scenes from the start of the split; all by default.

    Raises:
        ValueError: If there is no such split.

    Example:

    >>> from keras_recurrent.datasets.shapes.relational import questions, scenes
    >>> first, *_ = questions(scenes("test", 1))
    >>> first[0].text, first[0].answer
    ('what shape is the yellow object?', 'square')
    """
    if split not in SIZES:
        raise ValueError(f"the splits are {', '.join(SIZES)}, not {split!r}")
    draw = Draw(_SEEDS[split])
    return tuple(_draw_scene(draw) for _ in range(SIZES[split] if count is None else count))


def questions(scenes: Iterable[Scene]) -> list[tuple[Question, ...]]:
    """Returns twenty questions about each scene, which are a function of the scene.

    Args:
        scenes: Scenes drawn by this module.

    Returns:
        List with a tuple of `Question`s for each scene.
    """
    return [_questions(scene) for scene in scenes]


def _draw_scene(draw: Draw) -> Scene:
    while True:
        objects: list[Object] = []
        for colour in draw.shuffled(COLOURS)[:_OBJECTS]:
            shape = draw.choice(("circle", "square"))
            if placed := place(draw, {"size": "small", "fill": "solid", "colour": colour, "shape": shape}, objects):
                objects.append(placed)
        scene = Scene(tuple(objects))
        if len(objects) == _OBJECTS and scene.relations():
            return scene


_Generator = Callable[[Object, Scene], Iterator[tuple[str, str]]]


def _questions(scene: Scene) -> tuple[Question, ...]:
    draw = Draw(zlib.crc32(scene.to_json().encode()))
    generators: tuple[tuple[Type, _Generator], ...] = ((Type.NONRELATIONAL, _about_one), (Type.RELATIONAL, _about_all))
    chosen = []
    for type_, generate in generators:
        candidates = [Question(*question, type_) for obj in scene.objects for question in generate(obj, scene)]
        chosen += draw.shuffled(candidates)[:_QUESTIONS]
    return tuple(chosen)


def _about_one(obj: Object, scene: Scene) -> Iterator[tuple[str, str]]:
    yield f"what shape is the {obj.colour} object?", obj.shape
    for side, position in (("on the left", obj.x), ("at the top", obj.y)):
        if abs(position - SIDE / 2) > _MIDDLE:
            yield f"is the {obj.colour} object {side}?", "yes" if position < SIDE / 2 else "no"


def _about_all(obj: Object, scene: Scene) -> Iterator[tuple[str, str]]:
    distances = {other: math.dist((obj.x, obj.y), (other.x, other.y)) for other in scene.objects}
    # The closest of all is the object itself.
    _, closest, second, *_, last, furthest = sorted(scene.objects, key=lambda other: distances[other])
    if distances[closest] < distances[second]:
        yield f"what shape is the object closest to the {obj.colour} object?", closest.shape
    if distances[last] < distances[furthest]:
        yield f"what shape is the object furthest from the {obj.colour} object?", furthest.shape
    alike = sum(other.shape == obj.shape for other in scene.objects)
    yield f"how many objects have the shape of the {obj.colour} object?", NUMBERS[alike]
