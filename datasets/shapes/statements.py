"""The statements that captions make: whether they are true of a scene, and how they are worded.

A statement is true if each object that it mentions can be matched with a different object of the scene. Counts are
exact.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from .phrases import NUMBERS, Description
from .scene import Object, Relation, Scene


@dataclass(frozen=True, slots=True)
class Related:
    """The position of an object relative to another: "a red circle is to the left of a large blue square".

    Args:
        subject: The object whose position is described.
        relation: The relation.
        reference: The object that it is compared with.
    """

    subject: Description
    relation: Relation
    reference: Description

    def holds(self, scene: Scene) -> bool:
        """Whether two objects of the scene fit the descriptions and have the relation."""
        return any(
            self.subject.fits(subject) and relation == self.relation and self.reference.fits(reference)
            for subject, relation, reference in scene.relations()
        )

    def wordings(self) -> list[str]:
        """Returns the captions that express the statement."""
        subject, rest = self.subject.indefinite, f"{self.relation} {self.reference.indefinite}"
        return [f"{subject} is {rest}", f"{subject} {rest}", f"there is {subject} {rest}"]


@dataclass(frozen=True, slots=True)
class Counted:
    """The number of objects that fit a description: "there are exactly two squares".

    Args:
        count: The number.
        description: The description.
    """

    count: int
    description: Description

    def holds(self, scene: Scene) -> bool:
        """Whether exactly so many objects of the scene fit the description."""
        return self.description.count(scene.objects) == self.count

    def wordings(self) -> list[str]:
        """Returns the captions that express the statement."""
        counted = f"exactly {self.description.counted(self.count)}"
        return [counted, f"there {_be(self.count)} {counted}"]


@dataclass(frozen=True, slots=True)
class Shared:
    """The number of all objects, and of those with an attribute: "there are three objects, two of them are red".

    Args:
        total: The number of all objects.
        count: The number of objects with the attribute.
        description: A description by a single attribute.
    """

    total: int
    count: int
    description: Description

    def holds(self, scene: Scene) -> bool:
        """Whether both numbers are right."""
        return len(scene.objects) == self.total and self.description.count(scene.objects) == self.count

    def wordings(self) -> list[str]:
        """Returns the captions that express the statement."""
        everything = "both" if self.total == 2 else "all"
        share = everything if self.count == self.total else NUMBERS[self.count]
        total = f"there are {Description().counted(self.total)}"
        return [f"{total}, {share} of them {_be(self.count)} {self._predicate()}"]

    def _predicate(self) -> str:
        if self.description.shape is None:
            return self.description.singular.removesuffix(" object")
        return self.description.indefinite if self.count == 1 else self.description.plural


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of objects: "two triangles and a large blue circle".

    Args:
        items: Pairs of a count and a description. A count of None is worded "a" or "an", and does not exclude that
            there are more such objects.
    """

    items: tuple[tuple[int | None, Description], ...]

    def holds(self, scene: Scene) -> bool:
        """Whether the counts are exact and each item can be matched with objects of its own."""
        is_exact = all(count in (None, description.count(scene.objects)) for count, description in self.items)
        descriptions = [description for count, description in self.items for _ in range(count or 1)]
        return is_exact and _can_match(descriptions, scene.objects)

    def wordings(self) -> list[str]:
        """Returns the captions that express the statement."""
        *others, last = [
            description.counted(count) if count else description.indefinite for count, description in self.items
        ]
        return [f"{', '.join(others)} and {last}"]


Statement = Related | Counted | Shared | Listed


def _be(count: int) -> str:
    return "is" if count == 1 else "are"


def _can_match(descriptions: Sequence[Description], objects: Sequence[Object]) -> bool:
    """Whether each description can be matched with an object of its own."""
    return any(
        all(description.fits(obj) for description, obj in zip(descriptions, chosen, strict=True))
        for chosen in itertools.permutations(objects, len(descriptions))
    )
