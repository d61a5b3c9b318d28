"""Random sentences of each type."""

from collections.abc import Sequence
from dataclasses import replace

from ..draw import Draw
from .english import reads_as_past
from .lexicon import (
    DETERMINERS,
    EVENT_TIMES,
    FAMILY,
    HOURS,
    JOBS,
    LISTENER,
    MEANS,
    NAMED_SUBJECTS,
    NAMES,
    NUMERALS,
    PEOPLE,
    PRONOUNS,
    SPEAKER,
    STATE_TIMES,
    SUBJECTS,
    WHO,
    Adverbial,
    Noun,
    Subject,
    Tense,
)
from .predicates import ACTIONS, ACTIVITIES, ADJECTIVES, BECOME, EXISTENCES, GO, MOTIONS, POSSESSIONS, PREFERENCES, Verb
from .sentence import Kind, Mood, Question, Sentence

_PAST_OR_PRESENT = (Tense.PAST, Tense.PRESENT)
_ALL_TENSES = tuple(Tense)
_ACTIONS_ON_THINGS = tuple(verb for verb in ACTIONS if not set(verb.objects) & set(PEOPLE))


class Sampler:
    """Draws random sentences that are identical in every version of Python for the same seed.

    Args:
        seed: Seed of the random choices.

    Example:

    >>> from keras_recurrent.datasets.english_korean.english import english
    >>> from keras_recurrent.datasets.english_korean.sampling import Sampler
    >>> from keras_recurrent.datasets.english_korean.sentence import Kind
    >>> english(Sampler(seed=1).sentence(Kind.ACTION))
    'Did you fix five chairs at school?'
    """

    def __init__(self, seed: int):
        draw = Draw(seed)
        self._choice, self._chance = draw.choice, draw.chance

    def sentence(self, kind: Kind) -> Sentence:
        """Returns a random sentence of a type, drawn by the method named after the type."""
        draw = getattr(self, f"_{kind}")
        sentence = draw()
        while reads_as_past(sentence):  # it would have two translations
            sentence = draw()
        return sentence

    def _two(self, options: Sequence) -> tuple:
        first = self._choice(options)
        return first, self._choice([option for option in options if option != first])

    def _inflected(self, sentence: Sentence) -> Sentence:
        """Turns a statement into a negation or a question, or leaves it unchanged."""
        if self._chance(0.25):
            return replace(sentence, question=Question.YES_NO)
        return replace(sentence, negated=self._chance(0.3))

    def _with_subject(self, sentence: Sentence, subjects: Sequence[Subject] = SUBJECTS) -> Sentence:
        subject = self._choice(subjects)
        # People make statements about themselves and ask questions about the listener.
        if sentence.question and subject == SPEAKER:
            subject = LISTENER
        return replace(sentence, subjects=(subject,))

    def _completed(self, sentence: Sentence) -> Sentence:
        return self._with_subject(self._inflected(sentence))

    def _event_time(self, tense: Tense) -> Adverbial:
        return self._choice(HOURS) if self._chance(0.2) else self._choice(EVENT_TIMES[tense])

    def _number(self, noun: Noun) -> int:
        return self._choice(tuple(NUMERALS)) if noun.counter and self._chance(0.4) else 0

    def _action_of(
        self, kind: Kind, tenses: Sequence[Tense] = _ALL_TENSES, verbs: Sequence[Verb] = ACTIONS
    ) -> Sentence:
        """Returns an action with an object and perhaps a place and a time, without a subject."""
        tense, verb = self._choice(tenses), self._choice(verbs)
        noun = self._choice(verb.objects)
        return Sentence(
            kind=kind,
            tense=tense,
            verb=verb,
            objects=(noun,),
            number=self._number(noun),
            place=self._choice(verb.places) if self._chance(0.5) else None,
            time=self._event_time(tense) if self._chance(0.7) else None,
        )

    def _movement_of(self, kind: Kind, tenses: Sequence[Tense], verbs: Sequence[Verb]) -> Sentence:
        """Returns an activity or a motion with a place and perhaps a time, without a subject."""
        tense, verb = self._choice(tenses), self._choice(verbs)
        return Sentence(
            kind=kind,
            tense=tense,
            verb=verb,
            place=self._choice(verb.places),
            time=self._event_time(tense) if self._chance(0.7) else None,
        )

    def _event_of(self, kind: Kind, tenses: Sequence[Tense], motions: Sequence[Verb] = MOTIONS) -> Sentence:
        if self._chance(0.7):
            return self._action_of(kind, tenses)
        return self._movement_of(kind, tenses, motions if self._chance(0.5) else ACTIVITIES)

    def _action(self) -> Sentence:
        return self._completed(self._action_of(Kind.ACTION))

    def _pair(self) -> Sentence:
        sentence = self._completed(self._action_of(Kind.PAIR))
        if self._chance(0.5):
            return replace(sentence, subjects=self._two(NAMED_SUBJECTS))
        assert sentence.verb
        return replace(sentence, objects=self._two(sentence.verb.objects), number=0)

    def _activity(self) -> Sentence:
        return self._accompanied(self._completed(self._movement_of(Kind.ACTIVITY, _ALL_TENSES, ACTIVITIES)))

    def _motion(self) -> Sentence:
        sentence = self._accompanied(self._completed(self._movement_of(Kind.MOTION, _ALL_TENSES, MOTIONS)))
        return replace(sentence, means=self._choice(MEANS)) if self._chance(0.6) else sentence

    def _accompanied(self, sentence: Sentence) -> Sentence:
        if not self._chance(0.3):
            return sentence
        others = [subject for subject in NAMED_SUBJECTS if subject not in sentence.subjects]
        return replace(sentence, companion=self._choice(others))

    def _wish(self) -> Sentence:
        return self._modal(Kind.WISH, Mood.WISH)

    def _ability(self) -> Sentence:
        return self._modal(Kind.ABILITY, Mood.ABILITY)

    def _modal(self, kind: Kind, mood: Mood) -> Sentence:
        """Returns a wish or an ability, in the past or present. A present one refers to a future event."""
        sentence = self._event_of(kind, (Tense.PAST, Tense.FUTURE))
        tense = Tense.PAST if sentence.tense == Tense.PAST else Tense.PRESENT
        return self._completed(replace(sentence, mood=mood, tense=tense))

    def _existence(self) -> Sentence:
        tense = self._choice(_PAST_OR_PRESENT)
        nouns, places = self._choice(EXISTENCES)
        noun, negated = self._choice(nouns), self._chance(0.2)
        return Sentence(
            kind=Kind.EXISTENCE,
            tense=tense,
            objects=(noun,),
            number=0 if negated else self._number(noun),
            place=self._choice(places),
            time=self._choice(STATE_TIMES[tense]) if self._chance(0.5) else None,
            negated=negated,
            question=Question.YES_NO if not negated and self._chance(0.3) else None,
        )

    def _possession(self) -> Sentence:
        tense, verb = self._choice(_PAST_OR_PRESENT), self._choice(POSSESSIONS)
        noun = self._choice(verb.objects)
        sentence = Sentence(
            kind=Kind.POSSESSION,
            tense=tense,
            verb=verb,
            objects=(noun,),
            time=self._choice(STATE_TIMES[tense]) if self._chance(0.5) else None,
        )
        sentence = self._completed(sentence)
        return sentence if sentence.negated else replace(sentence, number=self._number(noun))

    def _preference(self) -> Sentence:
        verb = self._choice(PREFERENCES)
        objects = self._two(verb.objects) if self._chance(0.3) else (self._choice(verb.objects),)
        return self._completed(Sentence(Kind.PREFERENCE, self._choice(_PAST_OR_PRESENT), verb, objects=objects))

    def _identity(self) -> Sentence:
        verb = BECOME if self._chance(0.3) else None
        tense = self._choice((Tense.PAST, Tense.FUTURE) if verb else _PAST_OR_PRESENT)
        sentence = Sentence(
            kind=Kind.IDENTITY,
            tense=tense,
            verb=verb,
            objects=(self._choice(JOBS),),
            time=self._choice(STATE_TIMES[tense]) if self._chance(0.6) else None,
        )
        # Avoids sentences such as "The doctor is a doctor".
        return self._with_subject(self._inflected(sentence), PRONOUNS + NAMES + FAMILY)

    def _description(self) -> Sentence:
        tense, adjective = self._choice(_ALL_TENSES), self._choice(ADJECTIVES)
        sentence = Sentence(
            kind=Kind.DESCRIPTION,
            tense=tense,
            objects=(self._choice(adjective.nouns),),
            determiner=self._choice(DETERMINERS),
            adjective=adjective,
            time=self._choice(STATE_TIMES[tense]) if self._chance(0.3) else None,
        )
        return self._inflected(sentence)

    def _who(self) -> Sentence:
        sentence = self._event_of(Kind.WHO, _ALL_TENSES)
        return replace(sentence, subjects=(WHO,), question=Question.WHO)

    def _what(self) -> Sentence:
        sentence = self._action_of(Kind.WHAT, verbs=_ACTIONS_ON_THINGS)
        return self._with_subject(replace(sentence, objects=(), number=0, question=Question.WHAT))

    def _where(self) -> Sentence:
        sentence = self._event_of(Kind.WHERE, _ALL_TENSES, motions=(GO,))  # "Where did he come?" is unidiomatic
        return self._with_subject(replace(sentence, place=None, question=Question.WHERE))

    def _when(self) -> Sentence:
        sentence = self._event_of(Kind.WHEN, _ALL_TENSES)
        return self._with_subject(replace(sentence, time=None, question=Question.WHEN))

    def _circumstance(self) -> Sentence:
        sentence = self._action_of(Kind.CIRCUMSTANCE, (Tense.PAST,))
        clause = self._movement_of(Kind.CIRCUMSTANCE, (Tense.PAST,), ACTIVITIES + MOTIONS)
        subject, other = self._two(SUBJECTS)
        return replace(
            sentence,
            subjects=(subject,),
            time=None,
            negated=self._chance(0.2),
            clause=replace(clause, subjects=(other,), time=None),
        )
