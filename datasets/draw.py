"""Random choices for generated data sets."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """Random choices that are identical in every version of Python for the same seed.

    Args:
        seed: Seed of the choices.

    Example:

    >>> from keras_recurrent.datasets.draw import Draw
    >>> draw = Draw(seed=1)
    >>> draw.choice(["red", "green", "blue"])
    'red'
    """

    def __init__(self, seed: int):
        self._random = random.Random(seed)

    def choice(self, options: Sequence[T]) -> T:
        """Returns one of the options, each with the same probability."""
        # Of all methods, Python only guarantees the sequence of `random()` across versions.
        return options[int(self._random.random() * len(options))]

    def chance(self, probability: float) -> bool:
        """Returns True with the given probability."""
        return self._random.random() < probability

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """Returns the options in random order."""
        return sorted(options, key=lambda _: self._random.random())
