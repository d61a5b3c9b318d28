"""Forecasts to compare a model with: naive ones, and the statistical models of statsforecast."""

import contextlib
import multiprocessing
import os
import signal
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from statistics import NormalDist
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from ...extras import import_extra
from ..shared.console import note
from ..shared.errors import TrainingError

Baseline: TypeAlias = Literal["naive", "seasonal_naive", "naive2", "linear", "auto_ets", "auto_theta", "auto_arima"]

CRITICAL = 1.645  # of the normal distribution: the seasonality test has a significance of 90 %


class NormalForecast(NamedTuple):
    """Forecasts with normally distributed errors.

    Attributes:
        mean: Array `(horizon,)`.
        deviation: Array `(horizon,)` of standard deviations.
    """

    mean: np.ndarray
    deviation: np.ndarray

    def quantiles(self, levels: Sequence[float]) -> np.ndarray:
        """Returns the quantiles `(levels, horizon)` at levels between 0 and 1."""
        scores = np.array([NormalDist().inv_cdf(level) for level in levels])
        return self.mean + scores[:, None] * self.deviation


def naive(history: np.ndarray, horizon: int, season: int = 1) -> NormalForecast:
    """Repeats the last observed value.

    The standard deviation is that of a random walk with the errors of this forecast one step ahead in the history.

    Args:
        history: Array `(steps,)`. NaN where a value is missing.
        horizon: Number of steps to forecast.
        season: Not used; the baselines have the same arguments.

    Returns:
        The forecast. It is NaN if no value is observed.

    Example:

    >>> from keras_recurrent.apps.forecasting.baselines import naive
    >>> forecast = naive(np.array([1.0, 2.0, np.nan, 4.0]), 2)
    >>> forecast.mean.tolist(), forecast.quantiles([0.5]).tolist()
    ([4.0, 4.0], [[4.0, 4.0]])
    """
    return seasonal_naive(history, horizon, 1)


def seasonal_naive(history: np.ndarray, horizon: int, season: int) -> NormalForecast:
    """Repeats the last observed value of the same step of the season.

    The forecast of a step of the season that was never observed is the last observed value. The standard deviation is
    that of a seasonal random walk with the errors of this forecast in the history, 0 if there are none.

    Args:
        history: Array `(steps,)`. NaN where a value is missing.
        horizon: Number of steps to forecast.
        season: Number of steps of the season, 1 for none.

    Returns:
        The forecast. It is NaN if no value is observed.
    """
    observed = history[~np.isnan(history)]
    last = observed[-1] if len(observed) else np.nan
    padding = np.full(-len(history) % season, np.nan)
    seasons = np.concatenate([np.full(season, last), padding, history]).reshape(-1, season)[::-1]
    latest = seasons[np.argmin(np.isnan(seasons), axis=0), np.arange(season)]  # the first that is observed
    steps = np.arange(horizon)
    return NormalForecast(latest[steps % season], _root_mean_square(history, season) * np.sqrt(1 + steps // season))


def naive2(history: np.ndarray, horizon: int, season: int) -> NormalForecast:
    """Repeats the last value after adjustment for the season: Naive 2 of the M4 competition.

    If the history is seasonal at the 90 % level, it is divided by the seasonal indices of a classical multiplicative
    decomposition, and the naive forecast of the quotient is multiplied by them. Missing values of the history are
    interpolated linearly.

    Args:
        history: Array `(steps,)`. NaN where a value is missing.
        horizon: Number of steps to forecast.
        season: Number of steps of the season, 1 for none.

    Returns:
        The forecast. It is NaN if no value is observed, or if the history is seasonal and not positive throughout,
        because it has no multiplicative decomposition.

    Reference:
        S. Makridakis, E. Spiliotis, V. Assimakopoulos, "The M4 Competition: 100,000 time series and 61 forecasting
        methods", International Journal of Forecasting 36 (2020).
    """
    history = interpolated(history)
    if not is_seasonal(history, season):
        return naive(history, horizon)
    if history.min() <= 0:
        return NormalForecast(np.full(horizon, np.nan), np.full(horizon, np.nan))
    indices = _seasonal_indices(history, season)
    steps = np.arange(len(history) + horizon) % season
    past, future = indices[steps[: len(history)]], indices[steps[len(history) :]]
    adjusted = naive(history / past, horizon)
    return NormalForecast(adjusted.mean * future, adjusted.deviation * future)


Method: TypeAlias = Callable[[np.ndarray, int, int], NormalForecast]  # of a history, a horizon and a season

NAIVE: dict[str, Method] = {"naive": naive, "seasonal_naive": seasonal_naive, "naive2": naive2}
STATISTICAL = {"auto_ets": "AutoETS", "auto_theta": "AutoTheta", "auto_arima": "AutoARIMA"}  # statsforecast's classes


def forecast_windows(
    name: Baseline,
    batches: Iterable[Sequence[np.ndarray]],
    horizon: int,
    season: int,
    levels: Sequence[float],
    advance: Callable[[int], None] = lambda count: None,
    processes: int | None = None,
    methods: Mapping[str, Method] = NAIVE,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Forecasts windows with a baseline, batch by batch.

    The models of statsforecast are fitted to each history by itself, in parallel processes. Missing values of a history
    are interpolated. On one core, the 414 hourly series of M4 (700 to 960 steps, a season of 24) take AutoTheta half a
    minute, AutoETS 4 minutes, and AutoARIMA, at 20 to 90 seconds per series, 6 hours.

    Where Naive 2 is not defined or a model cannot be fitted, the forecast is `seasonal_naive`, and a message says how
    often.

    Args:
        name: The baseline.
        batches: Batches of histories, arrays `(steps,)`. NaN where a value is missing.
        horizon: Number of steps to forecast.
        season: Number of steps of the season, 1 for none.
        levels: Levels of the quantiles, between 0 and 1.
        advance: Function that is called with the number of windows that have been forecast since the last call.
        processes: Number of parallel processes for the models of statsforecast, by default that of the cores.
        methods: The functions of the baselines that are not models of statsforecast.

    Returns:
        An iterator over the point forecasts `(batch, horizon)` and the quantiles `(batch, levels, horizon)` of each
        batch.

    Raises:
        MissingExtra: If statsforecast is not installed.

    Example:

    >>> from keras_recurrent.apps.forecasting.baselines import forecast_windows
    >>> histories = [np.array([1.0, 2.0, 3.0]), np.array([5.0])]
    >>> for forecast, quantiles in forecast_windows("naive", [histories], 2, 1, [0.1, 0.9]):
    ...     print(forecast.tolist(), quantiles.shape)
    [[3.0, 3.0], [5.0, 5.0]] (2, 2, 2)
    """
    if name in STATISTICAL:
        import_extra("statsforecast.models", "baseline")
    processes = processes or os.cpu_count() or 1
    forecast = partial(_forecast, name, methods.get(name), horizon=horizon, season=season, levels=levels)
    return _forecast_batches(name, forecast, batches, advance, processes if name in STATISTICAL else 1)


def _forecast_batches(
    name: Baseline,
    forecast: Callable,
    batches: Iterable[Sequence[np.ndarray]],
    advance: Callable[[int], None],
    processes: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    fallbacks = windows = 0
    with _parallel_map(processes) as parallel_map:
        for results in _ahead(parallel_map(forecast, histories) for histories in batches):
            forecasts, quantiles = [], []
            for mean, own_quantiles, is_fallback in results:
                forecasts.append(mean)
                quantiles.append(own_quantiles)
                fallbacks += is_fallback
                windows += 1
                advance(1)
            yield np.array(forecasts), np.array(quantiles)
    if fallbacks:
        note(f"{name} cannot forecast {fallbacks:,} of {windows:,} windows, which have the seasonal naive forecast")


@contextlib.contextmanager
def _parallel_map(processes: int) -> Iterator[Callable]:
    """Yields a `map` that runs in several processes, which end with the block, whatever they compute."""
    if processes == 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")  # forked processes hang if TensorFlow has threads
    others = {*multiprocessing.active_children()}
    # An interrupt ends the block, which ends them without a traceback of each.
    pool = ProcessPoolExecutor(
        processes, mp_context=context, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
    )
    try:
        yield pool.map
    except BrokenProcessPool as error:
        message = "a process of a baseline was killed, perhaps because memory was short"
        raise TrainingError(message) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in {*multiprocessing.active_children()} - others:
            process.kill()


def _ahead(items: Iterator) -> Iterator:
    """Yields items, each when the next one exists, so that no process waits at the end of a batch."""
    waiting: deque = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > 1:
            yield waiting.popleft()
    yield from waiting


def _forecast(
    name: Baseline, method: Method | None, history: np.ndarray, horizon: int, season: int, levels: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Returns the point forecast, the quantiles, and whether they are of `seasonal_naive` instead."""
    history = np.asarray(history, "float64")
    is_empty = np.isnan(history).all()
    if method is not None:
        forecast = method(history, horizon, season)
        if is_empty or not np.isnan(forecast.mean).any():
            return forecast.mean, forecast.quantiles(levels), False
    elif not is_empty:
        # There is no list of what statsforecast raises, for example for short series.
        with contextlib.suppress(Exception):
            return *_fit(name, interpolated(history), horizon, season, levels), False
    forecast = seasonal_naive(history, horizon, season)
    return forecast.mean, forecast.quantiles(levels), not is_empty


def _fit(
    name: Baseline, history: np.ndarray, horizon: int, season: int, levels: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the point forecast and the quantiles of a model of statsforecast.

    Raises:
        FloatingPointError: If they are not finite.
    """
    models = import_extra("statsforecast.models", "baseline")
    # In percent, the central intervals that end at the quantiles.
    intervals = {level: round(100 * abs(1 - 2 * level), 6) for level in levels if level != 0.5}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        model = getattr(models, STATISTICAL[name])(season_length=season)
        forecast = model.forecast(y=history, h=horizon, level=sorted({*intervals.values()}) or None)
    keys = [f"{'lo' if level < 0.5 else 'hi'}-{intervals[level]}" if level in intervals else "mean" for level in levels]
    mean, quantiles = forecast["mean"], np.array([forecast[key] for key in keys], "float64")
    if not (np.isfinite(mean).all() and np.isfinite(quantiles).all()):
        raise FloatingPointError("the forecast is not finite")
    return np.asarray(mean, "float64"), quantiles.reshape(len(levels), horizon)


def interpolated(history: np.ndarray) -> np.ndarray:
    """Cuts off missing values at the start, repeats the last value at the end, and interpolates others linearly."""
    observed = np.flatnonzero(~np.isnan(history))
    steps = np.arange(observed[0], len(history)) if len(observed) else observed
    return np.interp(steps, observed, history[observed]) if len(observed) else history[:0]


def is_seasonal(history: np.ndarray, season: int) -> bool:
    """Tests whether the autocorrelation at the lag of the season is significant at the 90 % level.

    A history of fewer than three seasons or of equal values is not seasonal.

    Args:
        history: Array `(steps,)` without missing values.
        season: Number of steps of the season, 1 for none.

    Example:

    >>> from keras_recurrent.apps.forecasting.baselines import is_seasonal
    >>> is_seasonal(np.array([1.0, 5.0, 2.0, 3.0] * 4), 4), is_seasonal(np.arange(16.0), 4)
    (True, False)
    """
    if season == 1 or len(history) < 3 * season or np.ptp(history) == 0:
        return False
    values = history - history.mean()
    lags = range(1, season + 1)
    *shorter, correlation = [values[lag:] @ values[:-lag] / (values @ values) for lag in lags]
    limit = CRITICAL * np.sqrt((1 + 2 * np.square(shorter).sum()) / len(values))
    return bool(abs(correlation) > limit)


def _seasonal_indices(history: np.ndarray, season: int) -> np.ndarray:
    """Returns the indices `(season,)` of a classical multiplicative decomposition, whose mean is 1."""
    # An even number of steps has its center between two steps.
    window = np.ones(season) if season % 2 else np.array([0.5, *np.ones(season - 1), 0.5])
    trend = np.convolve(history, window / season, mode="valid")
    steps = np.arange(len(trend)) + season // 2
    ratios = history[steps] / trend
    indices = np.bincount(steps % season, ratios, season) / np.bincount(steps % season, minlength=season)
    return indices / indices.mean()


def _root_mean_square(history: np.ndarray, lag: int) -> float:
    """Returns the root mean square of the differences of observed values `lag` steps apart, 0 if there are none."""
    errors = history[lag:] - history[:-lag]
    errors = errors[~np.isnan(errors)]
    return float(np.sqrt(np.square(errors).mean())) if len(errors) else 0.0
