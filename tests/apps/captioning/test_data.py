import dataclasses
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from keras_recurrent.apps.captioning import data, risk
from keras_recurrent.apps.shared.images.pixels import pixel_reader
from keras_recurrent.apps.shared.text.tokenizers import WordTokenizer
from keras_recurrent.datasets import DataError
from keras_recurrent.layers import Hypotheses
from PIL import Image


@pytest.fixture
def broken(pictures, tmp_path):
    """The pictures with everything that may be wrong with some, and how many are usable."""
    folder = tmp_path / "broken"
    shutil.copytree(pictures, folder)
    lines = (folder / "train.tsv").read_text().splitlines()
    first = lines[1].split("\t")[0]
    content = (folder / "images" / first).read_bytes()
    (folder / "images" / "cut.png").write_bytes(content[:-40])
    (folder / "images" / "empty.png").write_bytes(b"")
    (folder / "images" / "text.png").write_bytes(b"no image")
    Image.new("1", (20_000, 20_000)).save(folder / "images" / "bomb.png")
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime")]
    frames[0].save(folder / "images" / "moving.gif", save_all=True, append_images=frames[1:])
    os.mkfifo(folder / "images" / "fifo.png")
    (folder / "images" / "device.png").symlink_to("/dev/zero")
    with open(folder / "images" / "large.png", "wb") as file:
        file.truncate(2**31)
    names = ("cut.png", "empty.png", "text.png", "bomb.png", "fifo.png", "device.png", "large.png")
    for name in (*names, "moving.gif", "missing.png"):
        lines.append(f"{name}\ta caption")
    lines.append(f"{lines[3].split(chr(9))[0]}\t ")  # of an image that has captions, too
    shutil.copy(folder / "images" / first, folder / "images" / "silent.png")
    lines.append("silent.png\t ")
    (folder / "train.tsv").write_text("\n".join(lines) + "\n")
    return folder


def test_broken_images_are_named_and_counted(broken, config, capsys):
    examples = data.read(dataclasses.replace(config, data=str(broken)), "train")
    names = {example.image.name for example in examples}
    assert len(names) == len(examples) == 60 + 1
    assert "moving.gif" in names
    told = capsys.readouterr().err
    for name, why in {
        "missing.png": "no such file",
        "empty.png": "the file is empty",
        "text.png": "not an image",
        "cut.png": "truncated",
        "bomb.png": "pixels",
        "fifo.png": "not a regular file",
        "large.png": "2,147,483,648 bytes",
        "silent.png": "no caption",
    }.items():
        (line,) = [line for line in told.splitlines() if f": {name}" in line]
        assert why in line
        assert f"train: {2 if name == 'fifo.png' else 1} of 70 images left out" in line


def test_strict_stops_at_the_first(broken, config):
    with pytest.raises(DataError, match=r"train: cut\.png: .*truncated"):
        data.read(dataclasses.replace(config, data=str(broken), strict=True), "train")


def test_nothing_usable(config, tmp_path):
    (tmp_path / "train.tsv").write_text("image\tcaption\nno.png\ta dog\n")
    with pytest.raises(DataError, match="none of 1 images can be used"):
        data.read(dataclasses.replace(config, data=str(tmp_path)), "train")


def batches_of(config, split, examples=None, **options):
    examples = examples or data.read(config, split)
    tokenizer = WordTokenizer.fit([caption for example in examples for caption in example.captions], 100)
    reader = pixel_reader([example.image for example in examples], config.image_size)
    return examples, tokenizer, data.batches(examples, reader, tokenizer, config, split, **options)


@pytest.mark.rest
@pytest.mark.parametrize("by_length", [False, True])
def test_batches_hold_each_caption_once_beside_its_image(config, by_length):
    examples, tokenizer, batches = batches_of(config, "train", by_length=by_length)
    images = {example.image.name: pixel_reader([example.image], config.image_size)([0])[0] for example in examples}
    wanted = sorted((example.image.name, caption) for example in examples for caption in example.captions)
    for epoch in (0, 1):
        batches.epoch = epoch
        found = []
        for (pixels, read), target, weights in batches:
            assert pixels.dtype == np.uint8
            np.testing.assert_array_equal(read[..., 1:], target[..., :-1])
            assert np.all(read[..., 0] == 2)
            np.testing.assert_array_equal(weights, target != 0)
            for image, captions in zip(pixels, target, strict=True):
                (name,) = [name for name, other in images.items() if np.array_equal(image, other)]
                texts = [*map(tokenizer.decode, captions[captions[:, 0] != 0])]
                found += [(name, text) for text in texts]
        assert sorted(found) == wanted
        assert len(batches) == len(list(batches)) == 6


def test_an_epoch_reads_some_captions_of_each_image(config):
    config = dataclasses.replace(config, captions_per_image=1)
    examples, tokenizer, batches = batches_of(config, "train")
    readings = []
    for epoch in (0, 1, 0):
        batches.epoch = epoch
        texts = []
        for (pixels, _), target, _ in batches:
            keys = [image.tobytes() for image in pixels]
            assert target.shape[1] == 1
            texts += zip(keys, map(tokenizer.decode, target[:, 0]), strict=True)
        assert len(texts) == len({key for key, _ in texts}) == len(examples)
        readings.append(texts)
    assert readings[0] == readings[2]
    assert dict(readings[0]) != dict(readings[1])
    _, _, validation = batches_of(config, "validation")
    assert sum(np.sum(target[..., 0] != 0) for _, target, _ in validation) == 48


def test_captions_of_like_length_share_a_batch(config):
    examples = [
        dataclasses.replace(example, captions=["a dog", "a " * (place % 4) + "big dog runs"])
        for place, example in enumerate(data.read(config, "train"))
    ]
    orders = []
    for by_length in (True, False):
        *_, batches = batches_of(config, "train", examples, by_length=by_length)
        targets = [target for _, target, _ in batches]
        longest = [np.sum(target != 0, axis=2).max(axis=1) for target in targets]
        assert sorted(np.concatenate(longest)) == sorted(4 + place % 4 for place in range(len(examples)))
        orders.append(longest)
    like, mixed = orders
    assert sum(len(set(of_batch)) - 1 for of_batch in like) <= 3 < sum(len(set(of_batch)) - 1 for of_batch in mixed)
    assert [of_batch.max() for of_batch in like] != sorted(of_batch.max() for of_batch in like)


@pytest.mark.parametrize("jit", [False, True])
def test_an_image_of_many_captions_fills_no_batch(config, jit):
    examples = data.read(config, "train")
    examples[7] = dataclasses.replace(examples[7], captions=[f"dog {number}" for number in range(100)])
    examples, tokenizer, batches = batches_of(dataclasses.replace(config, jit=jit), "train", examples)
    shapes, texts = set(), []
    for _, target, _ in batches:
        shapes.add(target.shape[1:])
        texts += map(tokenizer.decode, target[target[..., 0] != 0])
    mean = np.mean([len(example.captions) for example in examples])
    assert max(count for count, _ in shapes) == 2 * np.ceil(mean) < 20
    assert len(shapes) == 1 if jit else len(shapes) > 1
    encoded = [tokenizer.decode(tokenizer.encode(c)) for example in examples for c in example.captions]
    assert sorted(texts) == sorted(encoded)
    assert len(batches) == len(list(batches))


def test_long_captions_are_cut(config):
    config = dataclasses.replace(config, max_length=4)
    _, _, batches = batches_of(config, "validation")
    for _, target, _ in batches:
        assert target.shape[2] == 4
        assert (target[..., -1] == 3).all()


def test_half_of_the_pictures_are_mirrored(config):
    config = dataclasses.replace(config, mirror=True)
    examples = [example for example in data.read(config, "train") if "left" in example.image.name]
    tokenizer = WordTokenizer.fit([caption for example in examples for caption in example.captions], 100)
    images = data.images_of(examples, config, "train")
    reader = pixel_reader(images, config.image_size)
    pixels = reader(range(len(images)))
    np.testing.assert_array_equal(pixels[len(examples) :], pixels[: len(examples), :, ::-1])
    assert data.images_of(examples, config, "validation") == [example.image for example in examples]
    known = {image.tobytes(): place for place, image in enumerate(pixels)}
    batches, seen = data.batches(examples, reader, tokenizer, config, "train"), []
    for epoch in (0, 1, 0):
        batches.epoch = epoch
        places = [known[image.tobytes()] for (part, _), _, _ in batches for image in part]
        seen.append(places)
        assert 0.3 < np.mean(np.array(places) >= len(examples)) < 0.7
    assert seen[0] == seen[2] != seen[1]


def test_captions_weigh_what_the_expected_reward_gains(config):
    """The loss has the derivative of the expected reward by the log-probabilities, times the number of captions."""
    examples = data.read(config, "train")[:12]
    config = dataclasses.replace(config, length_penalty=1.3)
    ids = np.array([[[4, 3, 0], [5, 6, 3]], [[7, 8, 9], [9, 3, 0]], [[10, 3, 0], [0, 0, 0]]])  # one is cut off
    scores = np.array([[-0.5, -0.7], [-0.1, -0.9], [-0.3, -1e9]])
    lengths = np.sum(ids != 0, axis=2)
    texts = np.array([["a", "b c"], ["d e", "f"], ["g", ""]])
    tokenizer = WordTokenizer(["-"])
    tokenizer.decode = lambda row: texts[tuple(np.argwhere((ids == row).all(axis=-1))[0])]
    rewards = {"a": 1.0, "b c": 3.0, "d e": 2.0, "f": 0.5, "g": 4.0, "": 1.0}
    asked = []

    def reward(place, text):
        asked.append((place, text))
        return rewards[text]

    drawn = []

    def search(images):
        drawn.append(images[:, 0].tolist())
        return Hypotheses(ids, lengths, scores)

    batches = risk.risk_batches(
        examples, lambda places: np.stack([places, places], axis=1), search, tokenizer, 2, reward, config
    )
    ((images, read), target, weights) = next(iter(batches))
    (places,) = drawn
    assert asked == [(place, text) for place, row in zip(places, texts, strict=True) for text in row]
    penalties = ((5 + np.sum(ids != 0, axis=2)) / 6) ** 1.3
    log_probs = tf.constant(scores * penalties)
    with tf.GradientTape() as tape:
        tape.watch(log_probs)
        of = [[rewards[text] for text in row] for row in texts] * np.any(ids == 3, axis=2)
        mean = tf.reduce_sum(tf.nn.softmax(3 * log_probs / penalties, axis=1) * of)
    derivative = 2 * tape.gradient(mean, log_probs).numpy() * target.shape[2]  # the mean over a batch divides by those
    assert target.shape == (3, 2, 3)
    for row, seen, image, of_tokens in zip(target, read, images[:, 0], weights, strict=True):
        place = places.index(image)
        np.testing.assert_array_equal(row, ids[place])
        for caption, before in zip(row, seen, strict=True):
            assert tuple(before) == (2, *caption[:-1])
        np.testing.assert_allclose(of_tokens, np.where(row != 0, derivative[place][:, np.newaxis], 0), rtol=1e-5)
