"""Rows of a batch that cannot be used: they get an error, and the others the outputs of a batch without them."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from ....layers.types import Tensor


def first_error(*checks: tuple[Tensor, Any]) -> Tensor:
    """Returns the message of the first check that fails.

    Args:
        *checks: Pairs of a boolean tensor, whether something is wrong, and a message, a string or a string tensor. All
            tensors have the same shape or can be broadcast to it.

    Returns:
        String tensor, empty where no check fails.

    Example:

    >>> from keras_recurrent.apps.shared.saved_model.rows import first_error
    >>> first_error(([True, True, False], "empty"), ([True, False, False], "long")).numpy().tolist()
    [b'empty', b'empty', b'']
    """
    error: Any = ""
    for is_wrong, message in reversed(checks):
        error = tf.where(is_wrong, message, error)
    return error


def number_error(numbers: Tensor, noun: str) -> Tensor:
    """Says what is wrong with the rows of a batch of series: a number is infinite, or all are missing.

    Args:
        numbers: Float tensor `(batch, ...)`, NaN where a number is missing.
        noun: What messages call a number.

    Returns:
        String tensor `(batch,)`, empty where nothing is wrong.

    Example:

    >>> import tensorflow as tf
    >>> from keras_recurrent.apps.shared.saved_model.rows import number_error
    >>> nan, inf = float("nan"), float("inf")
    >>> number_error(tf.constant([[1, nan], [inf, 1], [nan, nan]]), "value").numpy().tolist()
    [b'', b'a value is infinite', b'the series has no value']
    """
    axes = [*range(1, len(numbers.shape))]
    is_known = tf.reduce_any(tf.math.is_finite(numbers), axis=axes)
    is_infinite = tf.reduce_any(tf.math.is_inf(numbers), axis=axes)
    return first_error((is_infinite, f"a {noun} is infinite"), (~is_known, f"the series has no {noun}"))


def answer_usable(
    function: Callable[..., dict[str, Tensor]], error: Tensor, is_usable: Tensor, *inputs: Tensor
) -> dict[str, Tensor]:
    """Computes a function of the rows of a batch that can be used, in the graph.

    Args:
        function: Function from tensors, one row per example, to a dictionary of such tensors. It must accept a batch
            without rows.
        error: String tensor `(batch,)`, what is wrong with each row.
        is_usable: Boolean tensor `(batch,)`.
        *inputs: Tensors or ragged tensors `(batch, ...)`, the arguments of the function.

    Returns:
        The outputs of the function for the rows that can be used, as for a batch of these alone. The other rows have
        zeros and empty strings. `error` is added.

    Example:

    >>> import tensorflow as tf
    >>> from keras_recurrent.apps.shared.saved_model.rows import answer_usable
    >>> error, inputs = tf.constant(["zero", ""]), tf.constant([0.0, 2.0])
    >>> answer_usable(lambda x: {"inverse": 1 / x}, error, error == "", inputs)["inverse"].numpy().tolist()
    [0.0, 0.5]
    """
    indices = tf.where(is_usable)[:, 0]
    outputs = function(*(tf.gather(value, indices) for value in inputs))
    # The output of each row is at the number of usable rows before it, or at the end, where there is an empty one.
    positions = tf.where(is_usable, tf.cumsum(tf.cast(is_usable, tf.int64), exclusive=True), tf.size(indices, tf.int64))

    def in_batch(value: Tensor) -> Tensor:
        empty = tf.zeros(tf.concat([[1], tf.shape(value)[1:]], axis=0), value.dtype)
        return tf.gather(tf.concat([value, empty], axis=0), positions)

    return {**{name: in_batch(value) for name, value in outputs.items()}, "error": error}
