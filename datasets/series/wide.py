"""CSV files in wide form, one row per series, and what both forms share."""

import csv
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError
from ..files import read_lines
from .steps import time_format

LARGEST = 1e18  # whose square is finite in float32
MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None")


def read_header(path: Path) -> tuple[list[str], list[str]]:
    """Returns the cells of the first two lines of a file.

    Raises:
        DataError: If there are no two lines.
    """
    cells = csv.reader((line for line in read_lines(path) if line.strip()), skipinitialspace=True)
    header = next(cells)
    first = next(cells, None)
    if first is None:
        raise DataError(f"{path}: there are no rows below the header")
    return [name.strip() for name in header], first


def is_wide(header: Sequence[str], first: Sequence[str], names: Collection[str]) -> bool:
    """Whether a table has one row per series: a name, which is no number and no time, then numbers.

    Args:
        header: The cells of its first line.
        first: The cells of its second line. One in ten may be no number, so that reading the table names it.
        names: Columns that only a table in long form has.
    """
    cells = [cell for cell in first[1:] if cell.strip() not in MISSING]
    if len(header) < 2 or set(names) & set(header) or not cells or not first[0].strip():
        return False
    is_name = np.isnan(_to_numbers(first[:1])[0]) and time_format(first[0]) is None
    return bool(is_name and np.isnan(_to_numbers(cells)).mean() <= 0.1)


def read_wide(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the name and the values of each row of a table in wide form, without missing values at the end."""
    # Rows may be padded to the length of the longest one with empty cells, which are most of the table.
    cells = csv.reader((line.rstrip(",") for line in read_lines(path)), skipinitialspace=True)
    header = next(cells)
    for row in cells:
        if not row:
            continue
        if not row[0].strip():
            raise DataError(f"{path}, line {cells.line_num}: the series has no name")
        end = len(row)
        while end > 1 and row[end - 1].strip() in MISSING:
            end -= 1
        values, wrong = parse_numbers(row[1:end])
        if wrong is not None:
            column = header[1 + wrong] if 1 + wrong < len(header) else str(2 + wrong)
            raise number_error(path, cells.line_num, column, row[1 + wrong])
        yield row[0], values


def parse_numbers(cells: Sequence[str]) -> tuple[np.ndarray, int | None]:
    """Converts cells to float64, NaN where a number is missing.

    Returns:
        The numbers, and the index of the first cell that is neither missing nor a number up to LARGEST; None if there
        is none.
    """
    values = _to_numbers(cells)
    for index in np.flatnonzero(~(np.abs(values) <= LARGEST)).tolist():
        if abs(values[index]) > LARGEST or cells[index].strip() not in MISSING:
            return values, index
    return values, None


def _to_numbers(cells: Sequence[Any]) -> np.ndarray:
    """Converts cells to float64; what is no number becomes NaN."""
    try:
        if "_" not in ",".join(cells):  # NumPy reads 1_000 as a number
            return np.array(cells, "float64")
    except ValueError:
        pass
    return pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce").to_numpy("float64")


def number_error(path: Path, line: int, column: str, text: object) -> DataError:
    """Returns the error for a cell that is no number, or larger than LARGEST."""
    try:
        number = abs(float(str(text)))
    except ValueError:
        number = 0
    reason = "is infinite" if np.isinf(number) else "is not a number"
    if LARGEST < number < np.inf:
        reason = f"is too large; numbers have at most the magnitude {LARGEST:g}"
    return DataError(f"{path}, line {line}, column '{column}': {str(text)!r} {reason}")
