"""The scenes and questions in the manner of Sort-of-CLEVR."""

import collections
import itertools

import numpy as np
import pytest
from keras_recurrent.datasets.shapes import relational
from keras_recurrent.datasets.shapes.captions import captions, is_true
from keras_recurrent.datasets.shapes.phrases import NUMBERS


@pytest.fixture(scope="module")
def scenes():
    return {split: relational.scenes(split) for split in relational.SIZES}


@pytest.fixture(scope="module")
def asked(scenes):
    return {split: relational.questions(scenes[split]) for split in scenes}


def test_scenes(scenes):
    assert {split: len(drawn) for split, drawn in scenes.items()} == {"train": 10000, "validation": 1000, "test": 1000}
    everything = [frozenset(scene.objects) for drawn in scenes.values() for scene in drawn]
    assert len(set(everything)) == len(everything)
    for scene in itertools.chain(*scenes.values()):
        assert len({one.colour for one in scene.objects}) == len(scene.objects) == 6
        assert {(one.size, one.fill) for one in scene.objects} == {("small", "solid")}
        assert {one.shape for one in scene.objects} <= {"circle", "square"}
        assert all(one.is_clear_of(other) for one, other in itertools.combinations(scene.objects, 2))
    shapes = collections.Counter(one.shape for scene in scenes["train"] for one in scene.objects)
    assert 0.48 < shapes["circle"] / shapes.total() < 0.52


def answer(text, scene):
    """The answer, found in another way than the generator's."""
    (one,) = (one for one in scene.objects if f" {one.colour} object" in text)
    others = [other for other in scene.objects if other != one]
    squares = np.array([abs(complex(one.x - other.x, one.y - other.y)) ** 2 for other in others])
    if "closest" in text or "furthest" in text:
        best = squares.min() if "closest" in text else squares.max()
        (place,) = np.flatnonzero(np.isclose(squares, best))
        return others[place].shape
    if text.startswith("how many"):
        return NUMBERS[[other.shape for other in scene.objects].count(one.shape)]
    if text.startswith("what shape"):
        return one.shape
    position = one.x if "left" in text else one.y
    assert abs(position - 32) > 2
    return "yes" if position < 32 else "no"


def test_every_answer_is_right(scenes, asked):
    for split in scenes:
        for scene, about in zip(scenes[split], asked[split], strict=True):
            assert len({question.text for question in about}) == len(about) == 20
            for question in about:
                assert answer(question.text, scene) == question.answer, (scene, question)
                needs_others = any(word in question.text for word in ("closest", "furthest", "how many"))
                assert question.type == ("relational" if needs_others else "nonrelational")
            assert [question.type for question in about] == ["nonrelational"] * 10 + ["relational"] * 10


def test_a_question_tells_little_of_its_answer(asked):
    counts = collections.defaultdict(collections.Counter)
    for question in itertools.chain(*asked["train"]):
        counts[question.text][question.answer] += 1
    for text, answers in counts.items():
        assert max(answers.values()) / answers.total() < (0.35 if text.startswith("how many") else 0.55), text


def test_captions_of_six_objects_are_true(scenes):
    written = [(caption, scene) for scene in scenes["test"] for caption in captions(scene)]
    assert all(is_true(caption, scene) for caption, scene in written)
    assert any("six" in caption for caption, _ in written)


def test_the_data_set(scenes, tmp_path, monkeypatch):
    from keras_recurrent.datasets.shapes.shapes_dataset_builder import Builder

    monkeypatch.setattr(relational, "SIZES", {"test": 5})
    monkeypatch.setattr(relational, "scenes", lambda split: scenes[split][:5])
    builder = Builder(config="relational", data_dir=tmp_path)
    builder.download_and_prepare()
    rows = list(builder.as_dataset(split="test").as_numpy_iterator())
    assert [row["image"].shape for row in rows] == [(64, 64, 3)] * 5
    assert {row["questions"]["type"][0].decode() for row in rows} == {"nonrelational"}


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="the splits are train, validation, test, not 'dev'"):
        relational.scenes("dev")
