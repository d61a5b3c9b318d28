"""Wording of sentences in Korean, in the polite style (해요체)."""

from . import hangul
from .hangul import attach
from .lexicon import LISTENER, NUMERALS, WHO, Noun, Tense
from .predicates import EXIST, NOT, WISH_OF_OTHERS, WISH_OF_SPEAKERS, Conjugation
from .sentence import Kind, Mood, Question, Sentence

_WHERE = "어디"
_WHEN = "언제"
_WHAT = "무엇"


def korean(sentence: Sentence) -> str:
    """Returns the Korean wording of a sentence, such as 민수는 어제 집에서 책 두 권을 읽지 않았어요."""
    parts = [*_arguments(sentence, hangul.TOPIC), _predicate(sentence)]
    if sentence.clause:
        # The subject of the clause is not the topic: 제가 집에 왔을 때 민수는 ...
        parts = [*_arguments(sentence.clause, hangul.SUBJECT), _when(sentence.clause), *parts]
    return " ".join(filter(None, parts)) + ("?" if sentence.question else ".")


def _arguments(sentence: Sentence, particle: str) -> list[str]:
    """Returns the constituents before the predicate; `particle` marks the subject."""
    return [
        _subject(sentence, particle),
        _time(sentence),
        f"{attach(sentence.companion.korean, hangul.AND)} 함께" if sentence.companion else "",
        attach(sentence.means.korean, hangul.BY) if sentence.means else "",
        _place(sentence),
        _object(sentence),
    ]


def _subject(sentence: Sentence, particle: str) -> str:
    if sentence.kind == Kind.EXISTENCE or sentence.subjects == (LISTENER,):
        return ""
    if sentence.kind == Kind.DESCRIPTION:
        assert sentence.determiner
        return attach(f"{sentence.determiner.korean} {sentence.objects[0].korean}", particle)
    if sentence.subjects == (WHO,):
        particle = hangul.SUBJECT  # a question word is never the topic
    return attach(_joined([subject.korean for subject in sentence.subjects]), particle)


def _time(sentence: Sentence) -> str:
    if sentence.question == Question.WHEN:
        return _WHEN
    return sentence.time.korean if sentence.time else ""


def _place(sentence: Sentence) -> str:
    word = _WHERE if sentence.question == Question.WHERE else sentence.place and sentence.place.korean
    if not word:
        return ""
    return word + ("에" if sentence.moves or sentence.kind == Kind.EXISTENCE else "에서")


def _object(sentence: Sentence) -> str:
    if sentence.question == Question.WHAT:
        assert sentence.verb
        return attach(_WHAT, sentence.verb.particle)
    if not sentence.objects or sentence.kind == Kind.DESCRIPTION or _is_copular(sentence):
        return ""
    words = _joined([_counted(noun, sentence.number) for noun in sentence.objects])
    return attach(words, sentence.verb.particle if sentence.verb else hangul.SUBJECT)


def _counted(noun: Noun, number: int) -> str:
    return f"{noun.korean} {NUMERALS[number].korean} {noun.counter}" if number else noun.korean


def _joined(words: list[str]) -> str:
    """Joins words with 과 or 와: 민수와 지수."""
    *others, last = words
    return " ".join([*(attach(word, hangul.AND) for word in others), last])


def _is_copular(sentence: Sentence) -> bool:
    return sentence.kind == Kind.IDENTITY and sentence.verb is None


def _predicate(sentence: Sentence) -> str:
    if _is_copular(sentence):
        return _copula(sentence)
    tense, negated = sentence.tense, sentence.negated
    if sentence.mood == Mood.ABILITY:
        return f"{_conjugation(sentence).prospective} 수 {_conjugate(EXIST, tense, negated)}"
    if sentence.mood == Mood.WISH:
        wish = WISH_OF_OTHERS if sentence.subjects[0].person == 3 else WISH_OF_SPEAKERS
        return f"{_conjugation(sentence).stem}고 {_conjugate(wish, tense, negated)}"
    return _conjugate(_conjugation(sentence), tense, negated)


def _conjugation(sentence: Sentence) -> Conjugation:
    if sentence.adjective:
        return sentence.adjective.korean
    return sentence.verb.korean if sentence.verb else EXIST


def _conjugate(predicate: Conjugation, tense: Tense, negated: bool) -> str:
    """Returns the predicate in a tense: 먹었어요, 먹지 않았어요."""
    if negated and predicate.opposite:
        return _conjugate(predicate.opposite, tense, negated=False)
    if negated:
        return f"{predicate.stem}지 {_conjugate(NOT, tense, negated=False)}"
    if tense == Tense.FUTURE:
        return f"{predicate.prospective} 거예요"
    return predicate.past if tense == Tense.PAST else predicate.present


def _copula(sentence: Sentence) -> str:
    noun, past = sentence.objects[0].korean, sentence.tense == Tense.PAST
    if sentence.negated:
        return f"{attach(noun, hangul.SUBJECT)} {'아니었어요' if past else '아니에요'}"
    return attach(noun, hangul.WAS if past else hangul.IS)


def _when(clause: Sentence) -> str:
    """Returns the predicate of a subordinate clause: 왔을 때 from 왔어요."""
    return f"{_conjugation(clause).past.removesuffix('어요')}을 때"
