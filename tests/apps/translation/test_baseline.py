import json

import pytest
from keras_recurrent.apps import cli
from keras_recurrent.apps.translation.baseline import nearest_sentence

SOURCES = ["ein Hund schläft.", "ein Hund schläft und ein Hund rennt.", "die Katze schläft."]
TARGETS = ["first", "second", "third"]


@pytest.mark.parametrize(
    ("sentence", "target"),
    [
        ("ein Hund schläft!", "first"),  # the second source shares as many words, but has more others
        ("Die Katze", "third"),
        ("ein Hund rennt.", "second"),
        ("ja", "first"),  # shares no word
        ("", "first"),
    ],
)
def test_most_similar_sentence(sentence, target):
    assert nearest_sentence(SOURCES, TARGETS)([sentence]) == [target]


def test_case_matters_unless_ignored():
    sources = ["der See", "das MEER ist"]
    assert nearest_sentence(sources, TARGETS)(["das Meer", "der meer"]) == ["second", "first"]
    assert nearest_sentence(sources, TARGETS, lowercase=True)(["MEER", "der see"]) == ["second", "first"]
    assert nearest_sentence(sources, TARGETS)(["SEE MEER"]) == ["second"]


def test_evaluate_with_the_baseline(saved, evaluate_in_shards, capsys):
    """The training data has all sentences of the validation data, so the baseline is perfect."""
    options = ("--baseline", "nearest")
    assert cli.main(["translation", "evaluate", str(saved), "--split", "val", *options]) == 0
    output = capsys.readouterr()
    metrics = json.loads(output.out)
    perfect = {"nearest_sentence": pytest.approx(100)}
    assert metrics["baselines"] == {"bleu": perfect, "chrf": perfect}
    rows = {line[:10].strip(): line.split()[1:] for line in output.err.splitlines() if line.startswith("  ")}
    assert rows[""] == ["nearest", "sentence"]
    assert rows["bleu"][1:] == rows["chrf"][1:] == ["100"]
    assert len(evaluate_in_shards("translation", saved, "val", *options)) == 48
