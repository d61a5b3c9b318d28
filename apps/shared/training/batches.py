"""Batches of an epoch, and work done ahead in threads."""

import collections
import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import keras
from keras import tree

from ....layers.types import Nest

Item = TypeVar("Item")
Result = TypeVar("Result")

PREFETCHED = 8  # batches that are prepared ahead


class EpochBatches:
    """Batches that depend on the epoch alone, so that a resumed training reads the same data.

    Args:
        batches: Function from the epoch, counted from 0, to an iterator over its batches.
        signature: A nest like a batch, of `keras.InputSpec`s with the shape and the dtype of each array.
        count: The number of batches in the first epoch.
        is_fixed: Whether every epoch has `count` batches.
        prefetch: Whether batches are prepared ahead of the training step that reads them. Set it to False if a batch
            depends on the weights, as in training on the model's own outputs.

    Attributes:
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
        self.batches = batches
        self.signature = signature
        self.count = count
        self.is_fixed = is_fixed
        self.prefetch = prefetch

    def __iter__(self) -> Iterator[Nest]:
        """Yields the batches of `epoch`, tuples of arrays."""
        batches = self.batches(self.epoch)
        return ahead(batches, PREFETCHED) if self.prefetch else iter(batches)

    @property
    def dataset(self) -> Any:
        """What `model.fit` and `model.evaluate` take for the batches of `epoch`, to be read once."""
        return _dataset(self) if keras.config.backend() == "tensorflow" else iter(self)


def _dataset(epoch: EpochBatches) -> Any:
    """Returns a `tf.data.Dataset`, which Keras would otherwise make with the shapes of the first batches."""
    import tensorflow as tf

    signature = tree.map_structure(lambda spec: tf.TensorSpec(spec.shape, spec.dtype), epoch.signature)
    dataset = tf.data.Dataset.from_generator(lambda: iter(epoch), output_signature=signature)
    if epoch.is_fixed:  # With a known cardinality, the progress bar works in the first epoch, too.
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(epoch.count))
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = epoch.prefetch  # TensorFlow adds a prefetch by default.
    return dataset.with_options(options)


def ahead(items: Iterable[Item], count: int) -> Iterator[Item]:
    """Yields items that a thread computes, up to `count` ahead."""
    results: queue.Queue = queue.Queue(count)
    is_stopped = threading.Event()

    def put(result: Any) -> bool:
        """Puts a result into the queue unless the reader has stopped, and returns whether it has not."""
        while not is_stopped.is_set():
            with contextlib.suppress(queue.Full):
                results.put(result, timeout=0.1)
                return True
        return False

    def compute() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
        except BaseException as error:  # raised where the items are read
            put((None, error))
        else:
            put(None)

    threading.Thread(target=compute, daemon=True).start()
    try:
        while (result := results.get()) is not None:
            item, error = result
            if error is not None:
                raise error
            yield item
    finally:
        is_stopped.set()


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
