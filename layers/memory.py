"""The output of encoders, and the input of decoders, fusions and poolings."""

from typing import NamedTuple

from .types import Tensor


class Memory(NamedTuple):
    """An encoded text or image.

    Attributes:
        values: Tensor `(batch, positions, features)`: one vector per token of a text or per cell of a feature map.
        mask: Boolean tensor `(batch, positions)`, False at padding; None if no position is padding.
        summary: Tensor `(batch, features)`: one vector for the whole text or image.

    Example:

    >>> from keras_recurrent.layers import Memory
    >>> memory = Memory(values=ops.ones((2, 5, 3)), mask=None, summary=ops.ones((2, 3)))
    >>> memory.summary.shape
    (2, 3)
    """

    values: Tensor
    mask: Tensor | None
    summary: Tensor
