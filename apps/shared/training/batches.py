"""Batches as `tf.data` sets, and work done ahead in threads."""

import collections
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf


class EpochBatches:
    """Batches that depend on nothing but the epoch, so that a resumed training reads what it would have.

    Args:
        batches: Function of the epoch, counted from 0, that yields its batches.
        signature: What `tf.data.Dataset.from_generator` takes for them.
        count: How many the first epoch has.
        is_fixed: Whether each epoch has as many.
        prefetch: Whether a batch may be made before the step that takes it. Not if it depends on the weights, too,
            which are then those that the step before left.

    Attributes:
        dataset: The `tf.data.Dataset` of the batches of `epoch`.
        epoch: Integer, to be set before an epoch begins.
    """

    def __init__(self, batches, signature, count, is_fixed, prefetch=True):
        self.epoch = 0
        self.count = count
        dataset = tf.data.Dataset.from_generator(lambda: batches(self.epoch), output_signature=signature)
        if is_fixed:  # then progress can be shown in the first epoch, too
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
        if prefetch:
            dataset = dataset.prefetch(tf.data.AUTOTUNE)
        else:
            options = tf.data.Options()
            options.experimental_optimization.inject_prefetch = False  # which TensorFlow does by itself
            dataset = dataset.with_options(options)
        self.dataset = dataset


def slices(items, size):
    """Parts of a list or array of so many items each, in order; the last may have fewer."""
    return [items[first : first + size] for first in range(0, len(items), size)]


def ahead(function, items, threads):
    """`map(function, items)`, computed in threads some items before they are asked for."""
    with ThreadPoolExecutor(threads) as pool:
        waiting = collections.deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
