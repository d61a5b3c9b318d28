"""The forms of questions: which questions can be asked about a scene, with their answers.

A definite noun phrase such as "the red circle" is only used if it fits exactly one object.
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
        """Whether the answer depends on several objects together, as defined by Sort-of-CLEVR."""
        return self in (Type.COMPARISON, Type.RELATION)


@dataclass(frozen=True, slots=True)
class Form:
    """A form of questions.

    Args:
        type: The type of the questions.
        generate: Function from a scene to all questions of this form that can be asked about it, as pairs
            `(question, answer)`.
    """

    type: Type
    generate: Callable[[Scene], Iterator[tuple[str, str]]]


def _descriptions(*attributes: str) -> list[Description]:
    """Returns all descriptions by exactly these attributes."""
    combinations = itertools.product(*(ATTRIBUTES[attribute] for attribute in attributes))
    return [Description(**dict(zip(attributes, values, strict=True))) for values in combinations]


_COMPARISONS = (("more", "than"), ("fewer", "than"), ("as many", "as"))
_PAIRS = tuple(itertools.combinations(ATTRIBUTES, 2))
_SINGLE = [_descriptions(attribute) for attribute in ATTRIBUTES]
_DESCRIPTIONS = list(itertools.chain(*_SINGLE, *(_descriptions(*pair) for pair in _PAIRS)))
# The questions that can be asked about any scene, with the descriptions that they contain.
_EXISTENCE_QUESTIONS = [(f"is there {description.indefinite}?", description) for description in _DESCRIPTIONS]
_COUNT_QUESTIONS = [(f"how many {description.plural} are there?", description) for description in _DESCRIPTIONS]
_COMPARISON_QUESTIONS = [
    (first, second, [f"are there {more} {first.plural} {than} {second.plural}?" for more, than in _COMPARISONS])
    for descriptions in _SINGLE
    for first, second in itertools.permutations(descriptions, 2)
]


@functools.cache
def _descriptions_of(appearance: tuple[str, ...]) -> list[Description]:
    """Returns the descriptions by one or two attributes that fit an object of this appearance."""
    values = dict(zip(ATTRIBUTES, appearance, strict=True))
    subsets = [*((attribute,) for attribute in ATTRIBUTES), *_PAIRS]
    return [Description(**{attribute: values[attribute] for attribute in subset}) for subset in subsets]


@functools.lru_cache(maxsize=1)  # all forms count the objects of the same scene
def _counts(scene: Scene) -> collections.Counter[Description]:
    """Returns the number of objects that each description fits."""
    return collections.Counter(description for obj in scene.objects for description in _descriptions_of(obj.appearance))


@functools.lru_cache(maxsize=1)  # all forms use the names of the same scene
def _names(scene: Scene) -> dict[Object, list[Description]]:
    """Returns the descriptions that fit each object and no other."""
    counts = _counts(scene)
    return {
        obj: [description for description in _descriptions_of(obj.appearance) if counts[description] == 1]
        for obj in scene.objects
    }


def _yes_or_no(fact: bool) -> str:
    return "yes" if fact else "no"


def _existence(scene: Scene) -> Iterator[tuple[str, str]]:
    counts = _counts(scene)
    for text, description in _EXISTENCE_QUESTIONS:
        yield text, _yes_or_no(counts[description] > 0)


def _count(scene: Scene) -> Iterator[tuple[str, str]]:
    counts = _counts(scene)
    for text, description in _COUNT_QUESTIONS:
        yield text, NUMBERS[counts[description]]


def _attribute(scene: Scene, attribute: str) -> Iterator[tuple[str, str]]:
    for obj, names in _names(scene).items():
        for name in names:
            if not getattr(name, attribute):
                yield f"what {attribute} is {name.definite}?", getattr(obj, attribute)


def _comparison(scene: Scene) -> Iterator[tuple[str, str]]:
    counts = _counts(scene)
    for first, second, (more, fewer, as_many) in _COMPARISON_QUESTIONS:
        difference = counts[first] - counts[second]
        if counts[first] or counts[second]:  # comparing nothing with nothing would be pointless
            yield more, _yes_or_no(difference > 0)
            yield fewer, _yes_or_no(difference < 0)
            yield as_many, _yes_or_no(difference == 0)


def _attribute_of_related(scene: Scene, attribute: str) -> Iterator[tuple[str, str]]:
    for reference, names in _names(scene).items():
        relations = {obj: relation_between(obj, reference) for obj in scene.objects if obj != reference}
        if None in relations.values():
            continue  # the question might be understood to mean an object diagonally across
        counts = collections.Counter(relations.values())
        for (obj, relation), name in itertools.product(relations.items(), names):
            if counts[relation] == 1:
                yield f"what {attribute} is the object {relation} {name.definite}?", getattr(obj, attribute)


def _relation(scene: Scene) -> Iterator[tuple[str, str]]:
    # One name per object: with all names, there would be too many questions to balance their answers.
    names = {obj: name.definite for obj, names in _names(scene).items() for name in names if name.colour and name.shape}
    for subject, actual, reference in scene.relations():
        if subject in names and reference in names:
            for relation in Relation:
                yield f"is {names[subject]} {relation} {names[reference]}?", _yes_or_no(relation == actual)


def _same_attribute(scene: Scene) -> Iterator[tuple[str, str]]:
    for attribute in ("size", "colour", "shape"):
        counts = collections.Counter(getattr(obj, attribute) for obj in scene.objects)
        for obj, names in _names(scene).items():
            value = getattr(obj, attribute)
            for name in names:
                if not getattr(name, attribute):
                    text = f"how many other objects have the same {attribute} as {name.definite}?"
                    yield text, NUMBERS[counts[value] - 1]


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
    Form(Type.RELATION, _same_attribute),
)
