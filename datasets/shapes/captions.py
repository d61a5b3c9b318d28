"""Captions of scenes, and a checker that decides whether a caption is true.

`captions` writes five captions of a scene; `is_true` judges any text. Both rely on the wordings in `statements`: a text
that is a wording of a statement means that statement, and any other text is meaningless.
"""

import itertools
import re
import zlib
from collections.abc import Callable, Sequence

from ..draw import Draw
from .phrases import NUMBERS, Description, describe, read_description
from .scene import ATTRIBUTES, CAPTION_RATIO, Object, Relation, Scene
from .statements import Counted, Listed, Related, Shared, Statement

COUNT = 5  # captions of a scene
_MAX_ITEMS = 3  # of a list
_NUMBER = "|".join(NUMBERS[1:])
_RELATION = "|".join(Relation)


def captions(scene: Scene, accepts: Callable[[str], bool] = bool) -> tuple[str, ...]:
    """Returns five different true captions of a scene, which are a function of the scene.

    The first two describe the position of an object relative to another, both with all their attributes. The third
    counts objects, the fourth lists objects, and the fifth does any of these.

    Args:
        scene: A `Scene`.
        accepts: Function from a caption to whether it may be returned. By default all may.

    Returns:
        Tuple of five lower-case strings.

    Example:

    >>> from keras_recurrent.datasets.shapes.captions import captions, is_true
    >>> from keras_recurrent.datasets.shapes.scene import Object, Scene
    >>> circle = Object("small", "solid", "red", "circle", x=10, y=32)
    >>> square = Object("large", "hollow", "blue", "square", x=50, y=30)
    >>> scene = Scene((circle, square))
    >>> captions(scene)[0]
    'a small red circle is to the left of a large hollow blue square'
    >>> is_true("a red circle above a square", scene)
    False
    """
    draw = Draw(zlib.crc32(scene.to_json().encode()))
    written: list[str] = []
    for writers in ((_related,), (_related,), (_counted, _shared), (_listed,), (_related, _counted, _shared, _listed)):
        caption = _write(scene, writers, draw)
        while caption in written or not accepts(caption):
            caption = _write(scene, writers, draw)
        written.append(caption)
    return tuple(written)


def is_true(caption: str, scene: Scene) -> bool:
    """Whether the caption is a sentence of the grammar and true of the scene."""
    statement = parse(caption)
    return statement is not None and statement.holds(scene)


def parse(caption: str) -> Statement | None:
    """Returns the statement that a caption makes, or None if the grammar does not write such a caption."""
    for read in (_read_related, _read_counted, _read_shared, _read_listed):
        statement = read(caption)
        if statement and caption in statement.wordings():
            return statement
    return None


def _write(scene: Scene, writers: Sequence[Callable[[Scene, Draw], Statement]], draw: Draw) -> str:
    return draw.choice(draw.choice(writers)(scene, draw).wordings())


def _related(scene: Scene, draw: Draw) -> Related:
    subject, relation, reference = draw.choice(scene.relations(CAPTION_RATIO))
    return Related(_describe_fully(subject, draw), relation, _describe_fully(reference, draw))


def _describe_fully(obj: Object, draw: Draw) -> Description:
    """Returns a description by all attributes; the fill "solid" is omitted half of the time."""
    omitted = {"fill"} if obj.fill == "solid" and draw.chance(0.5) else set()
    return describe(obj, ATTRIBUTES.keys() - omitted)


def _counted(scene: Scene, draw: Draw) -> Counted:
    attributes = draw.choice([(), *itertools.combinations(ATTRIBUTES, 1), ("colour", "shape"), ("size", "shape")])
    description = describe(draw.choice(scene.objects), attributes)
    return Counted(description.count(scene.objects), description)


def _shared(scene: Scene, draw: Draw) -> Shared:
    description = describe(draw.choice(scene.objects), (draw.choice(tuple(ATTRIBUTES)),))
    return Shared(len(scene.objects), description.count(scene.objects), description)


def _listed(scene: Scene, draw: Draw) -> Listed:
    """Returns a list by shape or by colour, which counts the objects that share the value."""
    attribute = draw.choice(("shape", "colour"))
    descriptions = dict.fromkeys(describe(obj, (attribute,)) for obj in draw.shuffled(scene.objects))
    items: list[tuple[int | None, Description]]
    if len(descriptions) == 1:
        items = [(None, _describe_fully(obj, draw)) for obj in draw.shuffled(scene.objects)]
    else:
        items = [_item(description, scene, draw) for description in descriptions]
    return Listed(tuple(items[:_MAX_ITEMS]))


def _item(description: Description, scene: Scene, draw: Draw) -> tuple[int | None, Description]:
    count = description.count(scene.objects)
    if count > 1:
        return count, description
    (obj,) = filter(description.fits, scene.objects)
    more = [attribute for attribute in ("size", "fill") if draw.chance(0.4)]
    return None, describe(obj, ("colour", "shape", *more))


def _read_related(text: str) -> Related | None:
    match = re.fullmatch(rf"(?:there is )?(.+?)(?: is)? ({_RELATION}) (.+)", text)
    if not match:
        return None
    subject, reference = _read_item(match[1]), _read_item(match[3])
    return Related(subject[1], Relation(match[2]), reference[1]) if subject and reference else None


def _read_counted(text: str) -> Counted | None:
    match = re.fullmatch(rf"(?:there (?:is|are) )?exactly ({_NUMBER}) (.+)", text)
    if not match:
        return None
    description = read_description(match[2])
    return Counted(NUMBERS.index(match[1]), description) if description else None


def _read_shared(text: str) -> Shared | None:
    share = rf"(both|all|{_NUMBER}) of them (?:is|are) (?:an? )?(\w+)"
    match = re.fullmatch(rf"there are ({_NUMBER}) objects, {share}", text)
    if not match:
        return None
    description = read_description(match[3]) or read_description(f"{match[3]} object")
    total = NUMBERS.index(match[1])
    count = total if match[2] in ("both", "all") else NUMBERS.index(match[2])
    return Shared(total, count, description) if description else None


def _read_listed(text: str) -> Listed | None:
    items = [_read_item(item) for item in re.split(", | and ", text)]
    complete = tuple(item for item in items if item)
    return Listed(complete) if 1 < len(complete) == len(items) else None


def _read_item(text: str) -> tuple[int | None, Description] | None:
    match = re.fullmatch(rf"(an?|{_NUMBER}) (.+)", text)
    description = read_description(match[2]) if match else None
    if not match or not description:
        return None
    return NUMBERS.index(match[1]) if match[1] in NUMBERS else None, description
