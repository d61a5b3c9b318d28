"""Texts and their labels, from folders and from TensorFlow Datasets."""

import gzip

import pytest
from keras_recurrent.datasets import DataError
from keras_recurrent.datasets.english_korean import grammar as english_korean
from keras_recurrent.datasets.negation import grammar as negation
from keras_recurrent.datasets.texts import read_texts


def write(folder, **files):
    for name, content in files.items():
        content = content.encode() if isinstance(content, str) else content
        (folder / name.replace("__", ".")).write_bytes(content)
    return str(folder)


def test_lines(tmp_path):
    data = write(tmp_path, train__txt="\ufeffone  two \r\nthree\u2028four", dev__txt__gz=gzip.compress(b"five\n"))
    assert read_texts(data, "train") == [
        ("one  two ", None),
        ("three\u2028four", None),
    ]  # literally, no tabs, no quotes
    assert read_texts(data, "validation") == read_texts(data, "dev") == [("five", None)]


def test_labels(tmp_path):
    data = write(
        tmp_path, train__tsv='id\tlabel\ttext\n1\tx\t"a\n2\t0\tb\n', test__tsv__gz=gzip.compress(b"text\tlabel\nc\ty\n")
    )
    assert read_texts(data, "train") == [('"a', "x"), ("b", "0")]
    assert read_texts(data, "test") == [("c", "y")]
    assert read_texts(write(tmp_path, val__tsv="text\tlabel\na\t \n"), "val") == [("a", None)]


def test_a_table_comes_before_lines(tmp_path):
    data = write(tmp_path, train__tsv="text\tlabel\na\tx\n", train__txt="b\n")
    assert read_texts(data, "train") == [("a", "x")]


def test_blank_lines_of_a_long_text(tmp_path):
    data = write(tmp_path, train__txt="a\n\nb\n")
    assert [text for text, _ in read_texts(data, "train")] == ["a", "", "b"]


def test_the_plain_file_comes_before_the_gzipped(tmp_path):
    data = write(tmp_path, train__txt="plain\n", train__txt__gz=gzip.compress(b"zipped\n"))
    assert read_texts(data, "train") == [("plain", None)]


MISTAKES = {
    "no split": ({"train__txt": "a\n"}, "test", "no split 'test'; available splits: train"),
    "empty": ({"train__txt": ""}, "train", "the file is empty"),
    "blank": ({"train__txt": " \n\n"}, "train", "the file is empty"),
    "no rows": ({"train__tsv": "text\tlabel\n"}, "train", "is empty"),
    "no text": ({"train__tsv": "text\tlabel\n \tx\n"}, "train", "is empty"),
    "no column": ({"train__tsv": "text\na\n"}, "train", "no column 'label'"),
    "too many": (
        {"train__tsv": "text\tlabel\na\tx\ty\n"},
        "train",
        "line 2: expected 2 values .*, got 3",
    ),
    "not UTF-8": ({"train__txt": b"a\n\xff\n"}, "train", "line 2: not UTF-8"),
    "cut short": ({"train__txt__gz": gzip.compress(b"a\n")[:-4]}, "train", "not a complete gzip"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name, tmp_path):
    files, split, message = MISTAKES[name]
    with pytest.raises(DataError, match=message):
        read_texts(write(tmp_path, **files), split)


def test_no_folder(tmp_path):
    write(tmp_path, train__txt="a\n")
    with pytest.raises(DataError, match="is a file"):
        read_texts(str(tmp_path / "train.txt"), "train")


def test_names(monkeypatch):
    examples = [("the film is dull .", "negative"), ("the film is a joy .", "positive")]
    monkeypatch.setattr(negation, "examples", lambda split: examples)
    monkeypatch.setattr(english_korean, "pairs", lambda split: [("Hello.", "안녕하세요.")])
    assert read_texts("negation", "test") == examples
    assert read_texts("english_korean", "validation", "ko") == [("안녕하세요.", None)]
    with pytest.raises(DataError, match="has the languages en, ko; its texts have no labels"):
        read_texts("english_korean", "test")
    with pytest.raises(DataError, match="there is no 'fr'"):
        read_texts("english_korean", "test", "fr")
    with pytest.raises(DataError, match="'shapes' has no texts"):
        read_texts("shapes", "test")
