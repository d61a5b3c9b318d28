"""Opinions about films: their labels, and that no word tells them."""

import collections

import pytest
from keras_recurrent.datasets.negation import grammar


@pytest.fixture(scope="module")
def splits():
    return {split: grammar.examples(split) for split in grammar.SIZES}


def meaning(text):
    """The label, from the text alone."""
    (affirms,) = (a for a, openers in grammar.OPENERS.items() for o in openers if text.startswith(f"{o} the film , "))
    (praises,) = (p for p, words in grammar.ADJECTIVES.items() for w in words if text.endswith(f" , is {w} ."))
    return "positive" if affirms == praises else "negative"


def test_every_label_is_right(splits):
    assert all(meaning(text) == label for examples in splits.values() for text, label in examples)
    assert meaning("i do not deny that the film , which we saw at home , is dull .") == "negative"


def test_sizes_and_no_sentence_twice(splits):
    assert {split: len(examples) for split, examples in splits.items()} == grammar.SIZES
    texts = [text for examples in splits.values() for text, _ in examples]
    assert len(set(texts)) == len(texts)


def test_neither_a_word_nor_an_end_tells(splits):
    for examples in splits.values():
        counts = collections.Counter(label for _, label in examples)
        assert counts["positive"] == counts["negative"]
    by_word = collections.defaultdict(collections.Counter)
    for text, label in splits["train"]:
        for word in set(text.split()):
            by_word[word][label] += 1
    for word, counts in by_word.items():
        assert 0.4 < counts["positive"] / counts.total() < 0.6, word


def test_far_before(splits):
    clauses = collections.Counter(text.count("which") for text, _ in splits["train"])
    assert set(clauses) == set(range(1, grammar.CLAUSES + 1)) and min(clauses.values()) > 1500
    inner = [text for text, _ in splits["test"] if "did not" in text or "never" in text or "could not" in text]
    assert 0.7 < len(inner) / len(splits["test"]) < 0.95


def test_always_the_same(splits):
    assert grammar.examples("test") == splits["test"]
    with pytest.raises(ValueError, match="the splits are train, validation, test"):
        grammar.examples("dev")
