import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from keras import layers
from keras_recurrent.apps.shared.config import ImageConfig
from keras_recurrent.apps.shared.errors import TrainingError
from keras_recurrent.apps.shared.images import features
from keras_recurrent.apps.shared.images.features import cached_features, image_readers
from keras_recurrent.datasets.images import Image


def network(seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(2, 2, strides=2)])


def branches(chosen):
    """Two convolutions of which one is used; both networks have the same layers and weights."""
    keras.utils.set_random_seed(0)
    pictures = keras.Input((4, 4, 3))
    found = [layers.Conv2D(2, 2, strides=2)(pictures) for _ in range(2)]
    return keras.Model(pictures, 2 * found[chosen] + 0 * found[1 - chosen])


@pytest.fixture
def images(tmp_path):
    paths = [tmp_path / f"{index}.raw" for index in range(100)]
    for index, path in enumerate(paths):
        path.write_bytes(np.random.default_rng(index).integers(0, 255, 48, "uint8").tobytes())
    return [Image(path.name, path) for path in paths]


@pytest.fixture
def reader(images):
    """What reads their pixels, and notes how many it read."""

    def read(places):
        read.count += len(places)
        return np.stack([np.frombuffer(images[place].read(), "uint8").reshape(4, 4, 3) for place in places])

    read.count = 0
    return read


def test_features_are_the_backbones(images, reader, tmp_path):
    backbone = network()
    found = cached_features(backbone, images, reader, 4, tmp_path / "cache")
    assert found.dtype == np.float16
    assert found.shape == (100, 2, 2, 2)
    expected = backbone.predict(np.stack([reader([place])[0] for place in range(100)]), verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=0.1)


def test_they_are_computed_once(images, reader, tmp_path):
    first = np.array(cached_features(network(), images, reader, 4, tmp_path / "cache"))
    assert reader.count == 100
    np.testing.assert_array_equal(cached_features(network(), images, reader, 4, tmp_path / "cache"), first)
    assert reader.count == 100
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".npy", ".lock"}


@pytest.mark.parametrize("change", ["image", "mirrored", "order", "fewer", "weights", "architecture", "wires"])
def test_what_changed_is_noticed(images, reader, tmp_path, change):
    original = branches(0) if change == "wires" else network()
    cached_features(original, images, reader, 4, tmp_path / "cache")
    backbone = branches(1) if change == "wires" else network(seed=int(change == "weights"))
    if change == "image":
        content = images[7].read()
        images[7].path.write_bytes(content[:-1] + bytes([255 - content[-1]]))
    if change == "mirrored":
        images[7] = dataclasses.replace(images[7], mirrored=True)
    if change == "order":
        images[3], images[4] = images[4], images[3]
    if change == "fewer":
        images.pop()
    if change == "architecture":
        backbone = keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(2, 2, strides=2, activation="relu")])
        backbone.set_weights(network().get_weights())
    found = cached_features(backbone, images, reader, 4, tmp_path / "cache")
    assert reader.count == 100 + len(images)
    expected = backbone.predict(reader(range(len(images))), verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=0.1)


def test_an_interruption_loses_little(images, reader, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(features, "BATCH", 4)
    expected = np.array(cached_features(network(), images, reader, 4, tmp_path / "other"))
    reader.count = 0

    def interrupted(places):
        if places[0] >= 80:
            raise KeyboardInterrupt
        return reader(places)

    with pytest.raises(KeyboardInterrupt):
        cached_features(network(), images, interrupted, 4, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.npy"))
    np.testing.assert_array_equal(cached_features(network(), images, reader, 4, tmp_path / "cache"), expected)
    assert "resuming after 68 images" in capsys.readouterr().err
    assert reader.count == 80 + 100 - 68
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".npy", ".lock"}


@pytest.mark.parametrize("content", ["", "many"])
def test_a_count_that_was_cut_short_begins_anew(content, images, reader, tmp_path):
    cached_features(network(), images, reader, 4, tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob("*.npy")
    path.rename(path.with_suffix(".partial"))
    path.with_suffix(".done").write_text(content)
    found = cached_features(network(), images, reader, 4, tmp_path / "cache")
    assert found.shape == (100, 2, 2, 2) and np.any(found[-1] != 0)


def test_a_file_that_was_cut_short_is_computed_again(images, reader, tmp_path, capsys):
    expected = np.array(cached_features(network(), images, reader, 4, tmp_path / "cache"))
    (path,) = (tmp_path / "cache").glob("*.npy")
    path.write_bytes(path.read_bytes()[:-10])
    np.testing.assert_array_equal(cached_features(network(), images, reader, 4, tmp_path / "cache"), expected)
    assert "cannot be read" in capsys.readouterr().err


def test_a_backbone_for_images_of_any_size(images, reader, tmp_path):
    keras.utils.set_random_seed(0)
    backbone = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(2, 2, strides=2)])
    assert cached_features(backbone, images, reader, 4, tmp_path / "cache").shape == (100, 2, 2, 2)


def test_features_that_are_too_large(images, reader, tmp_path):
    backbone = keras.Sequential([keras.Input((4, 4, 3)), layers.Rescaling(1e4)])
    with pytest.raises(TrainingError, match="the maximum of a cache"):
        cached_features(backbone, images, reader, 4, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.npy"))


@pytest.mark.rest
def test_two_trainings_compute_features_once(images, reader, tmp_path):
    """The second waits until the first has computed them."""
    inside = threading.Event()
    waits = threading.Event()

    def slow(places):
        inside.set()
        waits.wait(1)
        return reader(places)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cached_features, network(), images, slow, 4, tmp_path / "cache")
        inside.wait()
        second = pool.submit(cached_features, network(), images, reader, 4, tmp_path / "cache")
        np.testing.assert_array_equal(first.result(), second.result())
    assert reader.count == 100


def test_a_training_notices_other_features(images, reader, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "pixel_reader", lambda images, size: reader)
    parts = {"train": images[:5]}

    def checksum(seed=0, **options):
        return image_readers(parts, network(seed), ImageConfig(image_size=4, **options))[1]

    assert checksum() == checksum(1)  # a backbone whose features are not kept is part of the model
    cache = str(tmp_path / "cache")
    kept = checksum(cache=cache)
    assert kept == checksum(cache=cache) != checksum(1, cache=cache)
    images[2].path.write_bytes(b"0" * 48)
    assert kept != checksum(cache=cache)
