"""The forms of questions: what may be asked about a scene, with the right answers.

"The red circle" is asked about only where there is exactly one.
"""

import collections
import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from .phrases import NUMBERS, Description
from .scene import ATTRIBUTES, Object, Relation, Scene, relation_between


class Type(StrEnum):
    """The types of questions, with an example each."""

    EXISTENCE = "existence"  # is there a red circle?
    COUNT = "count"  # how many large squares are there?
    COLOUR = "colour"  # what colour is the small star?
    SHAPE = "shape"  # what shape is the striped object?
    SIZE = "size"  # what size is the red circle?
    FILL = "fill"  # what fill is the red circle?
    COMPARISON = "comparison"  # are there more circles than squares?
    RELATION = "relation"  # what colour is the object to the left of the red circle?

    @property
    def relational(self) -> bool:
        """Whether the answer depends on several objects together, in the sense of Sort-of-CLEVR."""
        return self in (Type.COMPARISON, Type.RELATION)


@dataclass(frozen=True, slots=True)
class Form:
    """A form of questions: `ask` yields those that a scene allows, each with its answer."""

    type: Type
    ask: Callable[[Scene], Iterator[tuple[str, str]]]


def _kinds(*attributes: str) -> list[Description]:
    """Returns all kinds that have just those attributes."""
    values = itertools.product(*(ATTRIBUTES[attribute] for attribute in attributes))
    return [Description(**dict(zip(attributes, said, strict=True))) for said in values]


_COMPARISONS = (("more", "than"), ("fewer", "than"), ("as many", "as"))
_PAIRS = tuple(itertools.combinations(ATTRIBUTES, 2))
_SINGLE = [_kinds(attribute) for attribute in ATTRIBUTES]
_KINDS = list(itertools.chain(*_SINGLE, *(_kinds(*pair) for pair in _PAIRS)))
# The questions that may be asked about any scene, with the kinds that they are about.
_IS_THERE = [(f"is there {kind.indefinite}?", kind) for kind in _KINDS]
_HOW_MANY = [(f"how many {kind.plural} are there?", kind) for kind in _KINDS]
_COMPARED = [
    (kind, other, *(f"are there {more} {kind.plural} {than} {other.plural}?" for more, than in _COMPARISONS))
    for kinds in _SINGLE
    for kind, other in itertools.permutations(kinds, 2)
]


@functools.cache
def _kinds_of(look: tuple[str, ...]) -> list[Description]:
    """Returns the kinds with one or two attributes to which an object of that look belongs."""
    said = dict(zip(ATTRIBUTES, look, strict=True))
    subsets = [*((attribute,) for attribute in ATTRIBUTES), *_PAIRS]
    return [Description(**{attribute: said[attribute] for attribute in subset}) for subset in subsets]


@functools.lru_cache(maxsize=1)  # each form asks it of the same scene
def _census(scene: Scene) -> collections.Counter[Description]:
    """Returns the number of objects of each kind that is there."""
    return collections.Counter(kind for one in scene.objects for kind in _kinds_of(one.look))


@functools.lru_cache(maxsize=1)  # each form asks it of the same scene
def _names(scene: Scene) -> dict[Object, list[Description]]:
    """Returns the kinds to which each object alone belongs."""
    census = _census(scene)
    return {one: [kind for kind in _kinds_of(one.look) if census[kind] == 1] for one in scene.objects}


def _yes_or_no(fact: bool) -> str:
    return "yes" if fact else "no"


def _existence(scene: Scene) -> Iterator[tuple[str, str]]:
    census = _census(scene)
    for text, kind in _IS_THERE:
        yield text, _yes_or_no(census[kind] > 0)


def _count(scene: Scene) -> Iterator[tuple[str, str]]:
    census = _census(scene)
    for text, kind in _HOW_MANY:
        yield text, NUMBERS[census[kind]]


def _attribute(scene: Scene, attribute: str) -> Iterator[tuple[str, str]]:
    for one, names in _names(scene).items():
        for name in names:
            if not getattr(name, attribute):
                yield f"what {attribute} is {name.definite}?", getattr(one, attribute)


def _comparison(scene: Scene) -> Iterator[tuple[str, str]]:
    census = _census(scene)
    for kind, other, is_more, is_fewer, is_as_many in _COMPARED:
        more = census[kind] - census[other]
        if census[kind] or census[other]:  # It says little that there are as many of none as of none.
            yield is_more, _yes_or_no(more > 0)
            yield is_fewer, _yes_or_no(more < 0)
            yield is_as_many, _yes_or_no(more == 0)


def _attribute_of_related(scene: Scene, attribute: str) -> Iterator[tuple[str, str]]:
    for one, names in _names(scene).items():
        places = {other: relation_between(other, one) for other in scene.objects if other != one}
        if None in places.values():
            continue  # One that is diagonally across might be taken to be meant.
        numbers = collections.Counter(places.values())
        for (other, where), name in itertools.product(places.items(), names):
            if numbers[where] == 1:
                yield f"what {attribute} is the object {where} {name.definite}?", getattr(other, attribute)


def _relation(scene: Scene) -> Iterator[tuple[str, str]]:
    # One of several names would do; with all, there would be more questions than could ever be balanced.
    names = {one: name.definite for one, names in _names(scene).items() for name in names if name.colour and name.shape}
    for one, where, other in scene.related():
        if one in names and other in names:
            for asked in Relation:
                yield f"is {names[one]} {asked} {names[other]}?", _yes_or_no(asked == where)


def _likeness(scene: Scene) -> Iterator[tuple[str, str]]:
    for attribute in ("size", "colour", "shape"):
        numbers = collections.Counter(getattr(one, attribute) for one in scene.objects)
        for one, names in _names(scene).items():
            value = getattr(one, attribute)
            for name in names:
                if not getattr(name, attribute):
                    text = f"how many other objects have the same {attribute} as {name.definite}?"
                    yield text, NUMBERS[numbers[value] - 1]


FORMS = (
    Form(Type.EXISTENCE, _existence),
    Form(Type.COUNT, _count),
    Form(Type.COLOUR, functools.partial(_attribute, attribute="colour")),
    Form(Type.SHAPE, functools.partial(_attribute, attribute="shape")),
    Form(Type.SIZE, functools.partial(_attribute, attribute="size")),
    Form(Type.FILL, functools.partial(_attribute, attribute="fill")),
    Form(Type.COMPARISON, _comparison),
    Form(Type.RELATION, functools.partial(_attribute_of_related, attribute="colour")),
    Form(Type.RELATION, functools.partial(_attribute_of_related, attribute="shape")),
    Form(Type.RELATION, _relation),
    Form(Type.RELATION, _likeness),
)
