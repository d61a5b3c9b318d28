"""Sentence pairs from folders, from files of pairs and from TensorFlow Datasets."""

import gzip
import subprocess
import sys

import pytest
import tensorflow_datasets as tfds
from keras_recurrent.datasets import DataError, read_pairs, read_pairs_file
from keras_recurrent.datasets.english_korean import grammar


def write(folder, **files):
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def test_folder_is_read_line_for_line(tmp_path):
    write(tmp_path, train_de="ein Hund\neine Katze\n", train_en="a dog\na cat\n")
    assert read_pairs(tmp_path, "train", "de", "en") == [("ein Hund", "a dog"), ("eine Katze", "a cat")]
    assert read_pairs(str(tmp_path), "train", "en", "de")[1] == ("a cat", "eine Katze")


def test_gzip_byte_order_mark_and_crlf_are_accepted(tmp_path):
    (tmp_path / "train.de.gz").write_bytes(gzip.compress("\ufeffein Hund\r\neine Katze\r\n".encode()))
    write(tmp_path, train_en="a dog\na cat")
    assert read_pairs(tmp_path, "train", "de", "en") == [("ein Hund", "a dog"), ("eine Katze", "a cat")]


def test_only_a_line_feed_ends_a_line(tmp_path):
    write(tmp_path, train_de="ein\u2028Hund\n\neine\x0bKatze\n", train_en="a dog\n\na cat\n")
    assert [source for source, _ in read_pairs(tmp_path, "train", "de", "en")] == ["ein\u2028Hund", "", "eine\x0bKatze"]


@pytest.mark.parametrize("name", ["validation", "val", "valid", "dev"])
def test_validation_goes_by_many_names(tmp_path, name):
    write(tmp_path, **{f"{name}_de": "ja\n", f"{name}_en": "yes\n"})
    assert read_pairs(tmp_path, "validation", "de", "en") == [("ja", "yes")]


def test_missing_folder():
    with pytest.raises(DataError, match="'/no/such/place' is neither a folder nor a TFDS data set"):
        read_pairs("/no/such/place", "train", "de", "en")


def test_file_instead_of_a_folder(tmp_path):
    with pytest.raises(DataError, match=r"train\.de is a file; expected a folder"):
        read_pairs(write(tmp_path, train_de="ja\n") / "train.de", "train", "de", "en")


def test_missing_split(tmp_path):
    write(tmp_path, train_de="ja\n", train_en="yes\n")
    with pytest.raises(DataError, match="no split 'test'; available splits: train"):
        read_pairs(tmp_path, "test", "de", "en")
    with pytest.raises(DataError, match="no split 'validation' or 'val' or 'valid' or 'dev'; available splits: train"):
        read_pairs(tmp_path, "validation", "de", "en")


def test_missing_partner(tmp_path):
    write(tmp_path, train_de="ja\n", trian_en="yes\n")
    with pytest.raises(DataError, match=r"found train\.de, but no train\.en"):
        read_pairs(tmp_path, "train", "de", "en")


def test_missing_language(tmp_path):
    write(tmp_path, train_de="ja\n", train_en="yes\n")
    with pytest.raises(DataError, match=r"found train\.de, but no train\.fr"):
        read_pairs(tmp_path, "train", "de", "fr")
    with pytest.raises(DataError, match=r"for the language it and fr .* available languages: de, en"):
        read_pairs(tmp_path, "train", "it", "fr")


def test_files_of_different_length(tmp_path):
    write(tmp_path, train_de="ja\nnein\n", train_en="yes\n")
    with pytest.raises(DataError, match=r"train\.de has 2 lines, but .*train\.en has 1"):
        read_pairs(tmp_path, "train", "de", "en")


@pytest.mark.parametrize("content", ["", "\n", "\ufeff", "\r\n \r\n"])
def test_empty_file(tmp_path, content):
    write(tmp_path, train_de=content, train_en="yes\n")
    with pytest.raises(DataError, match=r"train\.de: the file is empty"):
        read_pairs(tmp_path, "train", "de", "en")


def test_bytes_that_are_not_utf8(tmp_path):
    write(tmp_path, train_de="ja\nschön\n".encode("latin-1"), train_en="yes\nbeautiful\n")
    with pytest.raises(DataError, match=r"train\.de, line 2: not UTF-8 text \(byte 0xf6\)"):
        read_pairs(tmp_path, "train", "de", "en")


def test_gzip_file_cut_short(tmp_path):
    (tmp_path / "train.de.gz").write_bytes(gzip.compress(b"ja\n" * 1000)[:-9])
    write(tmp_path, train_en="yes\n" * 1000)
    with pytest.raises(DataError, match=r"train\.de\.gz: not a complete gzip file"):
        read_pairs(tmp_path, "train", "de", "en")


@pytest.mark.parametrize(
    ("name", "source", "target"), [("ted_hrlr_translate/pt_to_en", "pt", "en"), ("wmt14_translate/de-en", "en", "de")]
)
def test_tfds_name(name, source, target):
    with tfds.testing.mock_data(num_examples=3):
        pairs = read_pairs(name, "validation", source, target)
        assert len(pairs) == 3
        assert all(isinstance(text, str) and text for pair in pairs for text in pair)
        languages = ", ".join(sorted((source, target)))
        with pytest.raises(DataError, match=f"no language 'ko'; available: {languages}"):
            read_pairs(name, "train", source, "ko")


def test_generated_data_set(monkeypatch):
    monkeypatch.setattr(grammar, "pairs", lambda split: [(f"{split} {index}.", f"{index}요.") for index in range(3)])
    pairs = read_pairs("english_korean", "test", "en", "ko")
    assert pairs == [("test 0.", "0요."), ("test 1.", "1요."), ("test 2.", "2요.")]
    assert read_pairs("english_korean", "validation", "ko", "en")[0] == ("0요.", "validation 0.")
    with pytest.raises(DataError, match="no split 'dev'; available splits: test, train, validation"):
        read_pairs("english_korean", "dev", "en", "ko")


def test_tfds_name_without_sentence_pairs():
    with pytest.raises(DataError, match="'mnist' has no sentence pairs"):
        read_pairs("mnist", "train", "de", "en")


def pairs_file(path, count=2000):
    lines = [f"{'Go' if n % 2 else 'go'} {n // 2}.\tVa {n} !\tby somebody" for n in range(count)]
    path.write_bytes(gzip.compress("\r\n".join(lines).encode()))
    return path


def test_a_file_of_pairs_is_split_by_its_first_sentences(tmp_path):
    path = pairs_file(tmp_path / "fra.txt.gz")
    splits = {split: read_pairs_file(path, split) for split in ("train", "validation", "test")}
    assert sum(map(len, splits.values())) == 2000
    assert len(splits["train"]) == pytest.approx(1800, abs=60)
    assert len(splits["test"]) == pytest.approx(100, abs=60)
    firsts = [{source.casefold() for source, _ in pairs} for pairs in splits.values()]
    assert not (firsts[0] & firsts[1] or firsts[0] & firsts[2] or firsts[1] & firsts[2])
    assert all(target.startswith("Va") and target.endswith("!") for pairs in splits.values() for _, target in pairs)
    assert read_pairs_file(path, "test", swap=True) == [(second, first) for first, second in splits["test"]]
    # Sentences that are added leave the others where they are.
    longer = read_pairs_file(pairs_file(tmp_path / "longer.txt.gz", 3000), "test")
    assert longer[: len(splits["test"])] == splits["test"]


@pytest.mark.parametrize(
    ("content", "split", "message"),
    [
        ("Go.\tVa !\nHi.\n", "train", "line 2: no tab"),
        ("Go.\tVa !\n", "dev2", "no split 'dev2'; available splits: test, train, validation"),
        ("Go.\tVa !\n", "test", "too few pairs"),
        ("", "train", "empty"),
    ],
)
def test_a_bad_file_of_pairs(tmp_path, content, split, message):
    (tmp_path / "pairs.txt").write_text(content)
    with pytest.raises(DataError, match=message):
        read_pairs_file(tmp_path / "pairs.txt", split)


def test_no_file_of_pairs(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_pairs_file(tmp_path / "pairs.txt", "train")


WITHOUT_TFDS = """
import sys
sys.modules.update(tensorflow=None, tensorflow_datasets=None)
from keras_recurrent.datasets import DataError, images, read_pairs, texts
folder = sys.argv[1]
assert read_pairs(folder, "train", "de", "en") == [("ja", "yes")]
assert texts.read_texts(folder, "train") == [("ja", None)]
assert len(images.read_captions(folder, "val")) == len(images.read_questions(folder, "val")) == 1
assert len(read_pairs("english_korean", "test", "en", "ko")) == 1000
assert len(texts.read_texts("negation", "validation")) == 1000
assert len(images.read_captions("shapes/relational", "test")) == 1000
try:
    read_pairs("wmt14_translate/de-en", "train", "en", "de")
except DataError as error:
    print(error)
"""


def test_only_names_of_others_need_tensorflow_datasets(tmp_path, cache_folder):
    write(tmp_path, train_de="ja\n", train_en="yes\n", train_txt="ja\n")
    write(tmp_path, val_tsv="image\tcaption\tquestion\na.jpg\ta dog\tis it?\n")
    command = [sys.executable, "-c", WITHOUT_TFDS, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == (
        "'wmt14_translate/de-en' is not a folder; reading a data set by name requires tensorflow-datasets\n"
    )
