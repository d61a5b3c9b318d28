"""Random choices for generated data sets."""

import random
from collections.abc import Sequence


class Draw:
    """Random choices that are the same under every version of Python for the same seed."""

    def __init__(self, seed: int):
        self._random = random.Random(seed)

    def choice(self, options: Sequence):
        """Returns one of the options."""
        # Python promises to keep the sequence of `random()` from version to version, and that of no other method.
        return options[int(self._random.random() * len(options))]

    def chance(self, probability: float) -> bool:
        """Returns true with the probability."""
        return self._random.random() < probability

    def shuffled(self, options: Sequence) -> list:
        """Returns the options in random order."""
        return sorted(options, key=lambda _: self._random.random())
