"""Forecasts to compare a model with: naive ones, and the statistical models of statsforecast."""

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

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
