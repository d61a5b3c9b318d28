"""Which examples a model is trained on, and which it is validated on."""

import dataclasses
import zlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ....datasets import DataError
from ....datasets.columns import Columns
from ....datasets.errors import MissingSplitError
from .batches import slices

Example = TypeVar("Example")


def training_splits(
    read: Callable[[Any, str], Sequence],
    config: Any,
    ordered: bool = False,
    kind: Callable[[Any], Hashable] | None = None,
) -> dict[str, Sequence]:
    """Reads the examples to train on and those to validate on.

    With `config.validation_split`, that share of the split `train` is held out, the same examples for every seed.
    Otherwise the data set has a split `validation`.

    Args:
        read: Function from the configuration and the name of a split to a sequence of examples.
        config: A configuration with the option `validation_split`.
        ordered: Whether the examples are one sequence, such as a long text, whose end is held out. Otherwise examples
            are drawn at random.
        kind: Function from an example to its kind, such as its label. The share of each kind is held out, at least one
            example of each kind with two or more. None ignores kinds.

    Returns:
        Dictionary of `train` and `validation`.

    Raises:
        DataError: If a split cannot be read or has too few examples to be divided.
    """
    if config.validation_split is None:
        train = read(config, "train")
        try:
            return {"train": train, "validation": read(config, "validation")}
        except MissingSplitError as error:
            raise DataError(f"{error}; --validation-split 0.1 holds out a part of train") from error
    examples = read(config, "train")
    count = round(config.validation_split * len(examples))
    too_few = DataError(f"train: {len(examples)} examples are too few to hold out {config.validation_split} of them")
    if kind is None and not 0 < count < len(examples):
        raise too_few
    if ordered:
        return {"train": examples[:-count], "validation": examples[-count:]}
    groups: dict[Hashable, list[int]] = {}
    for index in np.random.default_rng(0).permutation(len(examples)):
        groups.setdefault(kind and kind(examples[index]), []).append(index)
    parts: dict[str, list[int]] = {"train": [], "validation": []}
    for indices in groups.values():
        count = min(max(round(config.validation_split * len(indices)), 1), len(indices) - 1)
        parts["validation"] += indices[:count]
        parts["train"] += indices[count:]
    if not parts["validation"]:
        raise too_few
    return {split: _take(examples, np.sort(part)) for split, part in parts.items()}


def _take(examples: Sequence, indices: np.ndarray) -> Sequence:
    return examples[indices] if isinstance(examples, Columns) else [examples[index] for index in indices]


def checksum(*parts: Any) -> int:
    """Returns a CRC-32 of training data.

    Args:
        *parts: Columns of `datasets.columns`, strings, or iterables of items whose `repr` identifies them.
    """
    result = 0
    for part in parts:
        if hasattr(part, "checksum"):
            result = part.checksum(result)
        else:
            for item in slices(part, 2**20) if isinstance(part, str) else part:
                result = zlib.crc32(repr(item).encode(), result)
    return result


class Rereadable(Iterable[Example]):
    """Examples that are read each time they are iterated over, and are not kept.

    Args:
        read: Function that iterates over the examples.

    Example:

    >>> from keras_recurrent.apps.shared.training.splits import Rereadable
    >>> examples = Rereadable(lambda: iter("ab"))
    >>> [*examples], [*examples]
    (['a', 'b'], ['a', 'b'])
    """

    def __init__(self, read: Callable[[], Iterator[Example]]) -> None:
        self.read = read

    def __iter__(self) -> Iterator[Example]:
        return self.read()


def evaluated_split(
    read: Callable[[Any, str], Sequence],
    config: Any,
    split: str,
    data: str | None = None,
    iterate: Callable[[Any, str], Iterator] | None = None,
    **options: Any,
) -> Any:
    """Reads the examples of a split to evaluate a model on.

    The split `validation` of the model's own data set is what `training_splits` held out, if it did.

    Args:
        read: Function from a configuration and the name of a split to a sequence of examples.
        config: The model's configuration.
        split: The split's name.
        data: A data set; the default is the model's own.
        iterate: Function like `read` that returns an iterator. The examples are then `Rereadable` and not in memory,
            except for those that were held out. None reads a sequence.
        **options: The arguments `ordered` and `kind` of `training_splits`.

    Raises:
        DataError: If the split cannot be read.
    """
    if data not in (None, config.data):
        config = dataclasses.replace(config, data=data, validation_split=None)
    if split == "validation" and config.validation_split is not None:
        return training_splits(read, config, **options)[split]
    return read(config, split) if iterate is None else Rereadable(lambda: iterate(config, split))
