"""What a forecaster reads of a window of a series: its scale, and the values of past seasons."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from .types import Shape, Tensor

SCALINGS = ("mean", "standard", "last", "seasonal", "none")
LARGE = 1e4  # subtracted from the scores of missing lags, within the range of float16
EPSILON = 1e-6  # of the largest magnitude in a window; no scale is smaller


@keras.saving.register_keras_serializable(package="keras_recurrent")
class WindowScaling(layers.Layer):
    """Computes a location and a scale of each window of a series from its observed values.

    Args:
        scaling: `"mean"`: the location is 0, the scale is the mean of the absolute values. `"standard"`: they are the
            mean and the standard deviation. `"last"`: they are the last observed value and the standard deviation.
            `"seasonal"`: they are the mean of the last season and the mean absolute difference of values one season
            apart, the scale of MASE. `"none"`: they are 0 and 1.
        season: Positive integer, the number of steps of the season. Only `"seasonal"` reads it.

    Call arguments:
        values: Tensor `(batch, steps)`; what stands at missing values is ignored.
        observed: Tensor `(batch, steps)`, 1 for values and 0 where they are missing.

    Returns:
        `(location, scale)`, tensors `(batch, 1)` in float32. The scale is positive. That of a window without deviation
        is its mean absolute value, or 1.

    Example:

    >>> from keras_recurrent.layers import WindowScaling
    >>> location, scale = WindowScaling("mean")(ops.array([[1.0, 3.0, 9.0]]), ops.array([[1.0, 1.0, 0.0]]))
    >>> float(location[0, 0]), float(scale[0, 0])
    (0.0, 2.0)

    Reference:
        Salinas et al. 2020, DeepAR, section 3.3, for the mean; Zeng et al. 2023, Are transformers effective for time
        series forecasting?, NLinear, for the last value.
    """

    def __init__(self, scaling: str = "mean", season: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if scaling not in SCALINGS:
            raise ValueError(f"Argument `scaling` must be one of {', '.join(SCALINGS)}. Received: {scaling!r}")
        self.scaling = scaling
        self.season = season

    def call(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        values, observed = ops.cast(values, "float32"), ops.cast(observed, "float32")
        values = values * observed
        count = ops.maximum(ops.sum(observed, axis=1, keepdims=True), 1)
        mean = ops.sum(values, axis=1, keepdims=True) / count
        magnitude = ops.sum(ops.abs(values), axis=1, keepdims=True) / count
        magnitude = ops.where(magnitude > 0, magnitude, 1.0)
        if self.scaling == "none":
            return ops.zeros_like(mean), ops.ones_like(mean)
        if self.scaling == "mean":
            return ops.zeros_like(mean), magnitude
        if self.scaling == "seasonal":
            m, change = self.season, mean_change(values, observed, self.season)
            recent = ops.sum(values[:, -m:], axis=1, keepdims=True)
            recent = recent / ops.maximum(ops.sum(observed[:, -m:], axis=1, keepdims=True), 1)
            return recent, ops.where(change > EPSILON * magnitude, change, magnitude)
        squares = ops.square(values - mean) * observed
        deviation = ops.sqrt(ops.sum(squares, axis=1, keepdims=True) / count)
        scale = ops.where(deviation > EPSILON * magnitude, deviation, magnitude)
        return (last_observed(values, observed) if self.scaling == "last" else mean), scale

    def compute_output_shape(self, values_shape: Shape, observed_shape: Shape | None = None) -> tuple[Shape, Shape]:
        return (values_shape[0], 1), (values_shape[0], 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scaling": self.scaling, "season": self.season}


def mean_change(values: Tensor, observed: Tensor, lag: int) -> Tensor:
    """Returns the mean absolute difference of observed values that are `lag` steps apart, `(batch, 1)`, or 0.

    Args:
        values: Tensor `(batch, steps)`.
        observed: Tensor `(batch, steps)`, 1 for values and 0 where they are missing.
        lag: Positive integer.

    Example:

    >>> from keras_recurrent.layers.series import mean_change
    >>> float(mean_change(ops.array([[4.0, 5.0, 9.0]]), ops.ones((1, 3)), lag=1)[0, 0])
    2.5
    """
    both = observed[:, lag:] * observed[:, :-lag]
    change = ops.sum(ops.abs(values[:, lag:] - values[:, :-lag]) * both, axis=1, keepdims=True)
    return change / ops.maximum(ops.sum(both, axis=1, keepdims=True), 1)


def last_observed(values: Tensor, observed: Tensor) -> Tensor:
    """Returns the last observed value of each row, `(batch, 1)`, or 0.

    Args:
        values: Tensor `(batch, steps)`.
        observed: Tensor `(batch, steps)`, 1 for values and 0 where they are missing.

    Example:

    >>> from keras_recurrent.layers.series import last_observed
    >>> float(last_observed(ops.array([[4.0, 5.0, 6.0]]), ops.array([[1.0, 1.0, 0.0]]))[0, 0])
    5.0
    """
    later = ops.flip(ops.cumsum(ops.flip(observed, 1), axis=1), 1) - observed  # how many are observed after a step
    return ops.sum(ops.where(later == 0, values * observed, 0.0), axis=1, keepdims=True)


@keras.saving.register_keras_serializable(package="keras_recurrent")
class SeasonalLags(layers.Layer):
    """Looks up the values at the same phase of past seasons, for each step of a horizon.

    For a season of `m` steps, the `k`-th lag of step `h = 0, 1, ...` after a window of `C` steps is the value at
    `C - k m + h mod m`: the latest known value at the phase of `h`, and those of earlier seasons.

    Args:
        horizon: Positive integer, the number of steps.
        seasons: Positive integers, the lengths of the seasons in steps. 1 is the last value of the window.
        count: Positive integer, the number of lags for each season.
        segment: Positive integer that divides the steps of the window. The lags of the window come first then: each
            segment of this many steps is the horizon of the steps before it. None is the horizon alone.

    Call arguments:
        values: Tensor `(batch, steps)`.
        observed: Tensor `(batch, steps)`, 1 for values and 0 where they are missing.

    Returns:
        Tensor `(batch, horizon, 2 * len(seasons) * count)`, with `segment` `(batch, steps + horizon, ...)`: the lags, 0
        where they are missing or before the window, and then for each of them whether it is observed.

    Example:

    >>> from keras_recurrent.layers import SeasonalLags
    >>> window = ops.array([[1.0, 2.0, 3.0, 4.0]])
    >>> lags = SeasonalLags(horizon=3, seasons=[2], count=1)(window, ops.ones((1, 4)))
    >>> [float(lag) for lag in lags[0, :, 0]]
    [3.0, 4.0, 3.0]

    Reference:
        Salinas et al. 2020, DeepAR, for lags as inputs.
    """

    def __init__(
        self, horizon: int, seasons: Sequence[int], count: int = 1, segment: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.horizon = horizon
        self.seasons = list(seasons)
        self.count = count
        self.segment = segment

    def call(self, values: Tensor, observed: Tensor) -> Tensor:
        values = ops.cast(values, self.compute_dtype)
        observed = ops.cast(observed, self.compute_dtype)
        steps, segment = values.shape[1], self.segment
        offsets = [] if segment is None else [(t - t % segment, t % segment) for t in range(steps)]
        offsets += [(steps, h) for h in range(self.horizon)]  # the start of a horizon, and a step of it
        lags, are_observed = [], []
        for season in self.seasons:
            for k in range(1, self.count + 1):
                indices = [start - k * season + h % season for start, h in offsets]
                inside = ops.convert_to_tensor([index >= 0 for index in indices], dtype=self.compute_dtype)
                indices = [max(index, 0) for index in indices]
                are_observed.append(ops.take(observed, indices, axis=1) * inside)
                lags.append(ops.take(values, indices, axis=1) * are_observed[-1])
        return ops.stack(lags + are_observed, axis=-1)

    def compute_output_shape(self, values_shape: Shape, observed_shape: Shape | None = None) -> Shape:
        batch, steps = values_shape
        window: Any = 0 if self.segment is None else steps
        return (batch, self.horizon + window, 2 * len(self.seasons) * self.count)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "horizon": self.horizon,
            "seasons": self.seasons,
            "count": self.count,
            "segment": self.segment,
        }


@keras.saving.register_keras_serializable(package="keras_recurrent")
class SeasonalCopy(layers.Layer):
    """Computes a weighted mean of the lags of each step, with a softmax over scores as the weights.

        weights = softmax(scores), over the observed lags
        mean = sum over the lags of weights * lags

    A network that computes the scores can copy the value of the season that it finds to be alike, such as that of the
    last Saturday, with its exact value.

    Call arguments:
        scores: Tensor `(batch, horizon, lags)`.
        lags: Tensor `(batch, horizon, lags)`, the first half of what `SeasonalLags` returns.
        observed: Tensor `(batch, horizon, lags)`, the second half: 1 for lags that are observed, 0 for others.

    Returns:
        Tensor `(batch, horizon)`, 0 where no lag is observed.

    Example:

    >>> from keras_recurrent.layers import SeasonalCopy
    >>> scores, lags = ops.array([[[0.0, 0.0, 9.0]]]), ops.array([[[2.0, 4.0, 7.0]]])
    >>> float(SeasonalCopy()(scores, lags, observed=ops.array([[[1.0, 1.0, 0.0]]]))[0, 0])
    3.0

    Reference:
        Vinyals et al. 2015, Pointer networks; See et al. 2017, Get to the point, for copying beside a decoder.
    """

    def call(self, scores: Tensor, lags: Tensor, observed: Tensor) -> Tensor:
        observed = ops.cast(observed, scores.dtype)
        weights = ops.softmax(scores - (1 - observed) * LARGE, axis=-1) * observed
        return ops.sum(weights * ops.cast(lags, scores.dtype), axis=-1)

    def compute_output_shape(
        self, scores_shape: Shape, lags_shape: Shape | None = None, observed_shape: Shape | None = None
    ) -> Shape:
        return tuple(scores_shape[:-1])
