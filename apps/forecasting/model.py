"""The forecaster: from windows of series to the distribution of each step of the horizon."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import keras
import numpy as np
from keras import layers, ops

from ...datasets import DataError
from ...datasets.series import Panel
from ...datasets.series.calendar import CYCLES
from ...datasets.series.steps import frequency_of, has_similar_steps
from ...layers import ExponentialSmoothing, WindowScaling
from ...layers.distributions import Distribution
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
from .networks import NETWORKS, Window, distribution_of, split_outputs


@keras.saving.register_keras_serializable(package="keras_recurrent")
class ForecastLoss(keras.losses.Loss):
    """The loss of a distribution, averaged over the observed steps.

    Args:
        distribution: A `Distribution`.

    Call arguments:
        y_true: Tensor `(batch, steps)`.
        y_pred: Tensor `(batch, steps, members * (outputs + 2))`; see `networks.split_outputs`. The members' losses are
            averaged.
        sample_weight: Tensor `(batch, steps)`, 0 where the true value is missing.
    """

    def __init__(self, distribution: Distribution, **kwargs: Any) -> None:
        super().__init__(reduction="mean_with_sample_weight", **kwargs)
        self.distribution = distribution

    def call(self, y_true, y_pred):
        losses = self.distribution.loss(ops.expand_dims(y_true, -1), *split_outputs(y_pred, self.distribution))
        return ops.mean(losses, axis=-1)


def build(config: Config, specs: Mapping[str, keras.InputSpec], statistics: Mapping[str, np.ndarray]) -> keras.Model:
    """Builds the Keras model of a configuration.

    Args:
        config: The `Config`.
        specs: The specifications of the inputs; see `data.input_specs`.
        statistics: For `past` and `known` an array `(2, columns)`, the mean and the variance of each column.

    Returns:
        A model from `values`, `observed`, `past`, `known` and the network's `targets` to a tensor
        `(batch, steps, members * (outputs + 2))`; see `networks.split_outputs`.
    """
    network = NETWORKS[config.network]
    specs = {**specs, **{name: keras.InputSpec(shape=(None, config.horizon)) for name in network.targets}}
    inputs = {name: keras.Input(spec.shape[1:], dtype=spec.dtype, name=name) for name, spec in specs.items()}
    columns = {
        name: [_normalized(inputs[name], statistics[name], f"{name}_normalization")] if name in inputs else []
        for name in ("past", "known")
    }
    values, observed = inputs["values"], inputs["observed"]
    location, scale = _scaling(config)(values, observed)
    zeros = ops.zeros((1, config.context + config.horizon))
    location, scale = location + zeros, scale + zeros

    def scaled(values: Tensor, observed: Tensor, steps: slice) -> Tensor:
        return (values - location[:, steps]) / scale[:, steps] * observed

    window = Window(scaled(values, observed, slice(config.context)), observed, columns["past"], columns["known"])
    if network.targets:
        targets, are_observed = (inputs[name] for name in network.targets)
        later = scaled(targets, are_observed, slice(config.context, None))
        window = window._replace(scaled_targets=later, targets_observed=are_observed)
    members = [network.outputs(config, window, f"_{member}" if member else "") for member in range(config.members)]
    steps = slice(-members[0].shape[1], None)
    location, scale = (ops.expand_dims(x[:, steps], -1) for x in (location, scale))
    outputs: list[Tensor] = []
    for own in members:
        outputs += [own[..., :-2], location + scale * own[..., -2:-1], scale * own[..., -1:]]
    return keras.Model(inputs, ops.concatenate(outputs, axis=-1))


def _scaling(config: Config) -> layers.Layer:
    """A layer that computes the location and the scale of a window, or of each step of the window and the horizon."""
    if config.scaling == "smoothing":
        return ExponentialSmoothing(config.horizon, config.seasons, name="scaling")
    return WindowScaling(config.scaling, config.season, name="scaling")


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
        frequency: List of pandas' alias of the frequency of the training data, empty if it has no timestamps.
    """

    config_class = Config
    lists = ("categories",)
    later_lists = ("frequency",)

    def __init__(self, config: Config, model: keras.Model, categories: list[str], frequency: list[str]) -> None:
        super().__init__(config, model, categories=categories, frequency=frequency)
        self.distribution = distribution_of(config)
        self.median = config.levels.index(0.5)
        self._quantiles = NETWORKS[config.network].forecaster(config, model)
        self._compiled_core = compiled(self.core, model, self.core_inputs)

    @classmethod
    def of_panel(cls, config: Config, model: keras.Model, panel: Panel) -> Self:
        """Returns a forecaster whose categories and frequency are those of a panel, its training data."""
        categories = [f"{column}\t{value}" for column, values in panel.categories.items() for value in values]
        return cls(config, model, categories, [] if panel.frequency is None else [panel.frequency])

    @staticmethod
    def sizes(model: keras.Model, assets: dict[str, Any]) -> dict[str, int]:
        model.get_layer("scaling")  # a model of another app has none
        return {}

    @property
    def core_inputs(self) -> Sequence[keras.InputSpec]:
        return [
            keras.InputSpec(dtype="float32", shape=(None, *tensor.shape[1:]), name=tensor.name)
            for tensor in self.model.inputs
            if tensor.name not in NETWORKS[self.config.network].targets
        ]

    def core(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Computes the quantiles of each step of the horizon.

        Args:
            *inputs: The inputs of the Keras model but those of training alone, in the order of `input_names`.

        Returns:
            Dictionary of `quantiles` `(batch, levels, horizon)`.
        """
        quantiles = self._quantiles(dict(zip(self.input_names, inputs, strict=True)))
        return {"quantiles": ops.transpose(quantiles, (0, 2, 1))}

    @property
    def input_names(self) -> list[str]:
        return [spec.name for spec in self.core_inputs]

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

    def runner_options(self) -> dict[str, Any]:
        config, columns = self.config, data.columns(self.config)
        width = {spec.name: spec.shape[-1] for spec in self.core_inputs}
        numbers = sum(len(self.categories.get(name, "1")) for name in (*columns["known"], *columns["static"]))
        cycles = (width.get("known", 0) - numbers) // 2
        delta = None if config.frequency is None else frequency_of(config.frequency).delta
        frequency = next(iter(self.assets["frequency"]), None)
        return {
            **{name: getattr(config, name) for name in ("id", "time", "target", "context", "horizon", "levels")},
            **columns,
            "categories": self.categories,
            "calendar": CYCLES[len(CYCLES) - cycles :],
            "means": {name: mean.tolist() for name, mean in self.means.items()},
            "microseconds": delta,
            "step": None if frequency is None else frequency_of(frequency).length,
            "has_even_steps": frequency is None or frequency_of(frequency).delta is not None,
        }

    @property
    def means(self) -> dict[str, np.ndarray]:
        """The means of the columns `past` and `known`, which replace missing values."""
        return {
            layer.name.removesuffix("_normalization"): np.ravel(layer.mean)
            for layer in self.model.layers
            if isinstance(layer, layers.Normalization)
        }

    def read(self, path: str | None = None) -> tuple[Panel, data.Split]:
        """Reads series from the model's own data, or from another file or folder; see `data.read`.

        Raises:
            DataError: As `data.read`, or if the times have another frequency than those of the training data.
        """
        panel, split = data.read(self.config, path, self.categories)
        for frequency in self.assets["frequency"]:
            if panel.frequency is not None and not has_similar_steps(panel.frequency, frequency):
                raise DataError(
                    f"{path or self.config.data} has times of the frequency '{panel.frequency}', the training data of "
                    f"'{frequency}'"
                )
        specs = data.input_specs(data.WindowReader(panel, self.config))
        if any(spec.name not in specs or spec.shape != specs[spec.name].shape for spec in self.core_inputs):
            times = f"times of the frequency '{panel.frequency}'" if panel.frequency else "no timestamps"
            raise DataError(
                f"{path or self.config.data} has {times}, unlike the training data, whose calendar the model reads"
            )
        return panel, split

    def reader(self, panel: Panel) -> data.WindowReader:
        """Returns what reads the model's inputs from a panel."""
        return data.WindowReader(panel, self.config, self.means)

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
    data.check_counts(panel, config)
    data.remark_seasons(panel, config)
    series = data.usable_series(split, config)
    statistics = data.statistics(panel, config, split, series)
    reader = data.WindowReader(panel, config, {name: mean for name, (mean, _) in statistics.items()})
    model = build(config, data.input_specs(reader), statistics)
    forecaster = Forecaster.of_panel(config, model, panel)
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
