"""What can be said of objects without their position, and the phrases that say it."""

import itertools
from collections.abc import Collection
from dataclasses import dataclass

from .scene import ATTRIBUTES, SHAPES, Object

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")
_PLURALS = {noun: "crosses" if noun == "cross" else noun + "s" for noun in (*SHAPES, "object")}
_SINGULARS = {plural: singular for singular, plural in _PLURALS.items()}


@dataclass(frozen=True, slots=True)
class Description:
    """A kind of object; an attribute that is none may have any value."""

    size: str | None = None
    fill: str | None = None
    colour: str | None = None
    shape: str | None = None

    def fits(self, one: Object) -> bool:
        """Whether the object is of the kind."""
        said = (self.size, self.fill, self.colour, self.shape)
        return all(value in (None, has) for value, has in zip(said, one.look, strict=True))

    def number(self, objects: Collection[Object]) -> int:
        """Returns how many of the objects are of the kind."""
        return sum(map(self.fits, objects))

    @property
    def singular(self) -> str:
        """The kind's name: "small hollow red circle", or "red object" where the shape is not said."""
        return " ".join(filter(None, [self.size, self.fill, self.colour, self.shape or "object"]))

    @property
    def plural(self) -> str:
        """The name of several of the kind."""
        *adjectives, noun = self.singular.split(" ")
        return " ".join([*adjectives, _PLURALS[noun]])

    @property
    def indefinite(self) -> str:
        """The name of one of the kind with its article: "an orange circle"."""
        return f"{'an' if self.singular[0] in 'aeiou' else 'a'} {self.singular}"

    @property
    def definite(self) -> str:
        """The name of the only one of the kind: "the red circle"."""
        return f"the {self.singular}"

    def counted(self, number: int) -> str:
        """Returns the number and the name: "one red circle", "two red circles"."""
        return f"{NUMBERS[number]} {self.singular if number == 1 else self.plural}"


def describe(one: Object, attributes: Collection[str]) -> Description:
    """Returns the kind that shares those of the object's attributes."""
    return Description(**{attribute: getattr(one, attribute) for attribute in attributes})


def read_description(words: str) -> Description | None:
    """Returns what a name means, in the singular or the plural; none if it is not the name of a kind."""
    *adjectives, noun = words.split(" ")
    noun = _SINGULARS.get(noun, noun)
    said = {"shape": noun} if noun in SHAPES else {}
    for word, (attribute, values) in itertools.product(adjectives, ATTRIBUTES.items()):
        if word in values:
            said[attribute] = word
    description = Description(**said)
    return description if words in (description.singular, description.plural) else None
