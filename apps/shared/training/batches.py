"""Batches of an epoch as a `tf.data.Dataset`, and work done ahead in threads."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import tensorflow as tf

from ....layers.types import Nest

Item = TypeVar("Item")
Result = TypeVar("Result")


class EpochBatches:
    """Batches that depend on the epoch alone, so that a resumed training reads the same data.

    Args:
        batches: Function from the epoch, counted from 0, to an iterator over its batches.
        signature: The `output_signature` of `tf.data.Dataset.from_generator`.
        count: The number of batches in the first epoch.
        is_fixed: Whether every epoch has `count` batches.
        prefetch: Whether batches are prepared ahead of the training step that reads them. Set it to False if a batch
            depends on the weights, as in training on the model's own outputs.

    Attributes:
        dataset: A `tf.data.Dataset` of the batches of `epoch`.
        epoch: Integer. Set it before an epoch begins.
    """

    def __init__(
        self,
        batches: Callable[[int], Iterable[Nest]],
        signature: Nest,
        count: int,
        is_fixed: bool,
        prefetch: bool = True,
    ):
        self.epoch = 0
        self.count = count
        dataset = tf.data.Dataset.from_generator(lambda: batches(self.epoch), output_signature=signature)
        if is_fixed:  # With a known cardinality, the progress bar works in the first epoch, too.
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
        if prefetch:
            dataset = dataset.prefetch(tf.data.AUTOTUNE)
        else:
            options = tf.data.Options()
            options.experimental_optimization.inject_prefetch = False  # TensorFlow adds a prefetch by default.
            dataset = dataset.with_options(options)
        self.dataset: tf.data.Dataset = dataset


def slices(items: Any, size: int) -> list[Any]:
    """Divides a list, a string or an array into consecutive parts of `size` items; the last one may be shorter.

    Example:

    >>> from keras_recurrent.apps.shared.training.batches import slices
    >>> slices([1, 2, 3, 4, 5], 2)
    [[1, 2], [3, 4], [5]]
    """
    return [items[first : first + size] for first in range(0, len(items), size)]


def threaded_map(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Like `map`, but computes up to `2 * threads` items ahead, in threads."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: collections.deque = collections.deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
