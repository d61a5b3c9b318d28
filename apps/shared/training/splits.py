"""Which examples a training learns from, and which it is validated with."""

import dataclasses

import numpy as np

from ....datasets import DataError


def training_splits(read, config, ordered=False, kind=None):
    """The examples to train on and those to validate with, as a dictionary of `train` and `validation`.

    With `config.validation_split`, that share of the split `train` is held out, the same for every seed;
    otherwise the data has a split for it.

    Args:
        read: Function from the configuration and the name of a split to its examples, a list or another sequence.
        config: A configuration with the option `validation_split`.
        ordered: Whether the examples are one sequence, of which the end is held out, rather than some at random.
        kind: Function from an example to what it is, such as its label: that share of each kind is held out, and of a
            kind with two examples or more at least one and not all. None holds out regardless of kinds.

    Raises:
        DataError: If a split cannot be read, or has too few examples to be divided.
    """
    if config.validation_split is None:
        return {split: read(config, split) for split in ("train", "validation")}
    examples = read(config, "train")
    count = round(config.validation_split * len(examples))
    if not 0 < count < len(examples):
        raise DataError(f"train: {len(examples)} examples are too few to hold out {config.validation_split} of them")
    if ordered:
        return {"train": examples[:-count], "validation": examples[-count:]}
    kinds = {}
    for place in np.random.default_rng(0).permutation(len(examples)):
        kinds.setdefault(kind and kind(examples[place]), []).append(place)
    parts = {"train": [], "validation": []}
    for places in kinds.values():
        count = min(max(round(config.validation_split * len(places)), 1), len(places) - 1)
        parts["validation"] += places[:count]
        parts["train"] += places[count:]
    return {split: [examples[place] for place in np.sort(part)] for split, part in parts.items()}


def evaluated_split(read, config, split, data=None, **options):
    """The examples of a split to evaluate on: of `validation` what `training_splits` held out, if it did.

    Args:
        read, config: As in `training_splits`.
        split: The split's name.
        data: The data set; None is that of the training. Of another one, the splits are what they are.
        **options: `ordered` and `kind`, as in `training_splits`.

    Raises:
        DataError: As `training_splits` does.
    """
    if data not in (None, config.data):
        config = dataclasses.replace(config, data=data, validation_split=None)
    if split == "validation" and config.validation_split is not None:
        return training_splits(read, config, **options)[split]
    return read(config, split)
