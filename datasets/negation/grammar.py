"""Sentences that judge a film at the end, and affirm or deny that judgement at the beginning.

    nobody would say that the film , which my aunt did not see in rome , is wonderful .                    negative
    i am sure that the film , which we saw on monday and which they liked at home , is dull .              negative
    it is false that the film , which they did not like last year and which we missed in rome , is dull .  positive

The label depends on the first words and the last, which are separated by up to six clauses. A clause may contain a
negation of its own, which does not affect the label, and no single word predicts the label.
"""

import itertools
from collections.abc import Iterator

from ..draw import Draw

SIZES = {"train": 10_000, "validation": 1_000, "test": 1_000}
LABELS = ("negative", "positive")
MAX_CLAUSES = 6  # between the first words and the last
_SEEDS = {"train": 21, "validation": 22, "test": 23}

OPENERS = {
    True: ("i am sure that", "everybody would say that", "it is true that", "no one doubts that", "i do not deny that"),
    False: ("i doubt that", "nobody would say that", "it is false that", "no one believes that", "i do not think that"),
}
ADJECTIVES = {
    True: ("wonderful", "moving", "clever", "worth seeing", "a joy"),
    False: ("dull", "awful", "silly", "a waste of time", "too long"),
}
_PEOPLE = ("my aunt", "my brother", "we", "they", "our neighbours", "a friend of mine", "the children")
_VERBS = (
    ("saw", "did not see"),
    ("liked", "did not like"),
    ("missed", "did not miss"),
    ("talked about", "never talked about"),
    ("remembered", "could not remember"),
)
_WHEN = ("in rome", "on monday", "last year", "on a ship", "in the old cinema", "with great patience", "at home")


def examples(split: str) -> list[tuple[str, str]]:
    """Returns the sentences of a split with their labels. No sentence occurs twice, in the same split or in another.

    Args:
        split: One of `SIZES`.

    Returns:
        List of pairs `(text, label)`; a label is one of `LABELS`.

    Raises:
        ValueError: If there is no such split.

    Example:

    >>> from keras_recurrent.datasets.negation.grammar import examples
    >>> text, label = examples("train")[0]
    >>> text
    'no one doubts that the film , which our neighbours talked about on monday , is a joy .'
    >>> label
    'positive'
    """
    if split not in SIZES:
        raise ValueError(f"the splits are {', '.join(SIZES)}, not {split!r}")
    taken: set[tuple[str, str]] = set()
    for name in itertools.takewhile(lambda name: name != split, SIZES):
        taken.update(itertools.islice(_draw_examples(name, taken.copy()), SIZES[name]))
    return list(itertools.islice(_draw_examples(split, taken), SIZES[split]))


def _draw_examples(split: str, taken: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    draw = Draw(_SEEDS[split])
    # Combinations are equally frequent, so that neither the first words nor the last predict the label alone.
    for affirms, praises in itertools.cycle(itertools.product((True, False), repeat=2)):
        example = _example(draw, affirms, praises)
        while example in taken:
            example = _example(draw, affirms, praises)
        taken.add(example)
        yield example


def _example(draw: Draw, affirms: bool, praises: bool) -> tuple[str, str]:
    count = draw.choice(range(1, MAX_CLAUSES + 1))
    clauses = " and ".join(_clause(draw) for _ in range(count))
    text = f"{draw.choice(OPENERS[affirms])} the film , {clauses} , is {draw.choice(ADJECTIVES[praises])} ."
    return text, LABELS[affirms == praises]


def _clause(draw: Draw) -> str:
    return f"which {draw.choice(_PEOPLE)} {draw.choice(draw.choice(_VERBS))} {draw.choice(_WHEN)}"
