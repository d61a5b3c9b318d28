"""Forecasts as CSV, in the form of the data, and as JSON."""

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...datasets.series import Panel
from ...files import atomic_file
from .config import Config
from .model import Forecast


def write_forecasts(rows: Iterator[list[Any]], output: str | None) -> None:
    """Writes the rows of a table as CSV to a file, which appears when it is complete, or to standard output."""
    if output is None:
        write_csv(rows, sys.stdout)
        return
    with atomic_file(Path(output)) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        write_csv(rows, file)


def write_csv(rows: Iterator[list[Any]], file: IO[str]) -> None:
    """Writes the rows of a table as CSV to an open file."""
    csv.writer(file, lineterminator="\n").writerows(rows)


def table_rows(panel: Panel, forecasts: Sequence[Forecast], config: Config, level: float = 0.5) -> Iterator[list[Any]]:
    """Returns the rows of a table in the form of the series that it continues: `wide_rows` or `long_rows`."""
    if panel.wide_id is None:
        return long_rows(forecasts, config)
    return wide_rows(forecasts, config, level, panel.wide_id)


def long_rows(forecasts: Sequence[Forecast], config: Config) -> Iterator[list[Any]]:
    """Yields the rows of a table in long form, the header first.

    The column of a target has the medians, and a column for each other level, such as `y-0.975`, the quantiles. Data
    without names of series has none here.
    """
    count = len(config.target)
    columns = [(index, "" if level == 0.5 else f"-{level:g}") for index, level in enumerate(config.levels)]
    columns.sort(key=lambda column: column[1] != "")  # the median first
    has_names = [forecast.id for forecast in forecasts] != [*config.target]
    header = [f"{target}{suffix}" for target in config.target for _, suffix in columns]
    yield [*([config.id] if has_names else []), config.time, *header]
    for first in range(0, len(forecasts), count):
        targets = forecasts[first : first + count]  # the targets of a series follow one another
        name = targets[0].id.removesuffix(f"/{config.target[0]}") if count > 1 else targets[0].id
        for step, time in enumerate(_texts(targets[0].times)):
            values = [_text(forecast.quantiles[index, step]) for forecast in targets for index, _ in columns]
            yield [*([name] if has_names else []), time, *values]


def wide_rows(forecasts: Sequence[Forecast], config: Config, level: float, id: str) -> Iterator[list[Any]]:
    """Yields the rows of a table in wide form, the header first: names in the column `id`, and quantiles of a level."""
    index = config.levels.index(level)
    yield [id, *(f"F{step}" for step in range(1, config.horizon + 1))]
    for forecast in forecasts:
        yield [forecast.id, *map(_text, forecast.quantiles[index])]


def as_json(panel: Panel, forecasts: Sequence[Forecast], config: Config) -> list[dict[str, Any]]:
    """Returns what a page draws of the series of a panel and their forecasts, as types of JSON.

    Returns:
        A dictionary for each series:

        - `id`: its name.
        - `times`: the times of the history and of the forecast, as text.
        - `history`: its last values, as many as the model reads; None where a value is missing.
        - `levels`: the levels of the quantiles, ascending, with the median.
        - `quantiles`: for each level the forecasts of all steps.
    """
    series = []
    for index, forecast in enumerate(forecasts):
        history = panel.values_of(index)[-config.context :]
        times = panel.times_of(index, config.horizon)[-len(history) - config.horizon :]
        series.append(
            {
                "id": forecast.id,
                "times": _texts(times),
                "history": [None if np.isnan(value) else value for value in history.tolist()],
                "levels": [*config.levels],
                "quantiles": [[float(_text(value)) for value in quantile] for quantile in forecast.quantiles],
            }
        )
    return series


def _texts(times: np.ndarray) -> list[str]:
    """Times as text: timestamps without the time of day if that is always midnight."""
    if times.dtype.kind != "M":
        return [str(time) for time in times]
    days = times.astype("datetime64[D]")
    shown = days if (days == times).all() else times.astype("datetime64[s]")
    return [str(time).replace("T", " ") for time in shown]


def _text(value: float) -> str:
    return f"{value:.7g}"
