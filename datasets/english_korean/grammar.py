"""English-Korean sentence pairs from a grammar: the splits of the data set.

`pairs("train")` gives what a translation model reads; `sentences("train")` the same as structured sentences, which
`english` and `korean` put into words. Each is a function of the sentence alone, and no two sentences of the data set
share their English or their Korean.

The test split asks for what training never showed. A combination is a word with what it says something about, such as
("eat", "apple"), ("eat", "Minsu") or ("big", "room"). About one in twelve is held out: every test sentence has at least
one of those, no sentence of the other splits has any, and yet training shows every word of the test several times.
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
_SHOWN_SEED, _KEPT_SEED = 1, 2
_HELD_OUT_SHARE = 12
_LEARNABLE = 5  # A word of the test split is in at least so many training sentences.


def pairs(split: str) -> list[tuple[str, str]]:
    """Returns the (English, Korean) pairs of "train", "validation" or "test", in the order of `sentences`."""
    return [(english(sentence), korean(sentence)) for sentence in sentences(split)]


def sentences(split: str) -> tuple[Sentence, ...]:
    """Returns the sentences of a split, with as many of each type, the types taking turns."""
    if split not in SIZES:
        raise ValueError(f"the splits are {', '.join(SIZES)}, not {split!r}")
    return _splits()[split]


def combinations(sentence: Sentence) -> frozenset[tuple[str, str]]:
    """Returns the combinations of a sentence, as pairs of English words.

    "Minsu ate an apple at home." has ("eat", "Minsu"), ("eat", "apple") and ("eat", "at home").
    """
    # "Be" goes with anything: what it speaks of is the noun or the adjective.
    head = sentence.verb or sentence.adjective or sentence.objects[0]
    dependents = (*sentence.subjects, *sentence.objects, sentence.determiner, sentence.place)
    own = {(head.english, word.english) for word in dependents if word and word != head}
    return frozenset(own | (combinations(sentence.clause) if sentence.clause else set()))


def is_held_out(combination: tuple[str, str]) -> bool:
    """Whether the combination is kept for the test split; a checksum decides, so that new words move no old ones."""
    return zlib.crc32("+".join(combination).encode()) % _HELD_OUT_SHARE == 0


def words(text: str) -> list[str]:
    """Returns the words of a text without its punctuation: "Is Minsu's bag big?" has Is, Minsu, s, bag and big."""
    return re.findall(r"\w+", text)


@functools.cache
def _splits() -> dict[str, tuple[Sentence, ...]]:
    shown = _drawn(_SHOWN_SEED, lambda sentence: not _has_held_out(sentence))
    train = tuple(itertools.islice(shown, SIZES["train"]))
    validation = tuple(itertools.islice(shown, SIZES["validation"]))
    counts = collections.Counter(itertools.chain.from_iterable(map(_vocabulary, train)))
    known = {word for word, count in counts.items() if count >= _LEARNABLE}
    kept = _drawn(_KEPT_SEED, lambda sentence: _has_held_out(sentence) and _vocabulary(sentence) <= known)
    test = tuple(itertools.islice(kept, SIZES["test"]))
    return {"train": train, "validation": validation, "test": test}


def _drawn(seed: int, accepts: Callable[[Sentence], bool]) -> Iterator[Sentence]:
    """Yields distinct sentences that are accepted, of each type in turn."""
    sampler, taken = Sampler(seed), set()
    for kind in itertools.cycle(Kind):
        sentence = sampler.sentence(kind)
        while not accepts(sentence) or english(sentence) in taken:
            sentence = sampler.sentence(kind)
        taken.add(english(sentence))
        yield sentence


def _has_held_out(sentence: Sentence) -> bool:
    return any(map(is_held_out, combinations(sentence)))


def _vocabulary(sentence: Sentence) -> frozenset[str]:
    """Returns the words of both languages; their scripts keep them apart."""
    return frozenset(words(english(sentence)) + words(korean(sentence)))
