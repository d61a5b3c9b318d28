"""Lines of text files as other programs write them."""

import pytest
from keras_recurrent.datasets import read_pairs, read_pairs_file
from keras_recurrent.datasets.files import decode_lines
from keras_recurrent.datasets.images import read_captions, read_questions
from keras_recurrent.datasets.texts import read_texts

NFD, NFC = "Cafe\u0301 \u1112\u1161\u11ab", "Caf\u00e9 \ud55c"


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("", []),
        ("a\nb", ["a", "b"]),
        ("a\r\nb\r\n", ["a", "b"]),
        ("a\rb\r", ["a", "b"]),
        ("a\r\rb", ["a", "", "b"]),
        ("a\rb\nc", ["a\rb", "c"]),  # only files without a line feed end their lines in CR
        ("a\nb\r", ["a", "b"]),
        ("\ufeffa\n\ufeffb\n", ["a", "b"]),  # two files
        ("\ufeff\ufeffa\r\ufeffb\r", ["a", "b"]),
        ("a\ufeffb\n", ["a\ufeffb"]),
    ],
)
def test_line_ends_and_byte_order_marks(content, lines):
    assert decode_lines(content.encode(), "a file") == lines


def test_pairs_are_read_in_nfc(tmp_path):
    for language in ("de", "ko"):
        (tmp_path / f"train.{language}").write_text(f"{NFD}\n", encoding="utf-8")
    assert read_pairs(tmp_path, "train", "de", "ko") == [(NFC, NFC)]
    path = tmp_path / "pairs.txt"
    path.write_text("".join(f"{NFD} {number}\t{NFD}\n" for number in range(9)), encoding="utf-8")
    assert read_pairs_file(path, "train")[0] == (f"{NFC} 0", NFC)


def test_captions_questions_and_answers_are_read_in_nfc(tmp_path):
    (tmp_path / "train.tsv").write_text(
        f"image\tcaption\tquestion\tanswer\ttype\n{NFD}\t{NFD}\t{NFD}\t{NFD}\t{NFD}\n", encoding="utf-8"
    )
    captioned = read_captions(tmp_path, "train")[0]
    assert captioned.captions == [NFC]
    assert captioned.image.name == NFD  # the name of a file
    question = read_questions(tmp_path, "train")[0].questions[0]
    assert (question.text, question.answers, question.kind) == (NFC, [NFC], NFC)


def test_texts_of_the_generator_are_read_as_they_are(tmp_path):
    (tmp_path / "train.txt").write_text(f"{NFD}\u202f!\n", encoding="utf-8")
    assert read_texts(tmp_path, "train") == [(f"{NFD}\u202f!", None)]
