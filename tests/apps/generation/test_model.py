"""The generator from end to end, on texts that it learns in seconds."""

import dataclasses
import json
import math

import numpy as np
import pytest
import tensorflow as tf
from keras_recurrent.apps import cli, load
from keras_recurrent.apps.generation import data, evaluation, model
from keras_recurrent.apps.generation.config import Config
from keras_recurrent.apps.shared.errors import TrainingError, UsageError
from keras_recurrent.apps.shared.evaluation import EvaluationOptions
from keras_recurrent.apps.shared.models import outputs
from keras_recurrent.apps.shared.text.tokenizers import END, START, LiteralCharacterTokenizer
from keras_recurrent.apps.shared.text.writing import Sampling

VERSE = "the cat sat on the mat.\nthe dog sat on the log.\n"
NAMES = {"cats": ["tom", "tim", "tam"], "dogs": ["rex", "rix", "rox"]}
HELLO = {"repeats": 20, "epochs": 8}
LIKELIEST = Sampling(temperature=0)
PLAIN = """
loaded = tf.saved_model.load(export)
def texts(signature, seed, rows, first=rows[0], **choice):
    inputs = {name: tf.constant([row[name] for row in rows], tf.string) for name in first}
    answer = loaded.signatures[signature](**inputs, seed=tf.constant(seed, tf.int64), **choice)["text"]
    return [text.decode() for text in answer.numpy()]
choices = [{"temperature": tf.constant(t), "top_p": tf.constant(p)} for t, p in ((1.0, 1.0), (0.0, 1.0), (1.0, 1e-6))]
results = [texts("serving_default", 1, rows), texts("serving_default", 2, rows), texts("serving_default", 1, [])]
print(json.dumps([*results, *(texts("sample", 1, rows, **choice) for choice in choices)]))
"""


def trained(folder, text, name="train.txt", repeats=1, **options):
    """A model of a text, which the training data holds `repeats` times: an epoch costs more than its steps."""
    source = folder / "data"
    source.mkdir()
    for split in ("train", "val", "test"):
        head, rows = text.split("\n", 1) if name.endswith(".tsv") else ("", text)
        content = head + "\n" * bool(head) + rows * (repeats if split == "train" else 1)
        (source / name.replace("train", split)).write_text(content, encoding="utf-8")
    defaults = {"units": 32, "epochs": 40, "patience": 40, "learning_rate": 0.02, "batch_size": 4, "max_length": 20}
    config = Config(data=str(source), **{**defaults, **options})
    with outputs.atomic_output(folder / "model") as partial:
        model.train(config, partial)
    return folder / "model"


@pytest.fixture(scope="module")
def hello(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("hello"), "hello\n", **HELLO)


@pytest.fixture(scope="module")
def verse(tmp_path_factory):
    options = {"mode": "text", "window": 16, "batch_size": 2, "repeats": 4, "epochs": 8, "units": 48}
    return trained(tmp_path_factory.mktemp("verse"), 8 * VERSE, **options)


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    rows = [f"{name}\t{label}" for label, of_label in NAMES.items() for name in of_label]
    text = "\n".join(["text\tlabel", *rows]) + "\n"
    return trained(
        tmp_path_factory.mktemp("names"), text, "train.tsv", repeats=8, epochs=6, batch_size=3, embedding_dim=8
    )


@pytest.mark.rest
@pytest.mark.parametrize("cell", ["simple_rnn", "gru"])
def test_hello_with_the_output_fed_back(cell, tmp_path):
    generator = load(trained(tmp_path, "hello\n", cell=cell, **HELLO))
    assert generator.generate("h", sampling=LIKELIEST) == ["hello"]


def test_hello_given_the_letters_before(hello):
    guesses = load(hello).follow("hello")
    assert [guess.target for guess in guesses] == ["h", "e", "l", "l", "o", "<end>"]
    assert [guess.predicted for guess in guesses] == ["h", "e", "l", "l", "o", "<end>"]
    assert all(guess.probability > 0.5 for guess in guesses)


@pytest.mark.rest
def test_hello_from_its_first_letter_alone(tmp_path):
    generator = load(trained(tmp_path, "hello\n", feed="zeros", **HELLO))
    assert generator.generate("h", sampling=LIKELIEST) == ["hello"]
    assert [guess.target for guess in generator.follow("hello")] == ["e", "l", "l", "o", "<end>"]
    with pytest.raises(UsageError, match="needs a prompt or a label"):
        generator.generate()
    with pytest.raises(UsageError, match="no text to follow"):
        generator.follow("")
    with pytest.raises(UsageError, match="fed zeros"):
        generator.export(tmp_path / "export")


@pytest.mark.rest
def test_a_long_text_is_gone_on_with(verse):
    (text,) = load(verse).generate("the cat", sampling=LIKELIEST, length=60)
    assert text.startswith("the cat sat on the ") and set(text.split()[:-1]) <= set(VERSE.split())
    assert len(text) == 67


@pytest.mark.rest
def test_bits_of_a_long_text_are_those_of_one_reading(verse, monkeypatch):
    generator = load(verse)
    text = data.read(generator.config, "test")
    assert text == 8 * VERSE
    bits, count = evaluation.text_bits(generator, [text])
    ids = np.array(generator.tokenizer.encode(text))
    logits, _ = generator.model.read(ids[np.newaxis, :-1], generator.model.initial_state(1))
    logits = np.array(logits[0], "float64")
    totals = np.log(np.exp(logits).sum(axis=-1))
    expected = np.sum(totals - logits[np.arange(len(ids) - 1), ids[1:]]) / math.log(2)
    assert count == len(text) - 1
    np.testing.assert_allclose(bits, expected, rtol=1e-4)
    assert bits / count < 1
    monkeypatch.setattr(evaluation, "CHUNK", 17)
    parts = [text[first : first + 23] for first in range(0, len(text), 23)]
    again, same_count = evaluation.text_bits(generator, parts)
    assert same_count == count
    np.testing.assert_allclose(again, bits, rtol=1e-4)


@pytest.mark.rest
def test_bits_of_a_long_text_that_is_learned_from(verse, tmp_path, capsys):
    generator = load(verse)
    before = generator.model.get_weights()
    text = 12 * "the mat sat on the cat and the dog.\n"  # "and" is new
    bits, count = evaluation.text_bits(generator, [text])
    for rate, low, high in ((1e-9, 0.999, 1.001), (0.3, 0.2, 0.8)):
        adapted, same_count = evaluation.adapted_bits(generator, [text], rate)
        assert same_count == count and low < adapted / bits < high
    assert all(np.array_equal(x, y) for x, y in zip(generator.model.get_weights(), before, strict=True))
    assert cli.main(["generation", "evaluate", str(verse), "--adapt", "0.1"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["bits_per_character_adapted"] < 1.1 * metrics["bits_per_character"]


def test_lines_are_not_adapted_to(hello, capsys):
    assert cli.main(["generation", "evaluate", str(hello), "--adapt", "0.1"]) == 2
    assert "only in the mode text" in capsys.readouterr().err


@pytest.mark.rest
def test_a_long_text_has_no_shards(verse, capsys):
    assert cli.main(["generation", "evaluate", str(verse), "--shard", "1/2"]) == 2
    assert "the mode text does not support --output, --shard and --predictions" in capsys.readouterr().err


@pytest.mark.rest
def test_what_is_followed_is_what_is_written(verse):
    generator = load(verse)
    (text,) = generator.generate("the", sampling=LIKELIEST, length=20)
    guesses = generator.follow(text)
    assert "".join(guess.target for guess in guesses) == text
    assert "".join(guess.predicted for guess in guesses)[3:] == text[3:]


@pytest.mark.rest
def test_bits_of_lines(names, evaluate_in_shards):
    generator = load(names)
    lines = data.read(generator.config, "test")
    bits, count, _ = evaluation.line_bits(generator, lines, EvaluationOptions(), str(names))
    assert count == sum(len(text) + 1 for text, _ in lines)
    probabilities = [guess.probability for text, label in lines for guess in generator.follow(text, label)]
    np.testing.assert_allclose(bits, -np.log2(probabilities).sum(), rtol=1e-3)
    rows = [line.split("\t") for line in evaluate_in_shards("generation", names, "test")]
    assert [int(count) for _, count in rows] == [len(text) + 1 for text, _ in lines]
    assert sum(float(own) for own, _ in rows) == pytest.approx(bits)


@pytest.mark.rest
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
    with pytest.raises(UsageError, match="no label 'cows'; its labels are cats, dogs"):
        generator.generate(label="cows")
    with pytest.raises(UsageError, match="name the label of the text, one of cats, dogs"):
        generator.follow("rex")
    assert all(text.startswith("r") for text in generator.generate("r", sampling=Sampling(5)))


@pytest.mark.rest
@pytest.mark.parametrize("label", [None, "x"])
def test_an_end_is_told_from_the_length(label):
    """A model to which all tokens are alike, the end among them or not."""
    labels = ["x", "y"] if label else []
    tokenizer = LiteralCharacterTokenizer(list("abcd"))
    config = Config(units=4, max_length=5)
    network = model.build(config, len(tokenizer) + len(labels))
    network.build(None)
    network.set_weights([np.zeros(weight.shape) for weight in network.get_weights()])
    generator = model.Generator(config, network, tokenizer, labels)
    written = generator.write(label=label, sampling=Sampling(400))
    np.testing.assert_allclose(np.mean([one.ended for one in written]), 1 - 0.8**6, atol=0.06)
    assert all(len(one.text) == 5 for one in written if not one.ended)
    assert {len(one.text) for one in written if one.ended} == set(range(6))
    weights = network.get_weights()
    weights[-1][END] = -100
    network.set_weights(weights)
    written = generator.write(label=label, sampling=Sampling(20), length=3)
    assert all(len(one.text) == 3 and not one.ended for one in written)


def test_zeros_after_the_first_character_of_a_model_that_was_fed_its_output(hello):
    """It has read its start, too, and then the first character and nothing more."""
    generator = load(hello)
    ids = generator.tokenizer.encode("h")
    logits, _ = generator.model.read(np.array([[START, *ids, 0, 0, 0]]), generator.model.initial_state(1))
    expected = np.argmax(np.where(np.arange(logits.shape[-1]) < END, -np.inf, logits[0]), axis=-1)[1:]
    expected = [*expected[: [*expected, END].index(END)]]
    text = generator.tokenizer.decode(expected)
    assert generator.generate("h", sampling=LIKELIEST, feed="zeros", length=4) == [f"h{text}"]


def test_the_first_character_is_lowercased_like_the_rest():
    tokenizer = LiteralCharacterTokenizer(list("abcd"), lowercase=True)
    for feed in ("previous", "zeros"):
        config = Config(units=4, feed=feed, lowercase=True)
        network = model.build(config, len(tokenizer))
        network.build(None)
        (text,) = model.Generator(config, network, tokenizer, []).generate("AB", length=3)
        assert text.startswith("ab")


def test_long_lines_are_cut_without_an_end():
    tokenizer = LiteralCharacterTokenizer(list("abcd"))
    rows = data.sequences([("abcd", None), ("abc", None), ("abcda", None)], tokenizer, [], 4)
    assert [row.tolist() for row in rows] == [[4, 5, 6, 7, END], [4, 5, 6, END], [4, 5, 6, 7]]


def test_blank_lines_belong_to_a_text(tmp_path):
    for split in ("train", "val"):
        (tmp_path / f"{split}.txt").write_text("a\n\n b\n", encoding="utf-8")
    for mode, expected in (("text", "a\n\n b\n"), ("lines", [("a", None), (" b", None)])):
        assert data.read(Config(data=str(tmp_path), mode=mode), "train") == expected


def test_a_long_text_is_encoded_in_parts(monkeypatch):
    monkeypatch.setattr(data, "CHUNK", 3)
    tokenizer = LiteralCharacterTokenizer(list("abcd"))
    assert data.chunks_of("abcdabcd") == ["abc", "dab", "cd"]
    np.testing.assert_array_equal(data.text_ids("abcdabcd", tokenizer), [4, 5, 6, 7, 4, 5, 6, 7])


@pytest.mark.parametrize("which", ["verse", "names"])
@pytest.mark.deploy
def test_export_in_plain_tensorflow(which, request, plain_tensorflow, check_rows, tmp_path):
    generator = load(request.getfixturevalue(which))
    generator.export(tmp_path / "export")
    rows = [{"prompt": prompt} for prompt in ("the cat", "dog sat", "")]
    if generator.labels:
        rows = [{"prompt": prompt, "label": label} for prompt, label in (("t", "cats"), ("", "dogs"), ("ro", "dogs"))]
    answers = plain_tensorflow(PLAIN, export=tmp_path / "export", rows=rows)
    first, other, none, again, likeliest, nearly = answers
    assert first == again and len(first) == 3 and none == []
    assert all(text.startswith(row["prompt"]) for text, row in zip(first + other, rows * 2, strict=True))
    assert likeliest == nearly
    for row, text in zip(rows, likeliest, strict=True):
        length = 20 - len(row["prompt"])
        assert generator.generate(**row, length=length, sampling=LIKELIEST) == [text]
    if generator.labels:
        assert first[1][0] == "r"
    else:
        assert first != other

    unknown = "the model has never seen the characters 'Üß'"
    prompts = [rows[0]["prompt"], b"t\xff", "tÜß", "t" * 20, "t"]
    inputs = {"prompt": prompts}
    errors = ["", "the prompt is not UTF-8", unknown, "the prompt has 20 characters or more", ""]
    if generator.labels:
        inputs = {"prompt": [*prompts, "t", "t"], "label": ["cats"] * 5 + [b"\xff", "cows"]}
        errors += ["the label is not UTF-8", "the model has no label 'cows'; its labels are cats, dogs"]
    seed = {"seed": tf.constant(1, tf.int64)}
    check_rows(tmp_path / "export", "serving_default", inputs, errors, seed)
    sampling = {"temperature": tf.constant(0.5), "top_p": tf.constant(0.9)}
    check_rows(tmp_path / "export", "sample", inputs, errors, seed | sampling)


def test_pieces_of_a_long_text_follow_each_other():
    config = Config(mode="text", batch_size=3, window=5, seed=1)
    ids = np.arange(4, 4 + 60, dtype="int32")
    for split in ("train", "validation"):
        rows = []
        for (read, goes_on), target, weights in data.text_batches(ids, config, split):
            np.testing.assert_array_equal(goes_on, np.full(3, bool(rows)))
            np.testing.assert_array_equal(target, read + 1)
            assert weights.shape == read.shape and weights.all()
            rows.append(read)
        rows = np.concatenate(rows, axis=1)
        np.testing.assert_array_equal(np.diff(rows, axis=1), 1)
        np.testing.assert_array_equal(rows[1:, 0], rows[:-1, -1] + 1)
        assert rows.shape == ((3, 15) if split == "train" else (3, 19))


@pytest.mark.rest
def test_an_interrupted_training_on_a_long_text_goes_on(killed_after, tmp_path):
    for name in ("train", "val"):
        (tmp_path / f"{name}.txt").write_text(8 * VERSE, encoding="utf-8")
    options = {"mode": "text", "window": 16, "batch_size": 2, "units": 8, "num_layers": 2, "dropout": 0.3}
    averaged = {"recurrent_dropout": 0.2, "ema": 0.9, "average_last": 2, "epochs": 4}
    config = Config(data=str(tmp_path), cell="lstm", **options, **averaged)
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole = model.train(config, tmp_path / "whole").model.get_weights()
    with killed_after(2):
        model.train(config, tmp_path / "broken")
    resumed = model.train(config, tmp_path / "broken").model.get_weights()
    assert all(np.array_equal(x, y) for x, y in zip(resumed, whole, strict=True))


def test_epochs_begin_at_other_places():
    config = Config(mode="text", batch_size=2, window=8)
    batches = data.text_batches(np.arange(4, 104, dtype="int32"), config, "train")
    assert len(batches) == 6
    firsts = set()
    for epoch in range(6):
        batches.epoch = epoch
        (read, _), *_ = next(iter(batches))
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
        "the mode text reads one long text without labels",
    ),
    "no-labels": (
        {"train.txt": "a\n", "val.tsv": "text\tlabel\na\ty\n"},
        {},
        "the lines have labels, but those of the training data have none",
    ),
    "labels-only-in-training": (
        {"train.tsv": "text\tlabel\na\ty\n", "val.txt": "a\n"},
        {},
        "some lines have no label",
    ),
    "nothing": ({"train.txt": "\x00\n", "val.txt": "a\n"}, {}, "the split 'train' is empty"),
    "no-table": ({"train.tsv": "text\nx\n", "val.tsv": "text\nx\n"}, {}, "no column 'label'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_data_that_cannot_be_learned(name, tmp_path, capsys):
    files, options, message = MISTAKES[name]
    for file, text in files.items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    arguments = [f"--{option}={value}" for option, value in {"data": tmp_path, **options}.items()]
    output = tmp_path / "models" / "new"
    assert cli.main(["generation", "train", "--output", str(output), *arguments]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert message in last
    assert not output.parent.exists() or not any(output.parent.iterdir())


def test_many_prompts_are_written_as_one_by_one(hello):
    generator = load(hello)
    prompts, sampling = ["", "hel", "h", "hell"], Sampling(3, temperature=3, seed=7)
    many = generator.write_all(prompts, length=6, sampling=sampling, indices=range(4))
    for index, prompt in enumerate(prompts):
        assert many[index] == generator.write(prompt, length=6, sampling=sampling._replace(seed=(7, index)))
    assert many[0] == generator.write("", length=6, sampling=sampling)
    assert generator.write_all([], indices=[]) == []


@pytest.mark.rest
def test_a_file_of_prompts(hello, tmp_path, capsys):
    file, output = tmp_path / "prompts.txt", tmp_path / "texts.txt"
    file.write_text("he\nhey\nhel\n")
    options = ["--input", str(file), "--output", str(output), "--temperature", "0", "--samples", "2"]
    assert cli.main(["generation", "generate", str(hello), *options]) == 2
    assert output.read_text() == "hello\n" * 4
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("hey: the model has never seen the characters 'y'")
    assert second.endswith("1 of 3 inputs could not be processed")
    assert cli.main(["generation", "generate", str(hello), "--prompt", "h", *options]) == 2
    assert "not both" in capsys.readouterr().err


@pytest.mark.rest
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
        ("--label", "x"): "no label 'x'; it was trained without labels",
        ("--temperature", "-1"): "temperature",
    }.items():
        assert cli.main(["generation", "generate", str(hello), *options]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert message in line
    assert cli.main(["generation", "train", "--output", str(tmp_path / "x"), "--data", str(tmp_path / "no")]) == 2
    assert not (tmp_path / "x").exists()


@pytest.mark.rest
def test_of_one_file_the_end_is_held_out(eagerly, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.txt").write_text("abcdefg" * 8 + "gfedcba\nbcdefg\n", encoding="utf-8")  # two lines
    options = {"data": str(tmp_path / "data"), "validation_split": 0.2, "mode": "text", "window": 4, "batch_size": 2}
    with outputs.atomic_output(tmp_path / "model") as partial:
        model.train(Config(**options, epochs=1, units=8), partial)
    assert cli.main(["generation", "evaluate", str(tmp_path / "model"), "--split", "validation"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["characters"] == len("dcba\nbcdefg\n") + 2 - 1  # a fifth of 71, of which the first one is given


def test_options_that_do_not_go_together(tmp_path):
    with pytest.raises(TrainingError, match="feed zeros requires the mode lines"):
        model.train(dataclasses.replace(Config(), feed="zeros", mode="text"), tmp_path)
