"""Inputs and results of commands."""

import contextlib
import dataclasses
import itertools
import json
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ...datasets.files import lines_of, open_bytes
from ...files import atomic_file, flush
from .console import note, progress_bar
from .errors import UsageError
from .locks import locked
from .models import folders, outputs

BATCH = 64  # inputs that are computed together
WINDOW = 32 * BATCH  # texts that are sorted by length
CHECKPOINT_SECONDS = 1.0  # the least time between two checkpoints of an output
TAB = "\t"

Result = TypeVar("Result")


def report(folder: str, split: str, metrics: dict[str, Any], data: str | None = None) -> None:
    """Prints the metrics of an evaluation as one line of JSON and writes them to the model's folder.

    Args:
        folder: The model's folder.
        split: The name of the split.
        metrics: The metrics by name.
        data: The data set, or None if it is the one that the model was trained on.
    """
    print(json.dumps(metrics, ensure_ascii=False), flush=True)  # a folder that is read-only costs no result
    folders.write_metrics(folder, split if data is None else f"{split} of {data}", metrics)


def figure_path(folder: str, name: str, split: str, data: str | None = None) -> Path:
    """Returns the path of an evaluation's figure in the model's folder; `split` and `data` are those of `report`."""
    suffix = "" if data is None else f"-of-{Path(data).name}"
    return Path(folder) / "figures" / f"{name}-{split}{suffix}.png"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Streaming:
    """Many inputs.

    Args:
        input: File with one input per line, instead of standard input. A name in .gz is a gzipped file.
        shard: Part of the inputs to process, such as 2/4, the second of four consecutive parts of equal size. The
            outputs of all parts, one after the other, are the output of the whole. Not for standard input.
        output: File for the results, instead of standard output. It appears when it is complete. The same command
            resumes an interrupted one.
    """

    input: str | None = None
    shard: str | None = None
    output: str | None = None


def check_drawing(path: str | None, streaming: Streaming) -> None:
    """Checks the option of a command that draws its first result into a file.

    Raises:
        UsageError: If the file cannot be written, or the command may be resumed after the first result.
    """
    from .figures import check_picture

    if path is not None:
        check_picture(path)
        if streaming.output is not None:
            raise UsageError(f"{path} would show the first result, which a resumed --output has already written")


def stream(
    function: Callable[[list[str], int], Sequence[str | Exception]],
    inputs: Sequence[str],
    streaming: Streaming,
    model: str,
    options: dict[str, Any],
    by_length: bool = True,
) -> int:
    """Computes the results of a command's inputs and writes them in the order of the inputs, in constant memory.

    At a terminal each line is computed before the next one is typed.

    Args:
        function: Function from a list of inputs, at most `BATCH`, and the index of the first one among all inputs, to
            a list of results without the last line end. A result that is an exception is reported on standard error.
        inputs: The inputs in the command's arguments. Without any, the lines of the input file or standard input.
        streaming: The options of the command.
        model: The model's folder.
        options: The options that determine the results. An interrupted command is resumed only with the same ones.
        by_length: Whether texts of similar length are batched. The index is then that of the first text of their
            window.

    Returns:
        The number of results.

    Raises:
        DataError: If the inputs are not UTF-8, or not a gzip file.
        UsageError: If options do not fit together, the output belongs to another command, or at the end, if there was
            an exception among the results.
    """
    source = _open(inputs, streaming)
    is_interactive = source.total is None and streaming == Streaming() and sys.stdin.isatty()
    size = 1 if is_interactive else WINDOW if by_length else BATCH
    with contextlib.ExitStack() as stack:
        results = _Results()
        if streaming.output is not None:
            command = {"model": _checksum_of_model(model), "input": source.checksum, "shard": streaming.shard}
            results = stack.enter_context(_output_file(streaming.output, {**command, **options}))
        _skip(source.items, results)
        is_visible = not is_interactive and (streaming.output is not None or not sys.stdout.isatty())
        advance = stack.enter_context(progress_bar("predicting", source.total, results.inputs, is_visible))
        while window := [*itertools.islice(source.items, size)]:
            results.write(window, _compute(function, window, source.first + results.inputs, by_length, advance))
    if results.failures:
        raise UsageError(f"{results.failures:,} of {results.inputs:,} inputs could not be processed")
    return results.inputs


def map_usable(function: Callable[..., Sequence[Result]], *columns: Sequence[Any]) -> list[Result | Exception]:
    """Applies a function to the rows of columns that contain no exception.

    Args:
        function: Function from columns to a list of results, one per row.
        *columns: Lists of the same length.

    Returns:
        For each row its result, or its first exception.

    Example:

    >>> from keras_recurrent.apps.shared.verbs import map_usable
    >>> map_usable(lambda numbers: [2 * number for number in numbers], [1, ValueError("no number"), 3])
    [2, ValueError('no number'), 6]
    """
    rows = list(zip(*columns, strict=True))
    errors = [next((value for value in row if isinstance(value, Exception)), None) for row in rows]
    usable = [row for row, error in zip(rows, errors, strict=True) if error is None]
    results = iter(function(*zip(*usable, strict=True)) if usable else [])
    return [next(results) if error is None else error for error in errors]


def _compute(
    function: Callable, window: list[str], index: int, by_length: bool, advance: Callable[[int], None]
) -> list[str | Exception]:
    """Returns the results of a window in its order."""
    if not by_length:
        results = function(window, index)
        advance(len(window))
        return results
    from .text.batches import map_by_length

    results = [""] * len(window)
    for position, result in map_by_length(lambda texts: function(texts, index), window, BATCH):
        results[position] = result
        advance(1)
    return results


class _Source(NamedTuple):
    """The inputs of a process.

    Attributes:
        items: The inputs.
        total: Their number, or None if it is unknown.
        checksum: The checksum of the inputs of all shards, or None if it is unknown.
        first: The index of the first one among the inputs of all shards.
    """

    items: Iterator[str]
    total: int | None
    checksum: int | None
    first: int


def _open(inputs: Sequence[str], streaming: Streaming) -> _Source:
    """Returns the inputs of a command. Those of a file are checked first."""
    shard, shards = _parse_shard(streaming.shard)
    if inputs and streaming.input is not None:
        raise UsageError("give the inputs as arguments or in the file --input, not both")
    path = None if streaming.input is None else Path(streaming.input)
    if not inputs and (path is None or (path.exists() and not path.is_file() and not path.is_dir())):
        if streaming.shard is not None:
            raise UsageError("--shard requires --input with the name of a file, which every process reads")
        return _Source(_standard_input() if path is None else _read_lines(path), None, None, 0)
    read = (lambda: iter(inputs)) if path is None else (lambda: _read_lines(path))
    total = checksum = 0
    for item in read():
        total, checksum = total + 1, _checksum(item, checksum)
    first, end = total * (shard - 1) // shards, total * shard // shards
    return _Source(itertools.islice(read(), first, end), end - first, checksum, first)


def _parse_shard(shard: str | None) -> tuple[int, int]:
    if shard is None:
        return 1, 1
    index, _, count = shard.partition("/")
    if not (index.isdecimal() and count.isdecimal() and len(count) < 10 and 1 <= int(index) <= int(count)):
        raise UsageError(f"--shard takes I/N with I from 1 to N, such as 2/4, not {shard!r}")
    return int(index), int(count)


def _standard_input() -> Iterator[str]:
    if sys.stdin.isatty():
        return (line.rstrip("\n") for line in sys.stdin)
    return lines_of(sys.stdin.buffer, "standard input")


def _read_lines(path: Path) -> Iterator[str]:
    with open_bytes(path) as file:
        yield from lines_of(file, path)


def _checksum(item: str, checksum: int) -> int:
    return zlib.crc32(item.encode() + b"\n", checksum)


def _checksum_of_model(folder: str) -> list[int]:
    return [_checksum_of_file(outputs.find(Path(folder)) / name) for name in ("config.yaml", "model.keras")]


def _checksum_of_file(path: Path, size: int | None = None) -> int:
    """Returns the checksum of the first `size` bytes of a file; None is all."""
    checksum = 0
    with open(path, "rb") as file:
        while block := file.read(2**20 if size is None else min(size, 2**20)):
            checksum = zlib.crc32(block, checksum)
            size = None if size is None else size - len(block)
    return checksum


def _skip(items: Iterator[str], results: "_Results") -> None:
    """Skips the inputs whose results are written.

    Raises:
        UsageError: If they are not those that the results were computed from.
    """
    count = checksum = 0
    for item in itertools.islice(items, results.inputs):
        count, checksum = count + 1, _checksum(item, checksum)
    is_longer = results.is_finished and next(items, None) is not None
    if is_longer or (count, checksum) != (results.inputs, results.checksum):
        raise UsageError(f"{results.path} was written with another input; delete it to start over")


class _Results:
    """Results on standard output.

    Attributes:
        inputs: The number of inputs whose results are written.
        checksum: The checksum of those inputs.
        failures: How many of them have no result.
    """

    path = Path("standard output")
    is_finished = False

    def __init__(self) -> None:
        self.inputs = self.checksum = self.failures = 0

    def write(self, inputs: Sequence[str], results: Sequence[str | Exception]) -> None:
        """Writes the results of further inputs, and reports exceptions on standard error."""
        lines, checksum, failures = [], self.checksum, self.failures
        for item, result in zip(inputs, results, strict=True):
            checksum = _checksum(item, checksum)
            if isinstance(result, Exception):
                failures += 1
                reason = result.strerror if isinstance(result, OSError) else result
                note(f"{item.partition(TAB)[0]}: {reason}")
            else:
                lines.append(f"{result}\n")
        self.emit("".join(lines))
        self.inputs, self.checksum, self.failures = self.inputs + len(inputs), checksum, failures

    def emit(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


class _OutputFile(_Results):
    """Results in a file, with a record of what is written.

    Attributes:
        size: The number of bytes that are written.
        content: The checksum of those bytes.
    """

    recorded = ("inputs", "checksum", "failures", "size", "content")

    def __init__(self, path: Path, command: dict[str, Any]) -> None:
        super().__init__()
        self.is_finished = path.exists()
        self.path = path if self.is_finished else outputs.sibling(path, "unfinished")
        self.record = outputs.sibling(path, "record.json")
        self.command = command
        self.size = self.content = 0
        if self.is_finished and not self.record.exists():
            raise UsageError(f"{path} exists already and is not an output of this command")
        if self.path.exists() and self.record.exists():
            self._restore()
        if not self.is_finished:
            self.file = open(self.path, "ab")  # noqa: SIM115
            self.file.truncate(self.size)  # a killed process may have written more than it recorded
            self.recorded_at = time.monotonic()

    def _restore(self) -> None:
        """Reads the record, and checks the results that are written."""
        try:
            known = json.loads(self.record.read_text(encoding="utf-8"))
            former = dict(known["command"])
            for name in self.recorded:
                setattr(self, name, int(known[name]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UsageError(f"{self.record} is damaged; delete {self.path} to start over") from error
        for name in {**self.command, **former}:
            if self.command.get(name) != former.get(name):
                raise UsageError(f"{self.path} was written with another {name}; delete it to start over")
        size = self.path.stat().st_size
        is_changed = size != self.size if self.is_finished else size < self.size
        if is_changed or _checksum_of_file(self.path, self.size) != self.content:
            raise UsageError(f"{self.path} was changed after it was written; delete it to start over")

    def emit(self, text: str) -> None:
        content = text.encode()
        self.file.write(content)
        self.file.flush()
        self.size, self.content = self.size + len(content), zlib.crc32(content, self.content)

    def write(self, inputs: Sequence[str], results: Sequence[str | Exception]) -> None:
        super().write(inputs, results)
        if time.monotonic() - self.recorded_at >= CHECKPOINT_SECONDS:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Records what is written."""
        os.fsync(self.file.fileno())
        known = {"command": self.command, **{name: getattr(self, name) for name in self.recorded}}
        with atomic_file(self.record) as partial:
            partial.write_text(json.dumps(known, ensure_ascii=False), encoding="utf-8")
        self.recorded_at = time.monotonic()


@contextlib.contextmanager
def _output_file(output: str, command: dict[str, Any]) -> Iterator[_OutputFile]:
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
    with locked(outputs.sibling(path, "lock")):
        results = _OutputFile(path, command)
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
            if not results.inputs:
                results.path.unlink()
                results.record.unlink(missing_ok=True)
            elif not isinstance(error, Exception):
                note(f"the unfinished output is in {results.path}; the same command resumes it")
            raise
        os.replace(results.path, path)
        flush(path.parent)
