"""What every encoder emits and every decoder and head reads."""

from typing import Any, NamedTuple


class Memory(NamedTuple):
    """An encoded text or image.

    Attributes:
        values: Tensor `(batch, positions, features)`: one vector a token of a text, or one a cell of a feature map.
        mask: Boolean tensor `(batch, positions)`, False at padding; None where every position counts.
        summary: Tensor `(batch, features)`: the whole in one vector.
    """

    values: Any
    mask: Any
    summary: Any
