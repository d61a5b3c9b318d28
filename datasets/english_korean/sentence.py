"""The structure of a sentence, independent of the language."""

from dataclasses import dataclass
from enum import StrEnum

from .lexicon import Adverbial, Determiner, Noun, Place, Subject, Tense
from .predicates import MOTIONS, Adjective, Verb


class Kind(StrEnum):
    """The sentence types, with an example each."""

    ACTION = "action"  # Minsu read a book at home yesterday.
    PAIR = "pair"  # Minsu and Jisu drank tea. / I bought a hat and a bag.
    ACTIVITY = "activity"  # My mother will rest in the park with Jisu tomorrow.
    MOTION = "motion"  # The teacher went to Seoul by train.
    WISH = "wish"  # She wants to learn Korean.
    ABILITY = "ability"  # He cannot fix a car.
    EXISTENCE = "existence"  # There are three cats in the park.
    POSSESSION = "possession"  # We need two chairs.
    PREFERENCE = "preference"  # They like apples.
    IDENTITY = "identity"  # Yuna is not a singer.
    DESCRIPTION = "description"  # This coffee was cold.
    WHO = "who"  # Who ate the bread?
    WHAT = "what"  # What does she read in the evening?
    WHERE = "where"  # Where will you go tomorrow?
    WHEN = "when"  # When did he come home?
    CIRCUMSTANCE = "circumstance"  # Minsu cried when I returned to school.


class Question(StrEnum):
    """What a question asks for."""

    YES_NO = "yes or no"
    WHO = "who"
    WHAT = "what"
    WHERE = "where"
    WHEN = "when"


class Mood(StrEnum):
    """Modifications of a verb: "want to" and "can"."""

    WISH = "wish"
    ABILITY = "ability"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as its type and its constituents.

    A sentence without a verb expresses existence, identity or a description ("be" in English). A question omits the
    constituent that it asks for: one with "where" has no place.

    Args:
        kind: The sentence type.
        tense: The tense.
        verb: The verb, None for "be".
        subjects: The subjects, joined by "and".
        objects: The objects, joined by "and"; the noun itself in a description or a sentence of existence.
        number: The number of objects, 0 if it is not given.
        determiner: Determiner of the noun in a description.
        adjective: Predicate of a description.
        place: Where it happens, or the destination of a motion.
        means: Means of transport.
        companion: Who takes part, after "with".
        time: When it happens.
        mood: "Want to" or "can", if any.
        negated: Whether the sentence is negated.
        question: What the sentence asks for, None for a statement.
        clause: The subordinate clause in "... when I came home".
    """

    kind: Kind
    tense: Tense
    verb: Verb | None = None
    subjects: tuple[Subject, ...] = ()
    objects: tuple[Noun, ...] = ()
    number: int = 0
    determiner: Determiner | None = None
    adjective: Adjective | None = None
    place: Place | None = None
    means: Adverbial | None = None
    companion: Subject | None = None
    time: Adverbial | None = None
    mood: Mood | None = None
    negated: bool = False
    question: Question | None = None
    clause: "Sentence | None" = None

    @property
    def moves(self) -> bool:
        """Whether the place is the destination of the subject."""
        return self.verb in MOTIONS
