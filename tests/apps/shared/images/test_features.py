import dataclasses
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

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
        return np.stack([np.frombuffer(images[place].read(), "uint8", 48).reshape(4, 4, 3) for place in places])

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
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".npy", ".done"}


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
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".npy", ".done"}


@pytest.fixture
def finished(images, reader, tmp_path, monkeypatch):
    """The file of features computed in batches of 2, so with checkpoints at 2, 34, 66, 98 and 100 images."""
    monkeypatch.setattr(features, "BATCH", 2)
    cached_features(network(), images, reader, 4, tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob("*.npy")
    reader.count = 0
    return path


HEADER, ROW = 128, 16


def cut(path, rows):
    path.write_bytes(path.read_bytes()[: HEADER + ROW * rows])


def overwrite(path, position, content):
    data = bytearray(path.read_bytes())
    data[position : position + len(content)] = content
    path.write_bytes(data)


def change_done(path, change):
    done = path.with_suffix(".done")
    done.write_bytes(change(done.read_bytes()))


@pytest.mark.parametrize("suffix", [".npy", ".partial"])
@pytest.mark.parametrize(
    "damage, intact",
    [
        (lambda path: path.write_bytes(b""), 0),
        (lambda path: cut(path, 0), 0),
        (lambda path: cut(path, 1), 0),
        (lambda path: cut(path, 65), 34),
        (lambda path: cut(path, 99), 98),
        (lambda path: overwrite(path, 0, b"garbage"), 100),
        (lambda path: overwrite(path, 0, b"PK\3\4"), 100),
        (lambda path: np.save(path.open("wb"), np.zeros((100, 3, 2, 2), "float16")), 0),
    ],
)
def test_a_damaged_file_is_computed_from_what_is_intact(
    suffix, damage, intact, finished, images, reader, tmp_path, capsys
):
    expected = finished.read_bytes()
    path = finished.rename(finished.with_suffix(suffix))
    damage(path)
    cached_features(network(), images, reader, 4, tmp_path / "cache")
    assert reader.count == 100 - intact
    assert finished.read_bytes() == expected
    err = capsys.readouterr().err
    assert f"{path} is damaged" in err
    assert f"resuming after {intact} of 100 images" in err


@pytest.mark.parametrize(
    "damage, intact",
    [
        (lambda path: change_done(path, lambda text: b""), 0),
        (lambda path: change_done(path, lambda text: b"many"), 0),
        (lambda path: change_done(path, lambda text: b"\xff\0" + text), 0),
        (lambda path: change_done(path, lambda text: text + b"101 " + b"0" * 32), 100),
        (lambda path: change_done(path, lambda text: b"9" * 5000), 0),
        (lambda path: change_done(path, lambda text: text[:-5]), 98),
        (lambda path: path.with_suffix(".done").unlink(), 0),
        (lambda path: overwrite(path, HEADER + ROW * 50, b"!"), 34),
        (lambda path: overwrite(path, HEADER + ROW * 70, bytes(ROW * 5)), 66),
    ],
)
def test_damaged_checkpoints(damage, intact, finished, images, reader, tmp_path, capsys):
    expected = finished.read_bytes()
    path = finished.rename(finished.with_suffix(".partial"))
    damage(path)
    cached_features(network(), images, reader, 4, tmp_path / "cache")
    assert reader.count == 100 - intact
    assert finished.read_bytes() == expected
    assert f"{path} is damaged or incomplete; resuming after {intact} of 100 images" in capsys.readouterr().err


@pytest.mark.parametrize("rows, intact", [(100, 68), (60, 0)])
def test_an_interruption_of_an_earlier_release(rows, intact, finished, images, reader, tmp_path):
    """It wrote the number of images without a checksum."""
    expected = finished.read_bytes()
    path = finished.rename(finished.with_suffix(".partial"))
    cut(path, rows)
    path.with_suffix(".done").write_text("68")
    cached_features(network(), images, reader, 4, tmp_path / "cache")
    assert reader.count == 100 - intact
    assert finished.read_bytes() == expected


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_full_disk(finished, images, reader, tmp_path, capsys):
    import resource

    expected = finished.read_bytes()
    finished.unlink()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HEADER + ROW * 70, limits[1]))
    try:
        with pytest.raises(
            TrainingError, match=f"100 images take {len(expected):,} bytes in the cache {finished.parent}"
        ):
            cached_features(network(), images, reader, 4, tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    reader.count = 0
    cached_features(network(), images, reader, 4, tmp_path / "cache")
    assert "resuming after 66 images" in capsys.readouterr().err
    assert reader.count == 34
    assert finished.read_bytes() == expected


@pytest.mark.rest
@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_an_interruption_before_any_flush_or_renaming(name, finished, images, reader, tmp_path, monkeypatch):
    expected, call = finished.read_bytes(), getattr(os, name)
    calls = interruptions = 0

    def interrupt(*arguments):
        nonlocal calls
        calls += 1
        if calls > interruptions:
            raise KeyboardInterrupt
        return call(*arguments)

    for path in finished.parent.iterdir():
        path.unlink()
    while not finished.exists():
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(os, name, interrupt)
            cached_features(network(), images, reader, 4, tmp_path / "cache")
            raise KeyboardInterrupt
        interruptions += 1
        calls = 0
    assert interruptions > 2
    assert finished.read_bytes() == expected


def test_a_disk_without_enough_space_is_noticed_before_any_work(images, reader, tmp_path, monkeypatch):
    monkeypatch.setattr(features.shutil, "disk_usage", lambda folder: SimpleNamespace(total=10**9, free=1000))
    with pytest.raises(TrainingError, match="100 images take 1,728 bytes in the cache"):
        cached_features(network(), images, reader, 4, tmp_path / "cache")
    assert not reader.count
    assert not list((tmp_path / "cache").iterdir())


def test_a_folder_that_is_read_only(finished, images, reader, tmp_path, monkeypatch):
    monkeypatch.setattr(features.os, "access", lambda path, mode: False)  # root may write everywhere
    cached_features(network(), images, reader, 4, tmp_path / "cache")
    with pytest.raises(TrainingError, match="cache is read-only"):
        cached_features(network(1), images, reader, 4, tmp_path / "cache")
    finished.unlink()
    with pytest.raises(TrainingError, match="cache is read-only"):
        cached_features(network(), images, None, 4, tmp_path / "cache")
    assert not reader.count


def test_a_file_in_the_place_of_the_folder(images, reader, tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(TrainingError, match="cache cannot be created: File exists"):
        cached_features(network(), images, reader, 4, tmp_path / "cache")


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
    monkeypatch.setattr(features, "pixel_reader", lambda images, size, strict: reader)
    parts = {"train": images[:5]}

    def checksum(seed=0, **options):
        return image_readers(parts, network(seed), ImageConfig(image_size=4, **options))[1]

    assert checksum() == checksum(1)  # a backbone whose features are not kept is part of the model
    cache = str(tmp_path / "cache")
    kept = checksum(cache=cache)
    assert kept == checksum(cache=cache) != checksum(1, cache=cache)
    images[2].path.write_bytes(b"0" * 49)
    assert kept != checksum(cache=cache)
