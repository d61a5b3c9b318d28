"""Attention of a decoder over a memory: which positions matter now, and what they say."""

import math

import keras
from keras import layers, ops


def masked_softmax(scores, mask):
    """The softmax over the last axis, in float32, with 0 where the mask, which may be None, is False.

    A large number instead of infinity keeps a row without any position finite.
    """
    scores = ops.cast(scores, "float32")  # under mixed precision, too
    return ops.softmax(scores if mask is None else ops.where(mask, scores, -1e9), axis=-1)


class Attention(layers.Layer):
    """Base of the attentions: weighs the positions of a memory by a score, and averages its values by the weights.

    A subclass writes `score`, and `keys` where the memory needs a projection; that is apart from `call` because it is
    the same for every query, so that a decoder computes it once.

    Call arguments:
        queries: Tensor `(batch, queries, features)`.
        memory: A `Memory` of `(batch, positions, features)`. Positions that its mask leaves out get weight 0.
        keys: What `keys(memory)` returned.

    Returns:
        `(context, weights)`: `(batch, queries, features)` and `(batch, queries, positions)`; the weights of a query
        are positive and sum to 1.
    """

    def keys(self, memory):
        """The memory's values as the scores compare them: `(batch, positions, features)`."""
        raise NotImplementedError

    def score(self, queries, keys):
        """How well each query fits each key: `(batch, queries, positions)`."""
        raise NotImplementedError

    def call(self, queries, memory, keys):
        mask = None if memory.mask is None else ops.expand_dims(memory.mask, 1)
        weights = ops.cast(masked_softmax(self.score(queries, keys), mask), self.compute_dtype)
        return ops.matmul(weights, memory.values), weights


@keras.saving.register_keras_serializable(package="keras_recurrent")
class LuongAttention(Attention):
    """Multiplicative attention, the paper's "general" score, divided by the square root of the queries' dimension `d`:

        score(q, m) = q^T W m / sqrt(d)

    Without the divisor, which is that of Vaswani et al. 2017, the weights of a decoder of some hundred units are those
    of one position each from the start, and stay so.

    Call arguments and results are those of `Attention`.

    Example:

    >>> attention = LuongAttention()
    >>> memory = Memory(values=ops.ones((2, 5, 3)), mask=None, summary=ops.ones((2, 3)))
    >>> attention.build((2, 1, 4), memory.values.shape)
    >>> context, weights = attention(ops.ones((2, 1, 4)), memory, attention.keys(memory))
    >>> context.shape, weights.shape
    ((2, 1, 3), (2, 1, 5))

    Reference:
        Luong, Pham and Manning 2015, Effective approaches to attention-based neural machine translation.
    """

    def build(self, queries_shape, memory_shape):
        self.kernel = self.add_weight(shape=(memory_shape[-1], queries_shape[-1]), name="kernel")

    def keys(self, memory):
        # Cast by hand: this runs outside of `call`, where Keras would do it.
        kernel = ops.cast(self.kernel, self.compute_dtype) / math.sqrt(self.kernel.shape[-1])
        return ops.matmul(memory.values, kernel)

    def score(self, queries, keys):
        return ops.matmul(queries, ops.transpose(keys, (0, 2, 1)))


@keras.saving.register_keras_serializable(package="keras_recurrent")
class BahdanauAttention(Attention):
    """Additive attention, with W, U and v of `units` dimensions:

        score(q, m) = v^T tanh(W q + U m + b)

    Args:
        units: Positive integer, the dimension in which queries and memory are compared.

    Call arguments and results are those of `Attention`.

    Example:

    >>> attention = BahdanauAttention(8)
    >>> memory = Memory(values=ops.ones((2, 5, 3)), mask=None, summary=ops.ones((2, 3)))
    >>> attention.build((2, 1, 4), memory.values.shape)
    >>> context, weights = attention(ops.ones((2, 1, 4)), memory, attention.keys(memory))
    >>> context.shape, weights.shape
    ((2, 1, 3), (2, 1, 5))

    Reference:
        Bahdanau, Cho and Bengio 2015, Neural machine translation by jointly learning to align and translate.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, queries_shape, memory_shape):
        self.query_kernel = self.add_weight(shape=(queries_shape[-1], self.units), name="query_kernel")
        self.key_kernel = self.add_weight(shape=(memory_shape[-1], self.units), name="key_kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.scale = self.add_weight(shape=(self.units, 1), name="scale")

    def keys(self, memory):
        # Cast by hand: this runs outside of `call`, where Keras would do it.
        key_kernel, bias = (ops.cast(weight, self.compute_dtype) for weight in (self.key_kernel, self.bias))
        return ops.matmul(memory.values, key_kernel) + bias

    def score(self, queries, keys):
        # Both products are of two dimensions: XLA cannot differentiate TensorFlow's others inside a loop.
        projected = ops.matmul(ops.reshape(queries, (-1, queries.shape[-1])), self.query_kernel)
        projected = ops.reshape(projected, (*ops.shape(queries)[:2], 1, self.units))
        hidden = ops.tanh(projected + ops.expand_dims(keys, 1))  # (batch, queries, positions, units)
        scores = ops.matmul(ops.reshape(hidden, (-1, self.units)), self.scale)
        return ops.reshape(scores, ops.shape(hidden)[:3])

    def get_config(self):
        return {**super().get_config(), "units": self.units}
