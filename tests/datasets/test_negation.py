"""Opinions about films: labels are right, and no single word predicts them."""

import collections
import hashlib

import pytest
from keras_recurrent.datasets.negation import grammar


@pytest.fixture(scope="module")
def splits():
    return {split: grammar.examples(split) for split in grammar.SIZES}


def label_of(text):
    """Returns the label, computed from the text alone."""
    (affirms,) = (a for a, openers in grammar.OPENERS.items() for o in openers if text.startswith(f"{o} the film , "))
    (praises,) = (p for p, words in grammar.ADJECTIVES.items() for w in words if text.endswith(f" , is {w} ."))
    return "positive" if affirms == praises else "negative"


def test_every_label_is_right(splits):
    assert all(label_of(text) == label for examples in splits.values() for text, label in examples)
    assert label_of("i do not deny that the film , which we saw at home , is dull .") == "negative"


def test_sizes_and_no_sentence_occurs_twice(splits):
    assert {split: len(examples) for split, examples in splits.items()} == grammar.SIZES
    texts = [text for examples in splits.values() for text, _ in examples]
    assert len(set(texts)) == len(texts)


def test_no_word_predicts_the_label(splits):
    for examples in splits.values():
        counts = collections.Counter(label for _, label in examples)
        assert counts["positive"] == counts["negative"]
    by_word = collections.defaultdict(collections.Counter)
    for text, label in splits["train"]:
        for word in set(text.split()):
            by_word[word][label] += 1
    for word, counts in by_word.items():
        assert 0.4 < counts["positive"] / counts.total() < 0.6, word


def test_numbers_of_clauses(splits):
    clauses = collections.Counter(text.count("which") for text, _ in splits["train"])
    assert set(clauses) == set(range(1, grammar.MAX_CLAUSES + 1)) and min(clauses.values()) > 1500
    inner = [text for text, _ in splits["test"] if "did not" in text or "never" in text or "could not" in text]
    assert 0.7 < len(inner) / len(splits["test"]) < 0.95


# If the digest changes, the data set changes, and the builder needs another version.
DIGEST = "7e811abafdd974d0d1fbe4542180c4d93ad64aecfe9ccee4cf8461dc847643d4"


def test_the_data_is_the_same_in_every_version(splits):
    assert hashlib.sha256(repr(list(splits.values())).encode()).hexdigest() == DIGEST


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="the splits are train, validation, test"):
        grammar.examples("dev")
