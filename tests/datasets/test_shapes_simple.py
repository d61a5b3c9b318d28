"""The configuration `simple` of the shapes."""

import collections
import re

import pytest
from keras_recurrent.datasets.images import read_captions, read_questions
from keras_recurrent.datasets.shapes import simple, splits
from keras_recurrent.datasets.shapes.captions import is_true
from keras_recurrent.datasets.shapes.questions import Type
from keras_recurrent.datasets.shapes.scene import ATTRIBUTES

SIZES = {"train": 600, "validation": 100, "test": 100, "test_unseen": 100}
SHAPES = {"circle", "square", "triangle", "star"}


@pytest.fixture(scope="module")
def scenes():
    return {split: simple.scenes(split, size) for split, size in SIZES.items()}


@pytest.fixture(scope="module")
def rows(scenes):
    return [row for of_split in scenes.values() for about in simple.questions(of_split) for row in about]


def test_scenes(scenes):
    assert simple.SIZES.keys() == splits.SIZES.keys()
    everything = [frozenset(scene.objects) for drawn in scenes.values() for scene in drawn]
    assert len(set(everything)) == len(everything)
    for split, drawn in scenes.items():
        assert collections.Counter(len(scene.objects) for scene in drawn) == dict.fromkeys((2, 3), len(drawn) / 2)
        assert all(any(map(splits.is_held_out, scene.objects)) == (split == "test_unseen") for scene in drawn)
    objects = [obj for scene in scenes["train"] for obj in scene.objects]
    assert {obj.fill for obj in objects} == {"solid"}
    assert {obj.shape for obj in objects} == SHAPES
    for attribute in ("size", "colour"):
        assert {getattr(obj, attribute) for obj in objects} == set(ATTRIBUTES[attribute])


def test_captions_are_true_and_mention_what_occurs(scenes):
    for scene in scenes["train"]:
        captions = simple.captions(scene)
        assert len(set(captions)) == 5
        assert all(is_true(caption, scene) for caption in captions)
        assert not re.search("solid|hollow|striped|diamond|cross", " ".join(captions))


def test_questions_mention_what_occurs(rows):
    for row in rows:
        assert not re.search("solid|hollow|striped|fill|diamond|cross", row.text)
    expected = {*Type} - {Type.FILL}
    assert {row.type for row in rows} == expected
    assert {row.answer for row in rows} <= {"yes", "no", "zero", "one", "two", "three", *SHAPES} | {
        value for attribute in ("size", "colour") for value in ATTRIBUTES[attribute]
    }


def test_a_question_tells_little_about_its_answer(rows):
    for kind in (Type.EXISTENCE, Type.COMPARISON):
        answers = collections.Counter(row.answer for row in rows if row.type == kind)
        assert 0.8 < answers["yes"] / answers["no"] < 1.25


def test_a_split_has_no_other_name():
    with pytest.raises(ValueError, match="the splits are train, validation, test, test_unseen, not 'dev'"):
        simple.scenes("dev")


def test_it_is_read_by_name(cache_folder, monkeypatch):
    scenes = simple.scenes("test", 4)
    monkeypatch.setattr(simple, "scenes", {"test": scenes}.get)
    captioned, asked = read_captions("shapes/simple", "test"), read_questions("shapes/simple", "test")
    assert [example.captions for example in captioned] == [list(simple.captions(scene)) for scene in scenes]
    texts = [[(question.text, *question.answers) for question in example.questions] for example in asked]
    assert texts == [[(row.text, row.answer) for row in about] for about in simple.questions(scenes)]
