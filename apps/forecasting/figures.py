"""Figures of forecasts."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ..shared.figures import NARROWEST, WIDEST, cut, save
from ..shared.fonts import families

MOST_SERIES = 12  # panels on a page
LONGEST_HISTORY = 2  # horizons
SHORTEST_HISTORY = 40  # steps, if the series has as many
WIDEST_INTERVAL = 1.5  # how far an interval extends the axis, relative to the range of the values
INTERVALS = (0.95, 0.8)
SHADES = ("#c6dbef", "#7fb1d8")  # of the intervals
METRICS = {"mase": "MASE", "smape": "sMAPE (%)", "owa": "OWA", "msis": "MSIS", "mae": "MAE", "mse": "MSE"}  # labels


class SeriesForecast(NamedTuple):
    """A series with its forecast.

    Attributes:
        name: The name of the series.
        times: Array `(steps + horizon,)` of datetime64 or integers, the times of the history and of the forecast.
        history: Array `(steps,)`. NaN where a value is missing.
        forecast: Array `(horizon,)`.
        quantiles: Array `(levels, horizon)`, or None.
        actual: Array `(horizon,)` of targets, or None. NaN where a value is missing.
    """

    name: str
    times: np.ndarray
    history: np.ndarray
    forecast: np.ndarray
    quantiles: np.ndarray | None = None
    actual: np.ndarray | None = None


def draw_forecasts(
    forecasts: Sequence[SeriesForecast],
    levels: Sequence[float],
    path: str | Path,
    ylabel: str = "value",
    total: int | None = None,
) -> None:
    """Draws series with their forecasts and the 80 and 95 % intervals; of more than 12 series, the first ones.

    The last steps of the history are drawn, twice the horizon, but at least 40 if there are as many.

    Args:
        forecasts: The series with their forecasts, at least one.
        levels: The levels of the quantiles. An interval is drawn if they have its bounds.
        path: The image file to write, such as `forecasts.png` or `forecasts.svg`.
        ylabel: Name of the target, with its unit.
        total: The number of all series, for the title. By default that of `forecasts`.

    Example:

    >>> from keras_recurrent.apps.forecasting.figures import SeriesForecast, draw_forecasts
    >>> times = np.arange("2024-01", "2024-06", dtype="datetime64[M]")
    >>> series = SeriesForecast("sales", times, np.array([3.0, 4.0, 5.0]), np.array([5.0, 5.0]))
    >>> draw_forecasts([series], [], "sales.png")
    """
    shown = forecasts[:MOST_SERIES]
    columns = min(len(shown), 1 if len(shown) == 1 else 2 if len(shown) <= 4 else 3)
    rows = math.ceil(len(shown) / columns)
    size = (8, 4.2) if len(shown) == 1 else (WIDEST * (0.8 if columns == 2 else 1), 1 + 2.5 * rows)
    with matplotlib.rc_context({"font.family": families("".join([ylabel, *(series.name for series in shown)]))}):
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(wspace=0.04))
        figure.suptitle(_title(forecasts, total or len(forecasts)), parse_math=False)
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        handles: dict[str, Any] = {}
        for axes, series in zip(panels, shown, strict=False):
            handles.update(_draw_forecast(axes, series, levels))
            if len(shown) > 1:
                axes.set_title(cut(series.name), fontsize="medium", parse_math=False)
        for axes in panels[len(shown) :]:
            axes.remove()
        for axes in panels[: len(shown) : columns]:
            axes.set_ylabel(ylabel, parse_math=False)
        figure.legend([*handles.values()], [*handles], loc="outside lower center", ncols=len(handles))
        save(figure, path)


def _title(forecasts: Sequence[SeriesForecast], total: int) -> str:
    horizons = {len(series.forecast) for series in forecasts}
    steps = f"{max(horizons):,} step{'s' if max(horizons) > 1 else ''} ahead"
    if total == 1:
        return f"{cut(forecasts[0].name)}, forecast {steps}"
    shown = min(len(forecasts), MOST_SERIES)
    number = f"{shown} of {total:,}" if total > shown else f"{shown}"
    return f"{number} series, forecast {steps}"


def _draw_forecast(axes: Axes, series: SeriesForecast, levels: Sequence[float]) -> dict[str, Any]:
    """Draws one series and returns the artists for the legend by their labels."""
    horizon = len(series.forecast)
    steps = min(len(series.history), max(LONGEST_HISTORY * horizon, SHORTEST_HISTORY))
    times = series.times[len(series.times) - horizon - steps :]
    past, future = times[:steps], times[steps:]
    history, forecast = (_finite(values) for values in (series.history[len(series.history) - steps :], series.forecast))
    actual = np.full(horizon, np.nan) if series.actual is None else _finite(series.actual)
    handles = {"history": _draw_line(axes, past, history, "black", 1.2)}
    intervals = _intervals(series.quantiles, levels)
    for interval, (low, high) in intervals.items():
        label = f"{100 * interval:.0f} % interval"
        shade = SHADES[INTERVALS.index(interval)]
        handles[label] = _draw_interval(axes, times, future, low, high, shade)
    handles["forecast"] = _draw_line(axes, future, forecast, "#08519c", 1.8)
    if not np.isnan(actual).all():
        handles["actual"] = _draw_line(axes, future, actual, "#d95f02", 1.2)
    _limit(axes, np.concatenate([history, forecast, actual]), [*intervals.values()])
    time_axis(axes, times)
    axes.grid(alpha=0.3)
    return handles


def _draw_line(axes: Axes, times: np.ndarray, values: np.ndarray, color: str, width: float) -> object:
    """Draws a line with gaps where values are missing, and a dot for each value between two gaps."""
    (line,) = axes.plot(times, values, color=color, linewidth=width, solid_joinstyle="round")
    is_missing = np.isnan(np.concatenate([[np.nan], values, [np.nan]]))
    alone = ~is_missing[1:-1] & is_missing[:-2] & is_missing[2:]
    axes.plot(times[alone], values[alone], color=color, linestyle="", marker="o", markersize=3)
    return line


def _intervals(quantiles: np.ndarray | None, levels: Sequence[float]) -> dict[float, tuple[np.ndarray, np.ndarray]]:
    """Returns the bounds of the central intervals whose quantiles are given, the widest first."""
    bounds: dict[float, tuple[np.ndarray, np.ndarray]] = {}
    if quantiles is None:
        return bounds
    for interval in INTERVALS:
        indices = [np.flatnonzero(np.isclose(levels, level)) for level in ((1 - interval) / 2, (1 + interval) / 2)]
        if all(map(len, indices)):
            low, high = (_finite(quantiles[index[0]]) for index in indices)
            bounds[interval] = low, high
    return bounds


def _draw_interval(
    axes: Axes, times: np.ndarray, future: np.ndarray, low: np.ndarray, high: np.ndarray, color: str
) -> object:
    """Draws an interval. That of a single step is half as wide as a step, because it would be a line otherwise."""
    if len(future) == 1:
        quarter = _step(times) / 4
        future = np.array([future[0] - quarter, future[0] + quarter])
        low, high = np.repeat(low, 2), np.repeat(high, 2)
    return axes.fill_between(future, low, high, color=color, linewidth=0)


def _step(times: np.ndarray) -> np.timedelta64 | float:
    """Returns the time between the last two steps."""
    if np.issubdtype(times.dtype, np.datetime64):
        times = times.astype("datetime64[s]")
        return times[-1] - times[-2] if len(times) > 1 else np.timedelta64(86_400, "s")
    return float(times[-1] - times[-2]) if len(times) > 1 else 1.0


def _limit(axes: Axes, values: np.ndarray, intervals: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """Sets the y-axis so that neither wide intervals nor tiny differences dominate it."""
    values = values[~np.isnan(values)]
    if not len(values):
        axes.set(ylim=(0, 1), yticks=[])
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", va="center", color="0.4")
        return
    low, high = values.min(), values.max()
    room = WIDEST_INTERVAL * (high - low) if high > low else np.inf
    bounds = np.concatenate([[low, high], *(bound for pair in intervals for bound in pair)])
    bottom, top = max(low - room, np.nanmin(bounds)), min(high + room, np.nanmax(bounds))
    scale = max(abs(bottom), abs(top))
    is_constant = top - bottom <= 1e-9 * scale
    margin = (0.1 * scale or 1.0) if is_constant else 0.05 * (top - bottom)
    axes.set_ylim(bottom - margin, top + margin)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def time_axis(axes: Axes, times: np.ndarray) -> None:
    """Labels an x-axis with dates, or with integers where the times are integers.

    Args:
        axes: The axes.
        times: Array of at least one datetime64 or integer, the range of the axis.
    """
    if np.issubdtype(times.dtype, np.datetime64):
        times = times.astype("datetime64[s]")
        locator = AutoDateLocator(minticks=3, maxticks=6)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.set_xlabel("time")
    else:
        ticks = 5 if abs(int(times[-1])) < 1_000_000 else 3
        axes.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
        axes.set_xlabel("step")
    margin = max((times[-1] - times[0]) / 50, _step(times) / 2)
    axes.set_xlim(times[0] - margin, times[-1] + margin)


def _finite(values: np.ndarray) -> np.ndarray:
    """Replaces infinite values by NaN, which no axis includes."""
    values = np.asarray(values, "float64")
    return np.where(np.isfinite(values), values, np.nan)


def draw_error_by_horizon(
    results: Mapping[str, Mapping[str, np.ndarray]],
    path: str | Path,
    metrics: Sequence[str] = ("mase", "smape", "coverage_95"),
) -> None:
    """Draws metrics against the number of steps ahead, of a model and of baselines.

    An error is on a logarithmic axis where the largest one is more than ten times the smallest.

    Args:
        results: For the name of a model or a baseline, what `ForecastMetrics.by_horizon` returns. The first one is
            drawn with a thicker line.
        path: The image file to write, such as `horizon.png` or `horizon.svg`.
        metrics: The metrics to draw, those that are defined for at least one step.

    Raises:
        ValueError: If none of the metrics is defined.

    Example:

    >>> from keras_recurrent.apps.forecasting.figures import draw_error_by_horizon
    >>> results = {"model": {"mae": np.array([1.0, 1.5])}, "naive": {"mae": np.array([1.2, 2.0])}}
    >>> draw_error_by_horizon(results, "horizon.png", metrics=["mae"])
    """
    shown = [
        metric
        for metric in metrics
        if any(np.isfinite(values.get(metric, np.nan)).any() for values in results.values())
    ]
    if not shown:
        raise ValueError(f"none of the metrics {', '.join(metrics)} is defined")
    size = max(NARROWEST, 1 + 4 * len(shown)), 4.4
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(wspace=0.04))
    figure.suptitle("Metrics by the number of steps ahead")
    handles: dict[str, Any] = {}
    for axes, metric in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for index, (name, values) in enumerate(results.items()):
            if metric not in values:
                continue
            errors = _finite(values[metric])
            options = {"linewidth": 2.2, "zorder": 3, "color": "black"} if index == 0 else {"color": f"C{index - 1}"}
            marker = "o" if len(errors) <= 30 else None
            (handles[name.replace("_", " ")],) = axes.plot(
                np.arange(1, len(errors) + 1), errors, marker=marker, markersize=3, **options
            )
        _error_axis(axes, metric)
    figure.legend([*handles.values()], [*handles], loc="outside lower center", ncols=min(len(handles), 6))
    save(figure, path)


def _error_axis(axes: Axes, metric: str) -> None:
    axes.set(xlabel="steps ahead", ylabel=METRICS.get(metric, metric.replace("_", " ")))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 4, 5, 10], integer=True, min_n_ticks=1))
    longest = max(len(np.asarray(line.get_xdata())) for line in axes.lines)
    axes.set_xlim(1 - longest / 50, longest * 1.02)
    axes.grid(alpha=0.3)
    if metric.startswith("coverage_"):
        nominal = float(metric.partition("_")[2]) / 100
        axes.axhline(nominal, color="0.5", linestyle="--", zorder=1)
        lowest = np.nanmin(np.concatenate([line.get_ydata() for line in axes.lines]))
        axes.set(ylim=(min(0.5, lowest - 0.02), 1.02), ylabel=f"coverage of the {100 * nominal:.0f} % interval")
        return
    errors = np.concatenate([line.get_ydata() for line in axes.lines])
    errors = errors[np.isfinite(errors)]
    if len(errors) and errors.min() > 0 and errors.max() > 10 * errors.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(0, 1.05 * errors.max() if len(errors) and errors.max() > 0 else 1)


def draw_reliance(
    name: str,
    times: np.ndarray,
    history: np.ndarray,
    reliance: np.ndarray,
    path: str | Path,
    ylabel: str = "value",
) -> None:
    """Draws how much a forecast depends on each past value: the magnitude of its derivative, below the history.

    Args:
        name: The name of the series.
        times: Array `(steps,)` of datetime64 or integers.
        history: Array `(steps,)`. NaN where a value is missing.
        reliance: Array `(steps,)`, the derivative of the mean of the forecast with respect to each value. NaN where
            there is none.
        path: The image file to write, such as `reliance.png` or `reliance.svg`.
        ylabel: Name of the target, with its unit.

    Raises:
        ValueError: If the arrays differ in length.

    Example:

    >>> from keras_recurrent.apps.forecasting.figures import draw_reliance
    >>> draw_reliance("sales", np.arange(3), np.array([3.0, 4.0, 5.0]), np.array([0.1, 0.2, 0.7]), "reliance.png")
    """
    if not len(times) == len(history) == len(reliance):
        raise ValueError(f"{len(times)} times, {len(history)} values and {len(reliance)} derivatives")
    with matplotlib.rc_context({"font.family": families(name + ylabel)}):
        figure = Figure(figsize=(8, 4.8), layout="constrained")
        figure.suptitle(f"{cut(name)}, what the forecast depends on", parse_math=False)
        upper, lower = figure.subplots(2, sharex=True)
        history, reliance = _finite(history), np.abs(_finite(reliance))
        _draw_line(upper, times, history, "black", 1.2)
        _limit(upper, history, [])
        upper.set_ylabel(ylabel, parse_math=False)
        width = min(8, max(0.5, 0.8 * 72 * 6.8 / len(times)))  # points
        lower.vlines(times, 0, reliance, color="#08519c", linewidth=width)
        largest = np.nanmax(reliance, initial=0)
        lower.set(ylim=(0, 1.05 * largest if largest > 0 else 1), ylabel="|∂ mean forecast / ∂ value|")
        lower.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        time_axis(lower, times)
        for axes in (upper, lower):
            axes.grid(alpha=0.3)
        save(figure, path)
