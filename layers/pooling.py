"""Poolings: from a `Memory` to one vector per example."""

from typing import Any

import keras
from keras import layers, ops

from .attention import masked_softmax
from .memory import Memory
from .types import Tensor


def last_pooling(memory: Memory) -> Tensor:
    """Returns the summary of a `Memory`, `(batch, features)`: the last states of all directions."""
    return memory.summary


def mean_pooling(memory: Memory) -> Tensor:
    """Computes the mean of the values whose mask is True, `(batch, features)`; 0 without any.

    Example:

    >>> from keras_recurrent.layers import Memory
    >>> from keras_recurrent.layers.pooling import mean_pooling
    >>> memory = Memory(ops.array([[[1.0], [3.0], [9.0]]]), ops.array([[True, True, False]]), ops.ones((1, 1)))
    >>> float(mean_pooling(memory)[0, 0])
    2.0
    """
    mask = _float_mask(memory)
    return ops.sum(memory.values * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1)


def max_pooling(memory: Memory) -> Tensor:
    """Computes the maximum of each feature among the values whose mask is True, `(batch, features)`.

    Example:

    >>> from keras_recurrent.layers import Memory
    >>> from keras_recurrent.layers.pooling import max_pooling
    >>> memory = Memory(ops.array([[[1.0], [3.0], [9.0]]]), ops.array([[True, True, False]]), ops.ones((1, 1)))
    >>> float(max_pooling(memory)[0, 0])
    3.0
    """
    lowest = -1e4 if memory.values.dtype == "float16" else -1e9
    return ops.max(ops.where(_float_mask(memory) > 0, memory.values, lowest), axis=1)


def _float_mask(memory: Memory) -> Tensor:
    """Returns the mask as numbers `(batch, positions, 1)`."""
    if memory.mask is None:
        return ops.ones_like(memory.values[..., :1])
    return ops.expand_dims(ops.cast(memory.mask, memory.values.dtype), -1)


@keras.saving.register_keras_serializable(package="keras_recurrent")
class AttentionPooling(layers.Layer):
    """Computes a weighted mean of the values, with weights that depend on the values.

        a = softmax over i of (v^T tanh(W m_i + b))
        pooled = sum over i of a_i m_i

    Args:
        units: Positive integer, the dimension of `v`.

    Call arguments:
        memory: A `Memory`. Positions whose mask is False have weight 0.

    Returns:
        `(pooled, weights)`: `(batch, features)` and `(batch, positions)`.

    Example:

    >>> from keras_recurrent.layers import AttentionPooling, Memory
    >>> memory = Memory(values=ops.ones((2, 5, 3)), mask=None, summary=ops.ones((2, 3)))
    >>> pooled, weights = AttentionPooling(8)(memory)
    >>> pooled.shape, weights.shape
    ((2, 3), (2, 5))

    Reference:
        Yang et al. 2016, Hierarchical attention networks for document classification, equations 5 to 7.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.hidden = layers.Dense(units, activation="tanh", dtype=self.dtype_policy, name="hidden")
        self.score = layers.Dense(1, use_bias=False, dtype=self.dtype_policy, name="score")
        self.supports_masking = True

    def build(self, memory_shape: Any) -> None:
        self.hidden.build(memory_shape[0])
        self.score.build((None, None, self.units))

    def call(self, memory: Memory) -> tuple[Tensor, Tensor]:
        memory = Memory(*memory)  # a functional model that was loaded from a file passes a list
        scores = ops.squeeze(self.score(self.hidden(memory.values)), -1)
        weights = ops.cast(masked_softmax(scores, memory.mask), self.compute_dtype)
        return ops.sum(memory.values * ops.expand_dims(weights, -1), axis=1), weights

    def compute_mask(self, memory: Any, previous_mask: Any) -> tuple[None, None]:
        return None, None  # `pooled` has no positions, and `weights` is 0 where the mask is False

    def compute_output_shape(self, memory_shape: Any) -> tuple:
        batch, positions, features = memory_shape[0]
        return (batch, features), (batch, positions)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}
