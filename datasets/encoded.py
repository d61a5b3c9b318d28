"""Encoded images in files."""

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .errors import DataError

# Of an image's file. Without compression, an image at Pillow's limit of 89 million pixels has about as many.
MAX_IMAGE_BYTES = 2**28


@dataclass(frozen=True)
class Image:
    """An encoded image, read from its file on demand.

    Args:
        name: Name for messages, such as the file name.
        path: The file that contains the image.
        start: Offset of the image in the file, in bytes.
        length: Number of bytes; None means up to the end of the file.
        mirrored: Whether the image is to be mirrored horizontally after decoding.
    """

    name: str
    path: Path
    start: int = 0
    length: int | None = None
    mirrored: bool = False

    def read(self) -> bytes:
        """Returns the encoded bytes.

        Raises:
            OSError: If the file cannot be read.
            DataError: If the file is not a regular file, or the image has more than `MAX_IMAGE_BYTES`.
        """
        status = self._status()
        with open(self.path, "rb") as file:
            file.seek(self.start)
            return file.read(status.st_size if self.length is None else self.length)

    def open(self) -> BinaryIO:
        """Opens the encoded image for reading.

        Raises:
            OSError, DataError: As `read` does.
        """
        if self.start or self.length is not None:
            return io.BytesIO(self.read())
        self._status()
        return open(self.path, "rb")

    def identity(self, time: bool) -> bytes:
        """Returns what changes with the image: its name and size, or its content if it is a part of a file.

        Args:
            time: Whether the time of the file's last modification is included.
        """
        if self.start or self.length is not None:
            return self.read()
        status = self._status()
        return f"{self.name} {status.st_size} {status.st_mtime_ns if time else ''}".encode("utf-8", "surrogateescape")

    def _status(self) -> os.stat_result:
        status = self.path.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise DataError("not a regular file")  # a FIFO would wait for a writer, and a device may have no end
        length = status.st_size if self.length is None else self.length
        if length > MAX_IMAGE_BYTES:
            raise DataError(f"the file has {length:,} bytes; an image has at most {MAX_IMAGE_BYTES:,}")
        return status
