"""The data sets that this package generates, which need no TensorFlow."""

from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

from .english_korean import grammar as english_korean
from .errors import DataError
from .negation import grammar as negation
from .sales import demand as sales
from .splits import resolve_split

NAMES = ("english_korean", "negation", "sales", "shapes")


class GeneratedSet(NamedTuple):
    """A generated data set.

    Attributes:
        name: Its name.
        splits: The names of its splits.
        features: The names of the features of an example.
        generate: Function from the name of a split to its examples.
    """

    name: str
    splits: Collection[str]
    features: Collection[str]
    generate: Callable[[str], Iterable[Any]]

    def examples(self, split: str) -> Iterable[Any]:
        """Returns the examples of a split: tuples of the features.

        Raises:
            DataError: If there is no such split; see `resolve_split`.
        """
        return self.generate(resolve_split(split, self.splits, f"'{self.name}'"))


def generated_set(name: str) -> GeneratedSet | None:
    """Returns the data set of a name, such as `negation` or `shapes/128`, or None if this package generates none.

    Raises:
        DataError: If it has no such configuration.
    """
    base, _, configuration = name.partition("/")
    if base == "shapes":
        from .shapes import cache, configurations  # which import Pillow

        config = configurations.configuration(configuration)
        features = configurations.Example._fields
        return GeneratedSet(name, config.sizes, features, lambda split: cache.read_examples(config, split))
    if configuration and base in NAMES:
        raise DataError(f"'{base}' has no configuration '{configuration}'")
    if base == "english_korean":
        return GeneratedSet(name, english_korean.SIZES, ("en", "ko"), lambda split: english_korean.pairs(split))
    if base == "negation":
        return GeneratedSet(name, negation.SIZES, ("text", "label"), lambda split: negation.examples(split))
    if base == "sales":
        return GeneratedSet(name, sales.SPLITS, sales.Shop._fields, lambda split: sales.examples(split))
    return None
