"""Wording of sentences in English."""

from .lexicon import NUMERALS, Noun, Tense
from .sentence import Kind, Mood, Question, Sentence

_BE = {
    Tense.PAST: {"I": "was", "singular": "was", "plural": "were"},
    Tense.PRESENT: {"I": "am", "singular": "is", "plural": "are"},
}
_THIRD_PERSON = {"have": "has"}


def english(sentence: Sentence) -> str:
    """Returns the English wording of a sentence, such as "Minsu did not read two books at home yesterday."."""
    text = _clause(sentence)
    if sentence.clause:
        text += f" when {_clause(sentence.clause)}"
    return text[0].upper() + text[1:] + ("?" if sentence.question else ".")


def reads_as_past(sentence: Sentence) -> bool:
    """Whether a sentence in the present tense looks like the past: "I read a book", but not "I do not read"."""
    verb = sentence.verb
    if verb is None or sentence.tense != Tense.PRESENT or _auxiliary(sentence):
        return False
    return _main_verb(sentence) == verb.past


def _clause(sentence: Sentence) -> str:
    auxiliary = _auxiliary(sentence)
    negation = "not" if sentence.negated and sentence.kind != Kind.EXISTENCE else ""
    predicate = [negation, _main_verb(sentence), _complement(sentence)]
    if _is_inverted(sentence):
        question_word = "" if sentence.question in (None, Question.YES_NO) else sentence.question
        parts = [question_word, auxiliary, _subject(sentence), *predicate]
    else:
        parts = [_subject(sentence), auxiliary, *predicate]
    return " ".join(filter(None, [*parts, *_adjuncts(sentence)])).replace("can not", "cannot")


def _is_inverted(sentence: Sentence) -> bool:
    return sentence.question not in (None, Question.WHO)


def _auxiliary(sentence: Sentence) -> str:
    """Returns the verb that is negated and that precedes the subject in a question; empty for "She reads"."""
    if sentence.mood == Mood.ABILITY:
        return "could" if sentence.tense == Tense.PAST else "can"
    if sentence.tense == Tense.FUTURE:
        return "will"
    if sentence.verb is None:
        return _BE[sentence.tense][_agreement(sentence)]
    if sentence.negated or _is_inverted(sentence):
        if sentence.tense == Tense.PAST:
            return "did"
        return "does" if _agreement(sentence) == "singular" else "do"
    return ""


def _main_verb(sentence: Sentence) -> str:
    verb, auxiliary = sentence.verb, _auxiliary(sentence)
    if verb is None:
        return "be" if auxiliary == "will" else ""
    base, past = verb.english, verb.past
    if sentence.mood == Mood.WISH:
        base, past = f"want to {base}", f"wanted to {base}"
    if auxiliary:
        return base
    if sentence.tense == Tense.PAST:
        return past
    return third_person(base) if _agreement(sentence) == "singular" else base


def _agreement(sentence: Sentence) -> str:
    """Returns the form of the verb that the subject requires: "I", "singular" or "plural"."""
    if sentence.kind == Kind.EXISTENCE:
        return "plural" if sentence.number > 1 else "singular"
    if sentence.kind == Kind.DESCRIPTION:
        return "singular"
    first, *others = sentence.subjects
    if others or first.plural or first.person == 2:
        return "plural"
    return "I" if first.person == 1 else "singular"


def _subject(sentence: Sentence) -> str:
    if sentence.kind == Kind.EXISTENCE:
        return "there"
    if sentence.kind == Kind.DESCRIPTION:
        assert sentence.determiner
        return f"{sentence.determiner.english} {sentence.objects[0].english}"
    return " and ".join(subject.english for subject in sentence.subjects)


def _complement(sentence: Sentence) -> str:
    if sentence.kind == Kind.DESCRIPTION:
        assert sentence.adjective
        return sentence.adjective.english
    return " and ".join(_object(sentence, noun) for noun in sentence.objects)


def _object(sentence: Sentence, noun: Noun) -> str:
    if sentence.kind == Kind.EXISTENCE and sentence.negated:
        return f"no {noun.english}"
    if sentence.number:
        return counted(noun, sentence.number)
    is_plural_identity = sentence.kind == Kind.IDENTITY and sentence.subjects[0].plural
    if noun.bare:
        return noun.english
    if is_plural_identity or (sentence.verb is not None and sentence.verb.generic):
        return plural(noun)
    return f"{'an' if noun.english[0] in 'aeiou' else 'a'} {noun.english}"


def _adjuncts(sentence: Sentence) -> list[str]:
    place, companion = sentence.place, sentence.companion
    return [
        (place.to if sentence.moves else place.english) if place else "",
        sentence.means.english if sentence.means else "",
        f"with {companion.english}" if companion else "",
        sentence.time.english if sentence.time else "",
    ]


def counted(noun: Noun, number: int) -> str:
    """Returns a noun with a number: "three apples", "one cup of coffee"."""
    numeral = NUMERALS[number].english
    if noun.measure:
        return f"{numeral} {noun.measure if number == 1 else _with_s(noun.measure)} of {noun.english}"
    return f"{numeral} {noun.english if number == 1 else plural(noun)}"


def plural(noun: Noun) -> str:
    """Returns the plural of a noun: children, boxes, potatoes."""
    return noun.plural or _with_s(noun.english)


def third_person(verb: str) -> str:
    """Returns the third person singular of a verb, of which only the first word changes: "waits for", "studies"."""
    first, *rest = verb.split(" ")
    return " ".join([_THIRD_PERSON.get(first) or _with_s(first), *rest])


def _with_s(word: str) -> str:
    if word.endswith(("s", "x", "ch", "sh", "to", "go")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"
