"""Questions about scenes, with their answers, chosen so that a question's text tells little about its answer.

A scene allows dozens of questions of each form. It is asked one whose answer is not the commonest of that same text so
far, and of these one that was seldom; CLEVR does likewise by rejection. So "is there a red circle?" is answered by yes
as often as by no, and what is there in no scene is hardly asked about.
"""

import collections
from collections.abc import Iterable
from dataclasses import dataclass

from ..draw import Draw
from .forms import FORMS, Form, Type
from .scene import Scene

__all__ = ["Question", "Type", "questions"]

_SEED = 5


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its answer, one word."""

    text: str
    answer: str
    type: Type

    @property
    def relational(self) -> bool:
        """Whether the answer depends on several objects together."""
        return self.type.relational


def questions(scenes: Iterable[Scene]) -> list[tuple[Question, ...]]:
    """Returns the questions of each scene, one of each form that it allows: ten or eleven as a rule.

    What a scene is asked depends on the scenes before it, too, as the answers are balanced over all of them.
    """
    draw = Draw(_SEED)
    balances = [_Balance(form) for form in FORMS]
    return [tuple(filter(None, [balance.choose(scene, draw) for balance in balances])) for scene in scenes]


class _Balance:
    """The answers that the questions of a form have had so far."""

    def __init__(self, form: Form):
        self._form = form
        self._given = collections.Counter()  # how often each answer was given to any text
        self._given_to = collections.defaultdict(collections.Counter)  # the same by text
        self._commonest = {}  # of each text the answer that was given most often, if there is just one

    def choose(self, scene: Scene, draw: Draw) -> Question | None:
        """Returns a question whose answer is most wanted, if the form has any for the scene."""
        candidates = [(self._excess(*candidate), candidate) for candidate in self._form.ask(scene)]
        if not candidates:
            return None
        least, _ = min(candidates)
        text, answer = draw.choice([candidate for excess, candidate in candidates if excess == least])
        self._given[answer] += 1
        given = self._given_to[text]
        given[answer] += 1
        (first, most), *others = given.most_common(2)
        self._commonest[text] = first if not others or most > others[0][1] else None
        return Question(text, answer, self._form.type)

    def _excess(self, text: str, answer: str) -> tuple[bool, int, int]:
        """Whether the answer alone is the text's commonest; how often it was given to the text, and to any."""
        if text not in self._given_to:
            return False, 0, self._given[answer]
        return self._commonest[text] == answer, self._given_to[text][answer], self._given[answer]
