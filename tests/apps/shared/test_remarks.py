import pytest
from keras_recurrent.apps.shared import remarks
from keras_recurrent.apps.shared.remarks import Remarks, collect_remarks
from keras_recurrent.apps.shared.text.tokenizers import CharacterTokenizer, SubwordTokenizer, WordTokenizer
from keras_recurrent.apps.shared.verbs import Streaming


def unknown(tokenizer, texts, capsys):
    with collect_remarks(Streaming(), tokenizer) as collected:
        for text in texts:  # batches of one text
            collected.read([text])
    return capsys.readouterr().err


def test_unknown_words_are_counted(capsys):
    tokenizer = WordTokenizer(["a", "dog", "￭."], lowercase=True)
    assert unknown(tokenizer, ["a dog.", "A Dog", ""], capsys) == ""
    assert unknown(tokenizer, ["a cat."], capsys) == "keras-recurrent: 1 unknown word in 1 of 1 texts: cat\n"
    line = "keras-recurrent: 4 unknown words in 2 of 3 texts: cat (2), ox, ?\n"
    assert unknown(tokenizer, ["a cat", "a dog", "Cat ox?"], capsys) == line


def test_of_many_unknown_words_some_are_named(capsys, monkeypatch):
    monkeypatch.setattr(remarks, "KEPT", 13)
    err = unknown(WordTokenizer(["a"]), [f"w{number}" for number in range(100)], capsys)
    words = ", ".join(f"w{number}" for number in range(10))
    assert err == f"keras-recurrent: 100 unknown words in 100 of 100 texts: {words} and 3 more\n"


def test_unknown_characters_are_counted(capsys):
    line = "keras-recurrent: 3 unknown characters in 1 of 2 texts: x (2), y\n"
    assert unknown(CharacterTokenizer(["a", "b", " "]), ["a b", "xa xy"], capsys) == line
    tokenizer = SubwordTokenizer.fit(["a banana", "an ananas"] * 9, 20)
    assert unknown(tokenizer, ["a banana", "ana xx bay"], capsys) == line


@pytest.mark.parametrize("is_terminal", [False, True])
def test_an_empty_answer_says_so(is_terminal, capsys):
    collected = Remarks(is_terminal)
    assert collected.answer("hello", "a text") == "hello"
    assert collected.answer("", " ") == ""  # no surprise
    assert collected.answer("", "a text") == ("(empty)" if is_terminal else "")
    assert collected.answer("") == ("(empty)" if is_terminal else "")
    collected.report()
    assert capsys.readouterr().err == ("" if is_terminal else "keras-recurrent: 2 of 4 answers are empty\n")


def test_an_output_file_has_no_remarks(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    for streaming, answer in ((Streaming(), "(empty)"), (Streaming(output="x"), "")):
        with collect_remarks(streaming) as collected:
            assert collected.answer("") == answer
