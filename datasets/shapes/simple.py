"""Scenes that a small model learns in minutes: two or three solid objects of four shapes.

Captions and questions do not mention the fill, and there is only one form of questions about relations. The held-out
pairs of a shape and a colour are those of `splits`.
"""

import functools
import itertools
import re
from collections.abc import Iterable

from ..draw import Draw
from . import captions as all_captions
from . import questions as all_questions
from . import splits
from .forms import FORMS, Form
from .phrases import Description
from .questions import Question
from .scene import ATTRIBUTES, FILLS, SHAPES, Scene

SIZES = {**splits.SIZES, "train": 12_000}
_SEEDS = {"train": 31, "validation": 32, "test": 33, "test_unseen": 34}
_OBJECT_COUNTS = (2, 3)
_ATTRIBUTES = {**ATTRIBUTES, "fill": ("solid",), "shape": ("circle", "square", "triangle", "star")}
_UNUSED_SHAPES = frozenset(SHAPES).difference(_ATTRIBUTES["shape"])
_UNUSED_WORDS = frozenset(
    {*FILLS, "fill", *_UNUSED_SHAPES, *(Description(shape=shape).plural for shape in _UNUSED_SHAPES)}
)


@functools.cache
def scenes(split: str, count: int | None = None) -> tuple[Scene, ...]:
    """Returns the scenes of a split, which have two and three objects in turn.

    Args:
        split: One of `SIZES`.
        count: Number of scenes from the start of the split; all by default.

    Raises:
        ValueError: If there is no such split.

    Example:

    >>> from keras_recurrent.datasets.shapes.simple import scenes
    >>> {obj.fill for scene in scenes("test", 4) for obj in scene.objects}
    {'solid'}
    """
    if split not in SIZES:
        raise ValueError(f"the splits are {', '.join(SIZES)}, not {split!r}")
    drawn = splits.draw_scenes(Draw(_SEEDS[split]), _OBJECT_COUNTS, split == "test_unseen", _ATTRIBUTES)
    return tuple(itertools.islice(drawn, SIZES[split] if count is None else count))


def captions(scene: Scene) -> tuple[str, ...]:
    """Returns five different true captions of a scene, as `captions.captions` does."""
    return all_captions.captions(scene, _is_simple)


def questions(scenes: Iterable[Scene]) -> list[tuple[Question, ...]]:
    """Returns the questions about each scene, usually seven, as `questions.questions` does."""
    return all_questions.questions(scenes, _FORMS)


@functools.cache
def _is_simple(text: str) -> bool:
    return _UNUSED_WORDS.isdisjoint(re.findall("[a-z]+", text))


def _simple(form: Form) -> Form:
    """A form without the questions that mention the fill, or shapes that do not occur."""
    return Form(form.type, lambda scene: (question for question in form.generate(scene) if _is_simple(question[0])))


_FORMS = tuple(map(_simple, FORMS[:8]))
