"""What a sentence says, before it is put into either language."""

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
    YES_NO = "yes or no"
    WHO = "who"
    WHAT = "what"
    WHERE = "where"
    WHEN = "when"


class Mood(StrEnum):
    WISH = "wish"
    ABILITY = "ability"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as its type, its words and how they are used.

    Without a verb it speaks of what there is or of what something is like ("be" in English). In a question, what is
    asked for is left out: "where" has no place. `clause` is the sentence in "... when I came home".
    """

    kind: Kind
    tense: Tense
    verb: Verb | None = None
    subjects: tuple[Subject, ...] = ()
    objects: tuple[Noun, ...] = ()
    number: int = 0  # of the object; 0 says no number
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
        """Whether the place is where the subject goes, not where it is."""
        return self.verb in MOTIONS
