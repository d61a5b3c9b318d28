"""Scenes and questions like those of Sort-of-CLEVR, in which half of the questions need more than one object.

A scene has six small circles and squares, each of a colour of its own, so that a colour names an object. There are ten
questions about one object and ten about one and others:

    what shape is the red object?                     what shape is the object closest to the red object?
    is the red object on the left?                    what shape is the object furthest from the red object?
    is the red object at the top?                     how many objects have the shape of the red object?

Reference:
    Santoro et al. 2017, A simple neural network module for relational reasoning, section 3.3.
"""

import functools
import math
import zlib
from collections.abc import Iterable, Iterator
from enum import StrEnum

from ..draw import Draw
from .phrases import NUMBERS
from .questions import Question
from .sampling import place
from .scene import COLOURS, SIDE, Object, Scene

SIZES = {"train": 10_000, "validation": 1_000, "test": 1_000}
_SEEDS = {"train": 11, "validation": 12, "test": 13}
_OBJECTS = 6
_ASKED = 10  # questions of each type about a scene
_MIDDLE = 2  # within so much of the middle, an object is on neither side


class Type(StrEnum):
    """The types of questions."""

    RELATIONAL = "relational"
    NONRELATIONAL = "nonrelational"

    @property
    def relational(self) -> bool:
        """Whether the answer depends on several objects together."""
        return self is Type.RELATIONAL


@functools.cache
def scenes(split: str) -> tuple[Scene, ...]:
    """Returns the scenes of a split."""
    if split not in SIZES:
        raise ValueError(f"the splits are {', '.join(SIZES)}, not {split!r}")
    draw = Draw(_SEEDS[split])
    return tuple(_draw_scene(draw) for _ in range(SIZES[split]))


def questions(scenes: Iterable[Scene]) -> list[tuple[Question, ...]]:
    """Returns the questions of each scene, which depend on the scene alone."""
    return [_questions(scene) for scene in scenes]


def _draw_scene(draw: Draw) -> Scene:
    while True:
        objects = []
        for colour in draw.shuffled(COLOURS)[:_OBJECTS]:
            look = {"size": "small", "fill": "solid", "colour": colour, "shape": draw.choice(("circle", "square"))}
            if drawn := place(draw, look, objects):
                objects.append(drawn)
        scene = Scene(tuple(objects))
        if len(objects) == _OBJECTS and scene.related():
            return scene


def _questions(scene: Scene) -> tuple[Question, ...]:
    draw = Draw(zlib.crc32(scene.to_json().encode()))
    asked = []
    for kind, ask in ((Type.NONRELATIONAL, _of_one), (Type.RELATIONAL, _of_several)):
        possible = [Question(*question, kind) for one in scene.objects for question in ask(one, scene)]
        asked += draw.shuffled(possible)[:_ASKED]
    return tuple(asked)


def _of_one(one: Object, scene: Scene) -> Iterator[tuple[str, str]]:
    yield f"what shape is the {one.colour} object?", one.shape
    for where, position in (("on the left", one.x), ("at the top", one.y)):
        if abs(position - SIDE / 2) > _MIDDLE:
            yield f"is the {one.colour} object {where}?", "yes" if position < SIDE / 2 else "no"


def _of_several(one: Object, scene: Scene) -> Iterator[tuple[str, str]]:
    distances = {other: math.dist((one.x, one.y), (other.x, other.y)) for other in scene.objects}
    _, closest, second, *_, last, furthest = sorted(scene.objects, key=distances.get)  # the first is the object itself
    if distances[closest] < distances[second]:
        yield f"what shape is the object closest to the {one.colour} object?", closest.shape
    if distances[last] < distances[furthest]:
        yield f"what shape is the object furthest from the {one.colour} object?", furthest.shape
    alike = sum(other.shape == one.shape for other in scene.objects)
    yield f"how many objects have the shape of the {one.colour} object?", NUMBERS[alike]
