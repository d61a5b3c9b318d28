"""Columns behave like lists."""

import itertools
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_recurrent.datasets import columns
from keras_recurrent.datasets.columns import Categories, Columns, Strings
from keras_recurrent.datasets.files import decode_lines, read_lines

TEXTS = st.lists(st.text(st.characters(), max_size=5), max_size=8)


@settings(max_examples=25, deadline=None, derandomize="CI" in os.environ)
@given(TEXTS)
def test_strings_equal_the_list(texts):
    strings = Strings(iter(texts))
    assert strings == texts and texts == strings and [*strings] == texts and len(strings) == len(texts)
    assert [strings[index] for index in range(-len(texts), len(texts))] == [*texts, *texts]
    for first, last in itertools.combinations(range(len(texts) + 1), 2):
        assert strings[first:last] == texts[first:last]
        assert strings[first:last][:1] == texts[first:last][:1]
        assert strings[first:last].checksum() == Strings(texts[first:last]).checksum()
    assert strings[::-2] == texts[::-2] and strings[5:2] == []
    assert bool(strings) == bool(texts) and strings != [*texts, ""]
    for text in texts:
        assert strings.index(text) == texts.index(text) and strings.count(text) == texts.count(text)


@settings(max_examples=25, deadline=None, derandomize="CI" in os.environ)
@given(TEXTS, st.data())
def test_rows_equal_the_list_of_tuples(texts, data):
    labels = data.draw(st.lists(st.sampled_from(["a", "b", None]), min_size=len(texts), max_size=len(texts)))
    rows = [*zip(texts, labels, strict=True)]
    table = Columns.of(iter(rows), Strings, Categories)
    assert table == rows and [*table] == rows and table.columns[1] == labels
    assert table + table[:1] == rows + rows[:1]
    order = np.array(data.draw(st.permutations(range(len(rows)))), int)
    assert table[order] == [rows[index] for index in order]
    assert table[1:3] == rows[1:3] and table[1:3].columns[0] == texts[1:3]


def test_many_rows_are_converted_in_chunks(monkeypatch):
    monkeypatch.setattr(columns, "CHUNK", 3)
    rows = [(f"text {index}", str(index % 4)) for index in range(10)]
    assert Columns.of(rows, Strings, Categories) == rows


@pytest.mark.parametrize("other", [["a", "bc"], ["ab", "d"], ["ab", "c", ""], ["c", "ab"]])
def test_the_checksum_depends_on_the_strings_and_where_they_end(other):
    assert Strings(["ab", "c"]).checksum() == Strings(["ab", "c"]).checksum() != Strings(other).checksum()
    assert Strings(["ab"]).checksum(1) != Strings(["ab"]).checksum(2)


def test_the_checksum_depends_on_the_labels():
    checksums = {Categories(values).checksum() for values in (["a", "b"], ["b", "a"], ["a", None], ["a", "None"])}
    assert len(checksums) == 4


def test_no_such_row():
    with pytest.raises(IndexError):
        Strings(["a"])[1]
    with pytest.raises(IndexError):
        Columns(Strings(["a"]))[-2]
    with pytest.raises(TypeError):
        hash(Strings())


@settings(max_examples=25, deadline=None, derandomize="CI" in os.environ)
@given(st.lists(st.sampled_from(["a", "é", "\ufeff", "\r", "\n", "\r\n", "\u2028", " "]), max_size=8).map("".join))
def test_lines_of_a_file_are_those_of_its_content(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    path.write_bytes(f"a{text}".encode())
    assert [*read_lines(path)] == decode_lines(path.read_bytes(), path)
