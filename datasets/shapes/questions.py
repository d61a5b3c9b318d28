"""Questions about scenes, chosen so that the text of a question reveals little about its answer.

A scene allows dozens of questions of each form. Of these, one is chosen whose answer is not yet the most frequent one
for the same text, and among these one with a rare answer, similar to CLEVR's rejection sampling. For example, "is there
a red circle?" is answered "yes" as often as "no", and objects that occur in no scene are hardly ever asked about.
"""

import collections
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from ..draw import Draw
from .forms import FORMS, Form, Type
from .scene import Scene

__all__ = ["Question", "Type", "questions"]

_SEED = 5


class QuestionType(Protocol):
    """The type of a question: a string enumeration with a property `relational`."""

    @property
    def relational(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a scene.

    Args:
        text: The question.
        answer: The answer, a single word.
        type: The type of the question.
    """

    text: str
    answer: str
    type: QuestionType

    @property
    def relational(self) -> bool:
        """Whether the answer depends on several objects together."""
        return self.type.relational


def questions(scenes: Iterable[Scene], forms: Iterable[Form] = FORMS) -> list[tuple[Question, ...]]:
    """Returns the questions about each scene, at most one of each form, usually ten or eleven.

    Answers are balanced over all scenes, so the questions about a scene also depend on the scenes before it.

    Args:
        scenes: The scenes of a split, in order.
        forms: The forms of the questions.

    Returns:
        List with a tuple of `Question`s for each scene.

    Example:

    >>> from keras_recurrent.datasets.shapes.questions import questions
    >>> from keras_recurrent.datasets.shapes.splits import scenes
    >>> first, *_ = questions(scenes("test", 10))
    >>> first[0].text, first[0].answer
    ('is there a striped circle?', 'no')
    """
    draw = Draw(_SEED)
    balances = [_Balance(form) for form in forms]
    return [tuple(filter(None, [balance.choose(scene, draw) for balance in balances])) for scene in scenes]


class _Balance:
    """Chooses questions of a form and keeps count of their answers."""

    def __init__(self, form: Form):
        self._form = form
        self._counts: collections.Counter[str] = collections.Counter()  # of each answer
        # Of each answer, by the text of the question.
        self._counts_by_text: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        self._most_common: dict[str, str | None] = {}  # the answer to each text; None if two are equally frequent

    def choose(self, scene: Scene, draw: Draw) -> Question | None:
        """Returns a question about the scene with the least frequent answer, None if the form has no question."""
        candidates = [(self._excess(*candidate), candidate) for candidate in self._form.generate(scene)]
        if not candidates:
            return None
        least, _ = min(candidates)
        text, answer = draw.choice([candidate for excess, candidate in candidates if excess == least])
        self._counts[answer] += 1
        counts = self._counts_by_text[text]
        counts[answer] += 1
        (first, most), *others = counts.most_common(2)
        self._most_common[text] = first if not others or most > others[0][1] else None
        return Question(text, answer, self._form.type)

    def _excess(self, text: str, answer: str) -> tuple[bool, int, int]:
        """Returns whether the answer is the most common one to this text, its count for the text, and in total."""
        if text not in self._counts_by_text:
            return False, 0, self._counts[answer]
        return self._most_common[text] == answer, self._counts_by_text[text][answer], self._counts[answer]
