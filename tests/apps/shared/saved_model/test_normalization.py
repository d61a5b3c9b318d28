"""Texts as people have them: other spaces, decomposed characters, and any string that there can be."""

import re
import unicodedata

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_recurrent.apps.shared.errors import ModelFolderError
from keras_recurrent.apps.shared.saved_model.normalization import nfc, normalize
from keras_recurrent.apps.shared.saved_model.tokenizers import in_graph
from keras_recurrent.apps.shared.text.tokenizers import (
    UNKNOWN,
    CharacterTokenizer,
    LiteralCharacterTokenizer,
    SubwordTokenizer,
    WordTokenizer,
)
from keras_recurrent.datasets.files import nfc as python_nfc

from .test_tokenizers import strings

NFC = "Tu viens ? Café, ệ 한국어 가."
NFD = unicodedata.normalize("NFD", NFC)
SPACES = "".join(chr(code) for code in range(0x110000) if chr(code).isspace())

# Letters, marks and jamo in any order, so that marks are blocked, reordered and left over.
letters_and_marks = st.text(
    st.sampled_from("aeouAEOU \u00e9\u1ea1\u01a1\u00c5\u212b")
    | st.characters(min_codepoint=0x300, max_codepoint=0x345)
    | st.sampled_from("\u1100\u1112\u1161\u1175\u11a7\u11a8\u11c2\u11c3가각힣"),
    max_size=20,
)
any_text = letters_and_marks | st.text(max_size=20)

graph_nfc = tf.function(nfc, input_signature=[tf.TensorSpec([None], tf.string)])


def decoded(texts):
    return [text.decode() for text in texts.numpy()]


@pytest.mark.rest
@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(any_text, max_size=20))
def test_nfc_is_that_of_unicodedata(texts):
    expected = [unicodedata.normalize("NFC", text) for text in texts]
    assert decoded(graph_nfc(strings(texts))) == decoded(nfc(strings(texts))) == expected


@pytest.mark.rest
def test_every_character_and_its_decomposition():
    characters = [chr(code) for code in range(0x30000) if not 0xD800 <= code < 0xE000]
    texts = characters + [unicodedata.normalize("NFD", character) for character in characters]
    assert decoded(graph_nfc(strings(texts))) == [unicodedata.normalize("NFC", text) for text in texts]


def test_a_long_run_of_marks_is_no_obstacle():
    text = "e" + "\u0301" * 10_000
    assert decoded(graph_nfc(strings([text]))) == [unicodedata.normalize("NFC", text)]


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(st.text(st.sampled_from(SPACES + "ab\0\ufeff"), max_size=10), max_size=10))
def test_white_space_is_that_of_python(texts):
    assert decoded(normalize(strings(texts))) == [" ".join(re.sub("[\0\ufeff]", " ", text).split()) for text in texts]


@pytest.fixture(scope="module", params=[WordTokenizer, CharacterTokenizer, SubwordTokenizer, LiteralCharacterTokenizer])
def tokenizer(request, tmp_path_factory):
    """A tokenizer that has been saved and loaded, the same in a SavedModel, and as it was fitted."""
    fitted = request.param.fit([NFC, "aeiou AEIOU éạ", "\u0301 \u1161"] * 5, 60)
    folder = tmp_path_factory.mktemp("tokenizer")
    fitted.save(folder / "tokenizer")
    loaded = request.param.load(folder / "tokenizer", lowercase=False)
    graph, module = in_graph(loaded), tf.Module()
    module.tracked = graph.tracked
    module.encode = tf.function(graph.ids_of, input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(folder / "export"))
    return fitted, loaded, tf.saved_model.load(str(folder / "export"))


@pytest.mark.rest
@settings(deadline=None, max_examples=60, derandomize=True)
@given(texts=st.lists(any_text | st.text(st.sampled_from(NFC + NFD + SPACES), max_size=20), max_size=10))
def test_training_python_object_and_export_agree(tokenizer, texts):
    fitted, loaded, exported = tokenizer
    ids = fitted.encode_all(texts).tolist()
    assert loaded.encode_all(texts).tolist() == exported.encode(strings(texts)).to_list() == ids
    if not isinstance(loaded, LiteralCharacterTokenizer):
        # The data sets' readers and the graph see the same text.
        assert loaded.encode_all([python_nfc(text) for text in texts]).tolist() == ids


def test_decomposed_texts_and_other_spaces_are_known_words(tokenizer):
    for each in tokenizer[:2]:
        if not isinstance(each, LiteralCharacterTokenizer):
            texts = [NFC, NFD, NFC.replace(" ", "\u202f"), NFD.replace(" ", "\u3000\xa0")]
            rows = each.encode_all(texts).tolist()
            assert rows == rows[:1] * 4
            assert UNKNOWN not in rows[0]
            assert each.decode(rows[0]) == NFC


def test_characters_of_the_generator_stay_as_they_are():
    text = f"{NFD}\u202f \xa0\u3000\n\n\ufeff!"
    tokenizer = LiteralCharacterTokenizer.fit([text], 100)
    assert set(tokenizer.vocabulary) == set(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("content", ["a\r\nb\r\nc\r\n", "\ufeffa\nb\nc\n", "a\rb\rc\r", "a\nb\nc"])
def test_vocabulary_files_of_editors(content, tmp_path):
    (tmp_path / "vocabulary.txt").write_bytes(content.encode())
    tokenizer = WordTokenizer.load(tmp_path / "vocabulary.txt", lowercase=False)
    assert tokenizer.encode("a b c") == [4, 5, 6]


def test_vocabularies_of_other_forms_keep_their_ids(tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_text("u\u0308ber\ne\u0301\n\u00e9\nTu\xa0viens\nTu\n\ufeffTu\n", encoding="utf-8")
    tokenizer = WordTokenizer.load(path, lowercase=False)
    assert tokenizer.encode("u\u0308ber \u00fcber e\u0301 Tu") == [4, 4, 6, 8]
    assert len(tokenizer) == 10
    assert tokenizer.decode([4, 5, 7]) == "\u00fcber e\u0301 Tu\xa0viens"


@pytest.mark.parametrize(
    ("tokenizer_type", "content"),
    [
        (WordTokenizer, b"a\nb\na\n"),
        (WordTokenizer, b"a\n\xff\n"),
        (LiteralCharacterTokenizer, b'["a", "a"]'),
        (LiteralCharacterTokenizer, b'["a"'),
        (LiteralCharacterTokenizer, b'{"a": 1}'),
        (LiteralCharacterTokenizer, b'["\xff"]'),
        (SubwordTokenizer, b""),
        (SubwordTokenizer, b"not a model"),
    ],
)
def test_damaged_files_are_named(tokenizer_type, content, tmp_path):
    (tmp_path / "damaged").write_bytes(content)
    with pytest.raises(ModelFolderError, match="damaged") as error:
        tokenizer_type.load(tmp_path / "damaged", lowercase=False)
    assert "\n" not in str(error.value)
