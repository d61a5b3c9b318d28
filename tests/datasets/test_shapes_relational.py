"""The scenes and questions similar to Sort-of-CLEVR."""

import collections
import itertools

import numpy as np
import pytest
from keras_recurrent.datasets.shapes import relational
from keras_recurrent.datasets.shapes.captions import captions, is_true
from keras_recurrent.datasets.shapes.phrases import NUMBERS

# The whole data set, and a part of it, which holds the first scenes of each split.
SIZES = {
    "part": {"train": 800, "validation": 100, "test": 100},
    "whole": {"train": 10_000, "validation": 1000, "test": 1000},
}


@pytest.fixture(scope="module", params=["part", pytest.param("whole", marks=pytest.mark.rest)])
def sizes(request):
    return SIZES[request.param]


@pytest.fixture(scope="module")
def scenes(sizes):
    return {split: relational.scenes(split, size) for split, size in sizes.items()}


@pytest.fixture(scope="module")
def scene_questions(scenes):
    return {split: relational.questions(scenes[split]) for split in scenes}


def test_scenes(scenes, sizes):
    assert SIZES["whole"] == relational.SIZES
    assert {split: len(of_split) for split, of_split in scenes.items()} == sizes
    everything = [frozenset(scene.objects) for drawn in scenes.values() for scene in drawn]
    assert len(set(everything)) == len(everything)
    for scene in itertools.chain(*scenes.values()):
        assert len({obj.colour for obj in scene.objects}) == len(scene.objects) == 6
        assert {(obj.size, obj.fill) for obj in scene.objects} == {("small", "solid")}
        assert {obj.shape for obj in scene.objects} <= {"circle", "square"}
        assert all(obj.is_clear_of(other) for obj, other in itertools.combinations(scene.objects, 2))
    shapes = collections.Counter(obj.shape for scene in scenes["train"] for obj in scene.objects)
    assert 0.48 < shapes["circle"] / shapes.total() < 0.52


def answer(text, scene):
    """Returns the answer, computed independently of the generator."""
    (obj,) = (obj for obj in scene.objects if f" {obj.colour} object" in text)
    others = [other for other in scene.objects if other != obj]
    squares = np.array([abs(complex(obj.x - other.x, obj.y - other.y)) ** 2 for other in others])
    if "closest" in text or "furthest" in text:
        best = squares.min() if "closest" in text else squares.max()
        (index,) = np.flatnonzero(np.isclose(squares, best))
        return others[index].shape
    if text.startswith("how many"):
        return NUMBERS[[other.shape for other in scene.objects].count(obj.shape)]
    if text.startswith("what shape"):
        return obj.shape
    position = obj.x if "left" in text else obj.y
    assert abs(position - 32) > 2
    return "yes" if position < 32 else "no"


def test_every_answer_is_right(scenes, scene_questions):
    for split in scenes:
        for scene, about in zip(scenes[split], scene_questions[split], strict=True):
            assert len({question.text for question in about}) == len(about) == 20
            for question in about:
                assert answer(question.text, scene) == question.answer, (scene, question)
                needs_others = any(word in question.text for word in ("closest", "furthest", "how many"))
                assert question.type == ("relational" if needs_others else "nonrelational")
            assert [question.type for question in about] == ["nonrelational"] * 10 + ["relational"] * 10


def test_a_question_reveals_little_about_its_answer(scene_questions):
    counts = collections.defaultdict(collections.Counter)
    for question in itertools.chain(*scene_questions["train"]):
        counts[question.text][question.answer] += 1
    margin = 3 / len(scene_questions["train"]) ** 0.5
    for text, answers in counts.items():
        expected = 10 / 32 if text.startswith("how many") else 0.5  # the probability of two or three of five others
        assert max(answers.values()) / answers.total() < expected + margin, text


def test_captions_of_six_objects_are_true(scenes):
    written = [(caption, scene) for scene in scenes["test"] for caption in captions(scene)]
    assert all(is_true(caption, scene) for caption, scene in written)
    assert any("six" in caption for caption, _ in written)


def test_the_data_set(tmp_path, monkeypatch):
    from keras_recurrent.datasets.shapes.shapes_dataset_builder import Builder

    monkeypatch.setattr(relational, "SIZES", {"test": 5})
    scenes = relational.scenes("test", 5)
    monkeypatch.setattr(relational, "scenes", lambda split: scenes)
    builder = Builder(config="relational", data_dir=tmp_path)
    builder.download_and_prepare()
    rows = list(builder.as_dataset(split="test").as_numpy_iterator())
    assert [row["image"].shape for row in rows] == [(64, 64, 3)] * 5
    assert {row["questions"]["type"][0].decode() for row in rows} == {"nonrelational"}


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="the splits are train, validation, test, not 'dev'"):
        relational.scenes("dev")
