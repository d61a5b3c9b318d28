"""Locks between processes, held on a file that names the process that holds it."""

import contextlib
import datetime
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import portalocker

from .console import note
from .errors import AlreadyLockedError, LockError

POLL_SECONDS = 0.2  # Windows gives up a blocking call after 10 seconds


@contextlib.contextmanager
def locked(path: str | Path, wait: bool = False) -> Iterator[None]:
    """Holds an exclusive lock in the block.

    The operating system releases the lock when the process ends, so the file of a killed process does not block.
    The file contains the process id, the host and the start time of its holder. It is deleted when the block ends,
    except on Windows.

    Args:
        path: The lock file. Its folder must exist.
        wait: Whether to wait, with a message, while another process holds the lock.

    Raises:
        AlreadyLockedError: If another process holds the lock and `wait` is False.
        LockError: If the file system does not support locks.
        OSError: If the file cannot be created.
    """
    path = Path(path)
    file = _acquire(path, wait)
    try:
        _write_holder(file)
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows deletes no open file
            path.unlink()
        file.close()


def _acquire(path: Path, wait: bool) -> IO[str]:
    """Opens and locks the file `path`."""
    while True:
        # Mode "w" would erase the holder's line.
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115
        try:
            _lock(file, path, wait)
            # The former holder may have deleted the file after this process opened it.
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        except FileNotFoundError:
            pass
        except BaseException:
            file.close()
            raise
        file.close()


def _lock(file: IO[str], path: Path, wait: bool) -> None:
    """Locks an open file."""
    is_waiting = False
    while True:
        try:
            portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
            return
        except portalocker.AlreadyLocked as error:
            if not is_waiting:
                holder = _holder(file)
                if not wait:
                    raise AlreadyLockedError(f"{path} is locked by {holder}", holder) from error
                note(f"waiting for {holder}, which holds {path}")
                is_waiting = True
            time.sleep(POLL_SECONDS)
        except portalocker.LockException as error:
            reason = error.args[-1]  # of the system; the attribute `strerror` is not in all releases
            raise LockError(f"{path.parent}: cannot lock a file there ({reason}); use another file system") from error


def _write_holder(file: IO[str]) -> None:
    """Writes a line about this process into its lock file."""
    line = f"{os.getpid()} {datetime.datetime.now().isoformat(timespec='seconds')} {socket.gethostname()}\n"
    with contextlib.suppress(OSError):  # on a full disk, the lock works without the line
        file.truncate(0)
        os.write(file.fileno(), line.encode())


def _holder(file: IO[str]) -> str:
    """Describes the process that holds the lock on an open file, such as `process 1234 since 14:03`."""
    time.sleep(0.1)  # the holder writes its line just after it has acquired the lock
    try:
        file.seek(0)
        process, start, host = file.read(1000).split()
        since = datetime.datetime.fromisoformat(start)
    except (OSError, ValueError):  # Windows lets no other process read a locked file
        return "another process"
    today = since.date() == datetime.date.today()
    where = "" if host == socket.gethostname() else f" on {host}"
    return f"process {process}{where} since {since:{'%H:%M' if today else '%Y-%m-%d %H:%M'}}"
