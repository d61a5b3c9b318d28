"""Layers of forecasters: the scale of a window of a series, its values a season before, and the decoder."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from .attention import BahdanauAttention, attend_to
from .bridges import state_bridges, states_by_layer
from .dropout import Dropout
from .family import sequence_layers
from .memory import Memory
from .types import Shape, Tensor

SCALINGS = ("mean", "standard", "last", "seasonal", "none")
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
            m = self.season
            both = observed[:, m:] * observed[:, :-m]
            change = ops.sum(ops.abs(values[:, m:] - values[:, :-m]) * both, axis=1, keepdims=True)
            change = change / ops.maximum(ops.sum(both, axis=1, keepdims=True), 1)
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

    Call arguments:
        values: Tensor `(batch, steps)`.
        observed: Tensor `(batch, steps)`, 1 for values and 0 where they are missing.

    Returns:
        Tensor `(batch, horizon, 2 * len(seasons) * count)`: the lags, 0 where they are missing or before the window,
        and then for each of them whether it is observed.

    Example:

    >>> from keras_recurrent.layers import SeasonalLags
    >>> window = ops.array([[1.0, 2.0, 3.0, 4.0]])
    >>> lags = SeasonalLags(horizon=3, seasons=[2], count=1)(window, ops.ones((1, 4)))
    >>> [float(lag) for lag in lags[0, :, 0]]
    [3.0, 4.0, 3.0]

    Reference:
        Salinas et al. 2020, DeepAR, for lags as inputs.
    """

    def __init__(self, horizon: int, seasons: Sequence[int], count: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.horizon = horizon
        self.seasons = list(seasons)
        self.count = count

    def call(self, values: Tensor, observed: Tensor) -> Tensor:
        values = ops.cast(values, self.compute_dtype)
        observed = ops.cast(observed, self.compute_dtype)
        steps = values.shape[1]
        lags, are_observed = [], []
        for season in self.seasons:
            for k in range(1, self.count + 1):
                indices = [steps - k * season + h % season for h in range(self.horizon)]
                inside = ops.convert_to_tensor([index >= 0 for index in indices], dtype=self.compute_dtype)
                indices = [max(index, 0) for index in indices]
                are_observed.append(ops.take(observed, indices, axis=1) * inside)
                lags.append(ops.take(values, indices, axis=1) * are_observed[-1])
        return ops.stack(lags + are_observed, axis=-1)

    def compute_output_shape(self, values_shape: Shape, observed_shape: Shape | None = None) -> Shape:
        return (values_shape[0], self.horizon, 2 * len(self.seasons) * self.count)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "horizon": self.horizon, "seasons": self.seasons, "count": self.count}


@keras.saving.register_keras_serializable(package="keras_recurrent")
class SeriesDecoder(layers.Layer):
    """Computes numbers for each step of a horizon from what is known about the steps and a `Memory` of the past.

    Its recurrent layers start with states that dense layers compute from the summary of the memory. With attention, the
    context `c` of the output `h` of the top layer is computed from the memory. The inputs `x` also reach the outputs
    without the recurrence, through a linear map.

        readout = tanh(W_r [h; c] + b_r)
        outputs = W_o readout + W_x x + b_o

    Args:
        outputs: Positive integer, how many numbers are computed per step.
        units: Positive integer, the dimension of the recurrent layers and of the readout.
        cell: Name of the recurrent layers in `family.py`, such as `"lstm"`.
        num_layers: Positive integer, the number of recurrent layers.
        segment: Positive integer, the number of consecutive steps that one recurrent step computes at once. The horizon
            must be a multiple of it.
        attention: Whether to attend to the memory.
        dropout: Float in [0, 1), the fraction of each layer's outputs and of the readout to drop in training.
        recurrent_dropout: Float in [0, 1), the fraction of the states to drop before the recurrent products. All steps
            of a sequence share a mask.

    Call arguments:
        inputs: Tensor `(batch, horizon, features)`.
        memory: A `Memory`.
        training: Whether to apply dropout.

    Returns:
        Tensor `(batch, horizon, outputs)`.

    Example:

    >>> from keras_recurrent.layers import SeriesDecoder, Memory
    >>> memory = Memory(values=ops.ones((2, 5, 3)), mask=None, summary=ops.ones((2, 3)))
    >>> SeriesDecoder(outputs=2, units=8, segment=4)(ops.ones((2, 12, 6)), memory).shape
    (2, 12, 2)

    Reference:
        Wen et al. 2017, A multi-horizon quantile recurrent forecaster; Lin et al. 2023, SegRNN, for the segments; Lai
        et al. 2018, LSTNet, section 3.6, for the linear map.
    """

    def __init__(
        self,
        outputs: int,
        units: int,
        cell: str = "gru",
        num_layers: int = 1,
        segment: int = 1,
        attention: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.outputs = outputs
        self.units = units
        self.cell = cell
        self.num_layers = num_layers
        self.segment = segment
        self.attention = attention
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        policy = self.dtype_policy
        self.layers = sequence_layers(cell, units, num_layers, recurrent_dropout=recurrent_dropout, dtype=policy)
        self.bridges = state_bridges(self.layers, policy)
        self.attend = BahdanauAttention(units, dtype=policy, name="attention") if attention else None
        self.readout = layers.Dense(units, activation="tanh", dtype=policy, name="readout")
        self.dropouts = [Dropout(dropout, dtype=policy) for _ in range(num_layers + 1)]
        self.output_projection = layers.Dense(segment * outputs, dtype=policy, name="output_projection")
        self.shortcut = layers.Dense(outputs, use_bias=False, dtype=policy, name="shortcut")

    def build(self, inputs_shape: Shape, memory_shape: Any) -> None:
        values_shape, *_, summary_shape = memory_shape
        _, horizon, features = inputs_shape
        if horizon is None or features is None or horizon % self.segment:
            raise ValueError(f"The horizon must be a multiple of segment={self.segment}. Received: {horizon}")
        features = features * self.segment
        for layer in self.layers:
            layer.build((None, None, features))
            features = self.units
        for bridge in self.bridges:
            bridge.build(summary_shape)
        if self.attend is not None:
            self.attend.build((None, None, self.units), values_shape)
            features += values_shape[-1]
        self.readout.build((None, None, features))
        self.output_projection.build((None, None, self.units))
        self.shortcut.build(inputs_shape)

    def compute_output_shape(self, inputs_shape: Shape, memory_shape: Any = None) -> Shape:
        return (*inputs_shape[:-1], self.outputs)

    def call(self, inputs: Tensor, memory: Memory, training: bool = False) -> Tensor:
        memory = Memory(*memory)  # a functional model that was loaded from a file passes a list
        _, horizon, features = inputs.shape
        output = ops.reshape(inputs, (-1, horizon // self.segment, self.segment * features))
        states = states_by_layer(self.layers, [bridge(memory.summary) for bridge in self.bridges])
        for layer, initial_state, dropout in zip(self.layers, states, self.dropouts[:-1], strict=True):
            output = dropout(layer(output, initial_state=initial_state, training=training), training=training)
        if self.attend is not None:
            context, _ = attend_to(self.attend, memory)(output)
            output = ops.concatenate([output, context], axis=-1)
        readout = self.dropouts[-1](self.readout(output), training=training)
        outputs = ops.reshape(self.output_projection(readout), (-1, horizon, self.outputs))
        return outputs + self.shortcut(inputs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "outputs": self.outputs,
            "units": self.units,
            "cell": self.cell,
            "num_layers": self.num_layers,
            "segment": self.segment,
            "attention": self.attention,
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
        }
