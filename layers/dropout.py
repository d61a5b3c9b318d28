"""Random masks that are also quick where XLA compiles them."""

from keras import ops, random


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
