"""One vector of many: what a sequence says as a whole."""

import keras
from keras import layers, ops

from .attention import masked_softmax
from .memory import Memory


def last_pooling(memory):
    """The summary of a `Memory`: the last state, in both directions if there are two, `(batch, features)`."""
    return memory.summary


def mean_pooling(memory):
    """The mean of the values that the mask leaves in, `(batch, features)`.

    Example:

    >>> memory = Memory(ops.array([[[1.0], [3.0], [9.0]]]), ops.array([[True, True, False]]), ops.ones((1, 1)))
    >>> float(mean_pooling(memory)[0, 0])
    2.0
    """
    counts = _counts(memory)
    return ops.sum(memory.values * counts, axis=1) / ops.maximum(ops.sum(counts, axis=1), 1)


def max_pooling(memory):
    """The largest of each feature among the values that the mask leaves in, `(batch, features)`.

    Example:

    >>> memory = Memory(ops.array([[[1.0], [3.0], [9.0]]]), ops.array([[True, True, False]]), ops.ones((1, 1)))
    >>> float(max_pooling(memory)[0, 0])
    3.0
    """
    lowest = -1e4 if memory.values.dtype == "float16" else -1e9
    return ops.max(ops.where(_counts(memory) > 0, memory.values, lowest), axis=1)


def _counts(memory):
    """1 where a position counts, 0 elsewhere, `(batch, positions, 1)`."""
    if memory.mask is None:
        return ops.ones_like(memory.values[..., :1])
    return ops.expand_dims(ops.cast(memory.mask, memory.values.dtype), -1)


@keras.saving.register_keras_serializable(package="keras_recurrent")
class AttentionPooling(layers.Layer):
    """The mean of the values with weights that are learned from them:

        a = softmax over i of (v^T tanh(W m_i + b))
        pooled = sum over i of a_i m_i

    Args:
        units: Positive integer, the dimension of `v`.

    Call arguments:
        memory: A `Memory`. What its mask leaves out has the weight 0.

    Returns:
        `(pooled, weights)`: `(batch, features)`, and `(batch, positions)`.

    Example:

    >>> memory = Memory(values=ops.ones((2, 5, 3)), mask=None, summary=ops.ones((2, 3)))
    >>> pooled, weights = AttentionPooling(8)(memory)
    >>> pooled.shape, weights.shape
    ((2, 3), (2, 5))

    Reference:
        Yang et al. 2016, Hierarchical attention networks for document classification, equations 5 to 7.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = layers.Dense(units, activation="tanh", dtype=self.dtype_policy, name="hidden")
        self.score = layers.Dense(1, use_bias=False, dtype=self.dtype_policy, name="score")
        self.supports_masking = True

    def build(self, memory_shape):
        self.hidden.build(memory_shape[0])
        self.score.build((None, None, self.units))

    def call(self, memory):
        memory = Memory(*memory)  # a functional model that was read from a file gives a list
        scores = ops.squeeze(self.score(self.hidden(memory.values)), -1)
        weights = ops.cast(masked_softmax(scores, memory.mask), self.compute_dtype)
        return ops.sum(memory.values * ops.expand_dims(weights, -1), axis=1), weights

    def compute_mask(self, memory, previous_mask):
        return None, None  # what comes out has no positions, or zeros there

    def compute_output_shape(self, memory_shape):
        batch, positions, features = memory_shape[0]
        return (batch, features), (batch, positions)

    def get_config(self):
        return {**super().get_config(), "units": self.units}
