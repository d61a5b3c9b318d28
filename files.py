"""Files and folders that appear complete or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields the path of a temporary file that becomes `path` when the block ends and is deleted if it fails."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        flush(partial)
        os.replace(partial, path)
        flush(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder that becomes `path` when the block ends and is deleted if it fails.

    An existing `path` is replaced at the end, and kept if the block fails. A process that is killed between the two
    renames of a replacement leaves no `path`.
    """
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as temporary:
        partial, old = Path(temporary) / "new", Path(temporary) / "old"
        partial.mkdir()
        yield partial
        flush_folder(partial)
        put_into_place(partial, path, old)


def put_into_place(new: Path, path: Path, old: Path) -> None:
    """Renames the folder `new` to `path`, and an existing `path` to `old`, which is renamed back if that fails."""
    if path.exists():
        path.rename(old)
    try:
        new.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    flush(path.parent)


def flush_folder(folder: Path, excluded: str | None = None) -> None:
    """Flushes all files and folders below a folder, without the subfolders of the name `excluded`."""
    for path, subfolders, names in os.walk(folder):
        if excluded in subfolders:
            subfolders.remove(excluded)
        for name in names:
            flush(Path(path) / name)
        flush(Path(path))


def flush(path: Path) -> None:
    """Waits until a file or the entries of a folder are on the disk."""
    try:
        descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # Windows flushes what it may write
    except OSError:  # Windows opens no folders
        if path.is_file():
            raise
        return
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems flush no folders
        if path.is_file():
            raise
    finally:
        os.close(descriptor)
