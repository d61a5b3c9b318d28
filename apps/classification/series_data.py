"""Time series with labels as batches of numbers."""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from ...datasets.columns import Arrays, Categories, Columns
from ...datasets.labelled_series import iter_labelled_series
from ..shared.backends import uses_xla
from ..shared.text.ragged import bucketed
from ..shared.training.batches import EpochBatches, slices
from ..shared.training.devices import share
from .config import Config
from .data import label_weights

KNOTS = 4  # of the speed of a warped series


def read(config: Config, split: str) -> Columns:
    """Reads the series of a split as a sequence of pairs `(values, label)`; see `iter_labelled_series`.

    Raises:
        DataError: If the split cannot be read, or a series has no label.
    """
    return Columns.of(iterate(config, split), Arrays, Categories)


def iterate(config: Config, split: str) -> Iterator[tuple[np.ndarray, str]]:
    """Yields the pairs of a split without keeping them; see `read`."""
    return ((series.values, str(series.label)) for series in iter_labelled_series(config.data, split))


def item_of(example: tuple[np.ndarray, str]) -> str:
    """Returns a text that identifies the series of a pair `(values, label)`."""
    return f"{example[0].shape} {zlib.crc32(example[0].tobytes())}"


def padded(series: Sequence[np.ndarray], channels: int, jit: bool | None = None) -> np.ndarray:
    """Returns series as a float32 array `(series, steps, channels)`, padded with NaN at the end.

    Args:
        series: Arrays `(steps, channels)`.
        channels: The number of channels.
        jit: The option `jit`. With XLA, `steps` is `bucketed`.

    Example:

    >>> from keras_recurrent.apps.classification.series_data import padded
    >>> padded([np.ones((2, 1)), np.ones((1, 1))], 1, jit=False)[..., 0].tolist()
    [[1.0, 1.0], [1.0, nan]]
    """
    steps = max(1, *map(len, series)) if len(series) else 1
    array = np.full((len(series), int(bucketed(steps)) if uses_xla(jit) else steps, channels), np.nan, "float32")
    for row, values in zip(array, series, strict=True):
        row[: len(values)] = values
    return array


def warped(values: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Returns a series that runs faster and slower by turns, with the same number of steps.

    The logarithm of the speed is drawn from a normal distribution at `KNOTS` steps and interpolated between them.

    Args:
        values: Array `(steps, channels)`.
        strength: The standard deviation of that distribution.
        generator: The random numbers.

    Reference:
        Um et al. 2017, Data augmentation of wearable sensor data for Parkinson's disease monitoring, section 3.
    """
    steps = np.arange(len(values))
    speeds = np.exp(strength * generator.normal(size=KNOTS))
    if len(values) < 2:
        return values
    speed = np.interp(steps, np.linspace(0, steps[-1], KNOTS), speeds)
    times = np.concatenate([[0], np.cumsum((speed[1:] + speed[:-1]) / 2)])
    times *= steps[-1] / times[-1]
    return np.stack([np.interp(times, steps, channel) for channel in values.T], axis=1).astype("float32")


def batches(
    series: Arrays,
    targets: Sequence[str],
    labels: Sequence[str],
    deviations: np.ndarray,
    config: Config,
    split: str,
) -> EpochBatches:
    """Batches of series, for the split `train` in a new order each epoch, with noise and time warping.

    Args:
        series: Arrays `(steps, channels)`.
        targets: The label of each series.
        labels: The labels of the model.
        deviations: The standard deviation of each channel.
        config: The `Config`.
        split: The name of the split.

    Returns:
        Batches `(numbers, labels, weights)`: float32 `(batch, steps, channels)`, NaN where a number is missing and at
        padding; int32 `(batch,)`; and float32 `(batch,)`, see `data.label_weights`.
    """
    is_training, own = split == "train", share()
    indices, weights = label_weights(targets, labels, config.class_weights and is_training)
    rows_per_epoch = len(series)
    if is_training and config.steps_per_epoch is not None:
        rows_per_epoch = config.steps_per_epoch * config.batch_size

    def batch_of(rows: np.ndarray, generator: np.random.Generator) -> Any:
        if uses_xla(config.jit):
            rows = np.pad(rows, (0, config.batch_size - len(rows)), constant_values=-1)
        rows = own.filled(rows)
        is_series = rows >= 0
        arrays = [series[row] if row >= 0 else series[0][:0] for row in rows.tolist()]
        if is_training:
            arrays = [_augmented(array, deviations, config, generator) for array in arrays]
        # The loss divides by the number of rows, empty ones included.
        own_weights = weights[rows] * is_series * (len(rows) / is_series.sum())
        return own.of_batch((padded(arrays, len(deviations), config.jit), indices[rows], own_weights.astype("float32")))

    def batches_of(epoch: int) -> Iterator[Any]:
        order = np.arange(len(series))
        if is_training:
            generator = np.random.default_rng([config.seed, epoch])
            passes = -(-rows_per_epoch // len(series))
            order = np.concatenate([generator.permutation(len(series)) for _ in range(passes)])
        for number, rows in enumerate(slices(order[:rows_per_epoch], config.batch_size)):
            yield batch_of(rows, np.random.default_rng([config.seed, epoch, number]))

    signature = (
        keras.InputSpec(dtype="float32", shape=(None, None, len(deviations))),
        keras.InputSpec(dtype="int32", shape=(None,)),
        keras.InputSpec(dtype="float32", shape=(None,)),
    )
    count = -(-rows_per_epoch // config.batch_size)
    return EpochBatches(batches_of, signature, lambda epoch: count, contents=f"{len(series):,} series")


def _augmented(
    values: np.ndarray, deviations: np.ndarray, config: Config, generator: np.random.Generator
) -> np.ndarray:
    """Returns a series with time warping and noise."""
    if config.warping:
        values = warped(values, config.warping, generator)
    if config.noise:
        values = values + config.noise * deviations * generator.normal(size=values.shape)
    return values
