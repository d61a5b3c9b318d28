"""The classifier of time series from end to end, on generated waves that it learns in seconds."""

import dataclasses
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras_recurrent.apps import cli, load
from keras_recurrent.apps.classification import model, series, series_data
from keras_recurrent.apps.classification.config import Config
from keras_recurrent.datasets import DataError
from keras_recurrent.datasets.columns import Arrays
from keras_recurrent.datasets.labelled_series import parse_series, read_labelled_series

CHANNELS = 2
PLAIN = """
loaded = tf.saved_model.load(export)
outputs = loaded.signatures["serving_default"](numbers=tf.constant(numbers, tf.float32))
print(json.dumps([[x.decode() for x in outputs["label"].numpy()], outputs["probabilities"].numpy().tolist()]))
"""


def text_of(values):
    """A series as a row of a `.ts` file without its label."""
    rows = (",".join("?" if np.isnan(x) else f"{x:.4g}" for x in channel) for channel in values.T)
    return ":".join(rows)


def wave(generator, label):
    """A rising or falling line with noise in one channel, noise in the other; 9 to 16 steps, some numbers missing."""
    steps = int(generator.integers(9, 17))
    line = np.linspace(-1, 1, steps) * (1 if label == "up" else -1)
    values = np.stack([100 + 5 * line, generator.normal(size=steps)], axis=1) + 0.3 * generator.normal(size=(steps, 2))
    values[generator.random((steps, 2)) < 0.05] = np.nan
    values[-1] = 100 + 5 * line[-1], 0.0
    return values.astype("float32")


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    """A folder with 60 series to learn from and 30 to test on."""
    folder, generator = tmp_path_factory.mktemp("waves"), np.random.default_rng(0)
    for split, count in {"TRAIN": 60, "TEST": 30}.items():
        labels = ["up", "down"] * (count // 2)
        rows = [f"{text_of(wave(generator, label))}:{label}" for label in labels]
        lines = ["@problemName waves", "@missing true", "@classLabel true up down", "@data", *rows]
        (folder / f"Waves_{split}.ts").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def config(waves):
    return Config(
        inputs="series",
        data=str(waves),
        validation_split=0.2,
        convolutions=1,
        filters=8,
        kernel_size=3,
        pool_convolutions=True,
        units=8,
        segment=2,
        members=2,
        noise=0.05,
        warping=0.1,
        steps_per_epoch=12,
        batch_size=8,
        epochs=4,
        patience=4,
        learning_rate=0.02,
        cell="gru",
    )


def test_suggested_prediction_reads_the_test_file(config, waves):
    assert config.example == ("predict", "--input", str(waves / "Waves_TEST.ts"))
    assert dataclasses.replace(config, data="gone").example == ("predict", "--input", "new.csv")


@pytest.fixture(scope="module")
def saved(config, shared_folder):
    return shared_folder("waves", lambda folder: model.train(config, folder))


@pytest.fixture(scope="module")
def classifier(saved):
    return load(saved)


def test_labels_series_it_never_saw(classifier, waves):
    arrays, labels = zip(*read_labelled_series(waves, "test"), strict=True)
    assert isinstance(classifier, series.SeriesClassifier) and classifier.channels == CHANNELS
    answers = classifier.classify(list(arrays))
    assert [answer.label for answer in answers] == list(labels)
    for values, explanation in zip(arrays, classifier.explain(list(arrays)), strict=True):
        assert len(explanation["weights"]) == -(-len(values) // 2)
        np.testing.assert_allclose(sum(explanation["weights"]), 1, atol=1e-3)
        np.testing.assert_allclose(sum(explanation["probabilities"].values()), 1, atol=1e-5)


def test_padding_and_company_change_nothing(classifier, waves):
    arrays = [values for values, _ in read_labelled_series(waves, "test")[:5]]
    together = classifier.explain(arrays)
    for values, explanation in zip(arrays, together, strict=True):
        longer = np.pad(values, ((0, 7), (0, 0)), constant_values=np.nan)
        for alone in (values, longer):
            (own,) = classifier.explain([alone])
            np.testing.assert_allclose(own["probabilities"]["up"], explanation["probabilities"]["up"], atol=1e-5)


OTHERS = [
    {"standardize": "series", "convolutions": 0, "pool_convolutions": False, "segment": 1, "pooling": "last"},
    {"standardize": "none", "convolutions": 2, "pooling": "mean", "num_layers": 2, "bidirectional": False},
    {"pooling": "max", "cell": "lstm", "pool_convolutions": False, "members": 1},
]


@pytest.mark.parametrize("options", OTHERS, ids=lambda options: options["pooling"])
def test_other_options_are_read_back(options, config, waves, eagerly, tmp_path):
    config = dataclasses.replace(config, **options)
    examples = {split: read_labelled_series(waves, "train") for split in ("train", "validation")}
    classifier, _ = model.class_of("series").of_examples(config, examples, ["down", "up"])
    classifier.save_assets(tmp_path)
    classifier.model.save(tmp_path / "model.keras")
    arrays = [np.array([[1.0, 2.0], [np.nan, 5.0], [3.0, np.nan]], "float32")]
    expected, loaded = (own.explain(arrays) for own in (classifier, load(tmp_path)))
    for name, probability in expected[0]["probabilities"].items():
        np.testing.assert_allclose(loaded[0]["probabilities"][name], probability, atol=1e-6)
    assert np.isfinite(list(expected[0]["probabilities"].values())).all()


def test_pooled_convolutions_are_their_mean_over_the_steps(config):
    config = dataclasses.replace(config, convolutions=2, members=1)
    network = series.build(config, np.zeros(1), np.ones(1), num_labels=2, has_missing=False)
    numbers = np.random.default_rng(0).normal(size=(2, 9, 1)).astype("float32")
    numbers[1, 5:] = np.nan  # a shorter series
    last = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)][-2]
    parts = [last.output, network.get_layer("pooled").input[0], network.get_layer("labels").input]
    normalized, pooled, features = map(np.array, keras.Model(network.input, parts)(numbers))
    expected = [np.maximum(row[:steps], 0).mean(axis=0) for row, steps in zip(normalized, (9, 5), strict=True)]
    np.testing.assert_allclose(pooled, expected, atol=1e-6)
    assert features.shape[1] == 2 * config.units + config.filters
    np.testing.assert_allclose(features[:, -config.filters :], pooled / np.sqrt(1.001), atol=1e-6)  # untrained


def test_members_decide_together(classifier, waves):
    arrays = [values for values, _ in read_labelled_series(waves, "test")[:5]]
    numbers = series_data.padded(arrays, CHANNELS, jit=False)
    network = classifier.model
    names = [f"{name}{suffix}" for suffix in ("", "_1") for name in ("labels", "pooling")]
    outputs = keras.Model(network.input, [network.get_layer(name).output for name in names])(numbers)
    (logits, (_, weights)), (other_logits, (_, other_weights)) = outputs[:2], outputs[2:]
    expected = (keras.ops.softmax(logits) + keras.ops.softmax(other_logits)) / 2
    assert np.abs(np.array(logits) - np.array(other_logits)).max() > 0.1
    answers = classifier.core(numbers)
    np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-6)
    np.testing.assert_allclose(answers["weights"], (np.array(weights) + np.array(other_weights)) / 2, atol=1e-6)


def test_the_loss_is_the_mean_of_the_members_and_the_accuracy_that_of_their_mean():
    # Of the first example, the mean of the probabilities favors label 1, unlike the first member and the mean logits.
    logits = np.array([[[9, 0], [0, 2], [0, 2]], [[1, 0], [1, 0], [1, 0]]], "float32")
    targets, weights = np.array([1, 1]), np.array([1.0, 3.0])
    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)
    losses = np.mean([crossentropy(targets, member) for member in logits.swapaxes(0, 1)], axis=0)
    loss = model.LabelCrossentropy(reduction="sum_over_batch_size")
    np.testing.assert_allclose(loss(targets, logits, weights), np.mean(losses * weights), rtol=1e-6)
    np.testing.assert_allclose(loss(targets, logits[:, 0]), np.mean(crossentropy(targets, logits[:, 0])), rtol=1e-6)
    accuracy = model.LabelAccuracy()
    accuracy.update_state(targets, logits, weights)
    np.testing.assert_allclose(accuracy.result(), 0.25)


@pytest.mark.parametrize(("monitor", "kept"), [("loss", 1), ("none", 2)])
def test_which_epoch_is_kept_if_none_is_better(monitor, kept, config, tmp_path, capsys):
    still = {"convolutions": 0, "pool_convolutions": False, "learning_rate": 1e-30, "steps_per_epoch": 1, "epochs": 2}
    model.train(dataclasses.replace(config, monitor=monitor, **still), tmp_path)
    errors = capsys.readouterr().err
    assert f"kept epoch {kept} of 2" in errors and errors.count("best so far") == (monitor == "loss")


@pytest.mark.parametrize(("train_on_validation", "expected"), [(False, 48), (True, 60)])
def test_training_on_the_validation_data(train_on_validation, expected, config, tmp_path, monkeypatch):
    read = []
    of_examples = series.SeriesClassifier.of_examples

    def spy(config, examples, labels):
        read.append({split: list(rows) for split, rows in examples.items()})
        return of_examples(config, examples, labels)

    monkeypatch.setattr(series.SeriesClassifier, "of_examples", spy)
    small = {"steps_per_epoch": 1, "epochs": 1, "members": 1, "convolutions": 0, "pool_convolutions": False}
    options = {"monitor": "none", "train_on_validation": train_on_validation}
    model.train(dataclasses.replace(config, **small, **options), tmp_path)
    assert len(read[0]["train"]) == expected and len(read[0]["validation"]) == 12
    texts = [[text_of(values) for values, _ in read[0][split]] for split in ("train", "validation")]
    assert set(texts[1]) <= set(texts[0]) or not train_on_validation


def standardized(option, numbers):
    """What the layers after the standardization read."""
    means, deviations = np.array([1.0, -2.0]), np.array([2.0, 0.5])
    config = Config(inputs="series", data="x", standardize=option)
    is_known = np.equal(numbers, numbers)
    return np.array(series._standardized(numbers, is_known, config, means, deviations))


def test_standardization_is_its_formula():
    numbers = np.array([[[1, 7], [3, np.nan], [8, 1]], [[5e6, 1], [5e6, 2], [5e6, 3]]], "float32")
    expected = (numbers - np.array([1.0, -2.0])) / np.array([2.0, 0.5])
    np.testing.assert_allclose(standardized("training", numbers), np.nan_to_num(expected), rtol=1e-5)
    np.testing.assert_allclose(standardized("none", numbers), np.nan_to_num(numbers))
    expected = (numbers - np.nanmean(numbers, 1, keepdims=True)) / (np.nanstd(numbers, 1, keepdims=True) + 1e-9)
    np.testing.assert_allclose(standardized("series", numbers), np.nan_to_num(expected), atol=1e-4)


def all_batches(config, split="train", epoch=0, count=10):
    generator = np.random.default_rng(5)
    arrays = Arrays(generator.normal(size=(int(steps), 2)) for steps in generator.integers(3, 9, size=count))
    labels = ["a", "b"] * (count // 2)
    batches = series_data.batches(arrays, labels, ["a", "b"], np.array([1.0, 3.0]), config, split)
    batches.epoch = epoch
    return arrays, list(batches), len(batches)


def test_an_epoch_determines_its_batches(config):
    first, again, other = (all_batches(config, epoch=epoch)[1] for epoch in (0, 0, 1))
    for batch, same in zip(first, again, strict=True):
        for array, expected in zip(batch, same, strict=True):
            np.testing.assert_array_equal(array, expected)
    assert not np.array_equal(first[0][0], other[0][0], equal_nan=True)
    assert len(first) == 12 and all(len(batch[1]) == 8 for batch in first)


def test_validation_batches_are_the_series(config):
    arrays, batches, count = all_batches(config, "validation")
    assert count == len(batches) == 2
    rows = [row for numbers, *_ in batches for row in numbers]
    for row, values in zip(rows, arrays, strict=True):
        np.testing.assert_array_equal(row[: len(values)], values.astype("float32"))
        assert np.isnan(row[len(values) :]).all()


def test_an_epoch_reads_each_series_once_by_default(config):
    config = dataclasses.replace(config, steps_per_epoch=None, noise=0.0, warping=0.0)
    arrays, batches, count = all_batches(config)
    assert count == 2
    read = sorted(float(row[0, 0]) for numbers, *_ in batches for row in numbers)
    assert read == pytest.approx(sorted(float(values[0, 0]) for values in arrays), rel=1e-6)


def test_noise_is_relative_to_the_channel(config):
    config = dataclasses.replace(config, steps_per_epoch=None, warping=0.0, noise=0.1)
    noise = [all_batches(config, epoch=epoch)[1] for epoch in range(200)]
    plain = [all_batches(dataclasses.replace(config, noise=0.0), epoch=epoch)[1] for epoch in range(200)]
    differences = np.concatenate(
        [(a[0] - b[0]).reshape(-1, 2) for x, y in zip(noise, plain, strict=True) for a, b in zip(x, y, strict=True)]
    )
    np.testing.assert_allclose(np.nanstd(differences, axis=0), [0.1, 0.3], rtol=0.05)


def test_warping_keeps_the_ends_and_the_order():
    rng = np.random.default_rng(0)
    line = np.arange(20.0)[:, np.newaxis]
    warped = [series_data.warped(line, 0.2, rng)[:, 0] for _ in range(50)]
    for values in warped:
        assert values[0] == 0 and values[-1] == pytest.approx(19) and (np.diff(values) > 0).all()
    assert 0.5 < np.std([values[10] for values in warped]) < 3
    np.testing.assert_array_equal(series_data.warped(line[:1], 0.2, rng), line[:1])


def test_rare_labels_weigh_more(config):
    arrays = Arrays([np.zeros((3, 2))] * 4)
    config = dataclasses.replace(config, class_weights=True, steps_per_epoch=None)
    for split, expected in (("train", {0: 2 / 3, 1: 2.0}), ("validation", {0: 1.0, 1: 1.0})):
        batches = series_data.batches(arrays, ["a", "a", "a", "b"], ["a", "b"], np.ones(2), config, split)
        ((_, labels, weights),) = batches
        assert dict(zip(labels.tolist(), weights.tolist(), strict=True)) == pytest.approx(expected)


@pytest.mark.rest
def test_resumed_training_gives_the_same_weights(config, tmp_path, killed_after):
    config = dataclasses.replace(config, epochs=2)
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = model.train(config, tmp_path / "whole").model.get_weights()
    with killed_after(1):
        model.train(config, tmp_path / "parts")
    for weight, expected in zip(model.train(config, tmp_path / "parts").model.get_weights(), whole, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.deploy
@pytest.mark.parametrize("format", ["onnx", "litert"])
def test_exports_classify_as_the_python_object(format, saved, classifier, tmp_path):
    texts = ["99,101,-.5,3:0,?,2,1", "-1,2,?:1,2,3"]
    assert cli.main(["classification", "export", str(saved), "--format", format, "--to", str(tmp_path / "export")]) == 0
    command = [sys.executable, tmp_path / "export" / "runner.py", *texts]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    expected = classifier.explain([parse_series(text) for text in texts])
    for line, text, own in zip(lines, texts, expected, strict=True):
        answer = json.loads(line)
        assert (answer["series"], answer["label"]) == (text, own["label"])
        assert answer["probabilities"] == pytest.approx(own["probabilities"], abs=1e-5)
        assert answer["weights"] == pytest.approx(own["weights"], abs=2e-4)


@pytest.mark.rest
def test_command_line(saved, waves, evaluate_in_shards, tmp_path, capsys):
    texts = [text_of(values) for values, _ in read_labelled_series(waves, "test")[:3]]
    labels = ["up", "down", "up"]
    assert cli.main(["classification", "predict", str(saved), *texts]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == labels and [row[2] for row in rows] == texts
    assert cli.main(["classification", "predict", str(saved), "-1,2:3,4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["series"] == "-1,2:3,4"
    file = waves / "Waves_TEST.ts"
    assert cli.main(["classification", "predict", str(saved), "--input", str(file), "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(answers) == 30 and [answer["label"] for answer in answers[:3]] == labels
    assert answers[0]["series"] == f"{file}, line 5"
    lines = []
    for part in ("1/2", "2/2"):
        output = tmp_path / f"{part[0]}.tsv"
        options = ["--input", str(file), "--shard", part, "--output", str(output)]
        assert cli.main(["classification", "predict", str(saved), *options]) == 0
        lines += output.read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == [answer["label"] for answer in answers]
    outputs = evaluate_in_shards("classification", saved, "test")
    assert outputs == [answer["label"] for answer in answers]
    assert cli.main(["classification", "evaluate", str(saved)]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["accuracy"] == 1 and metrics["series"] == 30 and metrics["series_per_second"] > 0
    assert (saved / "figures" / "confusion-test.png").exists()


MISTAKES = [
    (["predict", "{saved}", "1,a:2,3"], "1,a:2,3: the series, channel 1, step 2: 'a' is not a finite number"),
    (["predict", "{saved}", "1,2"], "1,2: a series has 1 channels; the model reads 2"),
    (["predict", "{saved}", "?:?"], "?:?: the series: there is no number"),
    (["predict", "{saved}", "1:2", "--input", "x.ts"], "give the inputs as arguments or in the file --input, not both"),
    (["predict", "{saved}", "--input", "x.ts"], "x.ts: there is no such file"),
    (["evaluate", "{saved}", "--baseline", "words"], "--baseline is for texts"),
    (["train", "--inputs", "series", "--output", "x"], "--inputs series requires --data"),
    (["train", "--monitor", "none", "--average-last", "2", "--output", "x"], "--average-last requires --monitor loss"),
    (["train", "--train-on-validation", "--output", "x"], "--train-on-validation requires --monitor none"),
    (["train", "--pool-convolutions", "--output", "x"], "--pool-convolutions requires --convolutions"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_gives_one_clear_line(arguments, message, saved, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["classification", *(argument.format(saved=saved) for argument in arguments)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "could not be processed" not in line]
    assert len(lines) == 1 and message in lines[0]


def test_splits_with_other_channels_or_labels(config, tmp_path, capsys):
    (tmp_path / "train.tsv").write_text("a\t1\t2\nb\t3\t4\na\t1\t2\nb\t3\t4\n")
    header = "unique_id,ds,label,x,y\n"
    for rows, message in (
        ("s,1,a,1,2\nt,1,b,1,2\n", "validation: the series have 2 channels, but 1 in train"),
        ("s,1,a,1,2\nt,1,c,1,2\n", "the label 'b' is in the split 'train', but not in 'validation'"),
    ):
        (tmp_path / "val.csv").write_text(header + rows)
        options = ["--inputs", "series", "--data", str(tmp_path), "--output", str(tmp_path / "model")]
        assert cli.main(["classification", "train", *options]) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_channel_without_numbers():
    with pytest.raises(DataError, match="channel 2 has no number"):
        series._statistics(Arrays([np.array([[1.0, np.nan]])]))


@pytest.mark.deploy
def test_export_in_plain_tensorflow(classifier, waves, exported, plain_tensorflow):
    arrays = [values for values, _ in read_labelled_series(waves, "test")[:2]]
    numbers = series_data.padded(arrays, CHANNELS).tolist()
    labels, probabilities = plain_tensorflow(PLAIN, export=exported, numbers=numbers)
    expected = classifier.explain(arrays)
    assert labels == [answer["label"] for answer in expected] == ["up", "down"]
    np.testing.assert_allclose(
        probabilities, [list(answer["probabilities"].values()) for answer in expected], atol=1e-5
    )


@pytest.mark.rest
def test_unusable_series_in_an_export(exported, check_rows):
    numbers = np.array([[[1, 2]], [[np.nan, np.nan]], [[np.inf, 1]], [[3, np.nan]]], "float32")
    errors = ["", "the series has no number", "a number is infinite", ""]
    check_rows(exported, "serving_default", {"numbers": numbers}, errors)


@pytest.mark.deploy
@pytest.mark.parametrize("format", ["onnx", "litert", "openvino"])
def test_the_runner_prints_what_predict_prints(format, saved, classifier, tmp_path):
    export = ["classification", "export", str(saved), "--format", format, "--to", str(tmp_path / "export")]
    assert cli.main(export) == 0
    texts = ["99,98,97,96:0,1,?,0", "99,100,104,?:?,0,0,", "1,2", "1,x:2,3"]
    command = [sys.executable, tmp_path / "export" / "runner.py", *texts]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    *_, channels, numbers = result.stderr.splitlines()
    assert channels == "runner.py: 1,2: a series has 1 channels; the model reads 2"
    assert numbers.startswith("runner.py: 1,x:2,3: not numbers separated by commas")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    expected = classifier.explain([parse_series(text) for text in texts[:2]])
    for text, answer, wanted in zip(texts, answers, expected, strict=False):
        assert (answer["series"], answer["label"]) == (text, wanted["label"])
        assert answer["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-5)
        assert answer["weights"] == pytest.approx(wanted["weights"], abs=2e-4)


@pytest.mark.deploy
@pytest.mark.parametrize("quantize", ["float16", "int8"])
def test_smaller_weights(quantize, saved, classifier, tmp_path):
    export = ["classification", "export", str(saved), "--format", "keras", "--quantize", quantize]
    assert cli.main([*export, "--to", str(tmp_path / "small")]) == 0
    arrays = [parse_series("99,98,97,96:0,1,?,0")]
    (expected,), (answer,) = classifier.explain(arrays), load(tmp_path / "small").explain(arrays)
    assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=0.05)
