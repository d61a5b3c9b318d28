"""Time steps: the timestamps of a frequency, and the frequency of timestamps.

Within this package a time is an int64: microseconds since 1970 for a timestamp, the value itself for an integer.
"""

import functools
import re
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError

TIMESTAMP = np.dtype("datetime64[us]")
DAY = 86_400_000_000  # microseconds
_UNITS = ((DAY, "D"), (3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1_000, "ms"), (1, "us"))
_SAMPLE = 1_000_000  # rows
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


class Frequency:
    """The steps of a frequency of pandas.

    Args:
        alias: Pandas' alias, such as `"h"`, `"D"`, `"W-SUN"` or `"MS"`.

    Attributes:
        alias: Pandas' name of the frequency, in which `W` is `W-SUN`.
        delta: Microseconds per step, or None if steps differ in length, such as months and business days.
        length: Microseconds of one step; of the steps that differ, an example.

    Raises:
        DataError: If pandas does not know the alias.
    """

    def __init__(self, alias: str):
        try:
            offset = pd.tseries.frequencies.to_offset(alias)
        except ValueError as error:
            raise DataError(f"'{alias}' is not a frequency of pandas, such as h, D, W-SUN or MS") from error
        if offset is None or offset.n < 1:
            raise DataError(f"the frequency '{alias}' does not move forward in time")
        self.alias = offset.freqstr
        self.delta = _delta(offset)
        start = offset.rollforward(pd.Timestamp(2001, 1, 1))
        self.length = (start + offset - start) // pd.Timedelta(microseconds=1)
        if self.delta is None and self.length < DAY:
            raise DataError(f"steps of the frequency '{alias}' differ in length and are shorter than a day")
        self._every = offset.n
        self._base = offset.base.freqstr

    def times(self, starts: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Returns the times `steps` (B, T) after `starts` (B,), which are on the grid; negative steps are before."""
        if self.delta is not None or not steps.size:
            return starts[:, None] + steps * (self.delta or 0)
        time_of_day = starts % DAY
        starts = starts - time_of_day
        before = max(0, -int(steps.min())) * self._every
        after = max(0, int(steps.max())) * self._every
        first, last = int(starts.min()), int(starts.max())
        grid = _grid(self._base, _round_down(first), _round_up(last), _power_of_two(before), _power_of_two(after))
        return grid[np.searchsorted(grid, starts)[:, None] + steps * self._every] + time_of_day[:, None]

    def steps_between(self, starts: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Returns the number of steps from `starts` (R,) to `times` (R,); -1 if it is not a whole number."""
        if self.delta is not None:
            steps = times - starts
            is_whole = steps % self.delta == 0
            steps //= self.delta
            steps[~is_whole] = -1
            return steps
        is_same_time_of_day = starts % DAY == times % DAY
        starts, times = starts // DAY * DAY, times // DAY * DAY
        grid = _grid(self._base, _round_down(int(starts.min())), _round_up(int(times.max())), 1, 1)
        first, last = np.searchsorted(grid, starts), np.searchsorted(grid, times)
        steps, rest = np.divmod(last - first, self._every)
        is_whole = (grid[first] == starts) & (grid[last] == times) & (rest == 0) & is_same_time_of_day
        return np.where(is_whole, steps, -1)

    def anchored(self, times: np.ndarray) -> str:
        """Returns the alias of the frequency at given times: the alias of weeks names their weekday."""
        if not self._base.startswith("W-"):
            return self.alias
        weekdays = np.unique((times // DAY + 3) % 7)  # 1970-01-01 was a Thursday
        if len(weekdays) > 1:
            return _multiple(7 * self._every, "D")
        return _multiple(self._every, f"W-{_WEEKDAYS[weekdays[0]]}")


@functools.lru_cache(maxsize=16)
def frequency_of(alias: str) -> Frequency:
    """Returns the `Frequency` of an alias."""
    return Frequency(alias)


def has_similar_steps(alias: str, other: str) -> bool:
    """Returns whether the steps of two frequencies have about the same length.

    The longer ones are less than 1.25 times as long, and either both or none have all the same length.

    >>> from keras_recurrent.datasets.series.steps import has_similar_steps
    >>> has_similar_steps("h", "15min"), has_similar_steps("D", "B"), has_similar_steps("MS", "ME")
    (False, False, True)
    """
    one, two = frequency_of(alias), frequency_of(other)
    return (one.delta is None) == (two.delta is None) and 0.8 < one.length / two.length < 1.25


def _delta(offset: Any) -> int | None:
    if isinstance(offset, pd.offsets.Week):
        return 7 * DAY * offset.n
    if isinstance(offset, pd.offsets.Day):
        return DAY * offset.n
    return offset.nanos // 1000 if isinstance(offset, pd.offsets.Tick) else None


def _round_down(time: int) -> int:
    return time // (366 * DAY) * 366 * DAY


def _round_up(time: int) -> int:
    return -_round_down(-time)


def _power_of_two(count: int) -> int:
    return 1 << max(0, count - 1).bit_length()


@functools.lru_cache(maxsize=16)
def _grid(alias: str, first: int, last: int, before: int, after: int) -> np.ndarray:
    """Returns the times from `before` steps before `first` to `after` steps after `last`.

    Callers round the arguments, so that the cache has them.
    """
    start, end = (pd.Timestamp(np.datetime64(time, "us")) for time in (first, last))
    parts = [
        pd.date_range(end=start, periods=before + 1, freq=alias, unit="us"),
        pd.date_range(start, end, freq=alias, unit="us"),
        pd.date_range(start=end, periods=after + 1, freq=alias, unit="us"),
    ]
    return np.unique(np.concatenate([part.to_numpy().astype(TIMESTAMP).astype("int64") for part in parts]))


def time_format(text: str) -> str | None:
    """Returns the format of a time for `pandas.to_datetime`, None if it is no time."""
    if re.fullmatch(r"\d{8}", text):
        return "%Y%m%d"
    if not pd.isna(pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)):
        return "ISO8601"
    return pd.tseries.api.guess_datetime_format(text)


def timestamps(texts: pd.Series, format: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the times of texts, and whether a text is no time. What has an offset from UTC is converted to UTC."""
    times = pd.DatetimeIndex(pd.to_datetime(texts, format=format, errors="coerce", utc=True)).tz_localize(None)
    return times.to_numpy().astype(TIMESTAMP).astype("int64"), np.asarray(times.isna())


def infer_frequency(times: np.ndarray, series: np.ndarray) -> str | None:
    """Infers the frequency of series from the commonest difference between the timestamps of the first million rows.

    Args:
        times: The times (R,) of all series, sorted in each.
        series: The index of the series of each (R,), sorted.

    Returns:
        Pandas' alias, with a factor where it is a multiple: `15min`, `2D`, `2MS`. None if no series has two times.
    """
    times, series = times[:_SAMPLE], series[:_SAMPLE]
    is_same = np.diff(series) == 0
    differences = np.diff(times)[is_same]
    if not len(differences):
        return None
    days = times // DAY
    for dates, suffix in ((days, "S"), (days + 1, "E")):
        months = dates.astype("datetime64[D]").astype("datetime64[M]")
        is_first_day = (months.astype("datetime64[D]").astype("int64") == dates) & (times % DAY == times[0] % DAY)
        if is_first_day.mean() > 0.9:  # the others are mistakes
            return _monthly(months[is_first_day].astype("int64") - (suffix == "E"), series[is_first_day], suffix)
    common = int(_mode(differences))
    if common == DAY and _skips_weekends(days, differences):
        return "B"
    if common % (7 * DAY) == 0:
        return frequency_of(_multiple(common // (7 * DAY), "W")).anchored(times)
    size, unit = next((size, unit) for size, unit in _UNITS if common % size == 0)
    return _multiple(common // size, unit)


def _monthly(months: np.ndarray, series: np.ndarray, suffix: str) -> str:
    """Returns the frequency of times at the start (S) or end (E) of months, which are counted from January 1970."""
    differences = np.diff(months)[np.diff(series) == 0]
    count = int(_mode(differences)) if (differences > 0).any() else 1
    in_quarter, in_year = np.unique(months % 3), np.unique(months % 12)
    if count % 12 == 0 and len(in_year) == 1:
        return _multiple(count // 12, f"Y{suffix}-{_MONTHS[in_year[0]]}")
    if count % 3 == 0 and len(in_quarter) == 1:
        return _multiple(count // 3, f"Q{suffix}-{_MONTHS[in_quarter[0] + (9 if suffix == 'E' else 0)]}")
    return _multiple(count, f"M{suffix}")


def _skips_weekends(days: np.ndarray, differences: np.ndarray) -> bool:
    return bool(((days + 3) % 7 < 5).all() and (differences == 3 * DAY).any())


def _mode(values: np.ndarray) -> np.ndarray:
    values, counts = np.unique(values[values > 0], return_counts=True)
    return values[counts.argmax()]


def _multiple(count: int, unit: str) -> str:
    return unit if count == 1 else f"{count}{unit}"
