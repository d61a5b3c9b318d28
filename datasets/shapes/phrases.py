"""Descriptions of objects by their attributes, and the noun phrases that express them."""

import itertools
from collections.abc import Collection
from dataclasses import dataclass

from .scene import ATTRIBUTES, SHAPES, Object

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")
_PLURALS = {noun: "crosses" if noun == "cross" else noun + "s" for noun in (*SHAPES, "object")}
_SINGULARS = {plural: singular for singular, plural in _PLURALS.items()}


@dataclass(frozen=True, slots=True)
class Description:
    """A description of objects by their attributes. An attribute that is None may have any value.

    Args:
        size: One of `SIZES`, or None.
        fill: One of `FILLS`, or None.
        colour: One of `COLOURS`, or None.
        shape: One of `SHAPES`, or None.

    Example:

    >>> from keras_recurrent.datasets.shapes.phrases import Description
    >>> Description(fill="hollow", shape="cross").counted(2)
    'two hollow crosses'
    >>> Description(colour="orange").indefinite
    'an orange object'
    """

    size: str | None = None
    fill: str | None = None
    colour: str | None = None
    shape: str | None = None

    def fits(self, obj: Object) -> bool:
        """Whether the description is true of the object."""
        values = (self.size, self.fill, self.colour, self.shape)
        return all(value in (None, actual) for value, actual in zip(values, obj.appearance, strict=True))

    def count(self, objects: Collection[Object]) -> int:
        """Returns the number of objects that the description fits."""
        return sum(map(self.fits, objects))

    @property
    def singular(self) -> str:
        """The noun phrase without an article: "small hollow red circle", or "red object" if no shape is given."""
        return " ".join(filter(None, [self.size, self.fill, self.colour, self.shape or "object"]))

    @property
    def plural(self) -> str:
        """The noun phrase in the plural: "small hollow red circles"."""
        *adjectives, noun = self.singular.split(" ")
        return " ".join([*adjectives, _PLURALS[noun]])

    @property
    def indefinite(self) -> str:
        """The noun phrase with the indefinite article: "an orange circle"."""
        return f"{'an' if self.singular[0] in 'aeiou' else 'a'} {self.singular}"

    @property
    def definite(self) -> str:
        """The noun phrase with the definite article: "the red circle"."""
        return f"the {self.singular}"

    def counted(self, count: int) -> str:
        """Returns the noun phrase with a number: "one red circle", "two red circles"."""
        return f"{NUMBERS[count]} {self.singular if count == 1 else self.plural}"


def describe(obj: Object, attributes: Collection[str]) -> Description:
    """Returns the description of an object by the named attributes."""
    return Description(**{attribute: getattr(obj, attribute) for attribute in attributes})


def read_description(words: str) -> Description | None:
    """Parses a noun phrase without an article, singular or plural; returns None if it is no description."""
    *adjectives, noun = words.split(" ")
    noun = _SINGULARS.get(noun, noun)
    values = {"shape": noun} if noun in SHAPES else {}
    for word, (attribute, options) in itertools.product(adjectives, ATTRIBUTES.items()):
        if word in options:
            values[attribute] = word
    description = Description(**values)
    return description if words in (description.singular, description.plural) else None
