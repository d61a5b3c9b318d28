"""Inputs and results of commands."""

import contextlib
import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ...datasets.files import lines_of, open_bytes
from .console import progress_bar
from .errors import UsageError
from .memory import BATCH
from .models import outputs
from .results import Results, StandardOutput, checksum_of, checksum_of_file, output_file

WINDOW = 32 * BATCH  # texts that are sorted by length, if they are computed in batches of `BATCH`

Result = TypeVar("Result")


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
    batch_size: int = BATCH,
) -> int:
    """Computes the results of a command's inputs and writes them in the order of the inputs, in constant memory.

    At a terminal each line is computed before the next one is typed.

    Args:
        function: Function from a list of inputs, a batch, and the index of the first one among all inputs, to a list
            of results without the last line end. A result that is an exception is reported on standard error.
        inputs: The inputs in the command's arguments. Without any, the lines of the input file or standard input.
        streaming: The options of the command.
        model: The model's folder.
        options: The options that determine the results. An interrupted command is resumed only with the same ones.
        by_length: Whether texts of similar length are batched. The index is then that of the first text of their
            window.
        batch_size: Maximum number of inputs per batch.

    Returns:
        The number of results.

    Raises:
        DataError: If the inputs are not UTF-8, or not a gzip file.
        UsageError: If options do not fit together, the output belongs to another command, or at the end, if there was
            an exception among the results.
    """
    source = _open(inputs, streaming)
    is_interactive = source.total is None and streaming == Streaming() and sys.stdin.isatty()
    size = 1 if is_interactive else window_size(batch_size) if by_length else batch_size
    is_visible = not is_interactive and (streaming.output is not None or not sys.stdout.isatty())
    options = {"shard": streaming.shard, **options}
    with (
        open_results(streaming.output, source, model, options, StandardOutput) as results,
        progress_bar("predicting", source.total, results.state.inputs, is_visible) as advance,
    ):
        while window := [*itertools.islice(source.items, size)]:
            index = source.first + results.state.inputs
            results.write(window, compute(function, window, index, by_length, advance, batch_size))
    if results.state.failures:
        raise UsageError(f"{results.state.failures:,} of {results.state.inputs:,} inputs could not be processed")
    return results.state.inputs


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


def window_size(batch_size: int) -> int:
    """Returns how many texts are sorted by length together: those of as many batches as `WINDOW` has."""
    return WINDOW // BATCH * batch_size


def compute(
    function: Callable,
    window: list[str],
    index: int,
    by_length: bool,
    advance: Callable[[int], None],
    batch_size: int = BATCH,
) -> list[Any]:
    """Returns the results of a window in its order; see `stream`."""
    if not by_length:
        results = function(window, index)
        advance(len(window))
        return results
    from .text.batches import map_by_length

    results = [""] * len(window)
    for position, result in map_by_length(lambda texts: function(texts, index), window, batch_size):
        results[position] = result
        advance(1)
    return results


class Source(NamedTuple):
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


def _open(inputs: Sequence[str], streaming: Streaming) -> Source:
    """Returns the inputs of a command. Those of a file are checked first."""
    shard = parse_shard(streaming.shard)
    if inputs and streaming.input is not None:
        raise UsageError("give the inputs as arguments or in the file --input, not both")
    path = None if streaming.input is None else Path(streaming.input)
    if not inputs and (path is None or (path.exists() and not path.is_file() and not path.is_dir())):
        if streaming.shard is not None:
            raise UsageError("--shard requires --input with the name of a file, which every process reads")
        return Source(_standard_input() if path is None else lines_of_file(path), None, None, 0)
    return shard_of((lambda: iter(inputs)) if path is None else (lambda: lines_of_file(path)), shard)


def shard_of(read: Callable[[], Iterator[str]], shard: tuple[int, int]) -> Source:
    """Returns a shard `(index, count)` of the items that `read` yields. It reads all of them first."""
    index, count = shard
    total = checksum = 0
    for item in read():
        total, checksum = total + 1, checksum_of(item, checksum)
    first, end = total * (index - 1) // count, total * index // count
    return Source(itertools.islice(read(), first, end), end - first, checksum, first)


def parse_shard(shard: str | None) -> tuple[int, int]:
    """Parses the option `shard`; None is the whole, `(1, 1)`."""
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


def lines_of_file(path: Path) -> Iterator[str]:
    with open_bytes(path) as file:
        yield from lines_of(file, path)


def _checksum_of_model(folder: str) -> list[int]:
    return [checksum_of_file(outputs.find(Path(folder)) / name) for name in ("config.yaml", "model.keras")]


@contextlib.contextmanager
def open_results(
    output: str | None, source: Source, model: str, options: dict[str, Any], otherwise: type[Results]
) -> Iterator[Results]:
    """Yields the results in the file `output`, or else of the class `otherwise`, and skips the inputs that they have.

    Raises:
        UsageError: If the file cannot be written, or belongs to another command or other inputs.
    """
    if output is None:
        yield otherwise()
        return
    command = {"model": _checksum_of_model(model), "input": source.checksum, **options}
    with output_file(output, command) as results:
        count = checksum = 0
        for item in itertools.islice(source.items, results.state.inputs):
            count, checksum = count + 1, checksum_of(item, checksum)
        is_longer = results.is_finished and next(source.items, None) is not None
        if is_longer or (count, checksum) != (results.state.inputs, results.state.checksum):
            raise UsageError(f"{results.path} was written with another input; delete it to start over")
        yield results
