"""Series as windows: what a forecaster reads before the present, and what it forecasts after it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ...datasets import DataError
from ...datasets.series import Panel, calendar_features, generated, read_splits
from ..shared.console import note
from ..shared.training.batches import EpochBatches, order_of_epochs, slices
from ..shared.training.devices import share
from .config import Config

MAX_VALIDATION_WINDOWS = 20_000
BATCH = 256  # windows that are forecast at once
WINDOWS_PER_STEP = 4  # how many windows of an epoch forecast the same step, on average
MIN_BATCHES = 100  # of an epoch
# In steps, by the frequencies of pandas without their anchors.
USUAL_SEASONS = {"h": 24, "D": 7, "B": 5, "W": 52, "MS": 12, "ME": 12, "QS": 4, "QE": 4}
STATISTICS_WINDOWS = 4_096  # from which the mean and the variance of the columns are computed


@dataclass(frozen=True)
class Origins:
    """Where forecasts begin.

    Attributes:
        series: Integer array `(windows,)`, the indices of the series.
        steps: Integer array `(windows,)`, the first steps to forecast, counted from the start of the series.
    """

    series: np.ndarray
    steps: np.ndarray

    def __len__(self) -> int:
        return len(self.series)

    def __getitem__(self, indices: Any) -> "Origins":
        return Origins(self.series[indices], self.steps[indices])


class WindowReader:
    """Reads windows of a panel as arrays.

    Args:
        panel: The `Panel`.
        config: The `Config`.
        means: For `past` and `known` an array with the mean of each column, which replaces missing values; None for 0.
    """

    def __init__(self, panel: Panel, config: Config, means: Mapping[str, np.ndarray] | None = None) -> None:
        self.panel = panel
        self.config = config
        self.means = means or {}

    def read(self, origins: Origins) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Reads windows.

        Returns:
            The result of `inputs`, and the true values `(batch, horizon)`, NaN where they are missing or in the future.
        """
        context, horizon = self.config.context, self.config.horizon
        first, steps = origins.steps - context, context + horizon
        windows = self.panel.windows(origins.series, first, steps)
        values = windows.values[:, :context]
        observed = ~np.isnan(values)
        inputs = {
            "values": np.where(observed, values, 0).astype("float32"),
            "observed": observed.astype("float32"),
        }
        static = np.repeat(self.panel.static[origins.series][:, np.newaxis], steps, axis=1)
        known = [windows.known, static]
        if self.config.calendar:
            times = self.panel.times(origins.series, first, steps)
            known.append(calendar_features(times, self.panel.frequency)[0])
        columns = {"past": windows.past[:, :context], "known": np.concatenate(known, axis=-1)}
        for name, column in columns.items():
            if column.shape[-1]:
                inputs[name] = np.where(np.isnan(column), self.means.get(name, 0), column).astype("float32")
        return inputs, windows.values[:, context:]

    def inputs(self, origins: Origins) -> dict[str, np.ndarray]:
        """Returns the inputs of the model.

        Returns:
            Dictionary of `values` and `observed` `(batch, context)`, the values and whether they are observed; `past`
            `(batch, context, columns)`; and `known` `(batch, context + horizon, columns)`, the columns that are known
            ahead, the static columns and the calendar. `past` and `known` are missing without columns.
        """
        return self.read(origins)[0]


def input_specs(reader: WindowReader) -> dict[str, keras.InputSpec]:
    """Returns the specifications of the inputs of a model."""
    window = reader.inputs(Origins(np.zeros(1, int), np.zeros(1, int)))
    return {
        name: keras.InputSpec(dtype="float32", shape=(None, *values.shape[1:]), name=name)
        for name, values in window.items()
    }


def statistics(panel: Panel, config: Config, split: "Split", series: np.ndarray) -> dict[str, np.ndarray]:
    """Computes the mean and the variance of the columns `past` and `known` from windows of the training data.

    Returns:
        Dictionary from the names to arrays `(2, columns)`. The variance of a constant column is 1.
    """
    generator = np.random.default_rng(0)
    drawn = generator.choice(series, min(len(series) * 8, STATISTICS_WINDOWS))
    missing = dict.fromkeys(("past", "known"), np.array(np.nan))
    inputs = WindowReader(panel, config, missing).inputs(
        Origins(drawn, generator.integers(0, split.train[drawn], endpoint=True))
    )
    result = {}
    for name in inputs.keys() & missing.keys():
        columns = inputs[name].reshape(-1, inputs[name].shape[-1])
        mean, variance = np.nan_to_num(np.nanmean(columns, axis=0)), np.nan_to_num(np.nanvar(columns, axis=0))
        result[name] = np.stack([mean, np.where(variance > 0, variance, 1)])
    return result


@dataclass(frozen=True)
class Split:
    """Where the parts of each series end.

    Attributes:
        train: Integer array `(series,)`, the number of steps to train on.
        validation: Integer array `(series,)`, the number of steps to train or validate on.
        length: Integer array `(series,)`, the number of all steps.
    """

    train: np.ndarray
    validation: np.ndarray
    length: np.ndarray


def columns(config: Config) -> dict[str, tuple[str, ...]]:
    """Returns the names of the columns `static`, `past` and `known` that a model reads beside the values.

    By default there are none. A model of the generated series reads those of that data set, also from other data.
    """
    is_generated = config.data == generated.NAME
    defaults = {"static": generated.STATIC, "past": (), "known": generated.KNOWN} if is_generated else {}
    own = {name: getattr(config, name) for name in ("static", "past", "known")}
    return {name: defaults.get(name, ()) if names is None else tuple(names) for name, names in own.items()}


def read(
    config: Config, path: str | None = None, categories: Mapping[str, Sequence[str]] | None = None
) -> tuple[Panel, Split]:
    """Reads the series of a configuration, and reports what was changed or is missing.

    Args:
        config: The `Config`.
        path: A file or folder to read instead of `config.data`.
        categories: The categories of columns of text that the model knows; None takes those of the data.

    Returns:
        `(panel, split)`. The part to test on is that of the data, or the last `config.test_size` steps.

    Raises:
        DataError: If the data cannot be read.
    """
    names = ("target", "id", "time", "frequency")
    path = path or config.data
    options = {**{name: getattr(config, name) for name in names}, **columns(config)}
    panel, test_starts = read_splits(path, **options, categories=categories)
    if text := str(panel.report):
        note(f"{path}: {text}")
    test_size = config.horizon if config.test_size is None else config.test_size
    validation = np.maximum(panel.lengths - test_size, 0) if test_starts is None else test_starts
    train = np.maximum(validation - (config.validation_size or config.horizon), 0)
    return panel, Split(train, validation, panel.lengths)


def remark_seasons(panel: Panel, config: Config) -> None:
    """Reports if none of the seasons is the usual one of the data's frequency."""
    usual = USUAL_SEASONS.get((panel.frequency or "").partition("-")[0])
    if usual is not None and config.seasons and usual not in config.seasons:
        given = ",".join(map(str, config.seasons))
        note(f"data of the frequency '{panel.frequency}' usually has a season of {usual} steps; --seasons is {given}")


def check_known(panel: Panel, horizon: int) -> None:
    """Raises a `DataError` if a series has no columns known ahead for the steps after its last value."""
    if panel.known.shape[1] and (short := np.flatnonzero(panel.known_steps_ahead < horizon)).size:
        name, steps = panel.ids[short[0]], panel.known_steps_ahead[short[0]]
        raise DataError(
            f"the columns known ahead of the series '{name}' end {steps:,} steps after its last value; a forecast "
            f"needs {horizon:,}"
        )


def check_counts(panel: Panel, config: Config) -> None:
    """Raises a `DataError` if a value is negative that a distribution of counts must explain."""
    if config.distribution == "negative_binomial" and (rows := np.flatnonzero(panel.values < 0)).size:
        name = panel.ids[np.searchsorted(panel.offsets, rows[0], side="right") - 1]
        raise DataError(
            f"{config.data}: the series '{name}' has the value {panel.values[rows[0]]:g}, but --distribution "
            "negative_binomial is for counts"
        )


def usable_series(split: Split, config: Config) -> np.ndarray:
    """Returns the indices of the series that are long enough to train on, and reports the others.

    Raises:
        DataError: If there are none.
    """
    needed = config.horizon + (config.context if config.short == "leave_out" else 1)
    usable = np.flatnonzero(split.train >= needed)
    if not len(usable):
        raise DataError(
            f"{config.data}: no series has {needed:,} steps to train on; the longest has "
            f"{split.train.max(initial=0):,} before its validation and test. Choose a shorter --context or --horizon, "
            f"multiples of --segment {config.segment}" + ("" if config.short == "pad" else ", or --short pad")
        )
    if left_out := len(split.train) - len(usable):
        note(f"{left_out:,} series with fewer than {needed:,} steps to train on are left out")
    return usable


def ends_of(panel: Panel) -> Origins:
    """Returns the origins of the steps after the last value of each series."""
    return Origins(np.arange(len(panel)), panel.lengths)


def rolling_origins(
    first: np.ndarray, last: np.ndarray, series: np.ndarray, horizon: int, count: int | None = None
) -> Origins:
    """Returns rolling origins, the last of which forecasts the last steps of its series.

    Args:
        first: Integer array `(series,)`, the first step of each series to forecast.
        last: Integer array `(series,)`, the end of the steps to forecast.
        series: Integer array, the indices of the series.
        horizon: Number of steps of a forecast.
        count: The number of origins of each series, evenly spaced. None places them `horizon` steps apart. A series
            with fewer possible origins has as many as are possible, and one that is too short has none.
    """
    indices, steps = [], []
    for index in series:
        latest = int(last[index]) - horizon
        possible = latest - int(first[index]) + 1
        if possible < 1:
            continue
        number = (possible - 1) // horizon + 1 if count is None else min(count, possible)
        distance = horizon if count is None else (possible - 1) // max(number - 1, 1)
        steps.append(latest - distance * np.arange(number)[::-1])
        indices.append(np.full(number, index))
    empty = np.zeros(0, "int64")
    return Origins(np.concatenate([empty, *indices]), np.concatenate([empty, *steps]))


def batches(reader: WindowReader, split: Split, series: np.ndarray, config: Config, name: str) -> EpochBatches:
    """Batches of windows: drawn at random in each epoch for the split `train`, one after the other for `validation`.

    Args:
        reader: The `WindowReader`.
        split: The `Split`.
        series: Integer array, the indices of the series.
        config: The `Config`.
        name: The name of the split, `train` or `validation`.

    Returns:
        Batches `(inputs, targets, weights)`; see `WindowReader.inputs`. Targets and weights are float32
        `(batch, horizon)`. The weight of an observed value is 1, that of others 0. For an autoregressive network, they
        are the result of `teacher_forced`.
    """
    is_autoregressive = config.network == "autoregressive"
    own = share()
    size = own.rounded(config.batch_size)
    if name == "train":
        count = config.windows_per_epoch or _windows_per_epoch(split.train[series], config)
    else:
        held_out = _validation_origins(split, series, config)
        count = len(held_out)

    def draw(epoch: int) -> Origins:
        if name != "train":
            return held_out
        generator = np.random.default_rng([config.seed, epoch])
        drawn = generator.permutation(series[np.arange(count) % len(series)])
        latest = (split.validation if config.train_on_validation else split.train)[drawn] - config.horizon
        return Origins(drawn, generator.integers(np.minimum(config.context, latest), latest, endpoint=True))

    origins_of = order_of_epochs(draw, name)

    def read(epoch: int) -> Iterator[Any]:
        origins = origins_of(epoch)
        for indices in slices(np.arange(count), config.batch_size):
            # XLA and several devices need batches of one size. What fills a batch has no weight.
            inputs, targets = reader.read(origins[np.resize(indices, size)])
            weights = ~np.isnan(targets) & (np.arange(size) < len(indices))[:, np.newaxis]
            targets = np.where(weights, targets, 0).astype("float32")
            batch = inputs, targets, weights.astype("float32")
            yield own.of_batch(teacher_forced(*batch, name == "train") if is_autoregressive else batch)

    steps = keras.InputSpec(dtype="float32", shape=(None, config.horizon))
    signature = (input_specs(reader), steps, steps)
    if is_autoregressive:
        both = keras.InputSpec(dtype="float32", shape=(None, config.context + config.horizon))
        signature = ({**signature[0], "targets": steps, "targets_observed": steps}, both, both)
    return EpochBatches(read, signature, lambda epoch: -(-count // config.batch_size), contents=f"{count:,} windows")


def _windows_per_epoch(lengths: np.ndarray, config: Config) -> int:
    """The default: each step is forecast several times, and a few short series are trained for long enough."""
    windows = np.ceil(WINDOWS_PER_STEP * lengths / config.horizon).sum()
    return max(int(windows), MIN_BATCHES * config.batch_size)


def teacher_forced(
    inputs: dict[str, np.ndarray], targets: np.ndarray, weights: np.ndarray, is_train: bool
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Returns a batch for a network that also reads the true values of the horizon, and learns those of the context.

    Args:
        inputs, targets, weights: A batch; see `batches`.
        is_train: Whether the values of the context have a weight.

    Returns:
        `(inputs, targets, weights)`: the inputs with `targets` and `targets_observed`, which are `weights`; and float32
        arrays `(batch, context + horizon)`.
    """
    in_batch = weights.any(axis=1, keepdims=True)  # not what fills the last batch
    context_weights = inputs["observed"] * (in_batch & is_train)
    return (
        {**inputs, "targets": targets, "targets_observed": weights},
        np.concatenate([inputs["values"], targets], axis=1),
        np.concatenate([context_weights.astype("float32"), weights], axis=1),
    )


def _validation_origins(split: Split, series: np.ndarray, config: Config) -> Origins:
    origins = rolling_origins(split.train, split.validation, series, config.horizon)
    if len(origins) > MAX_VALIDATION_WINDOWS:
        chosen = np.random.default_rng(0).choice(len(origins), MAX_VALIDATION_WINDOWS, replace=False)
        origins = origins[np.sort(chosen)]
    return origins
