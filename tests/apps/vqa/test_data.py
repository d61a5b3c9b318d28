import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from keras_recurrent.apps.shared.images.pixels import pixel_reader
from keras_recurrent.apps.shared.text.tokenizers import WordTokenizer
from keras_recurrent.apps.vqa import data
from keras_recurrent.datasets import DataError
from keras_recurrent.datasets.images import ImageWithQuestions, Question

ANSWERS = ["no", "yes", "red", "green", "blue", "on the left"]  # but not "on the right"


def batches_of(config, split):
    examples = data.read(config, split)
    tokenizer = WordTokenizer.fit([q.text for example in examples for q in example.questions], 100)
    reader = pixel_reader([example.image for example in examples], config.image_size)
    return examples, tokenizer, data.batches(examples, reader, tokenizer, ANSWERS, config, split)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_batches_hold_each_image_once_with_all_its_questions(config, split):
    examples, tokenizer, batches = batches_of(config, split)
    reader = pixel_reader([example.image for example in examples], config.image_size)
    name_of = {reader([place])[0].tobytes(): example.image.name for place, example in enumerate(examples)}
    wanted = sorted(
        (example.image.name, question.text, (*question.answers,))
        for example in examples
        for question in example.questions
    )
    orders = []
    for epoch in (0, 1, 0):
        batches.epoch = epoch
        found, names = [], []
        for (pixels, owners, ids), counts, weights in batches:
            assert len(pixels) == 6
            assert weights.tolist() == [1] * len(ids)
            texts = [*map(tokenizer.decode, ids)]
            assert counts.sum(axis=1).tolist() == [1.0] * len(texts)
            names += [name_of[image.tobytes()] for image in pixels]
            for owner, text, count in zip(owners, texts, counts, strict=True):
                answer = [*ANSWERS, "on the right"][count.argmax()]
                found.append((name_of[pixels[owner].tobytes()], text, answer))
        assert len(names) == len(set(names)) == len(examples)
        clean = [(name, text, data.clean(answer, config)) for name, text, (answer,) in wanted]
        assert sorted(found) == sorted(clean)
        assert len(batches) == len(examples) // 6
        orders.append(names)
    assert orders[0] == orders[2]
    assert (orders[0] == orders[1]) == (split == "validation")


def test_several_annotators_are_counted(config, tmp_path):
    rows = ["a.png\tWhere?\tyes", "a.png\tWhere?\tNO", "a.png\tWhere?\tno", "a.png\tWhere?\tdunno"]
    (tmp_path / "train.tsv").write_text("image\tquestion\tanswer\n" + "\n".join(rows) + "\n")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(data.read(config, "train")[0].image.read())
    _, _, batches = batches_of(dataclasses.replace(config, data=str(tmp_path)), "train")
    (((_, owners, _), counts, _),) = batches
    np.testing.assert_array_equal(counts, [[2, 1, 0, 0, 0, 0, 1, 0]])
    np.testing.assert_array_equal(owners, [0])


def test_answers_that_the_model_does_not_know():
    counts = data.target_counts(Counter(["blue", "mauve", "mauve", "cyan", "red"]), {"red": 0, "blue": 1})
    np.testing.assert_array_equal(counts, [1, 1, 2, 1])
    np.testing.assert_array_equal(data.target_counts(Counter(["red"]), {"red": 0, "blue": 1}), [1, 0, 0, 0])


def test_answers_by_how_common_they_are(config):
    examples = [
        ImageWithQuestions(None, [Question("a", ["Yes", "yes"]), Question("b", ["no"]), Question("c", ["two  dogs"])])
    ]
    assert data.answer_vocabulary(examples, config) == ["yes", "no", "two dogs"]
    assert data.answer_vocabulary(examples, dataclasses.replace(config, answers=2)) == ["yes", "no"]
    with pytest.raises(DataError, match="no question has an answer"):
        data.answer_vocabulary([ImageWithQuestions(None, [Question("a")])], config)


def test_types():
    assert data.question_type(Question("How many dogs are there?")) == "how many"
    assert data.question_type(Question("How many dogs are there?", kind="count")) == "count"
    assert data.question_type(Question("What's this? Is it?")) == "what's this"
    assert [data.answer_type(answer) for answer in ("yes", "no", "2", "two", "a dog")] == [
        "yes/no",
        "yes/no",
        "number",
        "number",
        "other",
    ]


def test_what_cannot_be_used_is_named_and_counted(config, tmp_path, capsys):
    lines = (Path(config.data) / "train.tsv").read_text().splitlines()
    lines += ["missing.png\tWhere is it?\there\tplace", "text.png\tWhere is it?\there\tplace"]
    lines.append(lines[1].split("\t")[0] + "\t \tyes\texistence")
    (tmp_path / "train.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "images").mkdir()
    for example in data.read(config, "train"):
        (tmp_path / "images" / example.image.name).write_bytes(example.image.read())
    (tmp_path / "images" / "text.png").write_text("no image")
    broken = dataclasses.replace(config, data=str(tmp_path))
    capsys.readouterr()
    assert len(data.read(broken, "train")) == 60
    told = capsys.readouterr().err
    assert "train: 1 questions without text are left out" in told
    assert "train: 1 of 62 images left out: no such file: missing.png" in told
    assert "train: 1 of 62 images left out: not an image: text.png" in told
    with pytest.raises(DataError, match="train: 1 questions have no text"):
        data.read(dataclasses.replace(broken, strict=True), "train")
