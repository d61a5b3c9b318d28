from collections import Counter
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
from keras_recurrent.apps.shared.config import TokenizerName
from keras_recurrent.apps.shared.text import ragged, tokenizers
from keras_recurrent.apps.shared.text.batches import batches_by_length, encode_padded, encode_texts, length_batches
from keras_recurrent.apps.shared.text.ragged import Ragged
from keras_recurrent.apps.shared.text.tokenizers import (
    END,
    TOKENIZERS,
    UNKNOWN,
    CharacterTokenizer,
    LiteralCharacterTokenizer,
    SubwordTokenizer,
    WordTokenizer,
)
from keras_recurrent.datasets import DataError

TEXTS = [
    "a man , sleeping.",
    "(Well, no.) ... «yes»?!",
    "don't  do\tthat - it costs 3.50 €",
    "나는 사과를 먹었어요.",
    "x",
    ". leading and trailing ,",
    "\"'nested'\" quotes",
]


@pytest.mark.parametrize("tokenizer_type", [WordTokenizer, CharacterTokenizer, SubwordTokenizer])
def test_decoding_gives_the_text_back(tokenizer_type):
    tokenizer = tokenizer_type.fit(TEXTS, 1000)
    for text in TEXTS:
        assert tokenizer.decode(tokenizer.encode(text)) == " ".join(text.split())  # but for runs of white space


@pytest.mark.parametrize("tokenizer_type", [WordTokenizer, CharacterTokenizer, SubwordTokenizer])
def test_pieces_are_those_that_are_read_and_spell_the_text(tokenizer_type):
    tokenizer = tokenizer_type.fit(TEXTS, 1000)
    for text in ("(Well, zebras say no.)  x ж", ""):
        pieces = tokenizer.split(text)
        assert len(pieces) == len(tokenizer.encode(text))
        assert "".join(tokenizer.surface_forms(pieces)) == " ".join(text.split())


def test_words_are_split_from_punctuation():
    tokenizer = WordTokenizer.fit(["(Well, no.) yes . 3-4"], 1000)
    assert set(tokenizer.vocabulary) == {"(￭", "Well", "￭,", "no", "￭.", "￭)", "yes", ".", "3", "￭-￭", "4"}


def test_ids():
    tokenizer = WordTokenizer.fit(["b b b a a c"], 1000)
    assert tokenizer.vocabulary == ["b", "a", "c"]
    assert tokenizer.encode_all(["a b new", ""]).tolist() == [[5, 4, UNKNOWN], []]


def test_vocabulary_size_counts_all_ids_and_keeps_the_commonest():
    tokenizer = WordTokenizer.fit(["b b b a a c"], 6)
    assert tokenizer.vocabulary == ["b", "a"]
    assert len(tokenizer) == 6


def test_lowercase_reaches_beyond_ascii():
    assert WordTokenizer.fit(["ÄPFEL äpfel"], 1000, lowercase=True).vocabulary == ["äpfel"]


def test_special_tokens_cannot_be_typed():
    tokenizer = WordTokenizer.fit(["<start> <end> [UNK]"], 1000)
    assert min(tokenizer.encode("<start> <end> [UNK]")) > END


def test_no_texts_and_empty_texts():
    tokenizer = WordTokenizer.fit(["a"], 1000)
    assert tokenizer.encode_all([]).tolist() == []
    assert encode_padded(tokenizer, ["", "a"]).tolist() == [[END, 0], [4, END]]
    assert tokenizer.decode([END, 0, 0]) == ""


@pytest.mark.parametrize("tokenizer_type", [WordTokenizer, CharacterTokenizer])
def test_vocabulary_round_trip(tokenizer_type, tmp_path):
    texts = [*TEXTS, "a\u2028b \x0b c"]
    tokenizer = tokenizer_type.fit(texts, 1000)
    tokenizer.save(tmp_path / "vocabulary.txt")
    assert tokenizer_type.load(tmp_path / "vocabulary.txt", lowercase=False).vocabulary == tokenizer.vocabulary


def test_subwords(tmp_path):
    tokenizer = SubwordTokenizer.fit(["low lower lowest", "new newer newest"] * 10, 25, lowercase=True)
    assert len(tokenizer) <= 25
    ids = tokenizer.encode_all(["LOWER newest", "", "slow <s> </s> <pad>", "漢"]).tolist()
    assert len(ids[0]) < len("lower newest")  # pieces, not characters
    assert ids[1] == []
    assert min(ids[2]) == UNKNOWN or min(ids[2]) > END  # special pieces cannot be typed
    assert UNKNOWN in ids[3]
    tokenizer.save(tmp_path / "model")
    again = SubwordTokenizer.load(tmp_path / "model", lowercase=True)
    assert again.encode("LOWER newest") == ids[0]
    assert tokenizer.encode_all([]).tolist() == []
    assert tokenizer.decode([END, 0, 0]) == ""


def test_subwords_that_cannot_be_learned():
    with pytest.raises(DataError, match="4 pieces"):
        SubwordTokenizer.fit(["a"], 4)


def test_ragged_rows():
    rows = Ragged.of([[7, 8, 3], [], [9, 3], [4, 5, 6, 3]])
    assert rows.lengths.tolist() == [3, 0, 2, 4] and len(rows) == 4
    assert rows.padded([2, 0]).tolist() == [[9, 3, 0], [7, 8, 3]]
    assert rows.padded(np.array([1, -1]), jit=True).tolist() == [[0] * 8] * 2  # -1 is an empty row
    chosen = rows.select(rows.lengths > 2).cut(3)
    assert [row.tolist() for row in chosen] == [[7, 8, 3], [4, 5, 3]]


def test_length_batches_hold_each_example_once_and_like_lengths_together():
    lengths = np.random.default_rng(0).integers(1, 40, (5000, 2))
    batches = length_batches(lengths, 32, np.random.default_rng(1))
    assert sorted(np.concatenate(batches)) == list(range(5000))
    padded = sum(len(batch) * lengths[batch].max(axis=0) for batch in batches)
    assert (padded < [1.25, 1.05] * lengths.sum(axis=0)).all()  # the two lengths have nothing to do with each other
    again = length_batches(lengths, 32, np.random.default_rng(1))
    assert all((a == b).all() for a, b in zip(batches, again, strict=True))
    other = length_batches(lengths, 32, np.random.default_rng(2))
    assert any(len(a) != len(b) or (a != b).any() for a, b in zip(batches, other, strict=True))


def test_length_batches_of_like_sizes():
    lengths = np.random.default_rng(0).integers(1, 40, (5000, 2))
    batches = length_batches(lengths, 32, np.random.default_rng(1), batch_tokens=200)
    assert sorted(np.concatenate(batches)) == list(range(5000))
    sizes = np.array([len(batch) * lengths[batch].max() for batch in batches])
    assert sizes.max() <= 200
    assert sizes.mean() > 150
    alone = length_batches(lengths, 32, batch_tokens=10)  # less than one example
    assert max(len(batch) for batch in alone if lengths[batch].max() > 10) == 1


@pytest.mark.parametrize("batch_tokens", [None, 200])
def test_batches_hold_the_same_examples_with_and_without_xla(batch_tokens):
    lengths = np.random.default_rng(0).integers(1, 40, (500, 2))
    with_xla, without = (
        [
            indices[indices >= 0].tolist()
            for indices in batches_by_length(np.array, None, lengths, config, "train", batch_tokens)
        ]
        for config in (SimpleNamespace(jit=jit, batch_size=32, seed=1) for jit in (True, False))
    )
    assert with_xla == without and len(without) > 10


def test_length_batches_without_shuffling_are_sorted():
    lengths = np.array([[1, 3], [1, 1], [2, 2]])
    assert [batch.tolist() for batch in length_batches(lengths, 2)] == [[1, 2], [0]]


def test_the_option_names_all_tokenizers():
    assert get_args(TokenizerName) == tuple(TOKENIZERS)


@pytest.mark.parametrize("tokenizer_class", [WordTokenizer, CharacterTokenizer, LiteralCharacterTokenizer])
@pytest.mark.parametrize("lowercase", [False, True])
def test_counts_and_ids_of_many_texts_are_those_of_each(tokenizer_class, lowercase, monkeypatch):
    monkeypatch.setattr(tokenizers, "CHUNK", 20)
    monkeypatch.setattr(tokenizers, "KNOWN_WORDS", 2)
    texts = ["Well, (no).", "", "ΑΣ\ufeffa\0b ￭x", "no  no\n\u3000no-no", "Cafe\u0301 😀😀!", " ", "\ud800"]
    tokenizer = tokenizer_class.fit(texts, 12, lowercase)
    assert tokenizer.count(texts) == Counter(token for text in texts for token in tokenizer.split(text))
    assert len(tokenizer) == 12
    for _ in range(2):
        assert tokenizer.encode_all(texts).tolist() == [tokenizer.encode(text) for text in texts]


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("max_length", [None, 3])
def test_prepared_texts_are_encoded_alike(lowercase, max_length, monkeypatch):
    monkeypatch.setattr(tokenizers, "CHUNK", 20)
    monkeypatch.setattr(ragged, "CHUNK", 2)
    texts = ["Well, (no).", "", "a ￭x", "no  no-no, well", " ", "(x)"]
    prepared = tokenizers.SpacedTexts(iter(texts), lowercase)
    tokenizer = WordTokenizer.fit(prepared, 10, lowercase)
    assert tokenizer.tokens == WordTokenizer.fit(texts, 10, lowercase).tokens
    ids, expected = (encode_texts(tokenizer, each, max_length) for each in (prepared, texts))
    assert ids.tolist() == expected.tolist() and ids.values.dtype == expected.values.dtype == "uint16"
    assert encode_texts(tokenizer, tokenizers.SpacedTexts([], lowercase)).tolist() == []


def test_chunks(monkeypatch):
    monkeypatch.setattr(tokenizers, "CHUNK", 4)
    assert [*tokenizers.chunks(iter(["abc", "d", "efghij", "", ""]))] == [["abc"], ["d", "efghij"], ["", ""]]


def test_subwords_are_learned_from_a_bounded_sample(monkeypatch):
    monkeypatch.setattr(tokenizers, "SENTENCES", 150)
    texts = [f"{'ab' * (index % 7)} {'cd' * (index % 5)} {index}" for index in range(1000)]
    model = SubwordTokenizer.fit(texts, 60).model
    assert model == SubwordTokenizer.fit(iter(texts), 60).model  # the same sample each time
    monkeypatch.setattr(tokenizers, "SENTENCES", 1000)
    assert model != SubwordTokenizer.fit(texts, 60).model
