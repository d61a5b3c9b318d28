import json
import random
import subprocess
import sys

import pytest
from keras_recurrent.apps.shared import results
from keras_recurrent.apps.shared.errors import UsageError
from keras_recurrent.apps.shared.evaluation import EvaluationOptions, evaluate_examples, predict_by_length, report
from keras_recurrent.apps.shared.training.splits import Rereadable
from keras_recurrent.apps.shared.verbs import BATCH, WINDOW
from keras_recurrent.datasets import DataError

EXAMPLES = [(f"{number} " + "x" * random.Random(number).randrange(100), number) for number in range(2 * WINDOW + 500)]


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A folder with the files that identify a model."""
    monkeypatch.setattr(results, "CHECKPOINT_SECONDS", 0)
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.yaml", "model.keras"):
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def evaluate(model):
    """`evaluate(function, **options)`: the pairs that the metrics got, and the `Evaluation`."""

    def evaluate(function=str.upper, examples=EXAMPLES, is_named=False, **options):
        pairs, sizes = [], []

        def predict(texts):
            sizes.append(len(texts))
            return [function(text) for text in texts]

        evaluation = evaluate_examples(
            predict_by_length(predict, lambda example: example[0]),
            Rereadable(lambda: iter(examples)),
            lambda example: example[0],
            lambda batch, predictions: pairs.extend(zip(batch, predictions, strict=True)),
            EvaluationOptions(**{name: value if name == "shard" else str(value) for name, value in options.items()}),
            str(model),
            {},
            "evaluating",
            is_named,
        )
        assert max(sizes, default=0) <= BATCH
        return pairs, evaluation

    return evaluate


EXPECTED = [(example, example[0].upper()) for example in EXAMPLES]


def test_metrics_get_each_example_with_its_prediction(evaluate, tmp_path):
    pairs, evaluation = evaluate()
    assert pairs == EXPECTED
    assert evaluation.computed == len(EXAMPLES)
    assert evaluation.rates(texts=7)["texts"] == round(7 / evaluation.seconds, 1)
    output = tmp_path / "output.txt"
    assert evaluate(output=output)[0] == EXPECTED
    assert output.read_text() == "".join(f"{text}\n" for _, text in EXPECTED)


@pytest.mark.parametrize("is_named", [False, True])
def test_an_interrupted_evaluation_is_resumed(evaluate, tmp_path, is_named):
    output = tmp_path / "output.txt"
    calls = iter(range(WINDOW + 100))

    def interrupted(text):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return text.upper()

    with pytest.raises(KeyboardInterrupt):
        evaluate(interrupted, output=output, is_named=is_named)
    assert not output.exists()
    pairs, evaluation = evaluate(output=output, is_named=is_named)
    assert pairs == EXPECTED
    assert evaluation.computed == len(EXAMPLES) - WINDOW
    pairs, evaluation = evaluate(None, output=output, is_named=is_named)  # computes nothing
    assert pairs == EXPECTED
    assert (evaluation.computed, evaluation.rates(texts=0)) == (0, {})
    first = output.read_text().splitlines()[0]
    assert first == (f"{EXAMPLES[0][0]}\t{EXPECTED[0][1]}" if is_named else EXPECTED[0][1])


def test_the_outputs_of_shards_are_that_of_the_split(evaluate, tmp_path):
    outputs = [tmp_path / f"{shard}.txt" for shard in (1, 2, 3)]
    joined = []
    for shard, output in enumerate(outputs, 1):
        pairs, evaluation = evaluate(output=output, shard=f"{shard}/3")
        assert evaluation.computed == len(pairs)
        joined += pairs
    assert joined == EXPECTED
    predictions = tmp_path / "predictions.txt"
    predictions.write_text("".join(output.read_text() for output in outputs))
    pairs, evaluation = evaluate(None, predictions=predictions)
    assert pairs == EXPECTED
    assert evaluation.computed == 0
    with pytest.raises(UsageError, match=r"1\.txt was written with another shard"):
        evaluate(output=outputs[0])


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("A\nB\n", {}, "fewer lines than the 3 examples"),
        ("A\nB\nC\nD\n", {}, "more lines than the 3 examples"),
        ("a\tA\nx\tB\nc\tC\n", {"is_named": True}, r"expected 'b' and a tab, got 'x\\tB'"),
        ("A\nB\nC\n", {"shard": "1/2"}, "excludes --output and --shard"),
        ("A\nB\nC\n", {"output": "new.txt"}, "excludes --output and --shard"),
    ],
)
def test_predictions_that_do_not_match(evaluate, tmp_path, monkeypatch, content, options, message):
    monkeypatch.chdir(tmp_path)
    predictions = tmp_path / "predictions.txt"
    predictions.write_text(content)
    with pytest.raises(UsageError, match=message):
        evaluate(examples=[("a", 1), ("b", 2), ("c", 3)], predictions=predictions, **options)
    assert not (tmp_path / "new.txt").exists()


def test_without_examples_there_are_no_metrics(evaluate):
    with pytest.raises(DataError, match="there is no example"):
        evaluate(examples=[])
    with pytest.raises(DataError, match="there is no example in shard 1/3"):
        evaluate(examples=EXAMPLES[:2], shard="1/3")


def test_the_metrics_of_a_part_are_labelled_and_not_kept(model, capsys):
    report(str(model), "test", {"bleu": 1}, None, EvaluationOptions(shard="1/2"))
    assert json.loads(capsys.readouterr().out) == {"bleu": 1, "shard": "1/2"}
    assert not (model / "metrics.json").exists()
    report(str(model), "test", {"bleu": 2}, None, EvaluationOptions(predictions="all.txt"))
    assert json.loads(capsys.readouterr().out) == {"bleu": 2, "predictions": "all.txt"}
    assert json.loads((model / "metrics.json").read_text()) == {"test": {"bleu": 2, "predictions": "all.txt"}}


def test_the_table_is_for_people_and_the_json_for_programs(model, capsys):
    metrics = {"loss": 0.12345, "guess": 12.345, "solved": True, "lost": None, "flow": [0.5], "signature": "x"}
    report(str(model), "test", metrics, baselines={"loss": {"guess": 12.345}})
    output = capsys.readouterr()
    assert json.loads(output.out) == metrics
    assert output.out.count("\n") == 1
    title, *rows = output.err.splitlines()
    assert title == f"keras-recurrent: {model} on the split test"
    assert [row.split() for row in rows] == [
        ["model", "guess"],
        ["loss", "0.123", "12.3"],
        ["solved", "yes"],
        ["lost", "-"],
    ]


SCRIPT = """
import resource, sys
from keras_recurrent.apps.shared.evaluation import EvaluationOptions, evaluate_examples, predict_by_length
from keras_recurrent.apps.shared.training.splits import Rereadable
from keras_recurrent.apps.translation.metrics import TranslationMetrics
from keras_recurrent.datasets.pairs import iter_pairs
data, model, output = sys.argv[1:]
pairs, metrics = Rereadable(lambda: iter_pairs(data, "test", "de", "en")), TranslationMetrics()
source, update = lambda pair: pair[0], lambda pairs, texts: metrics.update(texts, [text for _, text in pairs])
predict, options = predict_by_length(lambda texts: texts, source), EvaluationOptions(output=output)
evaluate_examples(predict, pairs, source, update, options, model, {}, "evaluating")
assert metrics.result()["bleu"] < 100
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.rest
def test_memory_does_not_grow_with_the_split(model, tmp_path):
    peaks = []
    for count in (5_000, 60_000):
        data, output = tmp_path / str(count), tmp_path / f"{count}.txt"
        data.mkdir()
        with open(data / "test.de", "w") as sources, open(data / "test.en", "w") as targets:
            for number in range(count):
                sources.write(f"{number} ein Wort\n")
                targets.write(f"{number} a Wort\n")
        command = [sys.executable, "-P", "-c", SCRIPT, str(data), str(model), str(output)]
        peaks.append(int(subprocess.run(command, capture_output=True, check=True, text=True).stdout))
        assert output.read_bytes() == (data / "test.de").read_bytes()
    assert peaks[1] - peaks[0] < 8_000  # kB; the strings and statistics of 55,000 pairs take more than 50,000
