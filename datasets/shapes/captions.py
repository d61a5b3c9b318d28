"""Captions of scenes, and the checker that reads a caption and tells whether it is true.

`captions(scene)` writes five, `is_true(caption, scene)` judges any text. Both go by the wordings of `statements`: a
text means what has this text among its wordings, and every other text means nothing.
"""

import itertools
import re
import zlib
from collections.abc import Callable, Sequence

from ..draw import Draw
from .phrases import NUMBERS, Description, describe, read_description
from .scene import ATTRIBUTES, TOLD, Object, Relation, Scene
from .statements import Counted, Listed, Related, Shared, Statement

NUMBER = 5  # captions of a scene
_ITEMS = 3  # A list has no more of them.
_NUMBER = "|".join(NUMBERS[1:])
_RELATION = "|".join(Relation)


def captions(scene: Scene) -> tuple[str, ...]:
    """Returns five different true captions, which depend on the scene alone.

    The first two say where two fully described objects are to each other, the third counts, the fourth lists objects,
    and the fifth does one of these.
    """
    draw = Draw(zlib.crc32(scene.to_json().encode()))
    written = []
    for kinds in ((_related,), (_related,), (_counted, _shared), (_listed,), (_related, _counted, _shared, _listed)):
        caption = _worded(scene, kinds, draw)
        while caption in written:
            caption = _worded(scene, kinds, draw)
        written.append(caption)
    return tuple(written)


def is_true(caption: str, scene: Scene) -> bool:
    """Whether the caption is a sentence of the grammar and true of the scene."""
    statement = parse(caption)
    return statement is not None and statement.holds(scene)


def parse(caption: str) -> Statement | None:
    """Returns what a caption states; none if the grammar does not write such a caption."""
    for read in (_read_related, _read_counted, _read_shared, _read_listed):
        statement = read(caption)
        if statement and caption in statement.wordings():
            return statement
    return None


def _worded(scene: Scene, kinds: Sequence[Callable[[Scene, Draw], Statement]], draw: Draw) -> str:
    return draw.choice(draw.choice(kinds)(scene, draw).wordings())


def _related(scene: Scene, draw: Draw) -> Related:
    one, where, other = draw.choice(scene.related(TOLD))
    return Related(_in_full(one, draw), where, _in_full(other, draw))


def _in_full(one: Object, draw: Draw) -> Description:
    """Returns a description with all attributes; that an object is solid goes without saying half of the time."""
    unsaid = {"fill"} if one.fill == "solid" and draw.chance(0.5) else set()
    return describe(one, ATTRIBUTES.keys() - unsaid)


def _counted(scene: Scene, draw: Draw) -> Counted:
    attributes = draw.choice([(), *itertools.combinations(ATTRIBUTES, 1), ("colour", "shape"), ("size", "shape")])
    kind = describe(draw.choice(scene.objects), attributes)
    return Counted(kind.number(scene.objects), kind)


def _shared(scene: Scene, draw: Draw) -> Shared:
    kind = describe(draw.choice(scene.objects), (draw.choice(tuple(ATTRIBUTES)),))
    return Shared(len(scene.objects), kind.number(scene.objects), kind)


def _listed(scene: Scene, draw: Draw) -> Listed:
    """Returns a list by shape or by colour, which counts what there are several of."""
    attribute = draw.choice(("shape", "colour"))
    kinds = dict.fromkeys(describe(one, (attribute,)) for one in draw.shuffled(scene.objects))
    if len(kinds) == 1:
        items = [(None, _in_full(one, draw)) for one in draw.shuffled(scene.objects)]
    else:
        items = [_item(kind, scene, draw) for kind in kinds]
    return Listed(tuple(items[:_ITEMS]))


def _item(kind: Description, scene: Scene, draw: Draw) -> tuple[int | None, Description]:
    number = kind.number(scene.objects)
    if number > 1:
        return number, kind
    (one,) = filter(kind.fits, scene.objects)
    more = [attribute for attribute in ("size", "fill") if draw.chance(0.4)]
    return None, describe(one, ("colour", "shape", *more))


def _read_related(text: str) -> Related | None:
    match = re.fullmatch(rf"(?:there is )?(.+?)(?: is)? ({_RELATION}) (.+)", text)
    if not match:
        return None
    subject, reference = _read_item(match[1]), _read_item(match[3])
    return Related(subject[1], Relation(match[2]), reference[1]) if subject and reference else None


def _read_counted(text: str) -> Counted | None:
    match = re.fullmatch(rf"(?:there (?:is|are) )?exactly ({_NUMBER}) (.+)", text)
    kind = match and read_description(match[2])
    return Counted(NUMBERS.index(match[1]), kind) if kind else None


def _read_shared(text: str) -> Shared | None:
    share = rf"(both|all|{_NUMBER}) of them (?:is|are) (?:an? )?(\w+)"
    match = re.fullmatch(rf"there are ({_NUMBER}) objects, {share}", text)
    if not match:
        return None
    kind = read_description(match[3]) or read_description(f"{match[3]} object")
    total = NUMBERS.index(match[1])
    number = total if match[2] in ("both", "all") else NUMBERS.index(match[2])
    return Shared(total, number, kind) if kind else None


def _read_listed(text: str) -> Listed | None:
    items = [_read_item(item) for item in re.split(", | and ", text)]
    return Listed(tuple(items)) if len(items) > 1 and all(items) else None


def _read_item(text: str) -> tuple[int | None, Description] | None:
    match = re.fullmatch(rf"(an?|{_NUMBER}) (.+)", text)
    kind = match and read_description(match[2])
    if not kind:
        return None
    return NUMBERS.index(match[1]) if match[1] in NUMBERS else None, kind
