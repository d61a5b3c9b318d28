"""The classifier of time series: convolutions, a recurrent encoder, and a pooling of its outputs."""

from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import layers, ops

from ...datasets import DataError
from ...datasets.columns import Arrays
from ...datasets.labelled_series import parse_series
from ...layers import Memory, SeriesEncoder
from ...layers.pooling import mean_pooling
from ...layers.types import Tensor
from ..shared.training.batches import EpochBatches
from . import series_data
from .config import Config
from .model import Classifier, build_members, label_logits


def build(config: Config, means: np.ndarray, deviations: np.ndarray, num_labels: int, has_missing: bool) -> keras.Model:
    """Builds the Keras model of a configuration, from numbers `(batch, steps, channels)` to logits.

    See `build_members` for the logits. NaN is a missing number, also after the end of a series. Missing numbers become
    the mean.

    Args:
        config: The `Config`.
        means: The mean of each channel of the training data.
        deviations: The standard deviation of each channel of the training data.
        num_labels: Positive integer.
        has_missing: Whether the model reads which numbers are missing.
    """
    numbers = keras.Input((None, len(means)), name="numbers")
    is_known = ops.equal(numbers, numbers)  # NaN is not equal to itself
    # A step counts if it or a later one has a number.
    counts = ops.any(is_known, axis=-1)
    mask = ops.flip(ops.cumsum(ops.flip(ops.cast(counts, "int32"), 1), axis=1), 1) > 0
    values = _standardized(numbers, is_known, config, means, deviations)
    if has_missing:
        is_missing = ops.logical_and(ops.logical_not(is_known), ops.expand_dims(mask, -1))  # and not padding
        values = ops.concatenate([values, ops.cast(is_missing, "float32")], axis=-1)
    return build_members(numbers, lambda suffix: _member_logits(values, mask, config, num_labels, suffix), config)


def _member_logits(values: Tensor, mask: Tensor, config: Config, num_labels: int, suffix: str) -> Tensor:
    """Computes the logits `(batch, num_labels)` of a member from standardized numbers and the mask of their steps."""
    policy: dict[str, Any] = {"dtype": config.precision}
    for index in range(config.convolutions):
        kernel_size = max(3, config.kernel_size // 2**index)
        values = layers.Conv1D(config.filters, kernel_size, padding="same", use_bias=False, **policy)(values)
        values = layers.BatchNormalization(momentum=0.9, **policy)(values, mask=mask)
        values = ops.relu(values) * ops.cast(ops.expand_dims(mask, -1), values.dtype)
    features = []
    if config.pool_convolutions:
        # The means vary little between series; without normalization, it takes thousands of steps to tell them apart.
        pooled = mean_pooling(Memory(values, mask, None))
        normalization = layers.BatchNormalization(momentum=0.9, name=f"pooled{suffix}", **policy)
        features.append(normalization(pooled, mask=ops.any(mask, 1)))
    memory = SeriesEncoder(
        config.units,
        bidirectional=config.bidirectional,
        segment=config.segment,
        residual=True,
        right_padded=True,
        name=f"encoder{suffix}",
        **config.recurrent_arguments,
        **policy,
    )(values, mask=mask)
    return label_logits(memory, config, num_labels, suffix, features)


def _standardized(
    numbers: Tensor, is_known: Tensor, config: Config, means: np.ndarray, deviations: np.ndarray
) -> Tensor:
    """Standardizes numbers as a configuration says; missing ones become 0."""
    if config.standardize == "training":
        means, deviations = means.astype("float32"), deviations.astype("float32")
        return ops.where(is_known, (numbers - means) / deviations, 0.0)
    values = ops.where(is_known, numbers, 0.0)
    if config.standardize == "none":
        return values
    known = ops.cast(is_known, "float32")
    count = ops.maximum(ops.sum(known, axis=1, keepdims=True), 1.0)
    mean = ops.sum(values, axis=1, keepdims=True) / count
    values = (values - mean) * known
    deviation = ops.sqrt(ops.sum(ops.square(values), axis=1, keepdims=True) / count)
    # A constant series becomes 0: its deviation is a rounding error of its mean.
    return values / ops.maximum(deviation, 1e-5 * ops.abs(mean) + 1e-6)


class SeriesClassifier(Classifier):
    """Assigns labels to time series.

    Args:
        config: The `Config`.
        model: The Keras model that `build` returns.
        labels: List of strings.
    """

    def __init__(self, config: Config, model: keras.Model, labels: list[str]) -> None:
        self.channels = model.get_layer("numbers").batch_shape[-1]
        super().__init__(config, model, labels)

    @staticmethod
    def sizes(model: keras.Model, assets: dict[str, Any]) -> dict[str, int]:
        return {"labels": model.output_shape[-1]}

    @classmethod
    def of_examples(
        cls, config: Config, examples: dict[str, Any], labels: list[str]
    ) -> tuple[Self, dict[str, EpochBatches]]:
        columns = {split: rows.columns for split, rows in examples.items()}
        channels = {split: series[0].shape[1] for split, (series, _) in columns.items()}
        if channels["train"] != channels["validation"]:
            raise DataError(
                f"validation: the series have {channels['validation']} channels, but {channels['train']} in train"
            )
        means, deviations, has_missing = _statistics(columns["train"][0])
        model = build(config, means, deviations, len(labels), has_missing)
        batches = {
            split: series_data.batches(series, targets, labels, deviations, config, split)
            for split, (series, targets) in columns.items()
        }
        return cls(config, model, labels), batches

    @property
    def core_inputs(self) -> Sequence[keras.InputSpec]:
        return (keras.InputSpec(dtype="float32", shape=(None, None, self.channels), name="numbers"),)

    def runner_options(self) -> dict[str, Any]:
        return {"inputs": "series", "channels": self.channels, "labels": self.labels}

    def read(self, text: str) -> np.ndarray | DataError:
        """Converts a text to a series, see `parse_series`, or returns the error that says why it is none."""
        try:
            values = parse_series(text)
            self._check(values)
        except DataError as error:
            return error
        return values

    def _check(self, values: np.ndarray) -> None:
        if values.shape[1] != self.channels:
            raise DataError(f"a series has {values.shape[1]} channels; the model reads {self.channels}")

    def _arrays(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        for values in inputs:
            self._check(values)
        return series_data.padded(inputs, self.channels)

    def explain(self, inputs: Sequence[np.ndarray]) -> list[dict[str, Any]]:
        """Classifies a list of series and returns probabilities and attention weights.

        Args:
            inputs: List of arrays `(steps, channels)`, NaN where a number is missing.

        Returns:
            For each series a dictionary of the most probable `label`; `probabilities`, a dictionary with the
            probability of each label; and `weights`, the attention weight of each `config.segment` steps, which sum to
            1, or an empty list.
        """
        if not inputs:
            return []
        outputs = self._describe(inputs)
        explanations = []
        for values, probabilities, weights in zip(inputs, outputs["probabilities"], outputs["weights"], strict=True):
            positions = -(-len(values) // self.config.segment)
            own = weights[:positions].astype(float).round(4).tolist()
            explanations.append({**self._judgment(probabilities), "weights": own})
        return explanations


def _statistics(series: Arrays) -> tuple[np.ndarray, np.ndarray, bool]:
    """Returns the mean and the standard deviation of each channel, and whether there are missing numbers."""
    numbers = np.concatenate([*series]).astype("float64")
    is_known = ~np.isnan(numbers)
    if not is_known.any(axis=0).all():
        raise DataError(f"train: channel {int(np.argmin(is_known.any(axis=0))) + 1} has no number")
    deviations = np.nanstd(numbers, axis=0)
    return np.nanmean(numbers, axis=0), np.where(deviations > 0, deviations, 1.0), not is_known.all()
