"""The generated scenes with their images, captions and questions, and the TFDS data set built from them."""

import collections
import hashlib
import itertools
import math
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from keras_recurrent.datasets.draw import Draw
from keras_recurrent.datasets.shapes import splits
from keras_recurrent.datasets.shapes.captions import captions, is_true, parse
from keras_recurrent.datasets.shapes.drawing import BACKGROUND, COLOURS, draw
from keras_recurrent.datasets.shapes.phrases import NUMBERS, Description
from keras_recurrent.datasets.shapes.questions import Type, questions
from keras_recurrent.datasets.shapes.sampling import draw_scene
from keras_recurrent.datasets.shapes.scene import (
    ATTRIBUTES,
    CAPTION_RATIO,
    CLEAR_RATIO,
    SHAPES,
    Object,
    Relation,
    Scene,
    relation_between,
)
from keras_recurrent.datasets.shapes.statements import Counted, Listed, Related, Shared

RED_CIRCLE = Object("large", "solid", "red", "circle", 12, 12)
BLUE_SQUARE = Object("small", "hollow", "blue", "square", 50, 16)
RED_SQUARE = Object("small", "striped", "red", "square", 14, 50)
SCENE = Scene((RED_CIRCLE, BLUE_SQUARE, RED_SQUARE))
VALUES = {value for values in ATTRIBUTES.values() for value in values}
OPPOSITES = {"left": "right", "right": "left", "above": "below", "below": "above"}


# The first scenes of each split: drawing all 122,000 takes as long as the other tests of this file together.
SIZES = {
    "part": {"train": 1000, "validation": 100, "test": 300, "test_unseen": 300},
    "more": {"train": 12_000, "validation": 1000, "test": 1000, "test_unseen": 1000},
}


@pytest.fixture(scope="module", params=["part", pytest.param("more", marks=pytest.mark.rest)])
def sizes(request):
    return SIZES[request.param]


@pytest.fixture(scope="module")
def scenes(sizes):
    return {split: splits.scenes(split, size) for split, size in sizes.items()}


@pytest.fixture(scope="module")
def scene_questions(scenes):
    # The questions about the first scenes do not depend on later scenes.
    return {split: questions(of_split[:4_000]) for split, of_split in scenes.items()}


def pixels(*objects, side=64):
    return np.asarray(draw(Scene(objects), side)).astype(int)


def covered(image):
    return (image != BACKGROUND).any(axis=-1)


# Scenes and splits


def test_sizes_and_numbers_of_objects(scenes, sizes):
    assert {**SIZES["more"], "train": 120_000} == splits.SIZES
    assert {split: len(of_split) for split, of_split in scenes.items()} == sizes
    for drawn in scenes.values():
        assert collections.Counter(len(scene.objects) for scene in drawn) == dict.fromkeys((2, 3, 4, 5), len(drawn) / 4)


def test_no_scene_occurs_twice(scenes):
    everything = [frozenset(scene.objects) for drawn in scenes.values() for scene in drawn]
    assert len(set(everything)) == len(everything)


def test_pairs_of_shape_and_colour_are_held_out(scenes):
    possible = list(itertools.product(ATTRIBUTES["shape"], ATTRIBUTES["colour"]))
    assert set(possible) > splits.HELD_OUT
    assert len(splits.HELD_OUT) / len(possible) == 1 / 8
    for split, drawn in scenes.items():
        for scene in drawn:
            unseen = [obj for obj in scene.objects if (obj.shape, obj.colour) in splits.HELD_OUT]
            assert bool(unseen) == (split == "test_unseen")
            assert unseen == list(filter(splits.is_held_out, scene.objects))
    trained = collections.Counter((obj.shape, obj.colour) for scene in scenes["train"] for obj in scene.objects)
    assert set(trained) == set(possible) - splits.HELD_OUT
    assert min(trained.values()) > len(scenes["train"]) / 24  # 1/12 on average


def test_every_attribute_is_about_as_frequent(scenes):
    for attribute, values in ATTRIBUTES.items():
        counts = collections.Counter(getattr(obj, attribute) for scene in scenes["train"] for obj in scene.objects)
        assert set(counts) == set(values)
        assert max(counts.values()) < 1.6 * min(counts.values())


def test_objects_do_not_touch_each_other_or_the_edge(scenes):
    for scene in scenes["train"][:300]:
        alone = np.stack([covered(pixels(obj)) for obj in scene.objects])
        assert alone.sum(axis=0).max() == 1
        assert (alone.any(axis=0) == covered(pixels(*scene.objects))).all()
        inside = np.zeros((64, 64), bool)
        inside[1:-1, 1:-1] = True
        assert not (alone & ~inside).any()


def test_no_two_objects_look_alike_and_two_have_a_relation(scenes):
    for drawn in scenes.values():
        for scene in drawn:
            assert len({(obj.size, obj.fill, obj.colour, obj.shape) for obj in scene.objects}) == len(scene.objects)
            assert scene.relations()


def test_relations():
    def at(x, y):
        return replace(RED_CIRCLE, x=x, y=y)

    assert relation_between(at(10, 30), at(40, 30)) == Relation.LEFT
    assert relation_between(at(40, 30), at(10, 30)) == Relation.RIGHT
    assert relation_between(at(30, 10), at(30, 40)) == Relation.ABOVE
    assert relation_between(at(30, 40), at(30, 10)) == Relation.BELOW
    assert CLEAR_RATIO == 1.5
    assert relation_between(at(10, 10), at(41, 30)) == Relation.LEFT
    assert relation_between(at(10, 10), at(40, 30)) is None
    assert relation_between(at(10, 10), at(30, 40)) is None
    assert relation_between(at(10, 10), at(30, 41)) == Relation.ABOVE
    assert relation_between(at(10, 10), at(10, 10)) is None


def test_json(scenes):
    for scene in scenes["test"]:
        assert Scene.from_json(scene.to_json()) == scene == Scene.from_json(scene.to_json().encode())


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="train, validation, test, test_unseen"):
        splits.scenes("dev")


# If the digest changes, the data set changes, and the builder needs another version.
DIGEST = "6dce1ed33e76723fdf7fbf5ffc8fd78dbaf26b3821df888dde9fd17463239573"
DIGESTS = """
import hashlib, sys
from keras_recurrent.datasets.shapes import captions, drawing, questions, splits
drawn = [scene for split in splits.SIZES for scene in splits.scenes(split, 50)]
texts = [(scene.to_json(), captions.captions(scene)) for scene in drawn]
texts += [[(q.text, q.answer, str(q.type)) for q in about] for about in questions.questions(drawn)]
print(hashlib.sha256(repr(texts).encode()).hexdigest())
print(hashlib.sha256(b"".join(drawing.draw(scene).tobytes() for scene in drawn)).hexdigest())
print("tensorflow" in sys.modules)
"""


def test_data_is_the_same_in_every_process_and_needs_no_tensorflow():
    environment = os.environ | {"PYTHONHASHSEED": "12345"}  # the digest was computed with another one
    run = subprocess.run([sys.executable, "-c", DIGESTS], env=environment, capture_output=True, text=True, check=True)
    images = b"".join(draw(scene).tobytes() for split in splits.SIZES for scene in splits.scenes(split, 50))
    assert run.stdout.split() == [DIGEST, hashlib.sha256(images).hexdigest(), "False"]


def test_two_draws_of_a_seed_agree_and_of_two_seeds_do_not():
    def drawn(seed):
        chance = Draw(seed)
        return [draw_scene(chance, number) for number in (2, 3, 4, 5)]

    assert drawn(1) == drawn(1) != drawn(2)


# Images


@pytest.mark.parametrize("size", ATTRIBUTES["size"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_centre_shows_colour_and_fill(size, shape):
    for colour, fill in itertools.product(ATTRIBUTES["colour"], ATTRIBUTES["fill"]):
        image = pixels(Object(size, fill, colour, shape, 20, 30))
        expected = BACKGROUND if fill == "hollow" else COLOURS[colour]
        assert np.abs(image[29:31, 19:21] - expected).max() <= (40 if fill == "hollow" else 0)


def test_objects_are_where_the_scene_says():
    image = pixels(replace(RED_CIRCLE, x=40, y=20))
    rows, columns = np.nonzero(covered(image))
    assert (columns.min(), columns.max() + 1) == (30, 50)
    assert (rows.min(), rows.max() + 1) == (10, 30)


def test_appearances_are_clearly_distinct():
    looks = list(itertools.product(("small", "large"), ATTRIBUTES["fill"], SHAPES))
    masks = [(228 - pixels(Object(size, fill, "black", shape, 32, 32))[..., 0]) / 204 for size, fill, shape in looks]
    for (obj, mask), (other, other_mask) in itertools.combinations(zip(looks, masks, strict=True), 2):
        difference = np.abs(mask - other_mask).sum()  # in pixels
        assert difference > 10, (obj, other)


def test_colours_are_clearly_distinct():
    for obj, other in itertools.combinations([BACKGROUND, *COLOURS.values()], 2):
        assert np.linalg.norm(np.subtract(obj, other)) > 100


def test_both_image_sizes_show_the_same(scenes):
    for scene in scenes["test"][:100]:
        small, large = np.asarray(draw(scene)), np.asarray(draw(scene, 128))
        assert small.shape == (64, 64, 3)
        assert large.shape == (128, 128, 3)
        halved = large.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
        assert np.abs(halved - small).mean() < 1
        assert np.abs(halved - small).max() < 64


# Captions


@pytest.mark.parametrize(
    ("caption", "statement", "truth"),
    [
        (
            "a large red circle is to the left of a small hollow blue square",
            Related(
                Description(size="large", colour="red", shape="circle"),
                Relation.LEFT,
                Description("small", "hollow", "blue", "square"),
            ),
            True,
        ),
        (
            "there is a red object above a striped square",
            Related(Description(colour="red"), Relation.ABOVE, Description(fill="striped", shape="square")),
            True,
        ),
        (
            "a square above a square",  # they are diagonally across
            Related(Description(shape="square"), Relation.ABOVE, Description(shape="square")),
            False,
        ),
        (
            "an object is to the right of a red object",
            Related(Description(), Relation.RIGHT, Description(colour="red")),
            True,
        ),
        ("exactly two squares", Counted(2, Description(shape="square")), True),
        ("exactly one square", Counted(1, Description(shape="square")), False),
        ("there is exactly one large object", Counted(1, Description(size="large")), True),
        ("there are exactly four objects", Counted(4, Description()), False),
        ("there are three objects, two of them are red", Shared(3, 2, Description(colour="red")), True),
        ("there are three objects, one of them is a circle", Shared(3, 1, Description(shape="circle")), True),
        ("there are three objects, two of them are circles", Shared(3, 2, Description(shape="circle")), False),
        ("there are four objects, two of them are red", Shared(4, 2, Description(colour="red")), False),
        ("there are three objects, all of them are red", Shared(3, 3, Description(colour="red")), False),
        ("there are two objects, both of them are red", Shared(2, 2, Description(colour="red")), False),
        (
            "two squares and a large red circle",
            Listed(((2, Description(shape="square")), (None, Description("large", None, "red", "circle")))),
            True,
        ),
        (
            "a red object, a red object and a blue square",
            Listed(
                ((None, Description(colour="red")),) * 2 + ((None, Description(colour="blue", shape="square")),),
            ),
            True,
        ),
        (
            "a circle and a red circle",  # there is only one
            Listed(((None, Description(shape="circle")), (None, Description(colour="red", shape="circle")))),
            False,
        ),
        (
            "two red objects and a circle",  # the circle is one of the two red objects
            Listed(((2, Description(colour="red")), (None, Description(shape="circle")))),
            False,
        ),
        (
            "one square and a circle",
            Listed(((1, Description(shape="square")), (None, Description(shape="circle")))),
            False,
        ),
    ],
)
def test_parsing_and_truth_of_captions(caption, statement, truth):
    assert parse(caption) == statement
    assert is_true(caption, SCENE) == truth


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "a",
        "a large red circle",
        "large red circle above a square",
        "a red large circle above a square",
        "a red red circle above a square",
        "a red circle is a circle above a square",
        "a red circle is is above a square",
        "there is a red circle is above a square",
        "a red circle above",
        "a red circle above a square.",
        "A red circle above a square",
        "a  red circle above a square",
        "a red circles above a square",
        "a orange circle above a square",
        "an red circle above a square",
        "a red circle beside a square",
        "a red circle above two squares",
        "a pink circle above a square",
        "exactly a square",
        "exactly two square",
        "exactly one squares",
        "exactly zero squares",
        "exactly seven squares",
        "there is exactly two squares",
        "there are exactly one square",
        "there are three objects",
        "there are three objects, three of them are red",
        "there are three objects, two of them is red",
        "there are three objects, two of them are a circle",
        "there are three objects, two of them are red circles",
        "there are three objects, both of them are red",
        "there are one objects, all of them are red",
        "two squares and",
        "two squares, a circle",
        "two squares and a circle and a star",
        "a circle, and a star",
        "a circle\nabove a square",
    ],
)
def test_what_the_grammar_does_not_write_is_not_true(caption):
    everything = Scene(
        tuple(replace(RED_CIRCLE, shape=shape, y=y) for shape, y in (("circle", 10), ("square", 30), ("star", 50)))
    )
    assert parse(caption) is None
    assert not is_true(caption, everything)


def test_an_overlong_list_is_not_true():
    assert not is_true(", ".join(["a red object"] * 50) + " and a red object", SCENE)


def test_five_different_true_captions(scenes):
    for split, drawn in scenes.items():
        for scene in drawn[: len(drawn) // 2][:1000]:
            written = captions(scene)
            assert len(set(written)) == len(written) == 5
            assert all(is_true(caption, scene) for caption in written), (split, written)
            assert sum(isinstance(parse(caption), Related) for caption in written) >= 2
            assert all(re.fullmatch("[a-z]+,?( [a-z]+,?)*[a-z]", caption) for caption in written)


def test_captions_only_mention_the_clearest_relations(scenes):
    assert CLEAR_RATIO < CAPTION_RATIO
    for scene in scenes["train"][:400]:
        for statement in filter(lambda statement: isinstance(statement, Related), map(parse, captions(scene))):
            assert any(
                statement.subject.fits(obj) and statement.reference.fits(other) and where == statement.relation
                for obj, where, other in scene.relations(CAPTION_RATIO)
            )


def test_captions_have_every_word_of_the_grammar(scenes):
    described = scenes["train"][:10_000]
    written = itertools.chain(*map(captions, described))
    counts = collections.Counter(word for caption in written for word in re.findall(r"\w+", caption))
    words = VALUES | {word for relation in Relation for word in relation.split()} | set(NUMBERS[1:6])
    words |= {shape + "s" for shape in SHAPES if shape != "cross"} | {"crosses", "objects", "both", "all", "exactly"}
    assert words <= set(counts)
    assert min(counts[word] for word in words) > len(described) / 100


def fits(obj, words):
    """Whether a noun phrase describes the object; computed independently of the generator."""
    singular = [re.sub("(?<!s)s$|(?<=ss)es$", "", word) for word in words.split()]
    return all(word in (obj.size, obj.fill, obj.colour, obj.shape) for word in singular if word in VALUES)


def named(scene, words):
    return [obj for obj in scene.objects if fits(obj, words)]


def is_beyond(obj, where, other):
    """Whether `one` is within 33.7 degrees of the axis to that side of `other`."""
    axis = {"left": 180, "right": 0, "above": 90, "below": 270}[where]
    angle = math.degrees(math.atan2(other.y - obj.y, obj.x - other.x))
    return abs((angle - axis + 180) % 360 - 180) < math.degrees(math.atan(1 / 1.5))


RELATION = "(?:to the )?(left|right|above|below)(?: of)?"


def test_the_named_objects_are_where_the_caption_says(scenes):
    for scene in scenes["test"]:
        for caption in captions(scene)[:2]:
            before, where, after = re.fullmatch(f"(.*) {RELATION} (an? .*)", caption).groups()
            pairs = itertools.product(named(scene, before), named(scene, after))
            assert any(is_beyond(obj, where, other) for obj, other in pairs)


def mutations(caption):
    """Yields `(what is changed, caption)` for captions with a single change."""
    for match in re.finditer(r"\w+", caption):
        word = match[0]
        for attribute, values in ATTRIBUTES.items():
            if word in values:
                for value in set(values) - {word}:
                    changed = caption[: match.start()] + value + caption[match.end() :]
                    yield attribute, re.sub(r"\ban? (?=(.))", lambda m: "an " if m[1] in "aeiou" else "a ", changed)
        if word in OPPOSITES:
            yield "relation", caption.replace(word, OPPOSITES[word])
    statement = parse(caption)
    if isinstance(statement, Counted | Shared):
        for number in {statement.count - 1, statement.count + 1} & {1, 2, 3, 4, 5}:
            if isinstance(statement, Counted) or number <= statement.total:
                yield "number", replace(statement, count=number).wordings()[0]


def test_few_changed_captions_are_true(scenes):
    changed, still_true = collections.Counter(), collections.Counter()
    for scene in scenes["test"][::4]:
        for caption in captions(scene):
            for change, mutation in mutations(caption):
                assert parse(mutation), (caption, mutation)
                changed[change] += 1
                still_true[change] += is_true(mutation, scene)
    shares = {change: still_true[change] / changed[change] for change in changed}
    assert set(shares) == {*ATTRIBUTES, "relation", "number"}
    assert shares["number"] == 0
    assert max(shares.values()) < 0.03
    assert still_true.total() / changed.total() < 0.015


# Questions


def answer(text, scene):
    """Answers a question from its text; computed independently of the generator."""
    if match := re.fullmatch("is there (an? .*)\\?", text):
        return "yes" if named(scene, match[1]) else "no"
    if match := re.fullmatch("how many other objects have the same (.*) as (the .*)\\?", text):
        (obj,) = named(scene, match[2])
        alike = [other for other in scene.objects if getattr(other, match[1]) == getattr(obj, match[1])]
        return NUMBERS[len(alike) - 1]
    if match := re.fullmatch("how many (.*) are there\\?", text):
        return NUMBERS[len(named(scene, match[1]))]
    if match := re.fullmatch("are there (more|fewer|as many) (.*) (?:than|as) (.*)\\?", text):
        obj, other = (len(named(scene, words)) for words in match.groups()[1:])
        assert obj or other
        return "yes" if {"more": obj > other, "fewer": obj < other, "as many": obj == other}[match[1]] else "no"
    if match := re.fullmatch(f"what (.*) is the object {RELATION} (the .*)\\?", text):
        (obj,) = named(scene, match[3])
        others = [other for other in scene.objects if other != obj]
        (meant,) = (other for other in others if is_beyond(other, match[2], obj))
        assert all(any(is_beyond(other, where, obj) for where in OPPOSITES) for other in others)
        return getattr(meant, match[1])
    if match := re.fullmatch(f"is (the .*) {RELATION} (the .*)\\?", text):
        (obj,), (other,) = named(scene, match[1]), named(scene, match[3])
        assert any(is_beyond(obj, where, other) for where in OPPOSITES)
        return "yes" if is_beyond(obj, match[2], other) else "no"
    match = re.fullmatch("what (.*) is (the .*)\\?", text)
    (obj,) = named(scene, match[2])
    return getattr(obj, match[1])


def test_every_answer_is_right(scenes, scene_questions):
    for split, of_split in scene_questions.items():
        for scene, about in zip(scenes[split], of_split, strict=False):
            for question in about:
                assert answer(question.text, scene) == question.answer, (scene, question)


def test_questions_are_of_every_type(scene_questions):
    for about in scene_questions.values():
        numbers = [len(questions) for questions in about]
        assert 10 < np.mean(numbers) < 11
        assert min(numbers) >= 4
        counts = collections.Counter(question.type for questions in about for question in questions)
        assert set(counts) == set(Type)
        assert min(counts.values()) > 0.95 * len(about)
    about = [question for questions in scene_questions["test"] for question in questions]
    assert {question.type for question in about if question.relational} == {"comparison", "relation"}
    assert 0.4 < np.mean([question.relational for question in about]) < 0.6


# Share of the questions of each form that may be answered correctly from the texts of the training questions alone.
BOUNDS = {
    "existence": 0.6,
    "count": 0.35,
    "colour": 0.2,
    "shape": 0.25,
    "size": 0.6,
    "fill": 0.45,
    "comparison": 0.6,
    "relation, is": 0.6,
    "relation, how many": 0.35,
    "relation, what colour": 0.2,
    "relation, what shape": 0.25,
}


def form(question):
    return next(
        name
        for name in BOUNDS
        if name == question.type
        or (question.type == "relation" and question.text.startswith(name.removeprefix("relation, ")))
    )


def test_questions_without_images_are_answered_by_chance(scene_questions):
    by_text, by_form = collections.defaultdict(collections.Counter), collections.defaultdict(collections.Counter)
    for question in itertools.chain(*scene_questions["train"]):
        by_text[question.text][question.answer] += 1
        by_form[form(question)][question.answer] += 1
    for split in ("test", "test_unseen"):
        about = collections.defaultdict(list)
        for question in itertools.chain(*scene_questions[split]):
            about[form(question)].append(question)
        assert set(about) == set(BOUNDS)
        for name, of_form in about.items():
            (commonest, _), *_ = by_form[name].most_common(1)
            answers = [by_text.get(question.text) or by_form[name] for question in of_form]
            best = [counts.most_common(1)[0][0] for counts in answers]
            share = np.mean([question.answer == answer for question, answer in zip(of_form, best, strict=True)])
            bound = BOUNDS[name] + 1 / len(of_form) ** 0.5  # two standard deviations
            assert share < bound, (split, name)
            assert np.mean([question.answer == commonest for question in of_form]) < bound, (split, name)


def test_yes_and_no_are_balanced_for_each_text(scene_questions):
    for split, about in scene_questions.items():
        counts = collections.defaultdict(collections.Counter)
        for question in itertools.chain(*about):
            if question.answer in ("yes", "no"):
                counts[question.text][question.answer] += 1
        uneven = {text for text, count in counts.items() if abs(count["yes"] - count["no"]) > 1}
        assert not uneven, split


def test_training_does_not_ask_about_held_out_pairs(scene_questions):
    texts = collections.Counter(question.text for question in itertools.chain(*scene_questions["train"]))
    for shape, colour in splits.HELD_OUT:
        assert texts[f"is there a{'n' * (colour == 'orange')} {colour} {shape}?"] <= 1
    assert texts["is there a red circle?"] > len(scene_questions["train"]) / 200


def test_questions_vary(scene_questions):
    texts = collections.Counter(
        (question.type, question.text) for question in itertools.chain(*scene_questions["train"])
    )
    for kind in Type:
        counts = [count for (type_, _), count in texts.items() if type_ == kind]
        assert len(counts) > 40
        assert max(counts) < 0.03 * sum(counts)


# The data set


@pytest.mark.parametrize("side", [64, pytest.param(128, marks=pytest.mark.rest)])
def test_the_data_set_holds_the_scenes(side, tmp_path, monkeypatch):
    from keras_recurrent.datasets.shapes.shapes_dataset_builder import Builder

    scenes = {split: splits.scenes(split, 6) for split in splits.SIZES}
    monkeypatch.setattr(splits, "scenes", scenes.get)
    assert Builder(data_dir=tmp_path).builder_config.name == "64"
    builder = Builder(config=str(side), data_dir=tmp_path)
    assert builder.name == "shapes"
    builder.download_and_prepare()
    assert set(builder.info.splits) == set(splits.SIZES)
    for split in splits.SIZES:
        rows = list(builder.as_dataset(split=split).as_numpy_iterator())
        assert sorted(row["image/filename"].decode() for row in rows) == [f"{split}-0000{i}.png" for i in range(6)]
        about = questions(scenes[split])
        for row in rows:
            index = int(row["image/filename"].decode()[-9:-4])
            scene = scenes[split][index]
            assert Scene.from_json(row["scene"]) == scene
            assert row["image"].dtype == np.uint8
            assert (row["image"] == np.asarray(draw(scene, side))).all()
            assert tuple(caption.decode() for caption in row["captions"]) == captions(scene)
            fields = zip(*(row["questions"][name] for name in ("question", "answer", "type")), strict=True)
            expected = [(question.text, question.answer, question.type) for question in about[index]]
            assert [tuple(text.decode() for text in texts) for texts in fields] == expected
