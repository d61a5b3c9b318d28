"""Dropout masks that are fast under XLA on a CPU."""

import numbers
from typing import Any

import keras
from keras import layers, ops, random

from .types import Tensor


def check_rate(name: str, rate: float) -> None:
    """Raises a `ValueError` if `rate` is not a number in [0, 1)."""
    if not isinstance(rate, numbers.Real) or not 0 <= rate < 1:
        raise ValueError(f"Argument `{name}` must be in [0, 1). Received: {name}={rate!r}")


def keep_mask(shape: tuple, rate: float, seed: keras.random.SeedGenerator) -> Tensor:
    """Draws a boolean tensor whose entries are False with probability `rate`.

    Args:
        shape: Shape of the mask; a dimension may be a scalar tensor.
        rate: Float in [0, 1).
        seed: A `keras.random.SeedGenerator`.

    Example:

    >>> from keras_recurrent.layers.dropout import keep_mask
    >>> keep_mask((2, 3), 0.5, keras.random.SeedGenerator(1)).shape
    (2, 3)
    """
    draws = random.uniform(shape, seed=seed)
    # XLA on a CPU fuses a draw with the comparison, which then takes forty times as long (TensorFlow 2.21). Taking all
    # rows by index keeps the two apart; a reshape, a transposition or a loop does not.
    return ops.take(draws, ops.arange(shape[0]), axis=0) >= rate


def dropout(x: Tensor, rate: float, seed: keras.random.SeedGenerator) -> Tensor:
    """Sets entries of `x` to 0 with probability `rate` and divides the others by `1 - rate` (Srivastava et al. 2014).

    Example:

    >>> from keras_recurrent.layers.dropout import dropout
    >>> dropped = dropout(ops.ones(100), 0.5, keras.random.SeedGenerator(1))
    >>> sorted(set(ops.convert_to_numpy(dropped).tolist()))
    [0.0, 2.0]
    """
    return ops.where(keep_mask(ops.shape(x), rate, seed), x / (1 - rate), 0)


@keras.saving.register_keras_serializable(package="keras_recurrent")
class Dropout(layers.Layer):
    """Drops entries of its input in training: `keras.layers.Dropout`, but fast under XLA on a CPU.

    Args:
        rate: Float in [0, 1), the fraction of the entries to drop.

    Call arguments:
        inputs: Tensor of any shape.
        training: Whether to drop.

    Example:

    >>> from keras_recurrent.layers.dropout import Dropout
    >>> Dropout(0.5)(ops.ones((2, 3)), training=True).shape
    (2, 3)
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_rate("rate", rate)
        self.rate = rate
        self.seed_generator = random.SeedGenerator()
        self.supports_masking = True

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        return dropout(inputs, self.rate, self.seed_generator) if training and self.rate else inputs

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}
