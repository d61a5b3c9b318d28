"""Features of images that a frozen backbone computed, kept in a file."""

import hashlib
import os
import re
from pathlib import Path

import numpy as np

from .console import note, progress
from .images import pixel_reader

BATCH = 32


def image_readers(images, network, config):
    """What a model is trained with of the images of each split.

    Args:
        images: Dictionary from a split to a list of `Image`s.
        network: The backbone.
        config: An `ImageConfig`.

    Returns:
        Dictionary from a split to a function from an array of places among its images to their pixels, or with
        `config.cache` to their features.
    """
    readers = {split: pixel_reader(of_split, config.image_size) for split, of_split in images.items()}
    if config.cache is None:
        return readers
    return {
        split: cached_features(network, images[split], reader, config.cache).__getitem__
        for split, reader in readers.items()
    }


def cached_features(backbone, images, pixels, folder):
    """The feature maps of images, computed where no file in `folder` has them.

    The file's name is a checksum of the backbone's layers and weights, of the size of the images that it takes and of
    the images' bytes, so that what has changed gets another file. While they are computed, the first ones are in a
    `.partial` file with a `.done` file that counts them, and after an interruption the rest is computed.

    Args:
        backbone: A Keras model from `(batch, size, size, 3)` in 0 to 255 to `(batch, rows, columns, features)`.
        images: List of `Image`s.
        pixels: Function from an array of places in `images` to their pixels `(batch, size, size, 3)`.
        folder: Where the file is, or will be.

    Returns:
        float16 array `(images, rows, columns, features)`, read from the file as it is used.
    """
    folder = Path(folder).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_checksum(backbone, images)}.npy"
    if path.exists():
        note(f"{len(images)} images have their features in {path}")
    else:
        _compute(backbone, len(images), pixels, path)
    return np.load(path, mmap_mode="r")


def _checksum(backbone, images):
    checksum = hashlib.blake2b(digest_size=16)
    # Keras numbers the names of layers by how many it made before, which changes nothing.
    layers = re.sub(r'_\d+"', '"', backbone.to_json())
    checksum.update(f"{layers} {backbone.input_shape}".encode())
    for weight in backbone.get_weights():
        checksum.update(np.ascontiguousarray(weight))
    for image in images:
        content = image.read()
        checksum.update(len(content).to_bytes(8, "little"))
        checksum.update(content)
    return checksum.hexdigest()


def _compute(backbone, count, pixels, path):
    partial, done_path = path.with_suffix(".partial"), path.with_suffix(".done")
    shape = (count, *backbone.output_shape[1:])
    done = int(done_path.read_text()) if partial.exists() and done_path.exists() else 0
    features = np.lib.format.open_memmap(partial, "r+" if done else "w+", "float16", shape)
    if done:
        note(f"goes on after {done} images that have their features in {partial}")
    starts = range(done, count, BATCH)
    for start in progress(starts, len(starts), "looking at images"):
        places = np.arange(start, min(start + BATCH, count))
        features[places] = backbone.predict_on_batch(np.asarray(pixels(places), "float32"))
        if (start // BATCH) % 16 == 0:
            features.flush()
            done_path.write_text(str(places[-1] + 1))
    features.flush()
    del features
    os.replace(partial, path)
    done_path.unlink(missing_ok=True)
