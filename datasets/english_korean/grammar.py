"""The splits of the data set: English-Korean sentence pairs from a grammar.

`pairs("train")` returns the pairs that a translation model reads, `sentences("train")` the same as structured
sentences. `english` and `korean` are functions of a structured sentence. No two sentences of the data set have the same
English or the same Korean wording.

The test split requires generalization. A combination is a predicate with one of its constituents, such as
("eat", "apple"), ("eat", "Minsu") or ("big", "room"). About one in twelve combinations is held out: each test sentence
has at least one of them, no sentence of the other splits has any. Still, each word of the test split occurs several
times in training.
"""

import collections
import functools
import itertools
import re
import zlib
from collections.abc import Callable, Iterator

from .english import english
from .korean import korean
from .sampling import Sampler
from .sentence import Kind, Sentence

__all__ = [
    "SIZES",
    "Kind",
    "Sentence",
    "combinations",
    "english",
    "is_held_out",
    "korean",
    "pairs",
    "sentences",
    "words",
]

SIZES = {"train": 20_000, "validation": 1_000, "test": 1_000}
_SEEN_SEED, _HELD_OUT_SEED = 1, 2
_HELD_OUT_RATIO = 12  # one in twelve combinations
_MIN_COUNT = 5  # training sentences with each word of the test split


def pairs(split: str) -> list[tuple[str, str]]:
    """Returns the sentence pairs of a split.

    Args:
        split: One of `SIZES`.

    Returns:
        List of pairs `(English, Korean)`, in the order of `sentences`.

    Raises:
        ValueError: If there is no such split.

    Example:

    >>> from keras_recurrent.datasets.english_korean.grammar import pairs
    >>> pairs("train")[0]
    ('Will you draw five birds tomorrow morning?', '내일 아침에 새 다섯 마리를 그릴 거예요?')
    """
    return [(english(sentence), korean(sentence)) for sentence in sentences(split)]


def sentences(split: str) -> tuple[Sentence, ...]:
    """Returns the structured sentences of a split, one of each type in turn; see `pairs`."""
    if split not in SIZES:
        raise ValueError(f"the splits are {', '.join(SIZES)}, not {split!r}")
    return _splits()[split]


def combinations(sentence: Sentence) -> frozenset[tuple[str, str]]:
    """Returns the combinations in a sentence, as pairs of English words.

    "Minsu ate an apple at home." has ("eat", "Minsu"), ("eat", "apple") and ("eat", "at home").
    """
    # "Be" combines with anything, so the predicate is the adjective or the noun.
    head = sentence.verb or sentence.adjective or sentence.objects[0]
    dependents = (*sentence.subjects, *sentence.objects, sentence.determiner, sentence.place)
    own = {(head.english, word.english) for word in dependents if word and word != head}
    return frozenset(own | (combinations(sentence.clause) if sentence.clause else set()))


def is_held_out(combination: tuple[str, str]) -> bool:
    """Whether a combination only occurs in the test split; it depends on a checksum, not on the other words."""
    return zlib.crc32("+".join(combination).encode()) % _HELD_OUT_RATIO == 0


def words(text: str) -> list[str]:
    """Returns the words of a text without punctuation: "Is Minsu's bag big?" has Is, Minsu, s, bag and big."""
    return re.findall(r"\w+", text)


@functools.cache
def _splits() -> dict[str, tuple[Sentence, ...]]:
    seen = _draw_distinct(_SEEN_SEED, lambda sentence: not _has_held_out(sentence))
    train = tuple(itertools.islice(seen, SIZES["train"]))
    validation = tuple(itertools.islice(seen, SIZES["validation"]))
    counts = collections.Counter(itertools.chain.from_iterable(map(_vocabulary, train)))
    known = {word for word, count in counts.items() if count >= _MIN_COUNT}
    held_out = _draw_distinct(
        _HELD_OUT_SEED, lambda sentence: _has_held_out(sentence) and _vocabulary(sentence) <= known
    )
    test = tuple(itertools.islice(held_out, SIZES["test"]))
    return {"train": train, "validation": validation, "test": test}


def _draw_distinct(seed: int, accepts: Callable[[Sentence], bool]) -> Iterator[Sentence]:
    """Yields distinct accepted sentences, one of each type in turn."""
    sampler = Sampler(seed)
    taken: set[str] = set()
    for kind in itertools.cycle(Kind):
        sentence = sampler.sentence(kind)
        while not accepts(sentence) or english(sentence) in taken:
            sentence = sampler.sentence(kind)
        taken.add(english(sentence))
        yield sentence


def _has_held_out(sentence: Sentence) -> bool:
    return any(map(is_held_out, combinations(sentence)))


def _vocabulary(sentence: Sentence) -> frozenset[str]:
    """Returns the words of both languages, which differ in script."""
    return frozenset(words(english(sentence)) + words(korean(sentence)))
