"""Batches of an epoch, and work done ahead in threads."""

import collections
import contextlib
import functools
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from keras import tree

from ....layers.types import Nest
from ..keras_internals import DataAdapter

Item = TypeVar("Item")
Result = TypeVar("Result")

PREFETCHED = 8  # batches that are prepared ahead


class EpochBatches(DataAdapter):
    """Batches that depend on the epoch alone, so that a resumed training reads the same data.

    `model.fit` and `model.evaluate` take it. They read the batches of `epoch`, each time from the first one.

    Args:
        batches: Function from the epoch, counted from 0, to its batches, tuples of arrays.
        signature: A nest like a batch, of `keras.InputSpec`s with the shape and the dtype of each array.
        count: Function from the epoch to the number of its batches.
        prefetch: Whether batches are prepared ahead of the training step that reads them. Set it to False if a batch
            depends on the weights, as in training on the model's own outputs.
        contents: What all batches of an epoch contain, for messages, such as "1,000 examples".

    Attributes:
        epoch: Integer. Set it before an epoch begins.
        shapes: The shapes of the arrays of each batch that has been read, without repetitions.
    """

    def __init__(
        self,
        batches: Callable[[int], Iterable[Nest]],
        signature: Nest,
        count: Callable[[int], int],
        prefetch: bool = True,
        contents: str = "",
    ):
        self.epoch = 0
        self.batches = batches
        self.signature = signature
        self.count = count
        self.prefetch = prefetch
        self.contents = contents
        self.shapes: set[tuple] = set()

    def __len__(self) -> int:
        """The number of batches of `epoch`."""
        return self.count(self.epoch)

    def __iter__(self) -> Iterator[Nest]:
        """Yields the batches of `epoch`."""
        batches = self.batches(self.epoch)
        for batch in ahead(batches, PREFETCHED) if self.prefetch else batches:
            self.shapes.add(tuple(array.shape for array in tree.flatten(batch)))
            yield batch

    # What Keras reads.

    num_batches = property(__len__)
    batch_size = None
    has_partial_batch = None
    partial_batch_size = None
    get_numpy_iterator = get_jax_iterator = __iter__

    def get_tf_dataset(self) -> Any:
        import tensorflow as tf

        specs = tree.flatten(self.signature)
        iterators = {}

        def arrays(index: np.ndarray) -> list[np.ndarray]:
            if index == 0:
                iterators[0] = iter(self)
            return tree.flatten(next(iterators[0]))

        def batch(index: Any) -> Any:
            tensors = tf.numpy_function(arrays, [index], [spec.dtype for spec in specs])
            for tensor, spec in zip(tensors, specs, strict=True):
                tensor.set_shape(spec.shape)
            return tree.pack_sequence_as(self.signature, tensors)

        # `from_generator` takes a third longer, a multiple of the time in which a batch of texts is made.
        dataset = tf.data.Dataset.range(len(self)).map(batch)
        options = tf.data.Options()
        options.experimental_optimization.inject_prefetch = self.prefetch  # TensorFlow adds a prefetch by default.
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


def computed_ahead(function: Callable[[int], Result]) -> Callable[[int], Result]:
    """Returns a function of the epoch that keeps its result, and computes that of the next epoch in a thread."""
    pool = ThreadPoolExecutor(1)
    futures: dict[int, Future] = {}

    def result(epoch: int) -> Result:
        for other in futures.keys() - {epoch, epoch + 1}:
            futures.pop(other, None)
        own, _ = (futures.get(needed) or submit(needed) for needed in (epoch, epoch + 1))
        return own.result()

    def submit(epoch: int) -> Future:
        return futures.setdefault(epoch, pool.submit(function, epoch))

    return result


def order_of_epochs(order: Callable[[int], Result], split: str) -> Callable[[int], Result]:
    """Returns a function of the epoch that keeps the order of its examples.

    Args:
        order: Function from the epoch to the order of its examples, the same one for all epochs except in the split
            `train`, for which the next one is computed ahead.
        split: The name of the split.
    """
    return computed_ahead(order) if split == "train" else functools.lru_cache(1)(order)


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
