"""The networks of a forecaster: from a window of a series to numbers for each step, and to quantiles of the horizon."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from ...layers import AutoregressiveRNN, SeasonalCopy, SeasonalLags, SeriesDecoder, SeriesEncoder, WindowScaling
from ...layers.distributions import DISTRIBUTIONS, Distribution, Quantiles, empirical_quantiles
from ...layers.types import Tensor
from .config import Config


class Window(NamedTuple):
    """What a network reads.

    Attributes:
        scaled: Tensor `(batch, context)`, the scaled values, 0 where they are missing.
        observed: Tensor `(batch, context)`, 1 for values and 0 where they are missing.
        past: List of tensors `(batch, context, columns)`, the columns that are known up to the present.
        known: List of tensors `(batch, context + horizon, columns)`, those that are known ahead.
        scaled_targets, targets_observed: Tensors `(batch, horizon)`, the same for the steps to forecast. Only networks
            with `targets` have them.
    """

    scaled: Tensor
    observed: Tensor
    past: list[Tensor]
    known: list[Tensor]
    scaled_targets: Tensor | None = None
    targets_observed: Tensor | None = None


class Network(NamedTuple):
    """How a network is built, and how it forecasts.

    Attributes:
        outputs: Function `(config, window, name) -> outputs`, a tensor `(batch, steps, outputs + 2)`: the outputs of
            the `Distribution` of each step, of which the last ones are the horizon, and its location and scale in units
            of the scaled values. `name` follows the names of the layers.
        forecaster: Function `(config, model) -> quantiles` from a trained Keras model to a function of its inputs by
            name, which returns the quantiles `(batch, horizon, levels)`.
        targets: The names of the inputs that exist in training alone.
    """

    outputs: Callable[[Config, Window, str], Tensor]
    forecaster: Callable[[Config, keras.Model], Callable[[Mapping[str, Tensor]], Tensor]]
    targets: tuple[str, ...] = ()


def split_outputs(predicted: Tensor, distribution: Distribution) -> tuple[Tensor, Tensor, Tensor]:
    """Divides what the Keras model computes.

    Returns:
        Outputs `(batch, steps, members, outputs)`, location and scale `(batch, steps, members)`.
    """
    size = distribution.outputs + 2
    _, steps, numbers = predicted.shape
    predicted = ops.reshape(predicted, (-1, steps, numbers // size, size))
    return predicted[..., :-2], predicted[..., -2], predicted[..., -1]


def distribution_of(config: Config) -> Distribution:
    """Returns the distribution of a forecast."""
    if config.distribution == "quantiles":
        return Quantiles(config.levels, config.relative_loss)
    return DISTRIBUTIONS[config.distribution](config.levels)


def _encoder_decoder(config: Config, window: Window, name: str) -> Tensor:
    """An encoder of the past, and a decoder of the horizon."""
    future = [_lags(config, window, name)] if config.seasons else []
    return _relative_to_window(_decoded(config, window, [], future, distribution_of(config).outputs, name))


def _copying(config: Config, window: Window, name: str) -> Tensor:
    """An encoder and a decoder, which forecasts relative to a weighted mean of past seasons.

    It reads the differences of values one season apart in units of their mean magnitude, the scale of MASE, which is
    also the unit of the forecast.
    """
    season, size = config.season, distribution_of(config).outputs
    _, scale = WindowScaling("seasonal", season, name=f"season_scaling{name}")(window.scaled, window.observed)
    both = window.observed[:, season:] * window.observed[:, :-season]
    differences = _symlog((window.scaled[:, season:] - window.scaled[:, :-season]) / scale) * both
    differences = ops.pad(differences, [[0, 0], [season, 0]])
    past = ops.stack([differences, ops.ones_like(differences) * ops.log(scale)], axis=-1)
    lags = _lags(config, window, name)
    values, are_observed = ops.split(lags, 2, axis=-1)
    latest = values[..., :1]
    future = [latest, are_observed[..., :1], _symlog((values - latest) / ops.expand_dims(scale, -1)) * are_observed]
    numbers = _decoded(config, window, [past], future, size + values.shape[-1], name)
    location = SeasonalCopy(name=f"copy{name}")(numbers[..., size:], values, are_observed)
    scales = ops.ones_like(location) * scale
    return ops.concatenate([numbers[..., :size], ops.stack([location, scales], axis=-1)], axis=-1)


def _decoded(
    config: Config, window: Window, past: list[Tensor], future: list[Tensor], outputs: int, name: str
) -> Tensor:
    """Encodes a window and decodes numbers `(batch, horizon, outputs)` in float32.

    Args:
        config: The `Config`.
        window: The `Window`.
        past: What the encoder reads besides, tensors `(batch, context, columns)`.
        future: What the decoder reads besides, tensors `(batch, horizon, columns)`.
        outputs: How many numbers are computed per step.
        name: Suffix of the layers' names.
    """
    policy: dict[str, Any] = {"dtype": config.precision}
    read = ops.stack([window.scaled, window.observed], axis=-1)
    past = [read, *past, *window.past, *(columns[:, : config.context] for columns in window.known)]
    future = [_positions(window, config), *(columns[:, config.context :] for columns in window.known), *future]
    memory = SeriesEncoder(
        config.encoder_units,
        bidirectional=config.bidirectional,
        dilations=config.dilations,
        residual=config.residual,
        segment=config.segment,
        name=f"encoder{name}",
        **config.recurrent_arguments,
        **policy,
    )(ops.concatenate(past, axis=-1))
    numbers = SeriesDecoder(
        outputs,
        config.decoder_units,
        segment=config.segment,
        attention=config.attention,
        name=f"decoder{name}",
        **config.recurrent_arguments,
        **policy,
    )(ops.concatenate(future, axis=-1), memory)
    return ops.cast(numbers, "float32")


def _symlog(x: Tensor) -> Tensor:
    """Compresses large magnitudes: the logarithm of 1 + |x|, with the sign of x."""
    return ops.sign(x) * ops.log1p(ops.abs(x))


def _lags(config: Config, window: Window, name: str) -> Tensor:
    lags = SeasonalLags(config.horizon, config.seasons, config.season_lags, name=f"lags{name}")
    return lags(window.scaled, window.observed)


def _relative_to_window(outputs: Tensor) -> Tensor:
    """Appends the location 0 and the scale 1 to outputs."""
    zeros = ops.zeros_like(outputs[..., :1])
    return ops.concatenate([ops.cast(outputs, "float32"), zeros, zeros + 1], axis=-1)


def _encoder_decoder_forecaster(config: Config, model: keras.Model) -> Callable[[Mapping[str, Tensor]], Tensor]:
    distribution = distribution_of(config)

    def quantiles(inputs: Mapping[str, Tensor]) -> Tensor:
        return ops.mean(distribution.quantiles(*split_outputs(model(inputs), distribution)), axis=2)

    return quantiles


def _autoregressive(config: Config, window: Window, name: str) -> Tensor:
    """One recurrent stack, which reads the value before each step."""
    policy: dict[str, Any] = {"dtype": config.precision}
    # The columns of the past are those of the segment before, like the values, and zeros after the first segment.
    shift = [[0, 0], [config.segment, config.horizon - config.segment], [0, 0]]
    before = [ops.pad(columns, shift) for columns in window.past]
    position = ops.pad(_positions(window, config), [[0, 0], [config.context, 0], [0, 0]])
    covariates = [position, *before, *window.known]
    if config.seasons:
        lags = SeasonalLags(
            config.horizon, config.seasons, config.season_lags, segment=config.segment, name=f"lags{name}", **policy
        )
        covariates.append(lags(window.scaled, window.observed))
    outputs = AutoregressiveRNN(
        config.distribution,
        config.decoder_units,
        segment=config.segment,
        name=f"decoder{name}",
        **config.recurrent_arguments,
        **policy,
    )(
        ops.concatenate([window.scaled, window.scaled_targets], axis=1),
        ops.concatenate([window.observed, window.targets_observed], axis=1),
        ops.concatenate(covariates, axis=-1),
    )
    return _relative_to_window(outputs)


def _autoregressive_forecaster(config: Config, model: keras.Model) -> Callable[[Mapping[str, Tensor]], Tensor]:
    decoder, scaling = model.get_layer("decoder"), model.get_layer("scaling")
    inputs_of_decoder = keras.Model(model.inputs, [*decoder.input, *scaling.output])
    levels = draw_levels(config.samples, config.horizon, config.seed)

    def quantiles(inputs: Mapping[str, Tensor]) -> Tensor:
        zeros = ops.zeros_like(inputs["values"][:, :1])
        unknown = dict.fromkeys(TARGETS, ops.repeat(zeros, config.horizon, axis=1))
        values, observed, covariates, location, scale = inputs_of_decoder({**inputs, **unknown})
        samples = decoder.sample(
            values[:, : config.context],
            observed[:, : config.context],
            covariates,
            location[:, -config.horizon :] + unknown["targets"],
            scale[:, -config.horizon :] + unknown["targets"],
            ops.expand_dims(zeros, -1) + levels,
        )
        return empirical_quantiles(ops.swapaxes(samples, 1, 2), config.levels)

    return quantiles


def draw_levels(samples: int, steps: int, seed: int) -> np.ndarray:
    """Draws the levels of samples: at each step the levels `(i + 0.5) / samples` in random order.

    Such a Latin hypercube represents each step's distribution better than independent draws do.

    Returns:
        float32 array `(samples, steps)`.

    Reference:
        McKay, Beckman and Conover 1979, A comparison of three methods for selecting values of input variables.
    """
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(samples) for _ in range(steps)]
    return ((np.stack(orders, axis=1) + 0.5) / samples).astype("float32")


def _positions(window: Window, config: Config) -> Tensor:
    """The position of each step in the horizon, from 0 to 1: `(batch, horizon, 1)`."""
    positions = ops.reshape(ops.linspace(0.0, 1.0, config.horizon, dtype="float32"), (1, config.horizon, 1))
    return ops.ones_like(window.scaled[:, :1, None]) * positions


TARGETS = ("targets", "targets_observed")
NETWORKS = {
    "encoder_decoder": Network(_encoder_decoder, _encoder_decoder_forecaster),
    "copying": Network(_copying, _encoder_decoder_forecaster),
    "autoregressive": Network(_autoregressive, _autoregressive_forecaster, TARGETS),
}
