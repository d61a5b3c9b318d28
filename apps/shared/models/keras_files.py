"""Loading of `.keras` files that anyone may have written. Nothing in them runs, and their size is checked first."""

import lzma
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import keras

from ..errors import first_line

MAX_BYTES = 2**31  # of a packed file's contents, and of its weights
MAX_RATIO = 10  # of unpacked to packed bytes; Keras packs nothing
SLACK = 1_000_000  # bytes beyond that ratio, for small files


def load_keras_file(path: str | Path) -> keras.Model:
    """Loads the model of a `.keras` file, without optimizer and loss.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is not a `.keras` file, is too large when unpacked, or contains something that could run code
            or read other files. The message is one line.
    """
    check_keras_file(path)
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras does not document what it raises for a damaged file
        raise ValueError(first_line(error)) from error


def check_keras_file(path: str | Path) -> None:
    """Checks the files in a `.keras` file, without unpacking them; raises as `load_keras_file` does."""
    status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_size(sum(entry.file_size for entry in archive.infolist()), status.st_size)
            for entry in archive.infolist():
                name = PurePosixPath(entry.filename.replace("\\", "/"))
                if name.is_absolute() or ".." in name.parts or ":" in entry.filename:
                    raise ValueError(f"contains a file outside of its folder: {entry.filename!r}")
                if name.suffix == ".npz":
                    raise ValueError("weights in the format npz are not supported")
                if name.suffix == ".h5":
                    with archive.open(entry) as file:
                        check_weights(file, entry.compress_size)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"not a .keras file ({first_line(error)})") from error


def check_weights(file: Any, packed: int) -> None:
    """Checks that an HDF5 file has no external or linked data, and that its arrays are not much larger than the file.

    Args:
        file: The file's path, or the open file.
        packed: The size of the file in bytes.

    Raises:
        ValueError: If they are not. The message is one line.
    """
    unpacked = 0

    def visit(name: str, item: Any) -> None:
        nonlocal unpacked
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise ValueError(f"the weights {name!r} are in another file")
            unpacked += item.nbytes
            return
        for key in item:
            if not isinstance(item.get(key, getlink=True), h5py.HardLink):
                raise ValueError(f"the weights {name}/{key} are a link")

    try:
        with h5py.File(file, "r") as weights:
            visit("", weights)
            weights.visititems(visit)
    except OSError as error:
        raise ValueError(f"not an HDF5 file ({first_line(error)})") from error
    _check_size(unpacked, packed)


def _check_size(unpacked: int, packed: int) -> None:
    if unpacked > max(packed + SLACK, min(MAX_BYTES, MAX_RATIO * packed + SLACK)):  # not packed: any size
        raise ValueError(f"{packed:,} bytes unpack to {unpacked:,}, possibly a decompression bomb")
