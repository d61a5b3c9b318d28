"""The forecaster: an encoder of the past, a decoder of the horizon, and the distribution of each step."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops

from ...datasets.series import Panel
from ...layers import SeasonalLags, SeriesDecoder, SeriesEncoder, WindowScaling
from ...layers.distributions import DISTRIBUTIONS, Distribution
from ...layers.loop import gradients
from ...layers.types import Tensor
from ..shared.models.compiled import compiled
from ..shared.models.trained_model import TrainedModel
from ..shared.training.batches import slices
from ..shared.training.fit import fit
from ..shared.training.optimizers import build_optimizer
from ..shared.training.splits import checksum
from . import data
from .config import Config


@keras.saving.register_keras_serializable(package="keras_recurrent")
class ForecastLoss(keras.losses.Loss):
    """The loss of a distribution, averaged over the observed steps.

    Args:
        distribution: A `Distribution`.

    Call arguments:
        y_true: Tensor `(batch, steps)`.
        y_pred: Tensor `(batch, steps, outputs + 2)`: the outputs, the location and the scale of each step.
        sample_weight: Tensor `(batch, steps)`, 0 where the true value is missing.
    """

    def __init__(self, distribution: Distribution, **kwargs: Any) -> None:
        super().__init__(reduction="mean_with_sample_weight", **kwargs)
        self.distribution = distribution

    def call(self, y_true, y_pred):
        outputs, location, scale = split_outputs(y_pred)
        return self.distribution.loss(y_true, outputs, location, scale)


def split_outputs(predicted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Divides what the Keras model computes into outputs `(batch, steps, outputs)`, location and scale `(batch, 1)`."""
    return predicted[..., :-2], predicted[:, 0, -2:-1], predicted[:, 0, -1:]


def build(config: Config, specs: Mapping[str, keras.InputSpec], statistics: Mapping[str, np.ndarray]) -> keras.Model:
    """Builds the Keras model of a configuration.

    Args:
        config: The `Config`.
        specs: The specifications of the inputs; see `data.input_specs`.
        statistics: For `past` and `known` an array `(2, columns)`, the mean and the variance of each column.

    Returns:
        A model from `values`, `observed`, `past` and `known` to a tensor `(batch, horizon, outputs + 2)`; see
        `split_outputs`.
    """
    policy: dict[str, Any] = {"dtype": config.precision}
    inputs = {name: keras.Input(spec.shape[1:], dtype=spec.dtype, name=name) for name, spec in specs.items()}
    values, observed = inputs["values"], inputs["observed"]
    location, scale = WindowScaling(config.scaling, config.season, name="scaling")(values, observed)
    scaled = (values - location) / scale * observed
    past, future = [ops.stack([scaled, observed], axis=-1)], [_positions(values, config.horizon)]
    if "past" in inputs:
        past.append(_normalized(inputs["past"], statistics["past"], "past_normalization"))
    if "known" in inputs:
        known = _normalized(inputs["known"], statistics["known"], "known_normalization")
        past.append(known[:, : config.context])
        future.append(known[:, config.context :])
    if config.seasons:
        lags = SeasonalLags(config.horizon, config.seasons, config.season_lags, name="lags", **policy)
        future.append(lags(scaled, observed))
    memory = SeriesEncoder(
        config.encoder_units,
        bidirectional=config.bidirectional,
        dilations=config.dilations,
        residual=config.residual,
        segment=config.segment,
        name="encoder",
        **config.recurrent_arguments,
        **policy,
    )(ops.concatenate(past, axis=-1))
    outputs = SeriesDecoder(
        DISTRIBUTIONS[config.distribution](config.levels).outputs,
        config.decoder_units,
        segment=config.segment,
        attention=config.attention,
        name="decoder",
        **config.recurrent_arguments,
        **policy,
    )(ops.concatenate(future, axis=-1), memory)
    scales = ops.repeat(ops.expand_dims(ops.concatenate([location, scale], axis=-1), 1), config.horizon, axis=1)
    return keras.Model(inputs, ops.concatenate([ops.cast(outputs, "float32"), scales], axis=-1))


def _positions(values: Tensor, horizon: int) -> Tensor:
    """The position of each step in the horizon, from 0 to 1: `(batch, horizon, 1)`."""
    positions = ops.reshape(ops.linspace(0.0, 1.0, horizon, dtype="float32"), (1, horizon, 1))
    return ops.ones_like(values[:, :1, None]) * positions


def _normalized(columns: Tensor, statistics: np.ndarray, name: str) -> Tensor:
    mean, variance = statistics
    return layers.Normalization(mean=mean.tolist(), variance=variance.tolist(), name=name)(columns)


class Forecast(NamedTuple):
    """The forecast of a series.

    Attributes:
        id: The name of the series.
        times: Array `(horizon,)` of timestamps or integers.
        values: float32 array `(horizon,)`, the medians.
        quantiles: float32 array `(levels, horizon)`.
    """

    id: str
    times: np.ndarray
    values: np.ndarray
    quantiles: np.ndarray


class Forecaster(TrainedModel):
    """Forecasts time series.

    Args:
        config: The `Config`.
        model: The Keras model that `build` returns.
        categories: List of the categories of columns of text, each as `column<TAB>category`.
    """

    config_class = Config
    lists = ("categories",)

    def __init__(self, config: Config, model: keras.Model, categories: list[str]) -> None:
        super().__init__(config, model, categories=categories)
        self.distribution = DISTRIBUTIONS[config.distribution](config.levels)
        self.median = config.levels.index(0.5)
        self._compiled_core = compiled(self.core, model, self.core_inputs)

    @staticmethod
    def sizes(model: keras.Model, assets: dict[str, Any]) -> dict[str, int]:
        model.get_layer("scaling")  # a model of another app has none
        return {}

    @property
    def core_inputs(self) -> Sequence[keras.InputSpec]:
        return [
            keras.InputSpec(dtype="float32", shape=(None, *tensor.shape[1:]), name=tensor.name)
            for tensor in self.model.inputs
        ]

    def core(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Computes the quantiles of each step of the horizon.

        Args:
            *inputs: The inputs of the Keras model.

        Returns:
            Dictionary of `quantiles` `(batch, levels, horizon)`.
        """
        predicted = self.model(dict(zip(self.input_names, inputs, strict=True)))
        return {"quantiles": ops.transpose(self.distribution.quantiles(*split_outputs(predicted)), (0, 2, 1))}

    @property
    def input_names(self) -> list[str]:
        return [tensor.name for tensor in self.model.inputs]

    def quantiles(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Computes quantiles `(batch, levels, horizon)` from the inputs that a `data.WindowReader` reads."""
        return np.asarray(self._compiled_core(*(inputs[name] for name in self.input_names))["quantiles"])

    @property
    def categories(self) -> dict[str, list[str]]:
        """The categories of each column of text."""
        categories: dict[str, list[str]] = {}
        for line in self.assets["categories"]:
            column, _, value = line.partition("\t")
            categories.setdefault(column, []).append(value)
        return categories

    def read(self, path: str | None = None) -> tuple[Panel, data.Split]:
        """Reads series from the model's own data, or from another file or folder; see `data.read`."""
        return data.read(self.config, path, self.categories)

    def reader(self, panel: Panel) -> data.WindowReader:
        """Returns what reads the model's inputs from a panel."""
        means = {
            layer.name.removesuffix("_normalization"): np.ravel(layer.mean)
            for layer in self.model.layers
            if isinstance(layer, layers.Normalization)
        }
        return data.WindowReader(panel, self.config, means)

    def forecast(self, panel: Panel) -> list[Forecast]:
        """Forecasts the steps after the last value of each series."""
        reader = self.reader(panel)
        forecasts = []
        for origins in slices(data.ends_of(panel), data.BATCH):
            times = panel.times(origins.series, origins.steps, self.config.horizon)
            for index, own, quantiles in zip(
                origins.series, times, self.quantiles(reader.inputs(origins)), strict=True
            ):
                forecasts.append(Forecast(panel.ids[index], own, quantiles[self.median], quantiles))
        return forecasts

    def reliance(self, panel: Panel, origins: data.Origins) -> np.ndarray:
        """Computes the derivative of the mean of each forecast with respect to each value of its context.

        Returns:
            Array `(batch, context)`.
        """
        inputs = {name: ops.convert_to_tensor(value) for name, value in self.reader(panel).inputs(origins).items()}

        def total(values: Tensor) -> Tensor:
            quantiles = self.core(*({**inputs, "values": values}[name] for name in self.input_names))["quantiles"]
            return ops.sum(ops.mean(quantiles[:, self.median], axis=-1))

        return ops.convert_to_numpy(gradients(total, [inputs["values"]])[0])


def train(config: Config, folder: str | Path) -> Forecaster:
    """Trains a forecaster and writes it to a folder, or resumes an interrupted training there.

    Args:
        config: The `Config`.
        folder: The model's folder.

    Raises:
        DataError: If the data cannot be read, or no series is long enough.
        TrainingError: If options do not fit together, or the loss is not a number.
    """
    keras.utils.set_random_seed(config.seed)
    build_optimizer(config, steps=1)  # wrong options fail before the data is read
    panel, split = data.read(config)
    series = data.usable_series(split, config)
    statistics = data.statistics(panel, config, split, series)
    reader = data.WindowReader(panel, config, {name: mean for name, (mean, _) in statistics.items()})
    model = build(config, data.input_specs(reader), statistics)
    categories = [f"{column}\t{value}" for column, values in panel.categories.items() for value in values]
    forecaster = Forecaster(config, model, categories)
    forecaster.save_assets(folder)
    fit(
        model,
        ForecastLoss(forecaster.distribution),
        data.batches(reader, split, series, config, "train"),
        data.batches(reader, split, series, config, "validation"),
        config,
        folder,
        data=checksum(panel),
    )
    return forecaster
