"""Features of images that a frozen backbone computed, kept in a file."""

import collections
import contextlib
import hashlib
import os
import re
from pathlib import Path

import numpy as np
import portalocker

from ..console import note, progress
from ..errors import TrainingError
from ..models.folders import whole_file
from .pixels import pixel_reader

BATCH = 32


def image_readers(images, network, config):
    """What a model is trained with of the images of each split.

    Args:
        images: Dictionary from a split to a list of `Image`s.
        network: The backbone.
        config: An `ImageConfig`.

    Returns:
        `(readers, checksum)`: a dictionary from a split to a function from an array of places among its images to their
        pixels, or with `config.cache` to their features; and a string that is another for other images or features.
    """
    readers = {split: pixel_reader(of_split, config.image_size) for split, of_split in images.items()}
    if config.cache is None:
        return readers, " ".join(_checksum(of_split) for of_split in images.values())
    features = {
        split: cached_features(network, images[split], reader, config.image_size, config.cache)
        for split, reader in readers.items()
    }
    checksum = " ".join(Path(of_split.filename).stem for of_split in features.values())
    return {split: of_split.__getitem__ for split, of_split in features.items()}, checksum


def cached_features(backbone, images, pixels, size, folder):
    """The feature maps of images, computed where no file in `folder` has them.

    The file's name is a checksum of the backbone's layers and weights, of the size of the images that it takes and of
    the images' bytes, so that what has changed gets another file. While they are computed, the first ones are in a
    `.partial` file with a `.done` file that counts them, and after an interruption the rest is computed. Of two
    trainings that want the same features, the second waits for the first.

    Args:
        backbone: A Keras model from `(batch, size, size, 3)` in 0 to 255 to `(batch, rows, columns, features)`.
        images: List of `Image`s.
        pixels: Function from an array of places in `images` to their pixels `(batch, size, size, 3)`.
        size: Positive integer, the side of those.
        folder: Where the file is, or will be.

    Returns:
        float16 array `(images, rows, columns, features)`, read from the file as it is used.

    Raises:
        TrainingError: If a feature is too large for float16.
    """
    folder = Path(folder).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_checksum(images, *_identity(backbone, size))}.npy"
    shape = (len(images), *backbone.compute_output_shape((None, size, size, 3))[1:])
    with _alone(path):
        features = _read(path, shape)
        if features is not None:
            note(f"{len(images)} images have their features in {path}")
            return features
        _compute(backbone, pixels, path, shape)
    return _read(path, shape)


@contextlib.contextmanager
def _alone(path):
    """Waits until no other process computes the features of `path`."""
    lock_path = path.with_suffix(".lock")
    with open(lock_path, "w") as lock:
        try:
            portalocker.lock(lock, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.AlreadyLocked:
            note(f"waiting for another training, which computes the same features ({lock_path})")
            portalocker.lock(lock, portalocker.LOCK_EX)
        yield


def _read(path, shape):
    """What is in a file, if that is whole and of this shape."""
    try:
        features = np.load(path, mmap_mode="r")
    except FileNotFoundError:
        return None
    except (ValueError, EOFError) as error:
        note(f"{path} cannot be read ({error}), and is computed again")
        return None
    return features if features.shape == shape else None


def _identity(backbone, size):
    """A backbone's layers and weights, and the size of the images that it takes, as bytes."""
    # Keras numbers the names of layers by how many it made before, which changes nothing; here by their order.
    numbers = collections.defaultdict(dict)

    def renumbered(name):
        known = numbers[name[1]]
        return f'"{name[1]} {known.setdefault(name[0], len(known))}"'

    layers = re.sub(r'"(\w+?)(?:_\d+)?"', renumbered, backbone.to_json())
    yield f"{layers} {size}".encode()
    for weight in backbone.get_weights():
        yield np.ascontiguousarray(weight)


def _checksum(images, *parts):
    """What changes with the images' bytes, whether they are mirrored, and with what else is given, as bytes."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(part)
    for image in images:
        content = image.read()
        found.update(f"{len(content)} {image.mirrored} ".encode())
        found.update(content)
    return found.hexdigest()


def _compute(backbone, pixels, path, shape):
    partial, done_path = path.with_suffix(".partial"), path.with_suffix(".done")
    count = shape[0]
    told = done_path.read_text() if partial.exists() and done_path.exists() else ""
    done = int(told) if told.isdigit() else 0
    if not done:
        done_path.unlink(missing_ok=True)
    features = np.lib.format.open_memmap(partial, "r+" if done else "w+", "float16", shape)
    if done:
        note(f"goes on after {done} images that have their features in {partial}")
    starts = range(done, count, BATCH)
    for start in progress(starts, len(starts), "looking at images"):
        places = np.arange(start, min(start + BATCH, count))
        found = backbone.predict_on_batch(np.asarray(pixels(places), "float32"))
        if not np.abs(found).max() <= np.finfo("float16").max:  # or not a number
            raise TrainingError("the backbone's features are beyond what a cache holds, 65,504; train without it")
        features[places] = found
        if (start // BATCH) % 16 == 0:
            features.flush()
            with whole_file(done_path) as written:
                written.write_text(str(places[-1] + 1))
    features.flush()
    del features
    os.replace(partial, path)
    done_path.unlink(missing_ok=True)
