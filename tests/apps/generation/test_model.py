"""The generator from end to end, on texts that it learns in seconds."""

import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from keras_recurrent.apps import cli, folders, load
from keras_recurrent.apps.generation import data, model
from keras_recurrent.apps.generation.config import Config
from keras_recurrent.apps.text import END, LiteralCharacterTokenizer
from keras_recurrent.apps.writing import Sampling
from keras_recurrent.datasets import DataError

VERSE = "the cat sat on the mat.\nthe dog sat on the log.\n"
NAMES = {"cats": ["tom", "tim", "tam"], "dogs": ["rex", "rix", "rox"]}
LIKELIEST = Sampling(temperature=0)
PLAIN = """
import json, sys
sys.modules["keras_recurrent"] = None  # importing it would fail
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
write = loaded.signatures["serving_default"]
def texts(prompts, seed):
    found = write(prompt=tf.constant(prompts, tf.string), seed=tf.constant(seed, tf.int64))["text"]
    return [text.decode() for text in found.numpy()]
prompts = sys.argv[2:]
print(json.dumps([texts(prompts, 1), texts(prompts, 1), texts(prompts, 2), texts([], 1)]))
"""


def trained(folder, text, name="train.txt", **options):
    source = folder / "data"
    source.mkdir()
    for split in ("train", "val", "test"):
        (source / name.replace("train", split)).write_text(text, encoding="utf-8")
    defaults = {"units": 32, "epochs": 40, "patience": 40, "learning_rate": 0.02, "batch_size": 4, "max_length": 20}
    config = Config(data=str(source), **{**defaults, **options})
    with folders.whole(folder / "model") as partial:
        model.train(config, partial)
    return folder / "model"


@pytest.fixture(scope="module")
def hello(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("hello"), "hello\n")


@pytest.fixture(scope="module")
def verse(tmp_path_factory):
    options = {"mode": "text", "window": 16, "batch_size": 2, "epochs": 30, "units": 48}
    return trained(tmp_path_factory.mktemp("verse"), 8 * VERSE, **options)


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    rows = [f"{name}\t{label}" for label, of_label in NAMES.items() for name in of_label]
    text = "\n".join(["text\tlabel", *rows]) + "\n"
    return trained(tmp_path_factory.mktemp("names"), text, "train.tsv", batch_size=3, embedding_dim=8)


@pytest.mark.parametrize("cell", ["simple_rnn", "gru"])
def test_hello_with_the_output_fed_back(cell, tmp_path):
    generator = load(trained(tmp_path, "hello\n", cell=cell))
    assert generator.generate("h", sampling=LIKELIEST) == ["hello"]


def test_hello_given_the_letters_before(hello):
    guesses = load(hello).follow("hello")
    assert [guess.right for guess in guesses] == ["h", "e", "l", "l", "o", "<end>"]
    assert [guess.guess for guess in guesses] == ["h", "e", "l", "l", "o", "<end>"]
    assert all(guess.probability > 0.5 for guess in guesses)


def test_hello_from_its_first_letter_alone(tmp_path):
    generator = load(trained(tmp_path, "hello\n", feed="zeros"))
    assert generator.generate("h", sampling=LIKELIEST) == ["hello"]
    assert [guess.right for guess in generator.follow("hello")] == ["e", "l", "l", "o", "<end>"]
    with pytest.raises(folders.UsageError, match="needs a prompt or a label"):
        generator.generate()
    with pytest.raises(folders.UsageError, match="no text to follow"):
        generator.follow("")
    with pytest.raises(folders.UsageError, match="fed zeros"):
        generator.export(tmp_path / "export")


def test_a_long_text_is_gone_on_with(verse):
    (text,) = load(verse).generate("the cat", sampling=LIKELIEST, length=60)
    assert text.startswith("the cat sat on the ") and set(text.split()[:-1]) <= set(VERSE.split())
    assert len(text) == 67


def test_bits_of_a_long_text_are_those_of_one_reading(verse, monkeypatch):
    generator = load(verse)
    lines = data.read(generator.config, "test")
    text = data.joined(lines)
    assert text == 8 * VERSE
    bits, count = generator.bits(lines)
    ids = generator.tokenizer.ids_of([text]).values.numpy()
    logits, _ = generator.model.read(ids[np.newaxis, :-1], generator.model.initial_state(1))
    logits = np.array(logits[0], "float64")
    totals = np.log(np.exp(logits).sum(axis=-1))
    expected = np.sum(totals - logits[np.arange(len(ids) - 1), ids[1:]]) / math.log(2)
    assert count == len(text) - 1
    np.testing.assert_allclose(bits, expected, rtol=1e-4)
    assert bits / count < 1
    monkeypatch.setattr(model, "PIECE", 17)
    np.testing.assert_allclose(generator.bits(lines)[0], bits, rtol=1e-4)


def test_what_is_followed_is_what_is_written(verse):
    generator = load(verse)
    (text,) = generator.generate("the", sampling=LIKELIEST, length=20)
    guesses = generator.follow(text)
    assert "".join(guess.right for guess in guesses) == text
    assert "".join(guess.guess for guess in guesses)[3:] == text[3:]


def test_bits_of_lines(names):
    generator = load(names)
    lines = data.read(generator.config, "test")
    bits, count = generator.bits(lines)
    assert count == sum(len(text) + 1 for text, _ in lines)
    probabilities = [guess.probability for text, label in lines for guess in generator.follow(text, label)]
    np.testing.assert_allclose(bits, -np.log2(probabilities).sum(), rtol=1e-3)


def test_labels(names):
    generator = load(names)
    assert generator.labels == ["cats", "dogs"]
    for label, of_label in NAMES.items():
        texts = generator.generate(label=label, sampling=Sampling(20))
        assert np.mean([text in of_label for text in texts]) >= 0.8
        assert len(set(texts)) > 1
    drawn = generator.generate(sampling=Sampling(40))
    assert all(np.mean([text in of_label for text in drawn]) > 0.2 for of_label in NAMES.values())
    first, again = (generator.generate("r", "dogs", sampling=Sampling(5, seed=3)) for _ in range(2))
    assert first == again
    with pytest.raises(folders.UsageError, match="no label 'cows'; its labels are cats, dogs"):
        generator.generate(label="cows")
    with pytest.raises(folders.UsageError, match="name the label of the text, one of cats, dogs"):
        generator.follow("rex")
    assert all(text.startswith("r") for text in generator.generate("r", sampling=Sampling(5)))


@pytest.mark.parametrize("label", [None, "x"])
def test_an_end_is_told_from_the_length(label):
    """A model to which all tokens are alike, the end among them or not."""
    labels = ["x", "y"] if label else []
    tokenizer = LiteralCharacterTokenizer(list("abcd"))
    config = Config(units=4, max_length=5)
    network = model.build(config, len(tokenizer) + len(labels))
    network.build(None)
    network.set_weights([np.zeros(weight.shape) for weight in network.get_weights()])
    generator = model.Generator(config, tokenizer, labels, network)
    written = generator.write(label=label, sampling=Sampling(400))
    np.testing.assert_allclose(np.mean([one.ended for one in written]), 1 - 0.8**6, atol=0.06)
    assert all(len(one.text) == 5 for one in written if not one.ended)
    assert {len(one.text) for one in written if one.ended} == set(range(6))
    weights = network.get_weights()
    weights[-1][END] = -100
    network.set_weights(weights)
    written = generator.write(label=label, sampling=Sampling(20), length=3)
    assert all(len(one.text) == 3 and not one.ended for one in written)


def test_long_lines_are_cut_without_an_end():
    tokenizer = LiteralCharacterTokenizer(list("abcd"))
    rows = data.sequences([("abcd", None), ("abc", None), ("abcda", None)], tokenizer, [], 4)
    assert [row.tolist() for row in rows] == [[4, 5, 6, 7, END], [4, 5, 6, END], [4, 5, 6, 7]]


def test_blank_lines_belong_to_a_text(tmp_path):
    for split in ("train", "val"):
        (tmp_path / f"{split}.txt").write_text("a\n\n b\n", encoding="utf-8")
    for mode, expected in (("text", ["a", "", " b"]), ("lines", ["a", " b"])):
        assert [text for text, _ in data.read(Config(data=str(tmp_path), mode=mode), "train")] == expected


@pytest.mark.parametrize("which", ["verse", "names"])
def test_export_in_plain_tensorflow(which, request, tmp_path):
    generator = load(request.getfixturevalue(which))
    generator.export(tmp_path / "export")
    prompts = ["cats", "dogs"] if generator.labels else ["the cat", "dog sat", ""]
    run = subprocess.run(
        [sys.executable, "-c", PLAIN, tmp_path / "export", *prompts], capture_output=True, text=True, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
    first, again, other, none = json.loads(run.stdout)
    assert first == again and len(first) == len(prompts) and none == []
    if generator.labels:
        assert first[0][0] == "t" and first[1][0] == "r"
    else:
        assert first != other
        assert all(text.startswith(prompt) for text, prompt in zip(first, prompts, strict=True))


def test_pieces_of_a_long_text_follow_each_other():
    config = Config(mode="text", batch_size=3, window=5, seed=1)
    ids = np.arange(4, 4 + 60, dtype="int32")
    for split in ("train", "validation"):
        rows = []
        for (read, goes_on), target, weights in data.text_batches(ids, config, split).dataset.as_numpy_iterator():
            np.testing.assert_array_equal(goes_on, np.full(3, bool(rows)))
            np.testing.assert_array_equal(target, read + 1)
            assert weights.shape == read.shape and weights.all()
            rows.append(read)
        rows = np.concatenate(rows, axis=1)
        np.testing.assert_array_equal(np.diff(rows, axis=1), 1)
        np.testing.assert_array_equal(rows[1:, 0], rows[:-1, -1] + 1)
        assert rows.shape == ((3, 15) if split == "train" else (3, 19))


def test_epochs_begin_at_other_places():
    config = Config(mode="text", batch_size=2, window=8)
    batches = data.text_batches(np.arange(4, 104, dtype="int32"), config, "train")
    assert batches.count == 6
    firsts = set()
    for epoch in range(6):
        batches.epoch = epoch
        (read, _), *_ = next(batches.dataset.as_numpy_iterator())
        firsts.add(int(read[0, 0]))
    assert len(firsts) > 1 and max(firsts) <= 4 + 99 - 2 * 48


MISTAKES = {
    "empty": ({"train.txt": "", "val.txt": "a\n"}, {}, "the file is empty"),
    "no-rows": ({"train.tsv": "text\tlabel\n", "val.tsv": "text\tlabel\na\tx\n"}, {}, "the split 'train' is empty"),
    "short": (
        {"train.txt": 9 * "a few words\n", "val.txt": "a\n"},
        {"mode": "text"},
        "train: 108 characters, fewer than",
    ),
    "short-validation": (
        {"train.txt": 99 * "words ", "val.txt": "a\n"},
        {"mode": "text", "window": 4},
        "validation: 2 characters are too few",
    ),
    "new-label": (
        {"train.tsv": "text\tlabel\na\tx\n", "val.tsv": "text\tlabel\na\ty\n"},
        {},
        "the label 'y' is not in the training data",
    ),
    "labels-of-a-text": (
        {"train.tsv": "text\tlabel\na\tx\n", "val.tsv": "text\tlabel\na\tx\n"},
        {"mode": "text"},
        "labels are of lines",
    ),
    "no-table": ({"train.tsv": "text\nx\n", "val.tsv": "text\nx\n"}, {}, "no column 'label'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_data_that_cannot_be_learned(name, tmp_path):
    files, options, message = MISTAKES[name]
    for file, text in files.items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        model.train(Config(data=str(tmp_path), **options), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_command_line(hello, tmp_path, capsys):
    assert cli.main(["generation", "generate", str(hello), "--prompt", "he", "--temperature", "0"]) == 0
    assert capsys.readouterr().out == "hello\n"
    assert cli.main(["generation", "generate", str(hello), "--follow", "hello", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[1]["right"] == lines[1]["guess"] == "e"
    assert cli.main(["generation", "evaluate", str(hello), "--samples", "20"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["characters"] == 6 and metrics["perplexity"] < 1.5 and metrics["ended"] > 0.9
    assert cli.main(["generation", "evaluate", str(hello), "--samples", "20", "--length", "3"]) == 0
    assert json.loads(capsys.readouterr().out)["ended"] < 0.1
    for options, message in {
        ("--prompt", "hey"): "the model has never seen the characters 'y'",
        ("--label", "x"): "no label 'x'; it learned none",
        ("--temperature", "-1"): "temperature",
    }.items():
        assert cli.main(["generation", "generate", str(hello), *options]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert message in line
    assert cli.main(["generation", "train", "--output", str(tmp_path / "x"), "--data", str(tmp_path / "no")]) == 2
    assert not (tmp_path / "x").exists()


def test_of_one_file_the_end_is_held_out(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.txt").write_text("abcdefg\n" * 8 + "gfedcba\nbcd\n", encoding="utf-8")
    options = {"data": str(tmp_path / "data"), "validation_split": 0.2, "mode": "text", "window": 4, "batch_size": 2}
    with folders.whole(tmp_path / "model") as partial:
        model.train(Config(**options, epochs=1, units=8), partial)
    assert cli.main(["generation", "evaluate", str(tmp_path / "model"), "--split", "validation"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["characters"] == len("gfedcba\nbcd\n") - 1  # the first one is given


def test_options_that_do_not_go_together(tmp_path):
    with pytest.raises(folders.TrainingError, match="feed zeros is of lines"):
        model.train(dataclasses.replace(Config(), feed="zeros", mode="text"), tmp_path)
