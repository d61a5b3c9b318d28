"""Exponential smoothing of windows of series, whose coefficients are trained with the network that reads them."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from .loop import scan
from .series import EPSILON, LARGE, WindowScaling, mean_change
from .types import Shape, Tensor

MAX_BLOCK = 32  # steps that are smoothed at once, at most the shortest season, whose factors are known before it
INITIAL_LOGIT = -2.0  # an error moves the level by about 0.1 of it before training, and each season


@keras.saving.register_keras_serializable(package="keras_recurrent")
class ExponentialSmoothing(layers.Layer):
    """Computes the location of each step of a window and of a horizon by exponential smoothing, and a scale.

    The state is a level `l` and, for each season of `m` steps, a factor `s` per phase. Each observed value `y` moves
    them by shares of its error:

        e(t) = y(t) - l(t - 1) - sum over the seasons of s(t)
        l(t) = l(t - 1) + alpha e(t)
        s(t + m) = s(t) + gamma e(t)

    Missing values have the error 0. The location of a step is the last level plus the factors of the step; the horizon
    repeats the last factors. A network that reads values relative to the location sees trends, but no seasons.

    The first level is the mean of the window. The first factors are the mean deviations of each phase from it, those of
    a later season from what the seasons before it leave. With shares near 0 they are kept.

    The shares `alpha` and `gamma` of a window are a softmax over the level, the seasons and the rest of the error, so
    that their sum is below 1 and the recursion is stable. Its scores are a linear map of how much the values of the
    window change from one step to the next, and from one season to the next, relative to their deviation from the mean.
    The map is trained with the network, and also holds for series that are not in the training data. Smyl (2020)
    trains the shares and the first factors of each series.

    The sums are additive, so that zeros and negative values need no exception. The scale does not depend on the shares:
    otherwise a loss in units of the scale would fall with a bad fit.

    Args:
        horizon: Positive integer, the number of steps after the window.
        seasons: Positive integers, the lengths of the seasons in steps. Without any, only the level is smoothed.

    Call arguments:
        values: Tensor `(batch, steps)`; what stands at missing values is ignored.
        observed: Tensor `(batch, steps)`, 1 for values and 0 where they are missing.

    Returns:
        `(location, scale)`, float32 tensors `(batch, steps + horizon)` and `(batch, 1)`. The scale is that of
        `WindowScaling("seasonal")` for the first season, or for a season of 1 step.

    Raises:
        ValueError: If the horizon or a season is not a positive integer, or a season is longer than the window.

    Example:

    >>> from keras_recurrent.layers import ExponentialSmoothing
    >>> window = ops.array([[2.0, 4.0, 2.0, 4.0]])
    >>> location, scale = ExponentialSmoothing(horizon=3, seasons=[2])(window, ops.ones((1, 4)))
    >>> [round(float(x), 3) for x in location[0]]
    [2.0, 4.0, 2.0, 4.0, 2.0, 4.0, 2.0]

    Reference:
        Smyl 2020, A hybrid method of exponential smoothing and recurrent neural networks for time series forecasting;
        Taylor 2003, Short-term electricity demand forecasting using double seasonal exponential smoothing.
    """

    def __init__(self, horizon: int, seasons: Sequence[int] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, count in [("horizon", horizon), *(("seasons", season) for season in seasons)]:
            if not isinstance(count, int) or count < 1:
                raise ValueError(f"Argument `{name}` takes positive integers. Received: {count!r}")
        self.horizon = horizon
        self.seasons = list(seasons)
        self.scaling = WindowScaling("seasonal", self.seasons[0] if self.seasons else 1, dtype="float32")
        initializer = keras.initializers.Constant(INITIAL_LOGIT)
        self.scores = layers.Dense(
            1 + len(self.seasons), kernel_initializer="zeros", bias_initializer=initializer, dtype="float32"
        )

    def build(self, values_shape: Any, observed_shape: Any = None) -> None:
        longest = max(self.seasons, default=1)
        if longest > values_shape[1]:
            raise ValueError(f"A window of {values_shape[1]} steps is shorter than a season of {longest} steps")
        self.scores.build((None, 1 + len(self.seasons)))

    def call(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        values, observed = ops.cast(values, "float32"), ops.cast(observed, "float32")
        offset, scale = self.scaling(values, observed)
        values = (values - offset) / scale * observed
        shares = self._shares(values, observed)
        steps, length = values.shape[1], min(MAX_BLOCK, *self.seasons, values.shape[1])
        padding = [[0, 0], [-steps % length, 0]]
        values, observed = ops.pad(values, padding), ops.pad(observed, padding)

        def smooth(state: Any, block: Any) -> tuple[Any, Tensor]:
            (level, *factors), (value, is_observed) = state, block
            season = sum((own[:, :length] for own in factors), ops.zeros_like(value))
            before, level = levels(level, value - season, is_observed, shares[:, :1])
            error = (value - season - before) * is_observed
            moved = [own[:, :length] + shares[:, i : i + 1] * error for i, own in enumerate(factors, 1)]
            factors = [
                ops.concatenate([own[:, length:], last], axis=1) for own, last in zip(factors, moved, strict=True)
            ]
            return (level, *factors), season

        blocks = tuple(
            ops.swapaxes(ops.reshape(x, (-1, x.shape[1] // length, length)), 0, 1) for x in (values, observed)
        )
        (level, *factors), seasons = scan(smooth, self._initial_state(values, observed), blocks)
        seasons = ops.reshape(ops.swapaxes(seasons, 0, 1), (-1, values.shape[1]))[:, -steps:]
        later = [ops.take(own, [h % own.shape[1] for h in range(self.horizon)], axis=1) for own in factors]
        horizon = sum(later, ops.zeros_like(level) + ops.zeros((1, self.horizon)))
        return offset + scale * (level + ops.concatenate([seasons, horizon], axis=1)), scale

    def _initial_state(self, values: Tensor, observed: Tensor) -> tuple[Tensor, ...]:
        """The mean `(batch, 1)`, and for each season its factors `(batch, season)` from the first step on."""
        count = ops.maximum(ops.sum(observed, axis=1, keepdims=True), 1)
        level = ops.sum(values, axis=1, keepdims=True) / count
        rest, factors, steps = (values - level) * observed, [], values.shape[1]
        for season in self.seasons:
            periods = -(-steps // season)
            padding = [[0, 0], [0, periods * season - steps]]
            total, count = (
                ops.sum(ops.reshape(ops.pad(x, padding), (-1, periods, season)), axis=1) for x in (rest, observed)
            )
            factors.append(total / ops.maximum(count, 1))
            rest = (rest - ops.tile(factors[-1], (1, periods))[:, :steps]) * observed
        return level, *factors

    def _shares(self, values: Tensor, observed: Tensor) -> Tensor:
        """The shares of an error `(batch, 1 + seasons)` by which it moves the level and the factors."""
        count = ops.maximum(ops.sum(observed, axis=1, keepdims=True), 1)
        mean = ops.sum(values, axis=1, keepdims=True) / count
        deviation = ops.sum(ops.abs(values - mean) * observed, axis=1, keepdims=True) / count
        changes = ops.concatenate([mean_change(values, observed, lag) for lag in (1, *self.seasons)], axis=1)
        scores = self.scores(changes / (changes + deviation + EPSILON))
        return ops.softmax(ops.pad(scores, [[0, 0], [0, 1]]), axis=-1)[:, :-1]

    def compute_output_shape(self, values_shape: Any, observed_shape: Any = None) -> tuple[Shape, Shape]:
        batch, steps = values_shape
        return (batch, steps + self.horizon), (batch, 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "horizon": self.horizon, "seasons": self.seasons}


def levels(level: Tensor, rest: Tensor, observed: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Smooths values without a season: `l(t) = l(t - 1) + share * observed(t) * (rest(t) - l(t - 1))`.

    This linear recurrence is computed as one product per row: a value still counts in the level of a later step as much
    as the steps between them let it.

    Args:
        level: Tensor `(batch, 1)`, the level before the first step.
        rest: Tensor `(batch, steps)`, the values without their season.
        observed: Tensor `(batch, steps)`, 1 for values and 0 where they are missing.
        share: Tensor `(batch, 1)` in (0, 1).

    Returns:
        `(before, last)`: the level before each step `(batch, steps)`, and that after the last one `(batch, 1)`.

    Example:

    >>> from keras_recurrent.layers.smoothing import levels
    >>> before, last = levels(ops.zeros((1, 1)), ops.array([[8.0, 4.0]]), ops.ones((1, 2)), ops.array([[0.5]]))
    >>> [round(float(x), 3) for x in before[0]], round(float(last[0, 0]), 3)
    ([0.0, 4.0], 4.0)
    """
    kept = ops.cumsum(ops.log(ops.maximum(1 - share * observed, EPSILON)), axis=1)  # of the first level, its logarithm
    between = ops.expand_dims(kept, 2) - ops.expand_dims(kept, 1)  # from the value of a column to the level of a row
    between = ops.exp(ops.where(np.tri(rest.shape[1], dtype="bool"), between, -LARGE))
    after = ops.exp(kept) * level + ops.matmul(between, ops.expand_dims(share * observed * rest, -1))[..., 0]
    return ops.concatenate([level, after[:, :-1]], axis=1), after[:, -1:]
