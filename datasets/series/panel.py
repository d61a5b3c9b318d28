"""Many time series in flat arrays."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from .steps import TIMESTAMP, frequency_of


class Report(NamedTuple):
    """What reading has changed or counted.

    Attributes:
        unsorted: Rows whose time precedes that of the row before, of the same series. They were sorted.
        repeated: Rows that repeat another exactly. They were dropped.
        gaps: Steps between the first and the last value of a series that have no row. Their values are NaN.
        missing: Missing values in the rows there are.
        blank: Missing numbers in the other columns of the rows that are used.
        unknown: Texts that are none of the given categories. They are encoded as zeros.
    """

    unsorted: int = 0
    repeated: int = 0
    gaps: int = 0
    missing: int = 0
    blank: int = 0
    unknown: int = 0

    def __str__(self) -> str:
        """One line of the counts that are not 0; empty if all are."""
        texts = {
            "unsorted": "rows out of order",
            "repeated": "repeated rows left out",
            "gaps": "steps without a row",
            "missing": "missing values",
            "blank": "missing numbers in other columns",
            "unknown": "unknown categories",
        }
        return ", ".join(f"{texts[name]}: {count:,}" for name, count in self._asdict().items() if count)


class Windows(NamedTuple):
    """Windows of series, NaN where a series has no such step; see `Panel.windows`.

    Attributes:
        values: The values (B, T).
        past: The columns known only up to the present (B, T, P).
        known: The columns known ahead (B, T, K).
    """

    values: np.ndarray
    past: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class Panel:
    """Time series with regular steps, in flat arrays. Missing values are NaN.

    Attributes:
        ids: The N names of the series.
        offsets: int64 (N + 1,). Series i has the rows `offsets[i]` to `offsets[i + 1]` of `values` and `past`.
        values: float64 (total,).
        starts: The time of the first value of each series, (N,): datetime64, or int64 for integer times.
        frequency: Pandas' alias of the step, such as `h`, `D`, `W-SUN` or `MS`. None for integer times.
        step: Difference between consecutive integer times.
        static: float32 (N, S), columns that have one value per series.
        past: float32 (total, P), columns known only up to the present.
        known: float32 (known_total, K), columns known ahead. They begin with the values of a series and may end later.
        known_offsets: int64 (N + 1,), as `offsets` for the rows of `known`.
        static_names: Names of the S columns; that of a category is `column=category`.
        past_names: Names of the P columns.
        known_names: Names of the K columns.
        categories: The categories of each column of text.
        wide_id: The column of the names if the table had one row per series, None otherwise.
        report: What reading has counted.

    Example:

    >>> import pathlib
    >>> from keras_recurrent.datasets.series import read_series
    >>> _ = pathlib.Path("sales.csv").write_text("ds,y\\n2024-01-31,3\\n2024-02-29,\\n2024-03-31,5\\n")
    >>> panel = read_series("sales.csv")
    >>> panel.frequency, panel.values_of(0).tolist(), str(panel.report)
    ('ME', [3.0, nan, 5.0], 'missing values: 1')
    >>> panel.times_of(0, extra=1).astype("datetime64[D]").tolist()[-1]
    datetime.date(2024, 4, 30)
    """

    ids: list[str]
    offsets: np.ndarray
    values: np.ndarray
    starts: np.ndarray
    frequency: str | None
    static: np.ndarray
    past: np.ndarray
    known: np.ndarray
    known_offsets: np.ndarray
    static_names: tuple[str, ...] = ()
    past_names: tuple[str, ...] = ()
    known_names: tuple[str, ...] = ()
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    step: int = 1
    wide_id: str | None = None
    report: Report = field(default_factory=Report)

    def __len__(self) -> int:
        return len(self.ids)

    def checksum(self, start: int = 0) -> int:
        """Returns a CRC-32 of the series and their columns, continued from `start`."""
        start = zlib.crc32(repr([self.ids, self.frequency, self.step]).encode(), start)
        columns = (self.static, self.past, self.known, self.known_offsets)
        for array in (self.offsets, self.values, self.starts, *columns):
            start = zlib.crc32(array.tobytes(), start)
        return start

    @property
    def lengths(self) -> np.ndarray:
        """Number of values of each series, (N,)."""
        return np.diff(self.offsets)

    @property
    def known_steps_ahead(self) -> np.ndarray:
        """Number of steps after its last value for which a series has all known columns, (N,)."""
        return np.diff(self.known_offsets) - self.lengths

    def values_of(self, index: int) -> np.ndarray:
        """Returns the values of a series, a view."""
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def past_of(self, index: int) -> np.ndarray:
        """Returns the columns of a series that are known up to the present (T, P), a view."""
        return self.past[self.offsets[index] : self.offsets[index + 1]]

    def known_of(self, index: int) -> np.ndarray:
        """Returns the columns of a series that are known ahead (T or more, K), a view."""
        return self.known[self.known_offsets[index] : self.known_offsets[index + 1]]

    def times_of(self, index: int, extra: int = 0) -> np.ndarray:
        """Returns the times of the values of a series, and of `extra` steps after them."""
        return self.times(np.array([index]), np.zeros(1, "int64"), int(self.lengths[index]) + extra)[0]

    def times(self, series: np.ndarray, first: np.ndarray, steps: int) -> np.ndarray:
        """Returns the times of windows (B, steps): datetime64 or int64. See `windows` for the arguments."""
        positions = first[:, None] + np.arange(steps)
        if self.frequency is None:
            return self.starts[series][:, None] + positions * self.step
        starts = self.starts[series].astype(TIMESTAMP).astype("int64")
        return frequency_of(self.frequency).times(starts, positions).astype(TIMESTAMP)

    def windows(self, series: np.ndarray, first: np.ndarray, steps: int) -> Windows:
        """Returns windows of the series, as one batch.

        Args:
            series: Indices of the series (B,).
            first: The first step of each window (B,), counted from the start of its series. It may be negative.
            steps: Number of steps T of each window.
        """
        positions = first[:, None] + np.arange(steps)
        return Windows(
            _take(self.values, self.offsets, series, positions),
            _take(self.past, self.offsets, series, positions),
            _take(self.known, self.known_offsets, series, positions),
        )

    def select(self, indices: np.ndarray) -> "Panel":
        """Returns the panel of some series.

        Args:
            indices: Indices of the series, or a mask (N,).
        """
        indices = np.arange(len(self))[indices]
        rows, offsets = _rows(self.offsets, indices, self.lengths[indices])
        known_rows, known_offsets = _rows(self.known_offsets, indices, np.diff(self.known_offsets)[indices])
        return replace(
            self,
            ids=[self.ids[index] for index in indices],
            offsets=offsets,
            values=self.values[rows],
            starts=self.starts[indices],
            static=self.static[indices],
            past=self.past[rows],
            known=self.known[known_rows],
            known_offsets=known_offsets,
        )

    def until(self, ends: np.ndarray) -> "Panel":
        """Returns the panel as it was known at an earlier time. The columns known ahead are kept.

        Args:
            ends: Number of steps of each series to keep (N,), at most its length. A series may become empty.
        """
        rows, offsets = _rows(self.offsets, np.arange(len(self)), np.clip(ends, 0, self.lengths))
        return replace(self, offsets=offsets, values=self.values[rows], past=self.past[rows])

    def without_last(self, steps: int) -> "Panel":
        """Returns the panel without the last steps of each series; see `until`."""
        return self.until(self.lengths - steps)


def _rows(offsets: np.ndarray, series: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows of the first `lengths` steps of some series, and their new offsets."""
    new = np.concatenate([[0], np.cumsum(lengths)])
    return np.arange(new[-1]) + np.repeat(offsets[series] - new[:-1], lengths), new


def _take(rows: np.ndarray, offsets: np.ndarray, series: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Returns the rows at `positions` (B, T) in the series (B,); NaN outside."""
    is_inside = (positions >= 0) & (positions < np.diff(offsets)[series][:, None])
    windows = np.full((*positions.shape, *rows.shape[1:]), np.nan, rows.dtype)
    windows[is_inside] = rows[(offsets[series][:, None] + positions)[is_inside]]
    return windows
