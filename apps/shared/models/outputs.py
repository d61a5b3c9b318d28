"""Folders and files that appear complete or not at all, at whatever moment a process is killed or a disk is full."""

import contextlib
import glob
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ....files import flush_folder, put_into_place
from ..errors import AlreadyLockedError, LockError, ModelFolderError
from ..locks import locked

# The subfolder with the checkpoints of a training that is running or was interrupted.
STATES = "training"

_LONGEST_PATH = 4096  # on Linux; longer paths of the files in a folder cannot be opened
_LONGEST_SUFFIX = len("/figures/" + "x" * 64)


def output_folder(path: str | Path) -> Path:
    """Returns the absolute path of a folder to write, with `~` and symbolic links resolved.

    Raises:
        ModelFolderError: If no folder can be written there: the path is blank or too long, a file or a loop of links is
            in the way, the folder above is read-only, or the folder is a mount point, which cannot be replaced.
    """
    if not str(path).strip() or "\0" in str(path):
        raise ModelFolderError(f"{str(path)!r} cannot be the name of an output folder")
    folder = Path(os.path.realpath(os.path.expanduser(path)))
    name, parent = os.fsencode(folder.name), folder.parent
    if not name or len(name) > 200 or len(os.fsencode(folder)) + _LONGEST_SUFFIX > _LONGEST_PATH:
        raise ModelFolderError(f"{_shortened(folder)} cannot be the name of an output folder")
    for existing in (folder, *folder.parents):
        if existing.is_symlink():  # `realpath` resolves all but loops
            raise ModelFolderError(f"{existing} is a symbolic link that leads to itself")
        if existing.exists() and not existing.is_dir():
            raise ModelFolderError(f"{existing} is a file, not a folder")
    if folder.exists() and _is_mount_point(folder):
        raise ModelFolderError(f"{folder} is a mount point, which cannot be replaced; name a new folder in it")
    while not parent.exists():
        parent = parent.parent
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ModelFolderError(f"{folder} cannot be written: {parent} is read-only")
    return folder


def _shortened(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 100 else f"{text[:60]}...{text[-20:]}"


def _is_mount_point(folder: Path) -> bool:
    if os.path.ismount(folder):
        return True
    try:  # a folder of the same file system that is mounted here, as by a container
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    points = (re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), line.split()[4]) for line in lines)
    return str(folder) in points


def check_new(folder: str | Path, overwrite: bool, mark: str) -> None:
    """Checks that a folder may be written.

    Args:
        folder: The folder.
        overwrite: Whether it may be replaced if it exists.
        mark: Name of a file that a folder of this kind contains. A folder without it is never replaced, so that a typo
            deletes nothing else.

    Raises:
        ModelFolderError: If the folder exists and must not be replaced.
    """
    folder = Path(folder)
    _check_absent(folder, overwrite)
    if folder.exists() and any(folder.iterdir()) and not (folder / mark).exists():
        raise ModelFolderError(f"{folder} is not replaced, because it does not contain {mark}")


def _check_absent(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not overwrite:
        raise ModelFolderError(f"{folder} exists already; --overwrite replaces it")


@contextlib.contextmanager
def atomic_output(folder: str | Path, overwrite: bool = True) -> Iterator[Path]:
    """Yields a temporary folder that becomes `folder` when the block ends and is deleted if the block fails.

    Other processes cannot write `folder` meanwhile. If the process is killed, `find` and the next writer restore
    `folder`.

    Args:
        folder: The folder.
        overwrite: Whether an existing folder is replaced at the end. It is kept if the block fails.

    Raises:
        ModelFolderError: If another process writes the folder, or it exists and must not be replaced.
    """
    folder = Path(folder).absolute()
    with writing(folder):
        _check_absent(folder, overwrite)
        partial = _temporary(folder)
        partial.chmod(0o755)  # mkdtemp gives access to the owner only
        try:
            yield partial
            replace(folder, partial)
        except BaseException:
            with contextlib.suppress(OSError):  # it may not be there
                sibling(folder, "finished").rename(partial)  # never to be restored, even if its deletion is cut short
            shutil.rmtree(sibling(folder, "finished"), ignore_errors=True)
            repair(folder)
            raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Locks a folder while the block writes it. First completes or removes the leftovers of a killed process.

    Creates the parent folders. If the block fails, deletes those that it created and that are empty.

    Raises:
        ModelFolderError: If another process writes the folder.
    """
    missing = [parent for parent in folder.parents if not parent.exists()]  # the innermost first
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
    try:
        with _lock(folder):
            repair(folder)
            yield
    except BaseException:
        for parent in missing:
            with contextlib.suppress(OSError):  # not empty
                parent.rmdir()
        raise


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    try:
        with locked(sibling(folder, "lock")):
            yield
    except AlreadyLockedError as error:
        raise ModelFolderError(f"{folder} is being written by {error.holder}") from error
    except LockError as error:
        raise ModelFolderError(str(error)) from error


def sibling(folder: Path, suffix: str) -> Path:
    """Returns the path of a hidden file or folder beside `folder`, `.NAME.SUFFIX`."""
    return folder.with_name(f".{folder.name}.{suffix}")


def replace(folder: Path, partial: Path) -> None:
    """Renames a complete folder `partial` to `folder`, without its checkpoints. Deletes an existing `folder`.

    A process that is killed leaves what `repair` puts into place.
    """
    flush_folder(partial, excluded=STATES)  # the checkpoints are deleted below
    partial.rename(sibling(folder, "finished"))
    _put_into_place(folder)


def _put_into_place(folder: Path) -> None:
    """Renames the finished folder to `folder`, and restores an existing `folder` if that fails."""
    finished, old = sibling(folder, "finished"), sibling(folder, "old")
    shutil.rmtree(finished / STATES, ignore_errors=True)
    if folder.exists():
        _delete_old(folder)
    put_into_place(finished, folder, old)
    _delete_old(folder)


def _delete_old(folder: Path) -> None:
    """Deletes the former `folder` under a name that `repair` never restores, in case it is killed before the end."""
    old = sibling(folder, "old")
    if old.exists():
        deleted = _temporary(folder)
        old.rename(deleted / "old")
        shutil.rmtree(deleted, ignore_errors=True)


def _temporary(folder: Path) -> Path:
    """Creates a folder beside `folder` that `repair` deletes."""
    return Path(tempfile.mkdtemp(prefix=sibling(folder, "partial-").name, dir=folder.parent))


def repair(folder: Path) -> None:
    """Completes or removes what a process left that was killed while it replaced `folder`.

    Args:
        folder: A folder that no other process writes.
    """
    old = sibling(folder, "old")
    former = sibling(folder, "unfinished-old")  # what earlier versions left
    if not old.exists() and former.exists():
        former.rename(old)
    if sibling(folder, "finished").exists():
        _put_into_place(folder)
    elif old.exists() and not folder.exists():
        old.rename(folder)
    _delete_old(folder)
    for leftover in (former, *folder.parent.glob(f"{glob.escape(sibling(folder, 'partial-').name)}*")):
        shutil.rmtree(leftover, ignore_errors=True)


def find(folder: Path) -> Path:
    """Returns `folder`. If a process was killed while it replaced the folder, puts it into place first."""
    real = Path(os.path.realpath(folder))
    leftovers = (sibling(real, suffix) for suffix in ("finished", "old", "unfinished-old"))
    if not real.exists() and any(leftover.exists() for leftover in leftovers):
        for _ in range(20):  # another process may be replacing the folder right now
            with contextlib.suppress(ModelFolderError, OSError), _lock(real):
                repair(real)
            if real.exists():
                break
            time.sleep(0.1)
    return folder
