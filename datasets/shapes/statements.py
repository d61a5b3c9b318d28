"""What captions state of a scene, whether it is true, and the words for it.

A statement is true of a scene that has a different object for each that it mentions; where it counts, there must be
exactly so many.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from .phrases import NUMBERS, Description
from .scene import Object, Relation, Scene


@dataclass(frozen=True, slots=True)
class Related:
    """Where an object is to another: "a red circle is to the left of a large blue square"."""

    subject: Description
    relation: Relation
    reference: Description

    def holds(self, scene: Scene) -> bool:
        """Whether some object of the subject's kind is there, seen from some object of the reference's kind."""
        return any(
            self.subject.fits(one) and where == self.relation and self.reference.fits(other)
            for one, where, other in scene.related()
        )

    def wordings(self) -> list[str]:
        """Returns the captions that say so."""
        subject, rest = self.subject.indefinite, f"{self.relation} {self.reference.indefinite}"
        return [f"{subject} is {rest}", f"{subject} {rest}", f"there is {subject} {rest}"]


@dataclass(frozen=True, slots=True)
class Counted:
    """How many there are of a kind: "there are exactly two squares"."""

    number: int
    kind: Description

    def holds(self, scene: Scene) -> bool:
        """Whether there are so many."""
        return self.kind.number(scene.objects) == self.number

    def wordings(self) -> list[str]:
        """Returns the captions that say so."""
        counted = f"exactly {self.kind.counted(self.number)}"
        return [counted, f"there {_be(self.number)} {counted}"]


@dataclass(frozen=True, slots=True)
class Shared:
    """How many of all objects have an attribute: "there are three objects, two of them are red"."""

    total: int
    number: int
    kind: Description  # with a single attribute

    def holds(self, scene: Scene) -> bool:
        """Whether there are so many objects, and so many of them have the attribute."""
        return len(scene.objects) == self.total and self.kind.number(scene.objects) == self.number

    def wordings(self) -> list[str]:
        """Returns the captions that say so."""
        everyone = "both" if self.total == 2 else "all"
        share = everyone if self.number == self.total else NUMBERS[self.number]
        total = f"there are {Description().counted(self.total)}"
        return [f"{total}, {share} of them {_be(self.number)} {self._predicate()}"]

    def _predicate(self) -> str:
        if self.kind.shape is None:
            return self.kind.singular.removesuffix(" object")
        return self.kind.indefinite if self.number == 1 else self.kind.plural


@dataclass(frozen=True, slots=True)
class Listed:
    """What there is: "two triangles and a large blue circle".

    An item is a kind and how many there are of it, or none for "a" and "an", which leave open whether there are more.
    """

    items: tuple[tuple[int | None, Description], ...]

    def holds(self, scene: Scene) -> bool:
        """Whether each item has objects of its own, and the numbers are exact."""
        exact = all(number in (None, kind.number(scene.objects)) for number, kind in self.items)
        kinds = [kind for number, kind in self.items for _ in range(number or 1)]
        return exact and _can_differ(kinds, scene.objects)

    def wordings(self) -> list[str]:
        """Returns the captions that say so."""
        *others, last = [kind.counted(number) if number else kind.indefinite for number, kind in self.items]
        return [f"{', '.join(others)} and {last}"]


Statement = Related | Counted | Shared | Listed


def _be(number: int) -> str:
    return "is" if number == 1 else "are"


def _can_differ(kinds: Sequence[Description], objects: Sequence[Object]) -> bool:
    """Whether each kind can be given an object of its own."""
    return any(
        all(kind.fits(one) for kind, one in zip(kinds, chosen, strict=True))
        for chosen in itertools.permutations(objects, len(kinds))
    )
