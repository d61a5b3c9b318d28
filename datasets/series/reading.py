"""Reading of time series."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from ..files import list_files
from ..splits import VALIDATION_NAMES
from . import generated
from .long import LongReader
from .panel import Panel, Report
from .rows import ColumnNames, panel_of
from .wide import is_wide, read_header, read_wide


class Splits(NamedTuple):
    """Series, and where their test begins.

    Attributes:
        panel: The whole series.
        test_starts: Number of steps of each series before its test (N,). None if the data has no test file.
    """

    panel: Panel
    test_starts: np.ndarray | None


def read_series(path: str | Path, **options: Any) -> Panel:
    r"""Reads time series. See `read_splits` for the arguments and errors.

    Returns:
        The series. The test of a folder continues its training values.

    Example:

    >>> import pathlib
    >>> from keras_recurrent.datasets.series import read_series
    >>> table = "unique_id,ds,y,holiday\na,2024-01-01,3,no\na,2024-01-02,4,yes\na,2024-01-03,,no\n"
    >>> _ = pathlib.Path("sales.csv").write_text(table)
    >>> panel = read_series("sales.csv", known=["holiday"])
    >>> panel.ids, panel.values, panel.frequency
    (['a'], array([3., 4.]), 'D')
    >>> panel.known_names, panel.known_steps_ahead
    (('holiday=no', 'holiday=yes'), array([1]))
    """
    return read_splits(path, **options).panel


def read_splits(
    path: str | Path,
    *,
    target: Sequence[str] = ("y",),
    static: Sequence[str] | None = None,
    past: Sequence[str] | None = None,
    known: Sequence[str] | None = None,
    id: str = "unique_id",
    time: str = "ds",
    frequency: str | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
) -> Splits:
    """Reads time series, with the step at which their test begins.

    A table is in long form, with one row per series and time, or in wide form, with one row per series: its name, then
    its values. The form is recognized.

    In long form, `ds` holds timestamps or integers, and `unique_id` the name of the series. Without `ds` the rows of a
    series follow each other; without `unique_id` there is one series. A series begins and ends with a value: rows after
    it only hold what is known ahead. Rows are sorted by time, repeated rows are dropped, and steps without a row are
    filled with missing values; `Panel.report` counts them. Timestamps with an offset from UTC are converted to UTC.

    Empty cells, `NA`, `NaN`, `null` and `None` are missing values. A column of `static`, `past` or `known` that holds
    text becomes one column of zeros and ones per text.

    Args:
        path: A CSV file, gzipped if its name ends in `.gz`. Or a folder with `train.csv`, and optionally `test.csv`
            which continues each series; either may be gzipped. Or `sales`, which is generated; see
            `datasets.sales.demand`. A folder of this name is `./sales`.
        target: Columns of the values. Several are several series, named `{unique_id}/{column}`.
        static: Columns that have one value per series. By default none; of `sales`, the format of the shop.
        past: Columns known only up to the present. By default none.
        known: Columns known ahead. By default none; of `sales`, the promotions.
        id: Column of the names of the series.
        time: Column of the times.
        frequency: Pandas' alias of the step between times, such as `h`, `D`, `W-SUN` or `MS`. By default it is
            inferred from the commonest difference.
        categories: The categories of the columns of text: `Panel.categories` of the training data. A text that is none
            of them is encoded as zeros and counted.

    Returns:
        The series, and the step at which the test of each begins.

    Raises:
        DataError: If there is no such file, or it is not as described. The message names the file, and the line and
            column or the series and time.

    Example:

    >>> import pathlib
    >>> from keras_recurrent.datasets.series import read_splits
    >>> folder = pathlib.Path("data")
    >>> folder.mkdir()
    >>> _ = (folder / "train.csv").write_text("id,V2,V3\\nH1,5,6\\nH2,7\\n")
    >>> _ = (folder / "test.csv").write_text("id,V2,V3\\nH1,7,8\\nH2,8,9\\n")
    >>> panel, test_starts = read_splits(folder)
    >>> panel.values_of(0), panel.values_of(1), test_starts
    (array([5., 6., 7., 8.]), array([7., 8., 9.]), array([2, 1]))
    """
    if path == generated.NAME:
        static, known = (generated.STATIC if static is None else static), (generated.KNOWN if known is None else known)
        names = ColumnNames("unique_id", "ds", *map(tuple, (target, static, past or (), known)))
        return Splits(*panel_of(generated.generated_rows(names, categories), frequency))
    names = ColumnNames(id, time, *(tuple(columns or ()) for columns in (target, static, past, known)))
    where, files = _files(path)
    headers = [read_header(file) for file in files]
    if is_wide(*headers[0], {time, *target}):
        for name in (*names.static, *names.past, *names.known):
            raise DataError(f"{where}: no column '{name}': the table has one row per series")
        if frequency:
            raise DataError(f"{where}: no times of the frequency '{frequency}': the table has one row per series")
        panel, test_starts = _wide_panel(files, wide_id=headers[0][0][0])
    else:
        reader = LongReader(names, frequency is not None, categories)
        for index, (file, (header, _)) in enumerate(zip(files, headers, strict=True)):
            reader.read(file, header, is_test=index > 0)
        panel, test_starts = panel_of(reader.rows(where), frequency)
    return Splits(panel, test_starts if len(files) > 1 else None)


def _files(path: str | Path) -> tuple[Path, list[Path]]:
    """Returns the path, and the files to read: that of training and optionally that of test."""
    where = Path(path).expanduser()
    if where.is_dir():
        files = list_files(where)
        if "train.csv" not in files:
            raise DataError(f"{path}: no file train.csv or train.csv.gz; the files are {', '.join(files) or 'none'}")
        for name in VALIDATION_NAMES:
            if f"{name}.csv" in files:
                raise DataError(f"{files[f'{name}.csv']}: append its rows to train.csv, whose last steps validate")
        return where, [files[name] for name in ("train.csv", "test.csv") if name in files]
    if not where.exists():
        raise DataError(f"{path}: there is no such file or folder, and no generated series but 'sales'")
    return where, [where]


def _wide_panel(files: Sequence[Path], wide_id: str) -> tuple[Panel, np.ndarray]:
    series: dict[str, list[np.ndarray]] = {}
    starts = []
    for id, values in read_wide(files[0]):
        if id in series:
            raise DataError(f"{files[0]}: the series '{id}' occurs twice")
        # A series begins with a value.
        begin = int(np.argmax(np.isfinite(values))) if len(values) else 0
        starts.append(1 + begin)
        series[id] = [values[begin:]]
    test_starts = np.array([len(parts[0]) for parts in series.values()])
    for file in files[1:]:
        for id, values in read_wide(file):
            if len(series.get(id, ())) != 1:
                reason = "occurs twice" if id in series else "has no training values"
                raise DataError(f"{file}: the series '{id}' {reason}")
            series[id].append(values)
    empty = [id for id, parts in series.items() if not any(np.isfinite(part).any() for part in parts)]
    if empty:
        raise DataError(f"{files[0]}: the series '{empty[0]}' has no value")
    lengths = np.array([sum(map(len, parts)) for parts in series.values()])
    values = np.concatenate([part for parts in series.values() for part in parts])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    panel = Panel(
        ids=[*series],
        offsets=offsets,
        values=values,
        starts=np.array(starts, "int64"),
        frequency=None,
        static=np.zeros((len(series), 0), "float32"),
        past=np.zeros((len(values), 0), "float32"),
        known=np.zeros((len(values), 0), "float32"),
        known_offsets=offsets,
        wide_id=wide_id,
        report=Report(missing=int(np.isnan(values).sum())),
    )
    return panel, test_starts
