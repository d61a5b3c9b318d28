"""CSV files in long form, one row per series and time."""

import collections
import gzip
import io
import re
import warnings
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from ..errors import DataError
from ..files import open_bytes, read_lines
from .rows import MISSING_CODE, UNKNOWN_CODE, ColumnNames, Rows
from .steps import time_format, timestamps
from .wide import LARGEST, MISSING, number_error

INTEGER = "integer"  # the format of times that are no timestamps
CHUNK = 200_000  # rows that are converted at once
MAX_CATEGORIES = 1_000
_EXTRA = "more than the header"  # the column of what follows the last one
_TRUTH = {"True": 1.0, "true": 1.0, "TRUE": 1.0, "False": 0.0, "false": 0.0, "FALSE": 0.0}
_TIME_COLUMNS = ("date", "datetime", "timestamp", "time", "day", "week", "month")


class LongReader:
    """Reads the rows of tables in long form, a chunk at a time.

    Args:
        names: The names of the columns.
        has_timestamps: Whether numbers in the time column are timestamps, such as years.
        categories: The categories of the columns of text, if they are known.
    """

    def __init__(self, names: ColumnNames, has_timestamps: bool, categories: Mapping[str, Sequence[str]] | None):
        self._names = names
        self._covariates = [*dict.fromkeys((*names.static, *names.past, *names.known))]
        self._has_timestamps = has_timestamps
        self._has_times = True
        self._time_format: str | None = None
        self._ids: dict[str, int] = {}
        # The categories of each column of text. Those of a column that is not there yet are not known.
        self._codes: dict[str, dict[str, int] | None] = {
            name: {text: code for code, text in enumerate(texts)} for name, texts in (categories or {}).items()
        }
        self._are_categories_given = categories is not None
        self._is_complete = self._are_categories_given  # whether other categories are unknown
        self._chunks: dict[str, list[np.ndarray]] = collections.defaultdict(list)

    def read(self, path: Path, header: Sequence[str], is_test: bool = False) -> None:
        """Reads a file. Categories and series that only a test has are unknown.

        Raises:
            DataError: If a column is missing, or a cell is not what it should be.
        """
        columns = [*dict.fromkeys((*self._names.target, *self._covariates))]
        self._check_columns(path, header, columns)
        texts = [name for name, codes in self._codes.items() if codes is not None]
        options: dict[str, Any] = {
            "names": [*header, _EXTRA],
            "header": 0,
            "index_col": False,
            "dtype": {name: "str" for name in (self._names.id, self._names.time, *texts) if name in header},
            "na_values": {_EXTRA: [""], **{name: [*MISSING] for name in columns}},
            "keep_default_na": False,
            "skip_blank_lines": False,
            "skipinitialspace": True,
            "low_memory": False,
            "encoding": "utf-8-sig",
        }
        is_empty = True
        known_ids = len(self._ids)
        try:
            with (
                warnings.catch_warnings(action="ignore", category=pd.errors.ParserWarning),
                open_bytes(path) as file,
                pd.read_csv(_WithHeader(file, b"," * len(header) + b"\n"), chunksize=CHUNK, **options) as chunks,
            ):
                for chunk in chunks:
                    is_empty = not self._append(path, chunk, columns, is_test) and is_empty
        except UnicodeDecodeError as error:
            for _ in read_lines(path):  # which names the line
                pass
            raise DataError(f"{path}: not UTF-8 text") from error
        except pd.errors.ParserError as error:
            message = str(error).strip().splitlines()[0]
            counts = re.search(r"in line (\d+), saw", message)
            reason = f", line {counts[1]}: more than {len(header)} values" if counts else f": {message}"
            raise DataError(f"{path}{reason}") from error
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{path}: not a complete gzip file ({error})") from error
        if is_empty:
            raise DataError(f"{path}: there are no rows below the header")
        if is_test and len(self._ids) > known_ids:
            raise DataError(f"{path}: the series '{[*self._ids][known_ids]}' has no training values")
        self._is_complete = True

    def _check_columns(self, path: Path, header: Sequence[str], columns: Sequence[str]) -> None:
        for name in header:
            if header.count(name) > 1:
                raise DataError(f"{path}: the column '{name}' occurs twice")
        required = [name for name in (self._names.id, self._names.time) if name not in ("unique_id", "ds")]
        if missing := [name for name in (*columns, *required) if name not in header]:
            absent = "no column " + " or ".join(f"'{name}'" for name in missing)
            rest = f", ... ({len(header)} in all)" if len(header) > 20 else ""
            hint = "; columns are separated by commas" if len(header) == 1 and re.search("[;\t]", header[0]) else ""
            raise DataError(f"{path}: {absent}; the columns are {', '.join(header[:20])}{rest}{hint}")
        if self._names.time not in header:
            other = next((name for name in header if name.lower() in _TIME_COLUMNS and name not in columns), None)
            if other:
                raise DataError(f"{path}: no column '{self._names.time}' of times; is it '{other}'?")
            if self._has_timestamps:
                raise DataError(f"{path}: no column '{self._names.time}' of times, which a frequency requires")
        self._has_times = self._names.time in header

    def _append(self, path: Path, chunk: pd.DataFrame, columns: Sequence[str], is_test: bool) -> bool:
        """Converts the rows of a chunk. Returns whether there are any."""
        is_long = chunk[_EXTRA].notna()
        if is_long.any():
            line, count = is_long.idxmax() + 2, chunk.shape[1] - 1
            raise DataError(f"{path}, line {line}: more than {count} values")
        keys = [name for name in (self._names.id, self._names.time) if name in chunk]
        chunk = chunk.fillna({name: "" for name in keys})
        if keys:  # a line without any cell is no row
            is_blank = (chunk[keys] == "").all(axis=1) & chunk[[*columns]].isna().all(axis=1)
            chunk = chunk[~is_blank]
        if not len(chunk):
            return False
        chunks, names = self._chunks, self._names
        chunks["series"].append(self._series(path, chunk))
        if self._has_times:
            chunks["times"].append(self._times(path, chunk[names.time]))
        chunks["targets"].append(np.stack([_numbers(path, chunk[name]) for name in names.target], axis=1))
        chunks["is_test"].append(np.full(len(chunk), is_test))
        for name in self._covariates:
            chunks[f"column {name}"].append(self._convert(path, chunk[name]))
        return True

    def _series(self, path: Path, chunk: pd.DataFrame) -> np.ndarray:
        """Returns the index of the series of each row."""
        if self._names.id not in chunk:
            self._ids[""] = 0
            return np.zeros(len(chunk), "int32")
        indices, ids = pd.factorize(chunk[self._names.id])
        if "" in ids:
            line = chunk.index[np.argmax(chunk[self._names.id] == "")] + 2
            raise DataError(f"{path}, line {line}: no series in the column '{self._names.id}'")
        return np.array([self._ids.setdefault(id, len(self._ids)) for id in ids], "int32")[indices]

    def _times(self, path: Path, column: pd.Series) -> np.ndarray:
        """Returns the times of rows; see `steps`."""
        indices, unique = pd.factorize(column)
        texts = pd.Series([*unique], dtype=object)
        if self._time_format is None:
            is_integer = re.fullmatch(r"[+-]?\d+(\.0*)?", texts[0]) and not self._has_timestamps
            is_date = is_integer and texts.str.fullmatch(r"\d{8}").all()
            is_date = is_date and not timestamps(texts, "%Y%m%d")[1].any()
            self._time_format = INTEGER if is_integer and not is_date else time_format(texts[0]) or "ISO8601"
        if self._time_format == INTEGER:
            numbers = pd.to_numeric(texts, errors="coerce")
            is_wrong = ~(numbers % 1 == 0).to_numpy()
            times = numbers.where(~is_wrong, 0).to_numpy("int64")
        else:
            times, is_wrong = timestamps(texts, self._time_format)
        if is_wrong.any():
            line, text = next((row + 2, text) for row, text in column.items() if is_wrong[texts == text].any())
            expected = {INTEGER: "an integer", "ISO8601": "a time such as 2024-01-31 or 2024-01-31 12:00:00"}
            kind = expected.get(self._time_format, f"a time of the format {self._time_format}, as the first one")
            raise DataError(f"{path}, line {line}, column '{column.name}': {text!r} is not {kind}")
        return times[indices]

    def _convert(self, path: Path, column: pd.Series) -> np.ndarray:
        """Returns float32 numbers or int32 categories.

        A column is text if less than half of the cells in the first chunk that has any are numbers.
        """
        name = str(column.name)
        if name not in self._codes and not column.isna().all():
            is_text = _to_numbers(column).notna().sum() < column.notna().sum() / 2
            self._codes[name] = {} if is_text and not self._is_complete else None
        codes = self._codes.get(name)
        if codes is None:
            return _numbers(path, column).astype("float32")
        indices, unique = pd.factorize(column)  # -1 where a cell is empty
        for text in () if self._is_complete else map(str, unique):
            codes.setdefault(text, len(codes))
        if len(codes) > MAX_CATEGORIES:
            raise DataError(f"{path}: the column '{name}' has more than {MAX_CATEGORIES:,} different texts")
        return np.array([*(codes.get(str(text), UNKNOWN_CODE) for text in unique), MISSING_CODE], "int32")[indices]

    def rows(self, where: Path) -> Rows:
        """Returns the rows of all files that were read."""
        categories, columns = {}, {}
        for name in self._covariates:
            parts, codes = self._chunks.pop(f"column {name}"), self._codes.get(name)
            if codes is None:
                columns[name] = np.concatenate(parts)
                continue
            categories[name] = tuple(codes if self._are_categories_given else sorted(codes))
            rank = {text: code for code, text in enumerate(categories[name])}
            new = np.array([*(rank[text] for text in codes), UNKNOWN_CODE, MISSING_CODE], "int32")
            parts = [part if part.dtype.kind == "i" else np.full(len(part), MISSING_CODE) for part in parts]
            columns[name] = new[np.concatenate(parts)]
        series = np.concatenate(self._chunks.pop("series"))
        return Rows(
            where=str(where),
            names=self._names,
            ids=[*self._ids],
            series=series,
            times=np.concatenate(self._chunks.pop("times")) if self._has_times else _running_counts(series),
            has_timestamps=self._time_format not in (None, INTEGER),
            columns=columns,
            categories=categories,
            **{name: np.concatenate(self._chunks.pop(name)) for name in ("targets", "is_test")},
        )


class _WithHeader(io.RawIOBase):
    """A file with another first line.

    Where a chunk begins with a line of too many cells, pandas drops the last ones. A header with one more column shows
    them.
    """

    def __init__(self, file: IO[bytes], header: bytes):
        file.readline()
        self._file = file
        self._header = header

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._header[: len(buffer)] or self._file.read(len(buffer))
        self._header = self._header[len(part) :]
        buffer[: len(part)] = part
        return len(part)


def _running_counts(series: np.ndarray) -> np.ndarray:
    """Returns how often the series of each row has occurred up to it."""
    order = np.argsort(series, kind="stable")
    ordered = series[order]
    counts = np.empty(len(series), "int64")
    counts[order] = np.arange(1, len(series) + 1) - np.searchsorted(ordered, ordered)
    return counts


def _to_numbers(column: pd.Series) -> pd.Series:
    """Converts cells to float64; what is neither a number nor true or false becomes NaN."""
    if pd.api.types.is_numeric_dtype(column):  # booleans are
        return column.astype("float64")
    cells = column.astype(object)
    truth = cells.map(lambda cell: _TRUTH.get(str(cell)))
    return pd.to_numeric(cells.where(truth.isna(), truth), errors="coerce").astype("float64")


def _numbers(path: Path, column: pd.Series) -> np.ndarray:
    numbers = _to_numbers(column)
    is_wrong = (numbers.abs() > LARGEST) | numbers.isna() & column.notna()
    if is_wrong.any():
        row = is_wrong.idxmax()
        raise number_error(path, row + 2, str(column.name), column[row])
    return numbers.to_numpy("float64")
