"""Tables of tab-separated values."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .errors import DataError
from .files import read_lines, split_files
from .splits import resolve_split


def read_table(
    folder: Path, split: str, columns: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[Any, ...]]:
    """Reads the rows of `{split}.tsv` or `{split}.tsv.gz` one after the other.

    The first line names the columns; columns that are not asked for are ignored. Values are taken literally, without
    quoting.

    Args:
        folder: The folder that contains the table.
        split: Name of the split, see `resolve_split`.
        columns: Names of the columns to read.
        optional: Names of further columns; their values are None if the table lacks the column.

    Yields:
        One tuple per row: the values of `columns`, then those of `optional`.

    Raises:
        DataError: If there is no such file, a column is missing, or a row has too few or too many values.
    """
    files = split_files(folder, ".tsv")
    path = files[resolve_split(split, files, folder)]
    lines = read_lines(path)
    names = next(lines).split("\t")
    for column in columns:
        if column not in names:
            raise DataError(f"{path}: no column '{column}' in the first line; the columns are {', '.join(names)}")
    indices = [names.index(column) if column in names else None for column in (*columns, *optional)]
    empty = 0  # a table may end with empty lines
    for number, line in enumerate(lines, 2):
        if not line:
            empty += 1
            continue
        if empty:
            number, line = number - empty, ""
        values = line.split("\t")
        if len(values) != len(names):
            raise DataError(f"{path}, line {number}: expected {len(names)} values separated by tabs, got {len(values)}")
        yield tuple(None if index is None else values[index] for index in indices)
