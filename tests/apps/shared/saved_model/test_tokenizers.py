"""The tokenizers of training, of the program of an export and of the graph give the same ids and texts."""

import sys

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_recurrent.apps.shared.models import runner
from keras_recurrent.apps.shared.models.runtimes import KINDS
from keras_recurrent.apps.shared.saved_model.tokenizers import in_graph
from keras_recurrent.apps.shared.text.tokenizers import (
    END,
    TOKENIZERS,
    LiteralCharacterTokenizer,
    SubwordTokenizer,
    WordTokenizer,
)
from keras_recurrent.extras import MissingExtra


def strings(texts):
    """A list of texts, which may be empty, as a string tensor."""
    return tf.constant([text.encode() for text in texts], tf.string, shape=(len(texts),))


# Newer characters may be no punctuation yet for an older version of Python.
AGES = st.characters(codec="utf-8", categories=("L", "M", "N", "P", "S", "Z", "Cc"), max_codepoint=0x1F5FF)
PIECES = st.sampled_from([*"aéßİςﬁ½각 ￭▁,.", "e\u0301", "Σς", "\u1100\u1161", "\u202f"])
TEXTS = st.lists(st.text(AGES, max_size=8) | st.lists(PIECES, max_size=12).map("".join), max_size=12)


@pytest.fixture(scope="module", params=[*TOKENIZERS.values(), LiteralCharacterTokenizer])
def tokenizers(request, tmp_path_factory):
    """A tokenizer of training, of the runner and of the graph, with and without lower case."""
    texts = ["Straße, (né) ½ ﬁ! 각 Σς", "a-b e.f İx ▁", "aa ab ßß éé"] * 3
    triples = []
    for lowercase in (False, True):
        tokenizer = request.param.fit(texts, 60, lowercase)
        path = tmp_path_factory.mktemp("tokenizer") / f"text.{tokenizer.file}"
        tokenizer.save(path)
        of_runner = runner.TOKENIZERS[KINDS[request.param]].read(path, lowercase)
        triples.append((tokenizer, of_runner, in_graph(request.param.load(path, lowercase))))
    return triples


@settings(deadline=None, max_examples=40, derandomize=True)
@given(texts=TEXTS)
def test_training_the_runner_and_the_graph_agree(tokenizers, texts):
    for tokenizer, of_runner, graph in tokenizers:
        ids = [tokenizer.encode(text) for text in texts]
        assert tokenizer.encode_all(texts).tolist() == [of_runner.encode(text) for text in texts] == ids
        assert graph.ids_of(strings(texts)).to_list() == ids
        pieces = [[piece.decode() for piece in row] for row in graph.pieces(strings(texts)).to_list()]
        assert [tokenizer.split(text) for text in texts] == [of_runner.split(text) for text in texts] == pieces
        decoded = [text.decode() for text in graph.decode(tf.ragged.constant(ids, tf.int32, 1).to_tensor()).numpy()]
        assert [tokenizer.decode(row) for row in ids] == [of_runner.decode(row) for row in ids] == decoded


def test_the_graph_pads_and_cuts():
    graph = in_graph(WordTokenizer(["a", "b"]))
    assert graph.encode(strings(["a b", ""])).to_list() == [[4, 5, END], [END]]
    assert graph.encode(strings(["a b a b"]), 3).to_list() == [[4, 5, END]]
    assert graph.encode(strings([])).to_list() == []
    assert graph.padded(graph.ids_of(strings(["", ""]))).numpy().tolist() == [[0], [0]]
    assert graph.decode(tf.zeros((0, 5), tf.int32)).shape == (0,)


def test_subwords_without_their_extra(monkeypatch):
    tokenizer = SubwordTokenizer.fit(["a b c"], 20)
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    with pytest.raises(MissingExtra, match=r"needs tensorflow_text; .* 'keras-recurrent\[subword-saved-model\]'`"):
        in_graph(tokenizer)
