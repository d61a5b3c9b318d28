"""The linear baseline: one linear map from the context to the horizon, fitted to the training data."""

from dataclasses import dataclass

import numpy as np

from ...extras import import_extra
from ..shared.training.batches import slices
from .baselines import NormalForecast, interpolated
from .data import BATCH, Split, WindowReader, rolling_origins

MAX_WINDOWS = 50_000  # that the map is fitted to, unless there are more series
PENALTY = 1.0  # of the squared weights, added to the squared errors of all windows


@dataclass(frozen=True)
class LinearForecaster:
    """Forecasts with a linear map from the context to the horizon, which all series share.

    The last value of the context is subtracted before the map and added after it. The errors are assumed to be normal,
    with a standard deviation that is proportional to that of the context. It is that of the errors on the training
    data, so that intervals are too narrow if there are few windows.

    Attributes:
        coefficients: Array `(horizon, context)`.
        intercepts: Array `(horizon,)`, in units of the standard deviation of the context.
        deviations: Array `(horizon,)`, the standard deviations of the errors in the same unit.

    Example:

    >>> from keras_recurrent.apps.forecasting.linear import LinearForecaster
    >>> forecaster = LinearForecaster(np.array([[-1.0, 0.0]]), np.zeros(1), np.ones(1))
    >>> forecaster(np.array([1.0, 3.0, 4.0]), horizon=1, season=1).mean.tolist()
    [5.0]

    Reference:
        Zeng et al. 2023, Are transformers effective for time series forecasting?, NLinear.
    """

    coefficients: np.ndarray
    intercepts: np.ndarray
    deviations: np.ndarray

    def __call__(self, history: np.ndarray, horizon: int, season: int) -> NormalForecast:
        """Forecasts one series. The arguments are those of the functions in `baselines.NAIVE`."""
        context = self.coefficients.shape[1]
        values = interpolated(history)[-context:]
        if not len(values):
            return NormalForecast(np.full(horizon, np.nan), np.full(horizon, np.nan))
        values = np.concatenate([np.full(context - len(values), values[0]), values])
        scale = values.std()
        mean = values[-1] + self.coefficients @ (values - values[-1]) + scale * self.intercepts
        return NormalForecast(mean, scale * self.deviations)


def fit_linear(reader: WindowReader, split: Split) -> LinearForecaster:
    """Fits the map to windows of the training data by ridge regression.

    Each window is divided by the standard deviation of its context, so that all series count alike. Windows with
    missing values or a constant context are left out. Without any window, the forecast is the last value.

    Args:
        reader: The `WindowReader`.
        split: The `Split`.

    Raises:
        MissingExtra: If scikit-learn is not installed.
    """
    ridge = import_extra("sklearn.linear_model", "baseline").Ridge(alpha=PENALTY)
    context, horizon = reader.config.context, reader.config.horizon
    series = np.arange(len(split.train))
    count = max(MAX_WINDOWS // len(series), 1)
    origins = rolling_origins(np.full(len(series), context), split.train, series, horizon, count)
    batches = [np.zeros((0, context + horizon))]
    for batch in slices(origins, BATCH):
        windows = reader.panel.windows(batch.series, batch.steps - context, context + horizon).values
        scale = windows[:, :context].std(axis=1, keepdims=True)
        is_used = ~np.isnan(windows).any(axis=1) & (scale[:, 0] > 0)
        windows = windows[is_used] - windows[is_used, context - 1 : context]
        batches.append(windows / scale[is_used])
    windows = np.concatenate(batches)
    if not len(windows):
        return LinearForecaster(np.zeros((horizon, context)), np.zeros(horizon), np.zeros(horizon))
    inputs, targets = windows[:, :context], windows[:, context:]
    ridge.fit(inputs, targets)
    errors = targets - ridge.predict(inputs)
    deviations = np.sqrt(np.square(errors).mean(axis=0))
    return LinearForecaster(np.reshape(ridge.coef_, (horizon, context)), np.ravel(ridge.intercept_), deviations)
