"""Time series with a label each: the formats of the UCR and UEA archives, and CSV files."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .columns import Arrays, Categories, Columns
from .errors import DataError
from .files import list_files, nfc, read_lines
from .series.wide import MISSING, parse_numbers
from .splits import resolve_split

_MISSING = {*MISSING, "?"}
EXPECTED = "train.ts, train.tsv or train.csv, or NAME_TRAIN.ts and NAME_TEST.ts"


class LabelledSeries(NamedTuple):
    """A series of a file.

    Attributes:
        values: float32 `(steps, channels)`, NaN where a number is missing. The last step has a number.
        label: The label; None if the file has none for the series.
        origin: What error messages call it, such as "train.ts, line 7".
    """

    values: np.ndarray
    label: str | None
    origin: str


def read_labelled_series(data: str | Path, split: str) -> Columns:
    r"""Reads the series of a split; see `iter_labelled_series`.

    Returns:
        Sequence of pairs `(values, label)`.

    Example:

    >>> import pathlib
    >>> from keras_recurrent.datasets.labelled_series import read_labelled_series
    >>> pathlib.Path("data").mkdir()
    >>> _ = pathlib.Path("data/train.ts").write_text("@classLabel true up down\n@data\n1,2,3:up\n3,?:down\n")
    >>> [(values[:, 0].tolist(), label) for values, label in read_labelled_series("data", "train")]
    [([1.0, 2.0, 3.0], 'up'), ([3.0], 'down')]
    """
    series = iter_labelled_series(data, split)
    return Columns.of(((values, label) for values, label, _ in series), Arrays, Categories)


def iter_labelled_series(data: str | Path, split: str) -> Iterator[LabelledSeries]:
    """Yields the series of a split one after the other.

    Args:
        data: A folder with one file per split; see `iter_series_file` for the formats. Its name is that of the split,
            or ends in `_TRAIN` or `_TEST`.
        split: Name of the split. `validation` also matches `val`, `valid` and `dev`.

    Raises:
        DataError: If there is no such file, several are the same split, a series has no label, or as
            `iter_series_file`.
    """
    files = split_files(data)
    for series in iter_series_file(files[resolve_split(split, files, data)]):
        if series.label is None:
            raise DataError(f"{series.origin}: the series has no label")
        yield series


def split_files(data: str | Path) -> dict[str, Path]:
    """Returns the file of each split of a folder.

    Raises:
        DataError: If there is no such folder, or several files are the same split.
    """
    folder = Path(data).expanduser()
    if not folder.is_dir():
        kind = "is a file" if folder.exists() else "there is no such folder"
        raise DataError(f"{data}: {kind}; expected a folder with {EXPECTED}")
    files: dict[str, Path] = {}
    for name, path in list_files(folder).items():
        stem, _, suffix = name.rpartition(".")
        if suffix in _READERS:
            match = re.fullmatch(r".+_(TRAIN|TEST)", stem)
            own = match[1].lower() if match else stem
            if own in files:
                raise DataError(f"{folder}: {files[own].name} and {path.name} are both the split '{own}'")
            files[own] = path
    return files


def iter_series_file(path: str | Path) -> Iterator[LabelledSeries]:
    """Yields the series of a file.

    The format is recognized by the ending; `.gz` may follow:

    - `.ts`, of the UEA and UCR archives: channels separated by colons, and the label at the end.
    - `.tsv`, of the UCR archive: a label and the numbers of one channel per row, without a header.
    - `.csv` with the columns `unique_id`, `ds`, `label` and one column per channel: one row per series and time. The
      rows of a series are sorted by `ds`, numbers or timestamps.
    - Any other `.csv`: one row per series; the columns beside `label` are the steps of one channel.

    `?`, empty cells, `NA` and `NaN` are missing numbers. Missing numbers at the end are not part of a series. Labels
    may be missing.

    Raises:
        DataError: If the file cannot be read. The message names the line and the column.
    """
    path = Path(path).expanduser()
    suffix = path.name.removesuffix(".gz").rpartition(".")[2]
    if suffix not in _READERS:
        raise DataError(f"{path}: expected a file that ends in {', '.join(f'.{name}' for name in _READERS)}")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    first: LabelledSeries | None = None
    for values, label, origin in _READERS[suffix](path):
        values, label = _without_end(values, origin), nfc(label.strip())
        series = LabelledSeries(values, None if label in _MISSING else label, origin)
        first = first or series
        if values.shape[1] != first.values.shape[1]:
            raise DataError(
                f"{origin}: the series has {values.shape[1]} channels, but {first.values.shape[1]} in {first.origin}"
            )
        yield series
    if first is None:
        raise DataError(f"{path}: there is no series")


def parse_series(text: str) -> np.ndarray:
    """Converts the text of a series to numbers, as a row of a `.ts` file without the label.

    Args:
        text: Numbers separated by commas, with `?` for a missing one and a colon between channels.

    Returns:
        float32 array `(steps, channels)`.

    Raises:
        DataError: If it is no such text, or no number is there.

    Example:

    >>> from keras_recurrent.datasets.labelled_series import parse_series
    >>> parse_series("1,2:3,?").tolist()
    [[1.0, 3.0], [2.0, nan]]
    """
    return _without_end(_channels(text.split(":"), "the series"), "the series")


def _without_end(values: np.ndarray, origin: str) -> np.ndarray:
    """Returns the steps up to the last one that has a number."""
    has_number = ~np.isnan(values).all(axis=1)
    if not has_number.any():
        raise DataError(f"{origin}: there is no number")
    return values[: len(values) - int(np.argmax(has_number[::-1]))]


# A series as a reader yields it: values, label (empty if it is missing) and origin.
_Row = tuple[np.ndarray, str, str]


def _read_ts(path: Path) -> Iterator[_Row]:
    is_header, has_label = True, False
    for number, line in enumerate(read_lines(path), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        origin = f"{path}, line {number}"
        if not is_header:
            *channels, label = line.split(":") if has_label else [*line.split(":"), ""]
            yield _channels(channels, origin), label, origin
            continue
        tag, *values = line.lower().split()
        if tag == "@data":
            is_header = False
        elif tag == "@classlabel":
            has_label = values[:1] == ["true"]
        elif values[:1] == ["true"] and tag in ("@timestamps", "@targetlabel"):
            content = "timestamps" if tag == "@timestamps" else "targets that are numbers"
            raise DataError(f"{origin}: files with {content} are not supported")
        elif not tag.startswith("@"):
            raise DataError(f"{origin}: expected a line that begins with @ or #, since there was no @data yet")
    if is_header:
        raise DataError(f"{path}: there is no line @data")


def _channels(channels: Sequence[str], origin: str) -> np.ndarray:
    """Converts the texts of channels to numbers `(steps, channels)`."""
    arrays = []
    for index, channel in enumerate(channels, 1):
        arrays.append(_numbers(channel.split(","), f"{origin}, channel {index}", lambda step: f"step {step + 1}"))
    lengths = sorted({len(array) for array in arrays})
    if len(lengths) != 1:
        reason = f"its channels have {lengths[0]} to {lengths[-1]} steps" if lengths else "it has no channel"
        raise DataError(f"{origin}: {reason}")
    return np.stack(arrays, axis=1)


def _read_tsv(path: Path) -> Iterator[_Row]:
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            origin = f"{path}, line {number}"
            label, *cells = line.rstrip().split("\t")
            values = _numbers(cells, origin, lambda index: f"column {index + 2}")
            yield values[:, np.newaxis], label, origin


def _read_csv(path: Path) -> Iterator[_Row]:
    rows = csv.reader(read_lines(path), skipinitialspace=True)
    names = [name.strip() for name in next(rows)]
    read = _read_long if {"unique_id", "ds"} <= {*names} else _read_wide
    yield from read(path, names, _records(path, names, rows))


class _Record(NamedTuple):
    """A row of a CSV file: its cells by column, and its line."""

    cells: dict[str, str]
    line: int


def _records(path: Path, names: Sequence[str], rows: Any) -> Iterator[_Record]:
    if len({*names}) < len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise DataError(f"{path}: two columns have the name '{twice}'")
    for row in rows:
        if row:
            if len(row) != len(names):
                raise DataError(f"{path}, line {rows.line_num}: expected {len(names)} cells, got {len(row)}")
            yield _Record(dict(zip(names, row, strict=True)), rows.line_num)


def _read_wide(path: Path, names: Sequence[str], records: Iterator[_Record]) -> Iterator[_Row]:
    columns = [name for name in names if name != "label"]
    for cells, line in records:
        origin = f"{path}, line {line}"
        values = _record_numbers(
            cells, columns, origin, "; a table with one row per step has the columns unique_id and ds"
        )
        yield values[:, np.newaxis], cells.get("label", ""), origin


def _read_long(path: Path, names: Sequence[str], records: Iterator[_Record]) -> Iterator[_Row]:
    columns = [name for name in names if name not in ("unique_id", "ds", "label")]
    if not columns:
        raise DataError(f"{path}: no column of numbers beside {', '.join(names)}")
    series: dict[str, list[tuple[np.ndarray, str, str, int]]] = {}
    for cells, line in records:
        values = _record_numbers(cells, columns, f"{path}, line {line}")
        own = series.setdefault(cells["unique_id"].strip(), [])
        own.append((values, cells["ds"].strip(), cells.get("label", "").strip(), line))
    for name, rows in series.items():
        origin = f"{path}, series '{name}'"
        arrays, texts, labels, lines = zip(*rows, strict=True)
        if len({*labels}) > 1:
            line = next(line for label, line in zip(labels, lines, strict=True) if label != labels[0])
            raise DataError(f"{path}, line {line}: the series '{name}' has a second label")
        times = _times(texts, [f"{path}, line {line}, column 'ds'" for line in lines])
        order = np.argsort(times, kind="stable")
        repeated = np.flatnonzero(times[order][1:] == times[order][:-1])
        if len(repeated):
            row = order[repeated[0] + 1]
            raise DataError(f"{path}, line {lines[row]}: the series '{name}' has a second row of the time {texts[row]}")
        yield np.stack(arrays)[order], labels[0], origin


def _record_numbers(cells: dict[str, str], columns: Sequence[str], origin: str, hint: str = "") -> np.ndarray:
    return _numbers([cells[name] for name in columns], origin, lambda index: f"column '{columns[index]}'", hint)


def _numbers(cells: Sequence[str], origin: str, name_of: Callable[[int], str], hint: str = "") -> np.ndarray:
    """Converts cells to float32, NaN where a number is missing. `name_of` names the cell of an index in messages."""
    values, wrong = parse_numbers(["nan" if cell.strip() in _MISSING else cell for cell in cells])
    if wrong is not None:
        raise DataError(f"{origin}, {name_of(wrong)}: {cells[wrong].strip()!r} is not a finite number{hint}")
    return values.astype("float32")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _times(texts: Sequence[str], origins: Sequence[str]) -> np.ndarray:
    """Converts times to numbers, or to datetime64 if they are timestamps of ISO 8601."""
    if all(map(_is_number, texts)):
        return np.array(texts, "float64")
    times = []
    for text, origin in zip(texts, origins, strict=True):
        try:
            times.append(np.datetime64(text, "us"))
        except ValueError as error:
            raise DataError(f"{origin}: {text!r} is neither a number nor a timestamp") from error
    return np.array(times)


_READERS: dict[str, Callable[[Path], Iterator[_Row]]] = {"ts": _read_ts, "tsv": _read_tsv, "csv": _read_csv}
