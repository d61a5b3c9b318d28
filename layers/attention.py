"""Attention over a memory: weights for its positions, and the weighted mean of its values."""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from .memory import Memory
from .types import Shape, Tensor


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Computes the softmax over the last axis in float32, with 0 where the mask is False.

    A row whose mask is False everywhere stays finite.

    Example:

    >>> from keras_recurrent.layers.attention import masked_softmax
    >>> masked_softmax(ops.array([[1.0, 1.0, 1.0]]), ops.array([[True, True, False]])).shape
    (1, 3)
    """
    scores = ops.cast(scores, "float32")  # also under mixed precision
    return ops.softmax(scores if mask is None else ops.where(mask, scores, -1e9), axis=-1)


class Attention(layers.Layer):
    """Base of the attentions: computes weights for the positions of a memory and the weighted mean of its values.

    A subclass writes `score`, and `keys`, which projects the memory if necessary. `keys` is separate from `call`
    because it does not depend on the queries, so that a decoder computes it once per memory.

    Call arguments:
        queries: Tensor `(batch, queries, features)`.
        memory: A `Memory` of `(batch, positions, features)`. Positions whose mask is False have weight 0.
        keys: The result of `keys(memory)`.

    Returns:
        `(context, weights)`: `(batch, queries, features)` and `(batch, queries, positions)`. The weights of a query
        are not negative and sum to 1.
    """

    def keys(self, memory: Memory) -> Tensor:
        """Computes what `score` compares queries with: `(batch, positions, features)`."""
        raise NotImplementedError

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Computes a score for each query and key: `(batch, queries, positions)`."""
        raise NotImplementedError

    def call(self, queries: Tensor, memory: Memory, keys: Tensor) -> tuple[Tensor, Tensor]:
        mask = None if memory.mask is None else ops.expand_dims(memory.mask, 1)
        weights = ops.cast(masked_softmax(self.score(queries, keys), mask), self.compute_dtype)
        return ops.matmul(weights, memory.values), weights


def attend_to(
    attention: Attention, memory: Memory, hypotheses: int | None = None
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Returns a function of queries that attends to one memory, whose keys are computed here, once.

    Args:
        attention: An `Attention`.
        memory: A `Memory`.
        hypotheses: Positive integer, how many consecutive rows of queries share a row of the memory; None is one.

    Returns:
        Function from queries `(batch * hypotheses, queries, features)` to `(context, weights)` with as many rows.

    Example:

    >>> from keras_recurrent.layers import LuongAttention, Memory
    >>> from keras_recurrent.layers.attention import attend_to
    >>> memory = Memory(values=ops.ones((2, 5, 3)), mask=None, summary=ops.ones((2, 3)))
    >>> attention = LuongAttention()
    >>> attention.build((2, 1, 4), memory.values.shape)
    >>> context, weights = attend_to(attention, memory, hypotheses=3)(ops.ones((6, 1, 4)))
    >>> context.shape
    (6, 1, 3)
    """
    keys = attention.keys(memory)

    def attend(queries):
        if hypotheses is None:
            return attention(queries, memory, keys)
        _, count, features = ops.shape(queries)
        queries = ops.reshape(queries, (-1, hypotheses * count, features))
        context, weights = attention(queries, memory, keys)
        return tuple(ops.reshape(x, (-1, count, ops.shape(x)[-1])) for x in (context, weights))

    return attend


@keras.saving.register_keras_serializable(package="keras_recurrent")
class LuongAttention(Attention):
    """Multiplicative attention: the paper's "general" score, divided by the root of the dimension `d` of the queries.

        score(q, m) = q^T W m / sqrt(d)

    The divisor is that of Vaswani et al. 2017. Without it, a decoder with several hundred units has all weight on one
    position from the start of training, and keeps it there.

    See `Attention` for the call arguments and the results.

    Example:

    >>> from keras_recurrent.layers import LuongAttention, Memory
    >>> attention = LuongAttention()
    >>> memory = Memory(values=ops.ones((2, 5, 3)), mask=None, summary=ops.ones((2, 3)))
    >>> attention.build((2, 1, 4), memory.values.shape)
    >>> context, weights = attention(ops.ones((2, 1, 4)), memory, attention.keys(memory))
    >>> context.shape, weights.shape
    ((2, 1, 3), (2, 1, 5))

    Reference:
        Luong, Pham and Manning 2015, Effective approaches to attention-based neural machine translation.
    """

    def build(self, queries_shape: Shape, memory_shape: Shape) -> None:
        self.kernel = self.add_weight(shape=(memory_shape[-1], queries_shape[-1]), name="kernel")

    def keys(self, memory: Memory) -> Tensor:
        # Keras casts weights in `call` alone.
        kernel = ops.cast(self.kernel, self.compute_dtype) / math.sqrt(self.kernel.shape[-1])
        return ops.matmul(memory.values, kernel)

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        return ops.matmul(queries, ops.transpose(keys, (0, 2, 1)))


@keras.saving.register_keras_serializable(package="keras_recurrent")
class BahdanauAttention(Attention):
    """Additive attention.

        score(q, m) = v^T tanh(W q + U m + b)

    Args:
        units: Positive integer, the dimension of `b` and `v`.

    See `Attention` for the call arguments and the results.

    Example:

    >>> from keras_recurrent.layers import BahdanauAttention, Memory
    >>> attention = BahdanauAttention(8)
    >>> memory = Memory(values=ops.ones((2, 5, 3)), mask=None, summary=ops.ones((2, 3)))
    >>> attention.build((2, 1, 4), memory.values.shape)
    >>> context, weights = attention(ops.ones((2, 1, 4)), memory, attention.keys(memory))
    >>> context.shape, weights.shape
    ((2, 1, 3), (2, 1, 5))

    Reference:
        Bahdanau, Cho and Bengio 2015, Neural machine translation by jointly learning to align and translate.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, queries_shape: Shape, memory_shape: Shape) -> None:
        self.query_kernel = self.add_weight(shape=(queries_shape[-1], self.units), name="query_kernel")
        self.key_kernel = self.add_weight(shape=(memory_shape[-1], self.units), name="key_kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.scale = self.add_weight(shape=(self.units, 1), name="scale")

    def keys(self, memory: Memory) -> Tensor:
        # Keras casts weights in `call` alone.
        key_kernel, bias = (ops.cast(weight, self.compute_dtype) for weight in (self.key_kernel, self.bias))
        return ops.matmul(memory.values, key_kernel) + bias

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        # Products of matrices: XLA cannot differentiate TensorFlow's batched products inside a loop.
        projected = ops.matmul(ops.reshape(queries, (-1, queries.shape[-1])), self.query_kernel)
        projected = ops.reshape(projected, (*ops.shape(queries)[:2], 1, self.units))
        hidden = ops.tanh(projected + ops.expand_dims(keys, 1))  # (batch, queries, positions, units)
        scores = ops.matmul(ops.reshape(hidden, (-1, self.units)), self.scale)
        return ops.reshape(scores, ops.shape(hidden)[:3])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}
