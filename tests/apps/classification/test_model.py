"""The classifier from end to end, on sentences that it learns in seconds."""

import dataclasses
import io
import itertools
import json
import re
import sys
import textwrap

import numpy as np
import pytest
from keras_recurrent.apps import cli, load
from keras_recurrent.apps.classification import data, model
from keras_recurrent.apps.classification.baseline import train_ngram_classifier
from keras_recurrent.apps.classification.config import Config
from keras_recurrent.apps.shared.metrics_table import metrics_table
from keras_recurrent.apps.shared.text.tokenizers import END, fit_tokenizer
from keras_recurrent.datasets.texts import read_texts

WHO = ["the cook", "my aunt", "a child", "our neighbour"]
HOW = {"glad": ["smiles", "laughs", "sings"], "sad": ["cries", "sobs", "sighs"]}
WHERE = ["here", "at home", "in the garden", "by the sea"]
PLAIN = """
loaded = tf.saved_model.load(export)
def values(texts):
    answer = loaded.signatures["serving_default"](text=tf.constant(texts, tf.string))
    labels = [label.decode() for label in answer["label"].numpy()]
    names = [[label.decode() for label in row] for row in answer["labels"].numpy()]
    return labels, answer["probability"].numpy().tolist(), answer["probabilities"].numpy().tolist(), names
print(json.dumps([values(texts), values([])]))
"""


def table(rows):
    return "\n".join(["text\tlabel", *("\t".join(row) for row in rows)]) + "\n"


@pytest.fixture(scope="module")
def moods(tmp_path_factory):
    """A folder with 96 sentences, three quarters of them to learn from."""
    folder = tmp_path_factory.mktemp("moods")
    rows = [
        (f"{who} {how} {where} .", label)
        for label, of_label in HOW.items()
        for who, how, where in itertools.product(WHO, of_label, WHERE)
    ]
    (folder / "train.tsv").write_text(table(row for place, row in enumerate(rows) if place % 4), encoding="utf-8")
    (folder / "val.tsv").write_text(table(rows[::4]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def config(moods):
    return Config(data=str(moods), embedding_dim=16, units=16, batch_size=16, epochs=8, patience=8, learning_rate=0.01)


@pytest.fixture(scope="module")
def saved(config, shared_folder):
    return shared_folder("moods", lambda folder: model.train(config, folder))


def test_labels_texts_it_never_saw(saved, config):
    texts, right = zip(*data.read(config, "val"), strict=True)
    found = load(saved).classify(list(texts))
    assert [answer.label for answer in found] == list(right)
    assert all(0.5 < answer.probability <= 1 for answer in found)


def test_looks_at_the_word_that_tells(saved):
    (told,) = load(saved).explain(["my aunt sobs by the sea ."])
    assert told["tokens"][2] == "sobs"
    assert np.argmax(told["weights"]) in (2, 3)  # the encoder reads in both directions
    np.testing.assert_allclose(sum(told["weights"]), 1, atol=1e-3)
    assert told["probabilities"]["sad"] > 0.9
    np.testing.assert_allclose(sum(told["probabilities"].values()), 1, atol=1e-5)


OTHERS = [
    {"pooling": "last", "cell": "simple_rnn", "bidirectional": False, "lowercase": False},
    {"pooling": "mean", "cell": "gru", "tokenizer": "subwords", "vocabulary_size": 60},
    {"pooling": "attention", "tokenizer": "characters"},
    {"pooling": "max", "num_layers": 2, "class_weights": True, "label_smoothing": 0.1},
]
TEXTS = ["the cook sings here .", "A child cries ."]


def assert_alike(loaded, classifier):
    for found, expected in zip(loaded.explain(TEXTS), classifier.explain(TEXTS), strict=True):
        probabilities = (list(told["probabilities"].values()) for told in (found, expected))
        np.testing.assert_allclose(*probabilities, atol=1e-6)
        assert found["tokens"] == expected["tokens"]
        assert found["weights"] == expected["weights"] and len(found["weights"]) in (0, len(found["tokens"]))
    assert loaded.config == classifier.config


@pytest.mark.parametrize("options", OTHERS, ids=lambda options: options["pooling"])
def test_every_pooling_is_read_back(options, config, eagerly, tmp_path):
    config = dataclasses.replace(config, **options)
    tokenizer = fit_tokenizer([text for text, _ in data.read(config, "train")], config, "the texts have")
    classifier = model.TextClassifier(config, model.build(config, len(tokenizer), 2), tokenizer, ["glad", "sad"])
    classifier.save_assets(tmp_path)
    classifier.model.save(tmp_path / "model.keras")
    assert_alike(load(tmp_path), classifier)


@pytest.mark.rest
def test_rarer_options_train_and_are_read_back(config, eagerly, tmp_path):
    classifier = model.train(dataclasses.replace(config, epochs=1, batch_size=72, **OTHERS[-1]), tmp_path)
    assert_alike(load(tmp_path), classifier)


def test_words_are_coloured_on_a_terminal(saved, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    assert cli.main(["classification", "predict", str(saved), "My zebra, a child, sobs."]) == 0
    shown = sys.stdout.getvalue()
    assert "48;2;255;0;0m" in shown
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()[1] == "my zebra, a child, sobs."


@pytest.mark.parametrize("options", [{"pooling": pooling} for pooling in ("last", "mean", "max")], ids=str)
def test_padding_changes_no_pooling(options, config):
    network = model.build(dataclasses.replace(config, **options), 9, 2)
    tokens = np.array([[4, 5, 6, END, 0, 0], [4, 5, 6, 7, 8, END]], "int32")
    np.testing.assert_allclose(network(tokens)[:1], network(tokens[:1, :4]), atol=1e-6)


def test_padding_and_company_change_nothing(saved):
    classifier = load(saved)
    texts = ["the cook sings here .", "a child cries by the sea in the garden at home at home .", ""]
    together = classifier.explain(texts)
    for text, told in zip(texts, together, strict=True):
        (alone,) = classifier.explain([text])
        np.testing.assert_allclose(alone["probabilities"]["sad"], told["probabilities"]["sad"], atol=1e-5)


def test_long_texts_are_cut_alike_in_training_and_after(config, saved):
    classifier = load(saved, max_length=4)
    texts = [("a child sings by the sea .", "glad"), ("a child sings in the garden .", "sad")]
    columns = zip(*texts, strict=True)
    batches = data.batches(*columns, classifier.tokenizer, classifier.labels, classifier.config, "val")
    ((tokens, labels, _),) = batches
    assert tokens.shape == (2, 4) and (tokens[0] == tokens[1]).all() and labels.tolist() == [0, 1]
    first, second = classifier.explain([text for text, _ in texts])
    assert first == second


def test_class_weights(config, moods):
    texts, targets = ["x"] * 3 + ["y"], ["glad"] * 3 + ["sad"]
    tokenizer = fit_tokenizer(texts, config, "the texts have")
    weighted = dataclasses.replace(config, class_weights=True)
    for split, expected in (("train", {0: 2 / 3, 1: 2.0}), ("validation", {0: 1.0, 1: 1.0})):
        ((_, labels, weights),) = data.batches(texts, targets, tokenizer, ["glad", "sad"], weighted, split)
        found = dict(zip(labels.tolist(), weights.tolist(), strict=True))
        assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("class_weights", "rare"), [pytest.param(False, 5, marks=pytest.mark.rest), (True, 50)], ids=["as-often", "alike"]
)
@pytest.mark.rest
def test_rare_labels_count_alike(config, tmp_path, class_weights, rare):
    """Of texts that are all the same, the probability of a label is its share of what counts."""
    for split, count in {"train": 5, "val": rare}.items():
        (tmp_path / f"{split}.tsv").write_text(table([("x", "common")] * (100 - count) + [("x", "rare")] * count))
    options = {"data": str(tmp_path), "class_weights": class_weights, "batch_size": 10, "epochs": 15, "monitor": "loss"}
    (tmp_path / "model").mkdir()
    classifier = model.train(dataclasses.replace(config, **options), tmp_path / "model")
    (told,) = classifier.explain(["x"])
    assert told["probabilities"]["rare"] == pytest.approx(rare / 100, abs=0.04)


@pytest.mark.deploy
def test_export_in_plain_tensorflow(saved, exported, plain_tensorflow):
    classifier = load(saved)
    texts = ["the cook sings here .", "my aunt sobs .", "unknown words"]
    (labels, probabilities, everything, names), none = plain_tensorflow(PLAIN, export=exported, texts=texts)
    expected = classifier.classify(texts)
    assert labels == [answer.label for answer in expected]
    np.testing.assert_allclose(probabilities, [answer.probability for answer in expected], atol=1e-5)
    np.testing.assert_allclose(np.sum(everything, axis=1), 1, atol=1e-5)
    assert names == 3 * [["glad", "sad"]] and none == [[], [], [], []]


@pytest.mark.rest
def test_unusable_texts_in_an_export(saved, exported, check_rows):
    long = "the cook " + "sings here " * 200
    texts = ["the cook sings here .", b"my aunt \xc3", "my aunt sobs .", "", long]
    errors = ["", "the text is not UTF-8", "", "the text is empty", "the text has more than 200 tokens; the rest.*"]
    outputs = check_rows(exported, "serving_default", {"text": texts}, errors)
    expected = load(saved).classify([texts[0], texts[2], long])
    assert outputs["label"][[0, 2, 4]].tolist() == [answer.label.encode() for answer in expected]


MISTAKES = {
    "one-example": ([("a", "x"), ("b", "x"), ("c", "y")], [("a", "x")], "only one text has the label 'y'"),
    "one-label": ([("a", "x"), ("b", "x")], [("a", "x")], "x is the only label"),
    "new-label": (
        [("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")],
        [("a", "x"), ("b", "z")],
        "'y' is in the split 'train'",
    ),
    "validation": ([("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")], [("a", "x"), ("b", "y"), ("c", "z")], "'z' is in"),
    "no-label": ([("a", ""), ("b", " ")], [("a", "x")], "no text with a label"),
    "empty": ([], [("a", "x")], "the split 'train' is empty"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_data_that_cannot_be_learned(name, tmp_path, capsys):
    train, validation, message = MISTAKES[name]
    for split, rows in (("train", train), ("val", validation)):
        (tmp_path / f"{split}.tsv").write_text(table(rows), encoding="utf-8")
    options = ["--data", str(tmp_path), "--output", str(tmp_path / "models" / "new")]
    assert cli.main(["classification", "train", *options]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert message in last
    assert not (tmp_path / "models").exists() or not any((tmp_path / "models").iterdir())


@pytest.mark.rest
def test_command_line(saved, moods, evaluate_in_shards, tmp_path, capsys):
    assert cli.main(["classification", "predict", str(saved), "a child sings here .", "my aunt sobs ."]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["glad", "sad"] and rows[0][2] == "a child sings here ."
    assert cli.main(["classification", "predict", str(saved), "a child sings here .", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["text"] == "a child sings here ." and told["label"] == "glad"
    assert told["tokens"] == ["a", "child", "sings", "here", ".", "<end>"] and len(told["weights"]) == 6
    assert cli.main(["classification", "evaluate", str(saved), "--split", "val"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["accuracy"] == metrics["f1"] == 1 and metrics["commonest_label"] == 0.5 and metrics["texts"] == 24
    assert (saved / "figures" / "confusion-val.png").exists()
    assert cli.main(["classification", "evaluate", str(saved), "--split", "val", "--baseline", "characters"]) == 0
    output = capsys.readouterr()
    compared = json.loads(output.out)
    assert {name: compared[name] for name in ("accuracy", "f1", "texts")} == {"accuracy": 1.0, "f1": 1.0, "texts": 24}
    assert compared["character_ngrams"] == 1
    assert "                  model  commonest label  character ngrams" in output.err
    baselines = {"accuracy": {"commonest_label": 0.5, "character_ngrams": 1.0}}
    assert textwrap.indent(metrics_table(compared, baselines), "  ") in output.err
    (row,) = [line.split() for line in output.err.splitlines() if line.startswith("  accuracy")]
    assert row == ["accuracy", "1.00", "0.500", "1.00"]  # the widths depend on the speed in another row
    assert evaluate_in_shards("classification", saved) == [label for _, label in read_texts(moods, "val")]
    (tmp_path / "val.tsv").write_text(table([("a", "angry")]))
    assert cli.main(["classification", "evaluate", str(saved), "--data", str(tmp_path), "--split", "val"]) == 2
    assert "the model has no label 'angry'" in capsys.readouterr().err


@pytest.mark.parametrize(("ngrams", "accuracy"), [("words", 0.5), ("characters", 1.0)])
def test_ngram_baseline(ngrams, accuracy):
    """Words that it never saw say nothing to the baseline of words; their characters do."""
    texts, labels = ["sunny", "sunnily", "rain", "raining"] * 3, ["good", "good", "bad", "bad"] * 3
    classify = train_ngram_classifier(texts, labels, ngrams, lowercase=True)
    assert classify(texts) == labels
    assert (
        np.mean([label == classify([text])[0] for text, label in (("SUNNIER", "good"), ("RAINED", "bad"))]) == accuracy
    )


def test_the_baseline_requires_an_extra(saved, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.feature_extraction.text", None)
    assert cli.main(["classification", "evaluate", str(saved), "--split", "val", "--baseline", "words"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    *_, line = output.err.splitlines()
    assert line == "keras-recurrent: this needs sklearn; install it with `pip install 'keras-recurrent[baseline]'`"
