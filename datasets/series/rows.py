"""From the rows of a table to a panel: sorting, duplicates, the regular grid of steps."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from .panel import Panel, Report
from .steps import TIMESTAMP, frequency_of, infer_frequency

MISSING_CODE, UNKNOWN_CODE = -1, -2  # of texts
_NEVER = np.iinfo("int64").max // 2  # a step
_MAX_SPAN = 100  # steps per row: more are taken for a wrong time or frequency
_MIN_ROWS = 10  # of a series whose frequency is compared


class ColumnNames(NamedTuple):
    """The names of the columns of a table in long form."""

    id: str
    time: str
    target: Sequence[str]
    static: Sequence[str]
    past: Sequence[str]
    known: Sequence[str]


@dataclass
class Rows:
    """The rows of a table in long form.

    Attributes:
        where: The file or folder, for error messages.
        names: The names of the columns.
        ids: Names of the series.
        series: Index of the series of each row (R,).
        times: int64 (R,), see `steps`.
        has_timestamps: Whether the times are timestamps, not integers.
        targets: float64 (R, T).
        columns: The other columns (R,): float32, or int32 indices into the categories of a column of text.
        categories: The categories of each column of text.
        is_test: Whether a row belongs to the test file (R,).
    """

    where: str
    names: ColumnNames
    ids: list[str]
    series: np.ndarray
    times: np.ndarray
    has_timestamps: bool
    targets: np.ndarray
    columns: dict[str, np.ndarray]
    categories: Mapping[str, tuple[str, ...]]
    is_test: np.ndarray

    def take(self, rows: np.ndarray) -> None:
        """Keeps the rows of an array of indices or of a mask."""
        self.series, self.targets, self.is_test = self.series[rows], self.targets[rows], self.is_test[rows]
        self.times = self.times[rows]
        self.columns = {name: values[rows] for name, values in self.columns.items()}


def panel_of(rows: Rows, frequency: str | None) -> tuple[Panel, np.ndarray]:
    """Sorts rows and spreads them over the regular steps of each series.

    Args:
        rows: The rows, which are changed.
        frequency: Pandas' alias; None to infer it.

    Returns:
        The panel, and the number of steps of each series before its test (N,).

    Raises:
        DataError: If a series has two different rows of one time, times of another frequency, or no value.
    """
    out_of_order, repeated = _sort(rows)
    starts = np.searchsorted(rows.series, np.arange(len(rows.ids)))
    _refuse_empty(rows, starts)
    steps, frequency, step = _steps(rows, starts, frequency)
    has_value = ~np.isnan(rows.targets).all(axis=1)
    first = np.minimum.reduceat(np.where(has_value, steps, _NEVER), starts)
    steps -= first[rows.series]  # counted from the first value
    lengths = np.maximum.reduceat(np.where(has_value, steps, -1), starts) + 1
    known_lengths = np.maximum(lengths, _known_ends(rows, steps, starts))
    _refuse_sparse(rows, starts, known_lengths)

    selected = _selected(rows, steps, lengths)
    past, past_names = _spread(rows, rows.names.past, steps, lengths)
    known, known_names = _spread(rows, rows.names.known, steps, known_lengths)
    static, static_names = _static(rows, starts)
    begins = rows.times[steps == 0]
    copies = len(rows.names.target)
    panel = Panel(
        ids=_ids(rows),
        offsets=_offsets(np.repeat(lengths, copies)),
        values=_values(rows, steps, lengths),
        starts=np.repeat(begins.astype(TIMESTAMP) if rows.has_timestamps else begins, copies),
        frequency=frequency,
        static=np.repeat(static, copies, axis=0),
        past=past,
        known=known,
        known_offsets=_offsets(np.repeat(known_lengths, copies)),
        static_names=static_names,
        past_names=past_names,
        known_names=known_names,
        categories=rows.categories,
        step=step,
        report=Report(
            unsorted=out_of_order,
            repeated=repeated,
            gaps=int(lengths.sum()) - len(rows.series[selected]),
            missing=int(np.isnan(rows.targets[selected]).sum()),
            blank=_blank(rows, rows.names.past, selected)
            + _blank(rows, rows.names.known, _selected(rows, steps, known_lengths)),
            unknown=sum(int((rows.columns[name] == UNKNOWN_CODE).sum()) for name in rows.categories),
        ),
    )
    return panel, np.repeat(_test_starts(rows, steps, starts, lengths), copies)


def _ids(rows: Rows) -> list[str]:
    target = rows.names.target
    if len(target) == 1:
        return [id or target[0] for id in rows.ids]
    return [f"{id}/{column}" if id else column for id in rows.ids for column in target]


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)])


def _sort(rows: Rows) -> tuple[int, int]:
    """Sorts rows by series and time. Returns the numbers of rows out of order and of repeated rows, which it drops."""
    if not (np.diff(rows.series) >= 0).all():
        rows.take(np.argsort(rows.series, kind="stable"))
    is_same = np.diff(rows.series) == 0
    out_of_order = int((is_same & (np.diff(rows.times) < 0)).sum())
    if out_of_order:
        rows.take(np.lexsort((rows.times, rows.series)))
    is_repeated = is_same & (np.diff(rows.times) == 0)
    if is_repeated.any():
        later = np.flatnonzero(is_repeated) + 1
        is_equal = np.ones(len(later), bool)
        for values in (*rows.targets.T, *rows.columns.values()):
            before, after = values[later - 1], values[later]
            is_equal &= (before == after) | ((before != before) & (after != after))
        if not is_equal.all():
            row = later[np.argmin(is_equal)]
            raise DataError(f"{_series_text(rows, row)}: two different rows of the time {_time_text(rows, row)}")
        keep = np.ones(len(rows.series), bool)
        keep[later] = False
        rows.take(keep)
    return out_of_order, int(is_repeated.sum())


def _steps(rows: Rows, starts: np.ndarray, alias: str | None) -> tuple[np.ndarray, str | None, int]:
    """Returns the steps (R,) since the first row of each series, the frequency, and the step of integer times."""
    begins = rows.times[starts][rows.series]
    if not rows.has_timestamps:
        differences = rows.times - begins
        step = int(np.gcd.reduce(differences)) or 1
        _refuse_other_step(rows, starts, differences // step, str(step))
        return differences // step, None, step
    frequency = alias or infer_frequency(rows.times, rows.series)
    if frequency is None:
        raise DataError(f"{rows.where}: no series has two times to infer the frequency from; give the frequency")
    steps = frequency_of(frequency).steps_between(begins, rows.times)
    if (steps < 0).any():
        row = int(np.argmax(steps < 0))
        described = f"given frequency '{alias}'" if alias else f"inferred frequency '{frequency}'; give the frequency"
        raise DataError(
            f"{_series_text(rows, row)}: {_time_text(rows, row)} is no whole number of steps after the first time, "
            f"{_time_text(rows, starts[rows.series[row]])}, at the {described}"
        )
    if not alias:
        _refuse_other_step(rows, starts, steps, frequency)
    return steps, frequency_of(frequency).anchored(rows.times[starts]), 1


def _refuse_other_step(rows: Rows, starts: np.ndarray, steps: np.ndarray, frequency: str) -> None:
    """Refuses series that are only ever seen at multiples of the inferred frequency."""
    counts = np.diff(starts, append=len(rows.series))
    common = np.gcd.reduceat(steps, starts)
    is_other = (common > 1) & (counts >= _MIN_ROWS)
    if is_other.any():
        index = np.argmax(is_other)
        raise DataError(
            f"{_series_text(rows, starts[index])}: its times are {common[index]} steps of the frequency '{frequency}' "
            "of other series apart; give the frequency to fill the gaps, or separate the series"
        )


def _refuse_empty(rows: Rows, starts: np.ndarray) -> None:
    for column, values in zip(rows.names.target, rows.targets.T, strict=True):
        is_empty = np.logical_and.reduceat(np.isnan(values), starts)
        if is_empty.any():
            raise DataError(f"{_series_text(rows, starts[np.argmax(is_empty)])}: no value in the column '{column}'")


def _refuse_sparse(rows: Rows, starts: np.ndarray, lengths: np.ndarray) -> None:
    counts = np.diff(starts, append=len(rows.series))
    is_sparse = lengths > _MAX_SPAN * counts + 1000
    if is_sparse.any():
        index = np.argmax(is_sparse)
        begin, end = starts[index], starts[index] + counts[index] - 1
        raise DataError(
            f"{_series_text(rows, begin)}: {counts[index]:,} rows from {_time_text(rows, begin)} to "
            f"{_time_text(rows, end)} are {lengths[index]:,} steps; a time or the frequency is wrong"
        )


def _series_text(rows: Rows, row: int) -> str:
    id = rows.ids[rows.series[row]]
    return f"{rows.where}, series '{id}'" if id else rows.where


def _time_text(rows: Rows, row: int) -> str:
    time = rows.times[row]
    if not rows.has_timestamps:
        return str(time)
    return str(time.astype(TIMESTAMP)).replace("T", " ").removesuffix(".000000").removesuffix(" 00:00:00")


def _is_present(values: np.ndarray) -> np.ndarray:
    return ~np.isnan(values) if values.dtype.kind == "f" else values != MISSING_CODE


def _blank(rows: Rows, names: Sequence[str], selected: np.ndarray | slice) -> int:
    """Counts the missing numbers of some columns in the selected rows."""
    columns = [rows.columns[name][selected] for name in names if name not in rows.categories]
    return sum(int(np.isnan(values).sum()) for values in columns)


def _known_ends(rows: Rows, steps: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Returns the number of steps after which no row has all columns known ahead (N,)."""
    is_complete = np.ones(len(steps), bool)
    for name in rows.names.known:
        is_complete &= _is_present(rows.columns[name])
    return np.maximum.reduceat(np.where(is_complete, steps, -1), starts) + 1 if rows.names.known else 0 * starts


def _selected(rows: Rows, steps: np.ndarray, lengths: np.ndarray) -> np.ndarray | slice:
    """Returns which rows belong to the first steps of each series."""
    is_selected = (steps >= 0) & (steps < lengths[rows.series])
    return slice(None) if is_selected.all() else np.flatnonzero(is_selected)


def _positions(rows: Rows, steps: np.ndarray, lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the positions of the selected rows in the flat arrays, once for each target."""
    selected, copies = _selected(rows, steps, lengths), len(rows.names.target)
    before = copies * (np.cumsum(lengths) - lengths)
    for copy in range(copies):
        yield (before + copy * lengths)[rows.series[selected]] + steps[selected]


def _values(rows: Rows, steps: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Returns the values of the targets as a flat array with one row per step."""
    values = np.full(len(rows.names.target) * int(lengths.sum()), np.nan)
    selected = _selected(rows, steps, lengths)
    for target, positions in enumerate(_positions(rows, steps, lengths)):
        values[positions] = rows.targets[selected, target]
    return values


def _encode(
    rows: Rows, names: Sequence[str], values_of: Callable[[str], np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the numbers of some columns with their names: one column for each category of a column of text."""
    for name in names:
        values = values_of(name)
        if name not in rows.categories:
            yield name, values
        for code, category in enumerate(rows.categories.get(name, ())):
            yield f"{name}={category}", (values == code).astype("float32")


def _spread(
    rows: Rows, names: Sequence[str], steps: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns columns as a flat array with one row per step, and the names of what they became."""
    selected = _selected(rows, steps, lengths) if names else slice(0)
    columns = dict(_encode(rows, names, lambda name: rows.columns[name][selected]))
    # At a step without a row, a number is missing and a text is no category.
    empty = [0 if name not in names else np.nan for name in columns]
    flat = np.tile(np.array(empty, "float32"), (len(rows.names.target) * int(lengths.sum()), 1))
    for positions in _positions(rows, steps, lengths) if columns else ():
        for index, values in enumerate(columns.values()):
            flat[positions, index] = values
    return flat, tuple(columns)


def _static(rows: Rows, starts: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the columns that have one value per series (N, S), and their names."""

    def value_of(name: str) -> np.ndarray:
        values = rows.columns[name]
        if values.dtype.kind == "f":
            low, high = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
        else:
            high = np.maximum.reduceat(values, starts)
            low = np.minimum.reduceat(np.where(values == MISSING_CODE, high[rows.series], values), starts)
        if (low < high).any():
            row = starts[np.argmax(low < high)]
            raise DataError(f"{_series_text(rows, row)}: the static column '{name}' has several values")
        return high

    columns = dict(_encode(rows, rows.names.static, value_of))
    static = np.stack([*columns.values()], axis=1) if columns else np.zeros((len(starts), 0))
    return static.astype("float32"), tuple(columns)


def _test_starts(rows: Rows, steps: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Returns the number of steps of each series before its test (N,)."""
    begins = np.minimum.reduceat(np.where(rows.is_test, steps, _NEVER), starts)
    last = np.maximum.reduceat(np.where(rows.is_test, -1, steps), starts)
    if (last >= begins).any():
        index = np.argmax(last >= begins)
        raise DataError(f"{_series_text(rows, starts[index])}: its test begins before its training values end")
    return np.minimum(begins, lengths)
