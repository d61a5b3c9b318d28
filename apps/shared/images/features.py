"""Features of images, computed once by a frozen backbone and kept in a file."""

import collections
import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import portalocker

from ....datasets.images import Image
from ..config import ImageConfig
from ..console import note, progress
from ..errors import TrainingError
from ..models.folders import whole_file
from .pixels import Reader, pixel_reader

BATCH = 32


def image_readers(
    images: Mapping[str, Sequence[Image]], backbone: keras.Model, config: ImageConfig
) -> tuple[dict[str, Reader], str]:
    """Returns what a model is trained on: a reader of pixels, or with `config.cache` of features, for each split.

    Args:
        images: Dictionary from a split to its images.
        backbone: The backbone.
        config: The options of the images.

    Returns:
        `(readers, checksum)`: a dictionary from a split to a function from indices of its images to an array, and a
        string that changes with the images and the features.
    """
    readers: dict[str, Reader] = {split: pixel_reader(images[split], config.image_size) for split in images}
    if config.cache is None:
        return readers, " ".join(_checksum(images[split]) for split in images)
    features = {
        split: cached_features(backbone, images[split], reader, config.image_size, config.cache)
        for split, reader in readers.items()
    }
    checksum = " ".join(Path(str(array.filename)).stem for array in features.values())
    return {split: array.__getitem__ for split, array in features.items()}, checksum


def cached_features(
    backbone: keras.Model, images: Sequence[Image], pixels: Reader, size: int, folder: str | Path
) -> np.memmap:
    """Returns the feature maps of images; computes them if no file in `folder` holds them.

    The file is named by a checksum of the backbone's architecture and weights, the images' size and the images'
    contents. While features are computed, those so far stand in a `.partial` file, and a `.done` file holds their
    number, so that an interrupted computation is resumed. If another process computes the same features, this one
    waits for it.

    Args:
        backbone: Keras model from `(batch, size, size, 3)` in 0 to 255 to `(batch, rows, columns, features)`.
        images: The images.
        pixels: Function from indices of `images` to pixels `(indices, size, size, 3)`.
        size: Positive integer, the side of the square images.
        folder: The folder of the file.

    Returns:
        float16 array `(images, rows, columns, features)`, read from the file on access.

    Raises:
        TrainingError: If a feature exceeds the range of float16.
    """
    folder = Path(folder).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_checksum(images, *_identity(backbone, size))}.npy"
    shape = (len(images), *backbone.compute_output_shape((None, size, size, 3))[1:])
    with _locked(path):
        features = _read(path, shape)
        if features is not None:
            note(f"features of {len(images)} images read from {path}")
            return features
        _compute(backbone, pixels, path, shape)
    return np.load(path, mmap_mode="r")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Waits until no other process computes the features of `path`, and locks it in the block."""
    lock_path = path.with_suffix(".lock")
    with open(lock_path, "w") as lock:
        try:
            portalocker.lock(lock, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.AlreadyLocked:
            note(f"waiting for another process that computes the same features ({lock_path})")
            portalocker.lock(lock, portalocker.LOCK_EX)
        yield


def _read(path: Path, shape: tuple[int, ...]) -> np.memmap | None:
    """Opens a file of features; None if it is missing, damaged or of another shape."""
    try:
        features = np.load(path, mmap_mode="r")
    except FileNotFoundError:
        return None
    except (ValueError, EOFError) as error:
        note(f"{path} cannot be read ({error}); computing the features again")
        return None
    return features if features.shape == shape else None


def _identity(backbone: keras.Model, size: int) -> Iterator[Any]:
    """A backbone's architecture and weights, and the images' size."""
    # Keras numbers layers by how many it has created before. Here they are numbered by their order in the model.
    numbers: dict[str, dict[str, int]] = collections.defaultdict(dict)

    def renumbered(name):
        known = numbers[name[1]]
        return f'"{name[1]} {known.setdefault(name[0], len(known))}"'

    layers = re.sub(r'"(\w+?)(?:_\d+)?"', renumbered, backbone.to_json())
    yield f"{layers} {size}".encode()
    for weight in backbone.get_weights():
        yield np.ascontiguousarray(weight)


def _checksum(images: Sequence[Image], *parts: Any) -> str:
    """A checksum of `parts`, and of the images' contents and whether they are mirrored."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    for image in images:
        content = image.read()
        digest.update(f"{len(content)} {image.mirrored} ".encode())
        digest.update(content)
    return digest.hexdigest()


def _compute(backbone: keras.Model, pixels: Reader, path: Path, shape: tuple[int, ...]) -> None:
    """Computes features and writes them to `path`; resumes an interrupted computation."""
    partial, done_path = path.with_suffix(".partial"), path.with_suffix(".done")
    count = shape[0]
    text = done_path.read_text() if partial.exists() and done_path.exists() else ""
    done = int(text) if text.isdigit() else 0
    if not done:
        done_path.unlink(missing_ok=True)
    features = np.lib.format.open_memmap(partial, "r+" if done else "w+", "float16", shape)
    if done:
        note(f"resuming after {done} images whose features are in {partial}")
    starts = range(done, count, BATCH)
    for start in progress(starts, len(starts), "computing features of images"):
        indices = np.arange(start, min(start + BATCH, count))
        batch = backbone.predict_on_batch(np.asarray(pixels(indices), "float32"))
        if not np.abs(batch).max() <= np.finfo("float16").max:  # also true for NaN
            raise TrainingError("the backbone's features exceed 65,504, the maximum of a cache; train without a cache")
        features[indices] = batch
        if (start // BATCH) % 16 == 0:
            features.flush()
            with whole_file(done_path) as written:
                written.write_text(str(indices[-1] + 1))
    features.flush()
    del features
    os.replace(partial, path)
    done_path.unlink(missing_ok=True)
