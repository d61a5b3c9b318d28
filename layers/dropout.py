"""Random masks that are also quick where XLA compiles them."""

import numbers

import keras
from keras import layers, ops, random


def check_rate(name, rate):
    """Raises a `ValueError` where `rate` is not a number in [0, 1)."""
    if not isinstance(rate, numbers.Real) or not 0 <= rate < 1:
        raise ValueError(f"Argument `{name}` must be in [0, 1). Received: {name}={rate!r}")


def keep_mask(shape, rate, seed):
    """A boolean tensor of `shape`, each entry False with probability `rate`.

    Args:
        shape: Tuple of the sizes.
        rate: Float in [0, 1).
        seed: A `keras.random.SeedGenerator`.

    Example:

    >>> keep_mask((2, 3), 0.5, keras.random.SeedGenerator(1)).shape
    (2, 3)
    """
    draws = random.uniform(shape, seed=seed)
    # XLA on a CPU fuses a draw with the comparison, and then takes forty times as long (TensorFlow 2.21). Taking all
    # rows one by one is the operation that keeps the two apart; a reshape, a transposition or a loop does not.
    return ops.take(draws, ops.arange(shape[0]), axis=0) >= rate


def dropout(x, rate, seed):
    """`x` with each entry 0 with probability `rate`, and otherwise divided by `1 - rate` (Srivastava et al. 2014).

    Example:

    >>> sorted(set(ops.convert_to_numpy(dropout(ops.ones(100), 0.5, keras.random.SeedGenerator(1))).tolist()))
    [0.0, 2.0]
    """
    return ops.where(keep_mask(ops.shape(x), rate, seed), x / (1 - rate), 0)


@keras.saving.register_keras_serializable(package="keras_recurrent")
class Dropout(layers.Layer):
    """`dropout` as a layer: `keras.layers.Dropout` that is also quick where XLA compiles it.

    Args:
        rate: Float in [0, 1), the share to drop in training.

    Example:

    >>> Dropout(0.5)(ops.ones((2, 3)), training=True).shape
    (2, 3)
    """

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        check_rate("rate", rate)
        self.rate = rate
        self.seed_generator = random.SeedGenerator()
        self.supports_masking = True

    def call(self, inputs, training=False):
        return dropout(inputs, self.rate, self.seed_generator) if training and self.rate else inputs

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}
