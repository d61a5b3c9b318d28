"""Features of images, computed once by a frozen backbone and kept in a file."""

import collections
import contextlib
import errno
import hashlib
import io
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import keras
import numpy as np

from ....datasets.images import Image
from ....files import atomic_file
from ..config import ImageConfig
from ..console import note, progress
from ..errors import TrainingError
from ..locks import locked
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
        string that changes with the names and sizes of the images' files, and with the backbone of features.
    """
    readers: dict[str, Reader] = {
        split: pixel_reader(images[split], config.image_size, config.strict) for split in images
    }
    parts = [] if config.cache is None else [*_identity(backbone, config.image_size)]
    # Without times, which differ between the hosts that train together.
    checksum = " ".join(_checksum(images[split], *parts, time=False) for split in images)
    if config.cache is None:
        return readers, checksum
    features = {
        split: cached_features(backbone, images[split], reader, config.image_size, config.cache)
        for split, reader in readers.items()
    }
    return {split: array.__getitem__ for split, array in features.items()}, checksum


def cached_features(
    backbone: keras.Model, images: Sequence[Image], pixels: Reader, size: int, folder: str | Path
) -> np.memmap:
    """Returns the feature maps of images; computes them if no file in `folder` holds them.

    The file is named by a checksum of the backbone's architecture and weights, the images' size, and the names, sizes
    and times of the images' files. While features are computed, they are in a `.partial` file, and a `.done` file holds
    their checksums, so that an interrupted computation resumes after the last images whose features are intact. If
    another process computes the same features, this one waits for it.

    Args:
        backbone: Keras model from `(batch, size, size, 3)` in 0 to 255 to `(batch, rows, columns, features)`.
        images: The images.
        pixels: Function from indices of `images` to pixels `(indices, size, size, 3)`.
        size: Positive integer, the side of the square images.
        folder: The folder of the file.

    Returns:
        float16 array `(images, rows, columns, features)`, read from the file on access.

    Raises:
        TrainingError: If a feature exceeds the range of float16, or the folder cannot be written or is too small.
        LockError: If the file system of the folder does not support locks.
    """
    folder = Path(folder).expanduser()
    _check_folder(folder)
    path = folder / f"{_checksum(images, *_identity(backbone, size), time=True)}.npy"
    shape = (len(images), *backbone.compute_output_shape((None, size, size, 3))[1:])
    if not _is_complete(path, shape):
        _check_writable(folder)
        with locked(path.with_suffix(".lock"), wait=True):
            if not _is_complete(path, shape):  # another process may have computed them meanwhile
                _compute(backbone, pixels, path, shape)
                return np.lib.format.open_memmap(path, "r")
    note(f"features of {len(images)} images read from {path}")
    return np.lib.format.open_memmap(path, "r")


def _check_folder(folder: Path) -> None:
    """Creates a cache's folder; raises a `TrainingError` if it is not writable and contains no features."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"the cache {folder} cannot be created: {error.strerror}") from error
    if not any(folder.glob("*.npy")):
        _check_writable(folder)


def _check_writable(folder: Path) -> None:
    """Raises a `TrainingError` if no file can be created in a cache's folder."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise TrainingError(f"the cache {folder} is read-only and lacks features of these images and this backbone")


def _header(shape: tuple[int, ...]) -> bytes:
    """The first bytes of a `.npy` file of features."""
    header = io.BytesIO()
    dtype = np.lib.format.dtype_to_descr(np.dtype("float16"))
    np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
    return header.getvalue()


def _row_bytes(shape: tuple[int, ...]) -> int:
    """The number of bytes of one image's features."""
    return 2 * math.prod(shape[1:])


def _is_complete(path: Path, shape: tuple[int, ...]) -> bool:
    """Whether a file of features exists and has the header and the size that belong to `shape`."""
    header = _header(shape)
    try:
        with open(path, "rb") as file:
            begin, length = file.read(len(header)), file.seek(0, os.SEEK_END)
    except FileNotFoundError:
        return False
    return begin == header and length >= len(header) + shape[0] * _row_bytes(shape)


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


def _checksum(images: Sequence[Image], *parts: Any, time: bool) -> str:
    """A checksum of `parts`, and of the images' identities and whether they are mirrored."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    for image in images:
        identity = image.identity(time)
        digest.update(f"{len(identity)} {image.mirrored} ".encode())
        digest.update(identity)
    return digest.hexdigest()


def _compute(backbone: keras.Model, pixels: Reader, path: Path, shape: tuple[int, ...]) -> None:
    """Computes features and writes them to `path`; resumes an interrupted computation."""
    partial = path.with_suffix(".partial")
    if path.exists() and not partial.exists():
        note(f"{path} is damaged")
        os.replace(path, partial)
    done_path, count, header = path.with_suffix(".done"), shape[0], _header(shape)
    checkpoints, digest = _intact(partial, done_path, shape)
    done = max(checkpoints, default=0)
    with _enough_space(partial, shape), open(partial, "r+b" if done else "wb") as file:
        file.write(header)
        file.truncate(len(header) + done * _row_bytes(shape))
        file.seek(0, os.SEEK_END)
        starts = range(done, count, BATCH)
        for start in progress(starts, len(starts), "computing features of images"):
            indices = np.arange(start, min(start + BATCH, count))
            features = _features(backbone, pixels(indices))
            file.write(features.data)
            digest.update(features.data)
            if (start // BATCH) % 16 == 0 or indices[-1] + 1 == count:
                file.flush()
                os.fsync(file.fileno())
                checkpoints[int(indices[-1]) + 1] = digest.hexdigest()
                with atomic_file(done_path) as written:
                    written.write_text("".join(f"{number} {checksum}\n" for number, checksum in checkpoints.items()))
    os.replace(partial, path)


def _features(backbone: keras.Model, pixels: np.ndarray) -> np.ndarray:
    """Computes the features of a batch in float16."""
    batch = np.asarray(backbone.predict_on_batch(np.asarray(pixels, "float32")))
    if not np.abs(batch).max() <= np.finfo("float16").max:  # also true for NaN
        raise TrainingError("the backbone's features exceed 65,504, the maximum of a cache; train without a cache")
    return np.ascontiguousarray(batch, "float16")


def _intact(partial: Path, done_path: Path, shape: tuple[int, ...]) -> tuple[dict[int, str], Any]:
    """Verifies the checksums of an interrupted computation.

    Args:
        partial: The file of features.
        done_path: The file of checkpoints. A line holds a number of images and the checksum of their features.
        shape: The shape of all features.

    Returns:
        `(checkpoints, digest)`: the checkpoints that are intact, in ascending order, and the digest of their features.
    """
    checkpoints: dict[int, str] = {}
    digest = hashlib.blake2b(digest_size=16)
    if not partial.exists():
        return checkpoints, digest
    text = done_path.read_text(encoding="utf-8", errors="replace") if done_path.exists() else ""
    lines = text.splitlines() or [""]
    header, row_bytes, done = _header(shape), _row_bytes(shape), 0
    with open(partial, "rb") as file:
        has_header = file.read(len(header)) == header
        for line in lines:
            match = re.fullmatch(r"([0-9]{1,18})(?: ([0-9a-f]{32}))?", line)
            if match is None:
                break
            number, following = int(match[1]), digest.copy()
            if not done < number <= shape[0] or not _update(following, file, (number - done) * row_bytes):
                break
            # Earlier releases wrote no checksum. The header is written again anyway.
            intact = match[2] == following.hexdigest() if match[2] else has_header
            if not intact:
                break
            digest, done = following, number
            checkpoints[done] = digest.hexdigest()
    if len(checkpoints) < len(lines) or not has_header:
        note(f"{partial} is damaged or incomplete; resuming after {done} of {shape[0]} images")
    else:
        note(f"resuming after {done} images whose features are in {partial}")
    return checkpoints, digest


def _update(digest: Any, file: BinaryIO, count: int) -> bool:
    """Adds the next `count` bytes of a file to a digest; returns whether there were so many."""
    while count and (chunk := file.read(min(count, 2**24))):
        digest.update(chunk)
        count -= len(chunk)
    return not count


@contextlib.contextmanager
def _enough_space(partial: Path, shape: tuple[int, ...]) -> Iterator[None]:
    """Raises a `TrainingError` if the disk lacks space for all features, at once or when writing in the block fails."""
    size = len(_header(shape)) + shape[0] * _row_bytes(shape)
    written = partial.stat().st_size if partial.exists() else 0
    try:
        usage = shutil.disk_usage(partial.parent)
        if usage.total and usage.free < size - written:  # some file systems do not know their size
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        need = f"the features of {shape[0]} images take {size:,} bytes in the cache {partial.parent}"
        raise TrainingError(f"{need}: {error.strerror}; with more space, the same command resumes") from error
