"""Errors of forecasts and of their intervals, as in the M4 competition and in GluonTS."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .baselines import naive2

COVERAGES = (0.8, 0.95)  # of central intervals
ALPHA = 0.05  # of the interval whose score is computed: 1 - 0.95
POINT_ERRORS = (
    *("smape", "mase", "mae", "mse", "standardized_mae", "standardized_mse"),
    *("smape where naive2", "smape of naive2", "mase where naive2", "mase of naive2"),
)


class Reference(NamedTuple):
    """What the metrics of a batch of windows need of the histories.

    Attributes:
        scales: Array `(batch,)`, the mean absolute error of the seasonal naive forecast in the history. NaN if no two
            observed values are one season apart.
        naive2: Array `(batch, horizon)`, the forecasts of `baselines.naive2`. NaN where it is not defined.
        is_empty: Boolean array `(batch,)`, whether a history has no observed value.
        deviations: Array `(batch,)`, the standard deviations that the standardized errors are in units of. NaN where
            they are not defined.
    """

    scales: np.ndarray
    naive2: np.ndarray
    is_empty: np.ndarray
    deviations: np.ndarray


def reference(
    histories: Sequence[np.ndarray], horizon: int, season: int, train: Sequence[int] | None = None
) -> Reference:
    """Computes the scale, the Naive 2 forecast and the standard deviation of each history.

    Args:
        histories: Arrays `(steps,)`, all values before the forecast. NaN where a value is missing.
        horizon: Number of steps to forecast.
        season: Number of steps of the season, 1 for none.
        train: The number of first steps of each history whose standard deviation is computed. The default is all.
    """
    histories = [np.asarray(history, "float64") for history in histories]
    scales = np.array([_scale(history, season) for history in histories])
    forecasts = np.array([naive2(history, horizon, season).mean for history in histories])
    ends = [len(history) for history in histories] if train is None else train
    deviations = [_deviation(history[:end]) for history, end in zip(histories, ends, strict=True)]
    is_empty = np.array([np.isnan(history).all() for history in histories])
    return Reference(scales, forecasts, is_empty, np.array(deviations))


def _deviation(history: np.ndarray) -> float:
    observed = history[~np.isnan(history)]
    return float(observed.std()) if len(observed) else np.nan


def _scale(history: np.ndarray, season: int) -> float:
    errors = np.abs(history[season:] - history[:-season])
    errors = errors[~np.isnan(errors)]
    return float(errors.mean()) if len(errors) else np.nan


class ForecastMetrics:
    """Computes the errors of forecasts batch by batch, in constant memory.

    Missing values of the target are left out, and so are windows whose history has no observed value.

    Args:
        horizon: Number of steps of each forecast.
        season: Number of steps of the season, 1 for none.
        levels: Levels of the quantiles, between 0 and 1.

    Attributes:
        windows: The number of forecasts with an observed target.
        empty_histories: The number of windows that are left out because their history has no observed value.
        short_histories: The number of windows without MASE and MSIS because no two values of their history are one
            season apart.
        constant_histories: The number of windows without MASE and MSIS because their history repeats itself without
            any error, so that the scale is 0.
        undefined_naive2: The number of windows without OWA because their history is seasonal and not positive.

    Example:

    >>> from keras_recurrent.apps.forecasting.metrics import ForecastMetrics
    >>> metrics = ForecastMetrics(horizon=2, season=1, levels=[0.1, 0.5, 0.9])
    >>> quantiles = np.array([[[3.0, 4.0], [4.0, 5.0], [5.0, 6.0]]])
    >>> metrics.update([np.array([1.0, 2.0, 4.0])], np.array([[4.0, 8.0]]), quantiles[:, 1], quantiles)
    >>> result = metrics.result()
    >>> result["mae"], result["mase"], result["coverage_80"]
    (1.5, 1.0, 0.5)

    Reference:
        S. Makridakis, E. Spiliotis, V. Assimakopoulos, "The M4 Competition: 100,000 time series and 61 forecasting
        methods", International Journal of Forecasting 36 (2020).
    """

    def __init__(self, horizon: int, season: int, levels: Sequence[float]) -> None:
        self.horizon = horizon
        self.season = season
        self.levels = levels
        self.windows = self.empty_histories = 0
        self.short_histories = self.constant_histories = self.undefined_naive2 = 0
        # Arrays `(2, horizon)`: the sums and the counts of errors.
        self._sums = {name: np.zeros((2, horizon)) for name in POINT_ERRORS}

    def update(
        self,
        histories: Sequence[np.ndarray] | Reference,
        actual: np.ndarray,
        forecast: np.ndarray,
        quantiles: np.ndarray | None = None,
    ) -> None:
        """Adds a batch of forecasts.

        Args:
            histories: Arrays `(steps,)`, all values before each forecast, NaN where a value is missing; or what
                `reference` computed from them, which the metrics of several forecasts of the same windows share.
            actual: Array `(batch, horizon)` of targets. NaN where a value is missing.
            forecast: Array `(batch, horizon)` of point forecasts.
            quantiles: Array `(batch, levels, horizon)`, or None.

        Raises:
            ValueError: If the shapes do not match, or if a forecast of an observed target is not finite.
        """
        if not isinstance(histories, Reference):
            histories = reference(histories, self.horizon, self.season)
        scales, naive2_forecast, is_empty, deviations = histories
        actual, forecast = np.asarray(actual, "float64"), np.asarray(forecast, "float64")
        shape = len(scales), self.horizon
        _check_shape("actual", actual, shape)
        _check_shape("forecast", forecast, shape)
        observed = ~np.isnan(actual) & ~is_empty[:, None]
        _check_finite("forecast", forecast, observed)
        if quantiles is not None:
            quantiles = np.asarray(quantiles, "float64")
            _check_shape("quantiles", quantiles, (len(scales), len(self.levels), self.horizon))
            _check_finite("quantiles", quantiles, np.broadcast_to(observed[:, None], quantiles.shape))
        self._count(histories, actual, observed)
        error = actual - forecast
        percentage, naive2_percentage = _symmetric(actual, forecast), _symmetric(actual, naive2_forecast)
        self._add("smape", percentage, observed)
        self._add("mae", np.abs(error), observed)
        self._add("mse", np.square(error), observed)
        has_deviation = observed & (deviations > 0)[:, None]
        standardized = error / np.where(deviations > 0, deviations, 1)[:, None]
        self._add("standardized_mae", np.abs(standardized), has_deviation)
        self._add("standardized_mse", np.square(standardized), has_deviation)
        has_scale = observed & (scales > 0)[:, None]
        scale = np.where(scales > 0, scales, 1)[:, None]
        self._add("mase", np.abs(error) / scale, has_scale)
        has_naive2 = observed & ~np.isnan(naive2_forecast)
        self._add("smape where naive2", percentage, has_naive2)
        self._add("smape of naive2", naive2_percentage, has_naive2)
        self._add("mase where naive2", np.abs(error) / scale, has_naive2 & has_scale)
        self._add("mase of naive2", np.abs(actual - naive2_forecast) / scale, has_naive2 & has_scale)
        if quantiles is not None:
            self._update_quantiles(actual, quantiles, observed, scale, has_scale)

    def _count(self, histories: Reference, actual: np.ndarray, observed: np.ndarray) -> None:
        self.empty_histories += int((histories.is_empty & ~np.isnan(actual).all(axis=1)).sum())
        is_used = observed.any(axis=1)
        self.windows += int(is_used.sum())
        self.short_histories += int((is_used & np.isnan(histories.scales)).sum())
        self.constant_histories += int((is_used & (histories.scales == 0)).sum())
        self.undefined_naive2 += int((is_used & np.isnan(histories.naive2).all(axis=1)).sum())

    def _update_quantiles(
        self, actual: np.ndarray, quantiles: np.ndarray, observed: np.ndarray, scale: np.ndarray, has_scale: np.ndarray
    ) -> None:
        """Adds the errors of quantiles. `scale` is an array `(batch, 1)`, the masks are `(batch, horizon)`."""
        levels = np.asarray(self.levels)[:, None]
        error = actual[:, None] - quantiles
        losses = 2 * np.maximum(levels * error, (levels - 1) * error)  # (batch, levels, horizon)
        self._add("quantile loss", losses.mean(axis=1), observed)
        self._add("absolute target", np.abs(actual), observed)
        for coverage in COVERAGES:
            indices = [self._index((1 - coverage) / 2), self._index((1 + coverage) / 2)]
            if None in indices:
                continue
            low, high = (quantiles[:, index] for index in indices)
            self._add(f"coverage_{100 * coverage:.0f}", (low <= actual) & (actual <= high), observed)
            if np.isclose(coverage, 1 - ALPHA):
                outside = np.maximum(low - actual, 0) + np.maximum(actual - high, 0)
                self._add("msis", (high - low + 2 / ALPHA * outside) / scale, has_scale)

    def _index(self, level: float) -> int | None:
        """Returns the index of a level, or None."""
        (indices,) = np.nonzero(np.isclose(self.levels, level))
        return int(indices[0]) if len(indices) else None

    def _add(self, name: str, errors: np.ndarray, where: np.ndarray) -> None:
        sums = np.stack([np.where(where, errors, 0).sum(axis=0), where.sum(axis=0)])
        self._sums[name] = self._sums.get(name, 0) + sums

    def result(self) -> dict[str, Any]:
        """Computes the metrics of all windows. A metric without a window for which it is defined is None.

        Returns:
            Dictionary of

            - `smape`, in percent, 0 to 200,
            - `mase`, the absolute error divided by that of the seasonal naive forecast in the history,
            - `owa`, the mean of sMAPE and MASE, each divided by that of Naive 2,
            - `msis`, the scaled interval score of the 95 % interval,
            - `weighted_quantile_loss`, the mean over the levels of twice the quantile loss, divided by the mean
              absolute target: `mean_wQuantileLoss` of GluonTS,
            - `coverage_80` and `coverage_95`, the shares of targets within the central intervals,
            - `mae` and `mse`, in the unit of the target and its square,
            - `standardized_mae` and `standardized_mse`, those of the series divided by the standard deviation of its
              training part, without series for which this is 0,
            - the number of `windows`, and `empty_histories`, `short_histories`, `constant_histories` and
              `undefined_naive2`; see the attributes.

            Metrics of intervals and quantiles are left out without the quantiles that they need.
        """
        sums = {name: values.sum(axis=1) for name, values in self._sums.items()}
        metrics = {name: None if np.isnan(value) else float(value) for name, value in _metrics(sums).items()}
        counts = ("windows", "empty_histories", "short_histories", "constant_histories", "undefined_naive2")
        return {**metrics, **{name: getattr(self, name) for name in counts}}

    def by_horizon(self) -> dict[str, np.ndarray]:
        """Computes the metrics of each step of the forecast.

        Returns:
            Dictionary of arrays `(horizon,)` with the metrics of `result`, without the counts. NaN where a metric is
            not defined.
        """
        return _metrics(self._sums)

    def remark(self) -> str | None:
        """Returns one line about the windows that some metrics leave out, or None if there are none."""
        reasons = {
            "all metrics leave out {} windows whose history has no value": self.empty_histories,
            "MASE and MSIS leave out {} whose history has no two values a season apart": self.short_histories,
            "MASE and MSIS leave out {} whose history is constant": self.constant_histories,
            "OWA leaves out {} whose history is seasonal and not positive": self.undefined_naive2,
        }
        parts = [reason.format(f"{count:,}") for reason, count in reasons.items() if count]
        return "; ".join(parts) or None


def _metrics(sums: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Computes the metrics from arrays `(2, ...)` of sums and counts of errors."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = {name: total / count for name, (total, count) in sums.items()}
        smape, mase = (means[f"{name} where naive2"] / means[f"{name} of naive2"] for name in ("smape", "mase"))
        metrics = {"smape": means["smape"], "mase": means["mase"], "owa": (smape + mase) / 2}
        if "quantile loss" in means:
            metrics["weighted_quantile_loss"] = means["quantile loss"] / means["absolute target"]
        names = ("msis", "coverage_80", "coverage_95", "mae", "mse", "standardized_mae", "standardized_mse")
        metrics.update({name: means[name] for name in names if name in means})
    return metrics


def _symmetric(actual: np.ndarray, forecast: np.ndarray) -> np.ndarray:
    """Returns the symmetric errors in percent, 0 where both are 0."""
    scale = np.abs(actual) + np.abs(forecast)
    return 200 * np.abs(actual - forecast) / np.where(scale == 0, 1, scale)


def _check_shape(name: str, values: np.ndarray, shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise ValueError(f"{name} has the shape {values.shape}, not {shape}")


def _check_finite(name: str, values: np.ndarray, where: np.ndarray) -> None:
    if not np.isfinite(values[where]).all():
        raise ValueError(f"{name} has values that are not finite")
