"""Images with captions or questions, from folders and from TensorFlow Datasets."""

import gzip
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from keras_recurrent.datasets import DataError
from keras_recurrent.datasets.images import Question, read_captions, read_questions
from keras_recurrent.datasets.shapes import splits
from keras_recurrent.datasets.shapes.captions import captions
from keras_recurrent.datasets.shapes.configurations import VERSION
from keras_recurrent.datasets.shapes.drawing import draw
from keras_recurrent.datasets.shapes.questions import questions
from keras_recurrent.datasets.tables import read_table

ROWS = 'image\tcaption\na.jpg\tA dog .\nb.jpg\ta cat\na.jpg\t a "quoted" hound \nb.jpg\t\nc.jpg\t \n'


def names_and_captions(data, split="train"):
    return [(example.image.name, example.captions) for example in read_captions(data, split)]


def test_rows_of_an_image_are_its_captions(tmp_path):
    (tmp_path / "train.tsv").write_text(ROWS)
    assert names_and_captions(tmp_path) == [
        ("a.jpg", ["A dog .", 'a "quoted" hound']),
        ("b.jpg", ["a cat"]),
        ("c.jpg", []),
    ]


def test_images_are_read_on_demand(tmp_path):
    (tmp_path / "train.tsv").write_text(ROWS)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"content of a")
    first, second, _ = read_captions(str(tmp_path), "train")
    assert first.image.read() == b"content of a"
    assert first.scene is None
    with pytest.raises(FileNotFoundError):
        second.image.read()


def test_gzip_byte_order_mark_crlf_and_other_columns_are_accepted(tmp_path):
    content = "\ufeffcaption\trating\timage\r\na dog\t5\ta.jpg\r\n"
    (tmp_path / "dev.tsv.gz").write_bytes(gzip.compress(content.encode()))
    assert names_and_captions(tmp_path, "validation") == [("a.jpg", ["a dog"])]
    assert [*read_table(tmp_path, "dev", ("rating",))] == [("5",)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "image\ttext\na.jpg\ta dog\n",
            r"train\.tsv: no column 'caption' in the first line; the columns are image, text",
        ),
        ("image\tcaption\na.jpg a dog\n", r"train\.tsv, line 2: expected 2 values separated by tabs, got 1"),
        ("image\tcaption\na.jpg\ta\tdog\n", r"line 2: expected 2 values separated by tabs, got 3"),
        ("", r"train\.tsv: the file is empty"),
    ],
)
def test_broken_tables(tmp_path, content, message):
    (tmp_path / "train.tsv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_captions(tmp_path, "train")


def test_missing_data(tmp_path):
    (tmp_path / "train.tsv").write_text(ROWS)
    with pytest.raises(DataError, match="no split 'test'; available splits: train"):
        read_captions(tmp_path, "test")
    with pytest.raises(DataError, match="is a file; expected a folder"):
        read_captions(tmp_path / "train.tsv", "train")
    with pytest.raises(DataError, match="'/no/place' is neither a folder nor a TFDS data set"):
        read_captions("/no/place", "train")


def test_data_set_without_captions():
    with tfds.testing.mock_data(), pytest.raises(DataError, match="'mnist' has no captions"):
        read_captions("mnist", "train")


def test_coco_captions_by_name(tmp_path):
    """Uses examples of its own, because the mock of TFDS generates unequal numbers of texts and ids."""
    pictures = [np.full((5 + n, 7, 3), 40 * n, "uint8") for n in range(3)]
    texts = [["a dog", "a hound "], ["two cats"], [""]]

    def examples(builder, split, decoders=None, **_):
        features = decoders.extract_features(builder.info.features)
        assert set(features) == {"image", "image/filename", "captions"}

        def generate():
            for n, (picture, of_picture) in enumerate(zip(pictures, texts, strict=True)):
                yield {
                    "image": tf.io.encode_png(picture).numpy(),
                    "image/filename": f"{n}.png",
                    "captions": {"text": of_picture, "id": list(range(len(of_picture)))},
                }

        strings, numbers = tf.TensorSpec((None,), tf.string), tf.TensorSpec((None,), tf.int64)
        scalar = tf.TensorSpec((), tf.string)
        signature = {"image": scalar, "image/filename": scalar, "captions": {"text": strings, "id": numbers}}
        return tf.data.Dataset.from_generator(generate, output_signature=signature)

    with tfds.testing.mock_data(as_dataset_fn=examples, policy=tfds.testing.MockPolicy.USE_CODE):
        read = read_captions("coco_captions/2014", "validation")
    assert [example.image.name for example in read] == ["0.png", "1.png", "2.png"]
    assert [example.captions for example in read] == [["a dog", "a hound"], ["two cats"], []]
    for example, picture in zip(read, pictures, strict=True):
        np.testing.assert_array_equal(tf.io.decode_png(example.image.read()), picture)


def test_generated_images_by_name(cache_folder, monkeypatch):
    scenes = {split: splits.scenes(split, 3) for split in splits.SIZES}
    monkeypatch.setattr(splits, "scenes", scenes.get)
    examples = {example.image.name: example for example in read_captions("shapes", "test")}
    with_questions = {example.image.name: example for example in read_questions("shapes", "test")}
    assert sorted(examples) == sorted(with_questions) == ["test-00000.png", "test-00001.png", "test-00002.png"]
    for name, scene, about in zip(sorted(examples), scenes["test"], questions(scenes["test"]), strict=True):
        assert examples[name].captions == list(captions(scene))
        assert examples[name].scene == scene.to_json()
        np.testing.assert_array_equal(tf.io.decode_png(examples[name].image.read()), np.asarray(draw(scene)))
        read = [(question.text, question.answers, question.kind) for question in with_questions[name].questions]
        assert read == [(question.text, [question.answer], question.type) for question in about]
    monkeypatch.setattr(splits, "scenes", None)  # what was generated is read again
    assert [example.image.name for example in read_captions("shapes/64", "test")] == sorted(examples)
    assert sorted(path.name for path in (cache_folder / "shapes" / VERSION / "64" / "test").iterdir()) == [
        "images",
        "texts.jsonl.gz",
    ]


def test_a_generated_set_that_does_not_exist(cache_folder):
    with pytest.raises(DataError, match="'shapes' has no configuration '32'; its configurations are 64, 128, relat"):
        read_captions("shapes/32", "test")
    with pytest.raises(DataError, match="'negation' has no configuration 'x'"):
        read_questions("negation/x", "test")
    with pytest.raises(DataError, match="'negation' has no questions; its features are label, text"):
        read_questions("negation", "test")
    with pytest.raises(DataError, match="'shapes/relational': no split 'test_unseen'"):
        read_questions("shapes/relational", "test_unseen")
    cache_folder.parent.write_text("")
    with pytest.raises(DataError, match=r"'shapes/relational' cannot be written to .*: Not a directory"):
        read_questions("shapes/relational", "test")


QUESTIONS = (
    "image\tquestion\tanswer\na.jpg\tWhat is it?\tdog\na.jpg\tWhere?\tin the park\n"
    "a.jpg\tWhat is it?\thound\nb.jpg\tWhat is it?\t \n"
)


def names_and_questions(data, split="train"):
    return [
        (image.image.name, [(question.text, question.answers, question.kind) for question in image.questions])
        for image in read_questions(data, split)
    ]


def test_rows_of_an_image_and_question_are_its_annotators(tmp_path):
    (tmp_path / "train.tsv").write_text(QUESTIONS)
    assert names_and_questions(tmp_path) == [
        ("a.jpg", [("What is it?", ["dog", "hound"], None), ("Where?", ["in the park"], None)]),
        ("b.jpg", [("What is it?", [], None)]),
    ]


def test_types_and_splits_without_answers(tmp_path):
    (tmp_path / "test.tsv").write_text("type\tquestion\timage\ncolour\tWhich colour?\ta.jpg\n")
    assert names_and_questions(tmp_path, "test") == [("a.jpg", [("Which colour?", [], "colour")])]
    with pytest.raises(DataError, match="no column 'question'"):
        (tmp_path / "train.tsv").write_text("image\tanswer\na.jpg\tyes\n")
        read_questions(tmp_path, "train")


def test_easy_vqa_holds_out_a_tenth_of_its_training_images(monkeypatch):
    rows = [("what shape is it?", "is it red?") * 40, ("circle", "no") * 40, [n // 2 for n in range(80)]]
    package = types.SimpleNamespace(
        get_train_questions=lambda: rows,
        get_test_questions=lambda: [column[:20] for column in rows],
        get_train_image_paths=lambda: {n: f"train/{n}.png" for n in range(40)},
        get_test_image_paths=lambda: {n: f"test/{n}.png" for n in range(10)},
    )
    monkeypatch.setitem(sys.modules, "easy_vqa", package)
    images = {split: read_questions("easy_vqa", split) for split in ("train", "validation")}
    numbers = {split: [int(image.image.path.stem) for image in of_split] for split, of_split in images.items()}
    assert numbers == {"train": [n for n in range(40) if n % 10], "validation": [0, 10, 20, 30]}
    assert read_questions("easy_vqa", "validation")[1].image.path == Path("train/10.png")
    tested = read_questions("easy_vqa", "test")
    assert [image.image.path for image in tested] == [Path(f"test/{n}.png") for n in range(10)]
    assert tested[3].questions == [Question("what shape is it?", ["circle"]), Question("is it red?", ["no"])]


@pytest.mark.rest
def test_easy_vqa_is_read_from_its_package():
    splits = {split: read_questions("easy_vqa", split) for split in ("train", "validation", "test")}
    assert {split: len(images) for split, images in splits.items()} == {"train": 3600, "validation": 400, "test": 1000}
    counts = {split: sum(len(image.questions) for image in images) for split, images in splits.items()}
    assert counts["train"] + counts["validation"] == 38_575
    assert counts["test"] == 9_673
    answers = {answer for image in splits["test"] for question in image.questions for answer in question.answers}
    assert len(answers) == 13
    assert splits["test"][0].image.read().startswith(b"\x89PNG")
    names = [{image.image.name for image in splits[split]} for split in ("train", "validation")]
    assert not names[0] & names[1]


def test_easy_vqa_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "easy_vqa", None)
    with pytest.raises(DataError, match=r"pip install 'keras-recurrent\[easy-vqa\]'"):
        read_questions("easy_vqa", "train")


def test_clevr_by_name():
    picture = np.full((5, 7, 3), 40, "uint8")

    def examples(builder, split, decoders=None, **_):
        assert set(decoders.extract_features(builder.info.features)) == {"image", "file_name", "question_answer"}
        strings, scalar = tf.TensorSpec((None,), tf.string), tf.TensorSpec((), tf.string)
        example = {
            "image": tf.io.encode_png(picture).numpy(),
            "file_name": "CLEVR_1.png",
            "question_answer": {"question": ["Is it red?", "How many?"], "answer": ["no", "2"]},
        }
        signature = {"image": scalar, "file_name": scalar, "question_answer": {"question": strings, "answer": strings}}
        return tf.data.Dataset.from_generator(lambda: iter([example]), output_signature=signature)

    with tfds.testing.mock_data(as_dataset_fn=examples, policy=tfds.testing.MockPolicy.USE_CODE):
        assert names_and_questions("clevr", "validation") == [
            ("CLEVR_1.png", [("Is it red?", ["no"], None), ("How many?", ["2"], None)])
        ]
