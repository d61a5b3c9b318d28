import dataclasses
import itertools
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from keras_recurrent.apps import cli, load
from keras_recurrent.apps.shared.errors import ModelFolderError, UsageError
from keras_recurrent.apps.shared.images.backbones import configured_backbone
from keras_recurrent.apps.shared.text.tokenizers import fit_tokenizer
from keras_recurrent.apps.vqa import data, evaluation, model
from keras_recurrent.apps.vqa.config import Config
from keras_recurrent.datasets import DataError, encoded
from keras_recurrent.datasets.images import Question
from keras_recurrent.layers.fusion import FUSIONS

from .conftest import questions_of

PLAIN = """
loaded = tf.saved_model.load(export)
questions = tf.constant(questions)
contents = [open(path, "rb").read() for path in paths]
encoded, pixels = loaded.signatures["serving_default"], loaded.signatures["pixels"]
def values(answer):
    texts = [[text.decode() for text in row] for row in answer["answers"].numpy()]
    return [texts, answer["probabilities"].numpy().tolist()]
images = tf.stack([tf.io.decode_png(content, channels=3) for content in contents])
none = tf.constant([], tf.string)
print(json.dumps([
    values(encoded(image_bytes=tf.constant(contents), question=questions)),
    values(pixels(pixels=images, question=questions)),
    values(encoded(image_bytes=none, question=none)),
]))
"""


@pytest.fixture
def pairs(contents):
    """Encoded images, questions and right answers."""
    rows = [(content, *question) for name, content in contents.items() for question in questions_of(name)]
    images, questions, answers, _ = zip(*rows, strict=True)
    return list(images), list(questions), [" ".join(answer.lower().split()) for answer in answers]


@pytest.mark.rest
def test_answers_about_pictures_it_never_saw(saved, pairs):
    images, questions, right = pairs
    answers = load(saved).answer(images, questions)
    assert np.mean([found[0].text == answer for found, answer in zip(answers, right, strict=True)]) > 0.95
    for found in answers:
        assert len(found) == 5
        probabilities = [answer.probability for answer in found]
        assert probabilities == sorted(probabilities, reverse=True)
        assert 0 <= sum(probabilities) <= 1.001


@pytest.mark.rest
def test_folder_holds_all_that_is_needed(saved):
    names = {path.name for path in saved.iterdir()}
    assert names >= {"config.yaml", "model.keras", "questions.vocabulary.txt", "answers.txt", "commonest.json"}
    answers = (saved / "answers.txt").read_text().split()
    assert answers[0] == "no"  # the commonest


def untrained(config, **options):
    """An `Answerer` of a configuration with weights at random."""
    config = dataclasses.replace(config, **options)
    examples = data.with_answers(data.read(config, "train"), "train")
    texts = [question.text for example in examples for question in example.questions]
    tokenizer = fit_tokenizer(texts, config, "the questions have")
    answers = data.answer_vocabulary(examples, config)
    backbone = configured_backbone(config).model
    pixels = (config.image_size, config.image_size, 3)
    network = model.build(config, len(tokenizer), len(answers), pixels, backbone)
    return model.Answerer(config, network, tokenizer, answers)


CELLS = ["lstm", "gru", "simple_rnn"]  # the layers' tests have each with each
KINDS = [
    *({"fusion": fusion, "cell": cell} for fusion, cell in zip(FUSIONS, itertools.cycle(CELLS), strict=False)),
    {"tokenizer": "subwords", "vocabulary_size": 50, "num_layers": 2, "bidirectional": False},
]


@pytest.mark.parametrize("options", KINDS, ids=lambda options: options.get("fusion", "subwords"))
def test_every_kind_is_read_back(config, eagerly, tmp_path, pairs, options):
    answerer = untrained(config, **options)
    answerer.save_assets(tmp_path)
    answerer.model.save(tmp_path / "model.keras")
    images, questions, _ = (some[:6] for some in pairs)
    loaded = load(tmp_path)
    assert loaded.explain(images, questions) == answerer.explain(images, questions)
    assert loaded.config == answerer.config


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "gru", "tokenizer": "characters", "max_length": 30, "bidirectional": False, "label_smoothing": 0.1},
        pytest.param(
            {"cell": "simple_rnn", "precision": "mixed_bfloat16", "num_layers": 2, "modality": "image"},
            marks=pytest.mark.rest,
        ),
        pytest.param({"recurrent_dropout": 0.2, "modality": "question"}, marks=pytest.mark.rest),
    ],
    ids=lambda options: options.get("modality", "both"),
)
def test_every_kind_trains_and_is_read_back(config, eagerly, tmp_path, pairs, options):
    trained = model.train(dataclasses.replace(config, epochs=1, batch_size=240, **options), tmp_path)
    images, questions, _ = (some[:6] for some in pairs)
    for found, wanted in zip(load(tmp_path).answer(images, questions), trained.answer(images, questions), strict=True):
        assert [answer.text for answer in found] == [answer.text for answer in wanted]


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("modality", ["question", "image"])
def test_a_baseline_sees_one_side_alone(modality, fusion):
    network = model.build(Config(modality=modality, fusion=fusion), 30, 5, (2, 2, 8))
    features = np.random.default_rng(0).normal(size=(2, 2, 2, 8)).astype("float32")
    questions = np.array([[4, 5, 6, 7, 3], [8, 9, 3, 0, 0]] * 2)
    logits = network([features, np.array([0, 0, 1, 1]), questions]).numpy().reshape(2, 2, 5)  # image, question
    across_images, across_questions = logits[0] - logits[1], logits[:, 0] - logits[:, 1]
    unseen, seen = (across_images, across_questions)[:: 1 if modality == "question" else -1]
    np.testing.assert_allclose(unseen, 0, atol=1e-6)
    assert (np.abs(seen).max(axis=-1) > 1e-4).all()


@pytest.mark.rest
def test_a_question_only_model_neither_learns_to_look_nor_says_that_it_looked(config, eagerly, tmp_path, pairs):
    options = {"modality": "question", "fusion": "stacked_attention", "epochs": 1, "batch_size": 120}
    trained = model.train(dataclasses.replace(config, **options), tmp_path)
    backbone = trained.model.get_layer("image_encoder").backbone
    means = [weight.numpy() for weight in backbone.weights if weight.name == "moving_mean"]
    assert means
    assert not np.concatenate(means).any()  # as they began
    (first, *_, last), (question, *_), _ = pairs
    one, other = load(tmp_path).explain([first, last], [question, question])
    probabilities = [[answer["probability"] for answer in told["answers"]] for told in (one, other)]
    np.testing.assert_allclose(*probabilities, atol=1e-6)
    assert one["looks"] == other["looks"]
    assert np.ptp(one["looks"]) < 1e-3


@pytest.mark.rest
def test_features_are_computed_once_and_train_as_pixels_do(config, eagerly, tmp_path, backbone_file, pairs):
    images, questions, _ = pairs
    options = {"backbone": str(backbone_file), "epochs": 2, "dropout": 0.0, "batch_size": 120}
    options |= {"fusion": "stacked_attention"}
    probabilities = []
    for name, cache in (("pixels", None), ("cached", str(tmp_path / "cache"))):
        (tmp_path / name).mkdir()
        trained = model.train(dataclasses.replace(config, cache=cache, **options), tmp_path / name)
        answers = load(tmp_path / name).answer(images, questions)
        assert answers == trained.answer(images, questions)
        probabilities.append([answer[0].probability for answer in answers])
    np.testing.assert_allclose(probabilities[0], probabilities[1], atol=0.02)  # float16


@pytest.mark.rest
def test_explanations(saved, eagerly, pairs):
    images, questions, _ = (some[:3] for some in pairs)
    explanations = load(saved).explain(images, [*questions[:2], "xyzzy plugh"])
    assert [explanation["is_unknown"] for explanation in explanations] == [False, False, True]
    assert all(len(explanation["answers"]) == 5 for explanation in explanations)


@pytest.mark.parametrize(
    ("options", "hops"),
    [({"fusion": "add"}, 0), ({"fusion": "film"}, 1), ({"fusion": "stacked_attention", "hops": 3}, 3)],
)
def test_where_it_looked(config, eagerly, pairs, options, hops):
    images, questions, _ = (some[:3] for some in pairs)
    looking = untrained(config, **options)
    rows, columns = looking.grid
    for explanation in looking.explain(images, questions):
        looks = np.reshape(explanation["looks"], (-1, rows * columns))
        assert len(looks) == hops
        np.testing.assert_allclose(looks.sum(axis=1), 1, atol=0.01)


@pytest.mark.deploy
def test_export_answers_in_plain_tensorflow_as_the_python_object_does(saved, exported, plain_tensorflow, pictures):
    answerer = load(saved)
    paths = sorted((pictures / "images").glob("val-*"))[:3]
    questions = ["Which colour is it?", "Where is it?", "Is there a unicorn?"]
    encoded, pixels, none = plain_tensorflow(PLAIN, export=exported, paths=paths, questions=questions)
    expected = answerer.answer([path.read_bytes() for path in paths], questions)
    for texts, probabilities in (encoded, pixels):
        assert texts == [[answer.text for answer in answers] for answers in expected]
        wanted = [[answer.probability for answer in answers] for answers in expected]
        np.testing.assert_allclose(probabilities, wanted, rtol=1e-3, atol=1e-5)
    assert none == [[], []]


@pytest.mark.rest
def test_unusable_images_and_questions_in_an_export(exported, check_rows, pairs):
    (image, other, *_), (question, *_), _ = pairs
    long = "where is it " * 30
    rows = [
        (image, question, ""),
        (b"no image", question, "neither a JPEG nor a PNG image"),
        (image, "", "the question is empty"),
        (image, b"\xfe", "the question is not UTF-8"),
        (b"", "", "the image is empty"),
        (image, long, "the question has more than 60 tokens; the rest is ignored"),
        (other, question, ""),
    ]
    images, questions, errors = map(list, zip(*rows, strict=True))
    inputs = {"image_bytes": images, "question": questions}
    outputs = check_rows(exported, "serving_default", inputs, errors)
    assert outputs["answers"][[0, 5, 6]].all()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), "uint8")
    inputs = {"pixels": pixels, "question": [question, "", question]}
    check_rows(exported, "pixels", inputs, ["", "the question is empty", ""])


@pytest.mark.rest
def test_evaluate(saved, asked, eagerly, evaluate_in_shards, tmp_path, capsys):
    folder = tmp_path / "answers"
    shutil.copytree(saved, folder)
    beside = tmp_path / "answers-question"
    shutil.copytree(saved, beside)
    assert cli.main(["vqa", "evaluate", str(folder), "--split", "val"]) == 2
    assert "answers-question is not a baseline: it was not trained with --modality question" in capsys.readouterr().err
    text = (beside / "config.yaml").read_text()
    (beside / "config.yaml").write_text(text.replace("modality: both", "modality: question"))  # as if it had been
    answers = (beside / "answers.txt").read_text().splitlines()
    (beside / "answers.txt").write_text("\n".join(reversed(answers)) + "\n")  # and had learned nothing right
    assert cli.main(["vqa", "evaluate", str(folder), "--split", "val"]) == 0
    captured = capsys.readouterr()
    metrics = json.loads(captured.out.splitlines()[-1])
    assert metrics["accuracy"] > 0.95
    assert metrics["questions"] == 96
    assert metrics["images"] == 24
    assert set(metrics["by_question_type"]) == {"colour", "place", "existence"}
    assert set(metrics["by_answer_type"]) == {"yes/no", "other"}
    for groups in (metrics["by_question_type"].values(), metrics["by_answer_type"].values()):
        assert sum(group["questions"] for group in groups) == 96
        for measure in ("accuracy", "vqa_accuracy", "top_5_accuracy"):
            whole = sum(group["questions"] * group[measure] for group in groups) / 96
            assert whole == pytest.approx(metrics[measure], abs=2e-4)
    # Of four questions a picture, the first asks for one of three colours, the next two for one of two.
    assert metrics["baselines"]["commonest_answer"] == pytest.approx((0.5 + 2 / 3) / 4, abs=1e-3)
    assert metrics["baselines"]["commonest_answer_of_type"] == pytest.approx(
        (1 / 3 + 1 / 2 + 1 / 2 + 2 / 3) / 4, abs=1e-3
    )
    assert metrics["baselines"]["question_only"] < 0.2
    assert "image_only" not in metrics["baselines"]
    assert "--modality image --output answers-image" in captured.err
    assert (folder / "figures" / "confusion-val.png").read_bytes().startswith(b"\x89PNG")
    shutil.rmtree(beside)
    lines = evaluate_in_shards("vqa", folder)
    assert len(lines) == 96
    image, question, answer, *others = lines[0].split("\t")
    assert image.startswith("val-") and question == "Which colour is it?"
    assert answer in image and len(others) == 4


@pytest.mark.rest
def test_an_unknown_answer_is_wrong_and_no_answer_is_told(saved, asked, eagerly, tmp_path, capsys):
    lines = (asked / "val.tsv").read_text().splitlines()
    image = lines[1].split("\t")[0]
    (tmp_path / "images").symlink_to(asked / "images")
    rows = [f"{image}\tWhich colour is it?\tblue", f"{image}\tWhere is it?\tmauve", f"{image}\tIs it?\t "]
    (tmp_path / "test.tsv").write_text("image\tquestion\tanswer\n" + "\n".join(rows) + "\n")
    (tmp_path / "blind.tsv").write_text("image\tquestion\n" + "\n".join(row.rsplit("\t", 1)[0] for row in rows) + "\n")
    assert cli.main(["vqa", "evaluate", str(saved), "--data", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    metrics = json.loads(captured.out.splitlines()[-1])
    assert metrics["questions"] == 2
    assert metrics["accuracy"] == 0.5
    assert "1 questions without an answer are left out" in captured.err
    assert cli.main(["vqa", "evaluate", str(saved), "--data", str(tmp_path), "--split", "blind"]) == 2
    assert "blind: no question has an answer" in capsys.readouterr().err


@pytest.mark.rest
def test_predict(saved, eagerly, pictures, tmp_path, capsys):
    image = str(sorted((pictures / "images").glob("val-green-left-*"))[0])
    figure = tmp_path / "answer.png"
    arguments = [image, "Which colour is it?", image, " ", "no.png", "Where is it?", image, "Is it on the left?"]
    assert cli.main(["vqa", "predict", str(saved), *arguments, "--figure", str(figure)]) == 2
    captured = capsys.readouterr()
    answered = [f"{image}\tWhich colour is it?\tgreen", f"{image}\tIs it on the left?\tyes"]
    assert captured.out.splitlines() == answered
    assert "the question is empty" in captured.err
    assert "no.png: No such file" in captured.err
    assert "2 of 4 inputs could not be processed" in captured.err
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert cli.main(["vqa", "predict", str(saved), image, "Which colour is it?"]) == 0
    assert capsys.readouterr().out == "green\n"  # of one question the answer alone
    assert cli.main(["vqa", "predict", str(saved), image, "xyzzy plugh?", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["is_unknown"]
    assert told["question"] == "xyzzy plugh?"
    assert len(told["answers"]) == 5
    file, output = tmp_path / "pairs.tsv", tmp_path / "answers.tsv"
    file.write_text(f"{image}\tWhich colour is it?\n{image}\nno.png\tWhere is it?\n{image}\tIs it on the left?\n")
    assert cli.main(["vqa", "predict", str(saved), "--input", str(file), "--output", str(output)]) == 2
    captured = capsys.readouterr()
    assert (captured.out, output.read_text().splitlines()) == ("", answered)
    assert f"{image}: expected an image file, a tab and a question" in captured.err
    assert "no.png: No such file" in captured.err
    assert cli.main(["vqa", "predict", str(saved), image]) == 2
    assert "an image file and a question" in capsys.readouterr().err


@pytest.mark.rest
def test_each_image_has_a_question(saved, eagerly, pairs):
    images, questions, _ = pairs
    answerer = load(saved)
    assert answerer.answer([], []) == []
    with pytest.raises(ValueError, match="2 images and 1 questions"):
        answerer.answer(images[:2], questions[:1])
    functions, _ = answerer.signatures()
    answer = tf.function(functions["serving_default"][0])
    for count in (0, 2, 3):
        with pytest.raises(tf.errors.InvalidArgumentError, match="each image needs one question"):
            answer(tf.constant(images[:count], tf.string, shape=(count,)), tf.constant(questions[:1]))


def test_answers_are_measured_part_by_part():
    image, other = (encoded.Image(name, Path(name)) for name in ("a.png", "b.png"))
    rows = [
        *[(image, ["red"], "red\tmauve\tgreen")] * 5,
        *[(image, ["red"], "mauve\tgreen\tred")] * 3,
        (other, ["blue"], "red\tmauve\tgreen"),  # not in the vocabulary
        (other, ["blue", "green", "green", "blue"], "green\tred\tmauve"),  # as many said green
    ]
    questions = [evaluation.ImageQuestion(own, Question("What is it?", answers)) for own, answers, _ in rows]
    predictions = [prediction for *_, prediction in rows]
    metrics = evaluation.AnswerMetrics(["red", "mauve", "green"], Config())
    for part in (slice(0, 7), slice(7, 10)):
        metrics.update(questions[part], predictions[part])
    result = metrics.result()
    assert (metrics.images, result["questions"], result["accuracy"], result["top_5_accuracy"]) == (2, 10, 0.6, 0.9)
    assert result["by_question_type"]["what is"]["questions"] == 10
    answers, table = evaluation.confusion(metrics.pairs, classes=2)
    assert answers == ["red", "blue", "(other)"]  # of two that are as frequent, the first one
    assert table.tolist() == [[5, 0, 3], [1, 0, 0], [0, 0, 1]]
    answers, table = evaluation.confusion(Counter({("red", "red"): 2, ("blue", "red"): 1}))
    assert (answers, table.tolist()) == (["red", "blue"], [[2, 0], [1, 0]])
    with pytest.raises(UsageError, match="the prediction 'pink' is not an answer of the model"):
        metrics.update(questions[:1], ["pink\tred\tgreen"])
    with pytest.raises(UsageError, match="expected 3 answers"):
        metrics.update(questions[:1], ["red"])


def test_validation_needs_answers(asked, tmp_path):
    (tmp_path / "images").symlink_to(asked / "images")
    shutil.copy(asked / "train.tsv", tmp_path)
    rows = [line.split("\t")[:2] for line in (asked / "val.tsv").read_text().splitlines()]
    (tmp_path / "val.tsv").write_text("\n".join("\t".join(row) for row in rows) + "\n")
    with pytest.raises(DataError, match="validation: no question has an answer"):
        model.train(Config(data=str(tmp_path), image_size=32), tmp_path / "model")


@pytest.mark.rest
def test_folder_that_was_changed(saved, tmp_path):
    folder = tmp_path / "answers"
    shutil.copytree(saved, folder)
    (folder / "answers.txt").write_text("yes\nno\n")
    with pytest.raises(ModelFolderError, match=r"answers\.txt does not fit the model: it has 2 entries, not 7"):
        load(folder)
    (folder / "answers.txt").unlink()
    with pytest.raises(ModelFolderError, match=r"missing: answers\.txt"):
        load(folder)
