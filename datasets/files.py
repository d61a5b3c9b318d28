"""Folders and text files."""

import gzip
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, cast

from .errors import DataError


def find_folder(data: str | Path, expected: str) -> Path | None:
    """Returns the folder that `data` names.

    Args:
        data: A folder, or the name of a data set.
        expected: What the folder must contain, for the error message.

    Returns:
        The folder, or None if there is no such path, so that `data` can only be a name.

    Raises:
        DataError: If `data` is a file.
    """
    path = Path(data).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise DataError(f"{data} is a file; expected a folder with {expected}, or the name of a TFDS data set")
    return None


def list_files(folder: Path) -> dict[str, Path]:
    """Returns the files of a folder, keyed by name without `.gz`; a plain file precedes its gzipped copy."""
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file():
            files.setdefault(path.name.removesuffix(".gz"), path)
    return files


def split_files(folder: Path, suffix: str) -> dict[str, Path]:
    """Returns the files `{split}{suffix}` and `{split}{suffix}.gz` of a folder, keyed by split."""
    return {name.removesuffix(suffix): path for name, path in list_files(folder).items() if name.endswith(suffix)}


def read_lines(path: Path) -> Iterator[str]:
    """Reads the lines of a UTF-8 text file one after the other, without line ends.

    See `decode_lines` for what ends a line.

    Args:
        path: The file, gzipped if its name ends in `.gz`.

    Yields:
        The lines, at least one of which is not blank.

    Raises:
        DataError: If the file is empty, truncated or not UTF-8. The message names the file and the line.
    """
    is_empty = True
    with open_bytes(path) as file:
        for line in lines_of(file, path):
            is_empty = is_empty and not line.strip()
            yield line
    if is_empty:
        raise DataError(f"{path}: the file is empty")


def open_bytes(path: Path) -> IO[bytes]:
    """Opens a file for reading bytes, of what is in it if its name ends in `.gz`."""
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else open(path, "rb")


def lines_of(file: Iterable[bytes], path: str | Path) -> Iterator[str]:
    """Decodes an open file, or another iterable of lines with their ends; see `decode_lines`."""
    try:
        for number, content in enumerate(file, 1):
            if number == 1 and not content.endswith(b"\n"):
                yield from decode_lines(content, path)  # the file contains no LF
            elif content != b"\r":  # a CR at the end of a file does not begin another line
                yield _decode(content, path, number).removesuffix("\n").removesuffix("\r").lstrip("\ufeff")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: not a complete gzip file ({error})") from error


def decode_lines(content: bytes, path: str | Path) -> list[str]:
    r"""Decodes UTF-8 bytes into lines, without line ends.

    A line ends in LF, CRLF or, if the bytes contain no LF, in CR; other Unicode line separators are text. Byte-order
    marks at the start of a line are removed: there is one in the middle where two files were concatenated.

    Args:
        content: The bytes.
        path: Where the bytes come from, for the error message.

    Returns:
        List of lines; empty if there are no bytes.

    Raises:
        DataError: If the bytes are not UTF-8. The message names the line.

    Example:

    >>> from keras_recurrent.datasets.files import decode_lines
    >>> decode_lines(b"a dog\r\na cat\n", "standard input")
    ['a dog', 'a cat']
    """
    text = decode_text(content, path)
    return [line.lstrip("\ufeff") for line in text.removesuffix("\n").split("\n")] if text else []


def decode_text(content: bytes, path: str | Path) -> str:
    """Decodes UTF-8 bytes, without a byte-order mark at the start, and with LF as the only line end.

    See `decode_lines` for the arguments and errors.
    """
    if b"\n" not in content:
        content = content.replace(b"\r", b"\n")
    return _decode(content, path).removeprefix("\ufeff").replace("\r\n", "\n").removesuffix("\r")


def _decode(content: bytes, path: str | Path, first_line: int = 1) -> str:
    """Decodes UTF-8 bytes that begin with the line `first_line` of a file."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + first_line
        raise DataError(f"{path}, line {line}: not UTF-8 text (byte 0x{content[error.start]:02x})") from error


def nfc(text: str) -> str:
    r"""Converts a text to Unicode's normalization form C, in which a letter and its accent are one character.

    Example:

    >>> from keras_recurrent.datasets.files import nfc
    >>> nfc("Cafe\u0301")
    'Café'
    """
    return unicodedata.normalize("NFC", text)
