"""Results of a command, on standard output or in a file that the same command completes after an interruption."""

import contextlib
import json
import os
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...files import atomic_file, flush
from .console import note
from .errors import UsageError
from .locks import locked
from .models.outputs import sibling

CHECKPOINT_SECONDS = 1.0  # the least time between two checkpoints of an output


class State(NamedTuple):
    """What is written.

    Attributes:
        inputs: The number of inputs whose results are written.
        checksum: The checksum of those inputs.
        failures: How many of them have no result.
        size: The number of bytes of the results.
        content: The checksum of those bytes.
    """

    inputs: int = 0
    checksum: int = 0
    failures: int = 0
    size: int = 0
    content: int = 0


class Results:
    """Results that are written somewhere, or dropped.

    Attributes:
        state: What is written. One assignment replaces it, so that a signal never leaves a part of it.
    """

    path = Path()
    is_finished = False

    def __init__(self) -> None:
        self.state = State()

    def write(self, inputs: Sequence[str], results: Sequence[str | Exception]) -> None:
        """Writes the results of further inputs, and reports exceptions on standard error."""
        lines, checksum, failures = [], self.state.checksum, self.state.failures
        for item, result in zip(inputs, results, strict=True):
            checksum = checksum_of(item, checksum)
            if isinstance(result, Exception):
                failures += 1
                reason = result.strerror if isinstance(result, OSError) else result
                name, *_ = item.split("\t", 1)
                note(f"{name}: {reason}")
            else:
                lines.append(f"{result}\n")
        content = "".join(lines).encode()
        self.emit(content)
        self.state = State(
            self.state.inputs + len(inputs),
            checksum,
            failures,
            self.state.size + len(content),
            zlib.crc32(content, self.state.content),
        )

    def emit(self, content: bytes) -> None:
        """Writes lines. By default they are dropped."""


class StandardOutput(Results):
    """Results on standard output."""

    def emit(self, content: bytes) -> None:
        sys.stdout.write(content.decode())
        sys.stdout.flush()


class OutputFile(Results):
    """Results in a file, with a record of what is written."""

    def __init__(self, path: Path, command: dict[str, Any]) -> None:
        super().__init__()
        self.is_finished = path.exists()
        self.path = path if self.is_finished else sibling(path, "unfinished")
        self.record = sibling(path, "record.json")
        self.command = command
        if self.is_finished and not self.record.exists():
            raise UsageError(f"{path} exists already and is not an output of this command")
        if self.path.exists() and self.record.exists():
            self._restore()
        if not self.is_finished:
            self.file = open(self.path, "ab")  # noqa: SIM115
            self.file.truncate(self.state.size)  # a killed process may have written more than it recorded
            self.recorded_at = time.monotonic()

    def _restore(self) -> None:
        """Reads the record, and checks the results that are written."""
        try:
            known = json.loads(self.record.read_text(encoding="utf-8"))
            former = dict(known["command"])
            self.state = State(*(int(known[name]) for name in State._fields))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UsageError(f"{self.record} is damaged; delete {self.path} to start over") from error
        for name in {**self.command, **former}:
            if self.command.get(name) != former.get(name):
                raise UsageError(f"{self.path} was written with another {name}; delete it to start over")
        size = self.path.stat().st_size
        is_changed = size != self.state.size if self.is_finished else size < self.state.size
        if is_changed or checksum_of_file(self.path, self.state.size) != self.state.content:
            raise UsageError(f"{self.path} was changed after it was written; delete it to start over")

    def emit(self, content: bytes) -> None:
        self.file.write(content)
        self.file.flush()

    def write(self, inputs: Sequence[str], results: Sequence[str | Exception]) -> None:
        super().write(inputs, results)
        if time.monotonic() - self.recorded_at >= CHECKPOINT_SECONDS:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Records what is written."""
        os.fsync(self.file.fileno())
        known = {"command": self.command, **self.state._asdict()}
        with atomic_file(self.record) as partial:
            partial.write_text(json.dumps(known, ensure_ascii=False), encoding="utf-8")
        self.recorded_at = time.monotonic()


@contextlib.contextmanager
def output_file(output: str, command: dict[str, Any]) -> Iterator[OutputFile]:
    """Yields the results of a command in a file, which appears when the block ends.

    An interrupted block leaves the results that are written; the same command yields them again.

    Args:
        output: The file.
        command: What determines the results, by name.

    Raises:
        UsageError: If the file cannot be written, or belongs to another command.
    """
    path = Path(output).expanduser().absolute()
    if not path.parent.is_dir():
        raise UsageError(f"{output}: no such folder: {path.parent}")
    if path.exists() and not path.is_file():
        raise UsageError(f"{output} is not a file")
    with locked(sibling(path, "lock")):
        results = OutputFile(path, command)
        if results.is_finished:
            yield results
            note(f"{output} is complete; nothing was computed")
            return
        try:
            with results.file:
                try:
                    yield results
                finally:
                    results.checkpoint()
        except BaseException as error:
            if not results.state.inputs:
                results.path.unlink()
                results.record.unlink(missing_ok=True)
            elif not isinstance(error, Exception):
                note(f"the unfinished output is in {results.path}; the same command resumes it")
            raise
        os.replace(results.path, path)
        flush(path.parent)


def checksum_of(item: str, checksum: int) -> int:
    """Returns the checksum of items from that of the items before and the next item."""
    return zlib.crc32(item.encode() + b"\n", checksum)


def checksum_of_file(path: Path, size: int | None = None) -> int:
    """Returns the checksum of the first `size` bytes of a file; None is all."""
    checksum = 0
    with open(path, "rb") as file:
        while block := file.read(2**20 if size is None else min(size, 2**20)):
            checksum = zlib.crc32(block, checksum)
            size = None if size is None else size - len(block)
    return checksum
