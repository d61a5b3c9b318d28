"""Which examples a training learns from, and which it is validated with."""

import dataclasses

import numpy as np

from ..datasets import DataError


def training_splits(read, config, ordered=False):
    """The examples to train on and those to validate with, as a dictionary of `train` and `validation`.

    With `config.validation_split`, that share of the split `train` is held out, the same for every seed;
    otherwise the data has a split for it.

    Args:
        read: Function from the configuration and the name of a split to a list of examples.
        config: A configuration with the option `validation_split`.
        ordered: Whether the examples are one sequence, of which the end is held out, rather than some at random.

    Raises:
        DataError: If a split cannot be read, or has too few examples to be divided.
    """
    if config.validation_split is None:
        return {split: read(config, split) for split in ("train", "validation")}
    examples = read(config, "train")
    count = round(config.validation_split * len(examples))
    if not 0 < count < len(examples):
        raise DataError(f"train: {len(examples)} examples are too few to hold out {config.validation_split} of them")
    places = np.arange(len(examples))[::-1] if ordered else np.random.default_rng(0).permutation(len(examples))
    parts = {"train": places[count:], "validation": places[:count]}
    return {split: [examples[place] for place in np.sort(part)] for split, part in parts.items()}


def evaluated_split(read, config, split, data=None, ordered=False):
    """The examples of a split to evaluate on: of `validation` what `training_splits` held out, if it did.

    Args:
        read, config, ordered: As in `training_splits`.
        split: The split's name.
        data: Another data set than that of the training; its splits are what they are.

    Raises:
        DataError: As `training_splits` does.
    """
    if data is not None:
        config = dataclasses.replace(config, data=data, validation_split=None)
    if split == "validation" and config.validation_split is not None:
        return training_splits(read, config, ordered)[split]
    return read(config, split)
