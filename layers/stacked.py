"""Stacked cells."""

from typing import Any

import keras
from keras import layers, tree

from .backprop import Nudge
from .types import Nest, Tensor


@keras.saving.register_keras_serializable(package="keras_recurrent")
class StackedCells(layers.StackedRNNCells):
    """A stack of cells, each of which runs over the whole sequence before the next one.

    `Recurrent([cell, cell])` creates one. It computes the same as `keras.layers.StackedRNNCells`, but each cell
    multiplies its inputs of all steps at once.

    Args:
        cells: List of cells of this package, from the bottom to the top.

    Call arguments:
        inputs: Tensor `(batch, features)`.
        states: List of the states of each cell.
        training: Whether to apply dropout.

    Raises:
        ValueError: If a cell is not one of this package.

    Example:

    >>> from keras_recurrent.layers import GRUCell, LSTMCell, Recurrent
    >>> Recurrent([GRUCell(8), LSTMCell(4)])(ops.ones((2, 5, 3))).shape
    (2, 4)
    """

    def __init__(self, cells: list[Any], **kwargs: Any) -> None:
        super().__init__(cells, **kwargs)
        for cell in cells:
            if not hasattr(cell, "run"):
                raise ValueError(f"Argument `cells` must be a list of cells of keras_recurrent. Received: {cell}")

    def get_dropout_mask(self, step_input: Tensor) -> None:
        """Returns None: each cell draws its own mask when it is called."""

    get_recurrent_dropout_mask = get_dropout_mask

    def reset_dropout_mask(self) -> None:
        for cell in self.cells:
            cell.reset_dropout_mask()

    def reset_recurrent_dropout_mask(self) -> None:
        for cell in self.cells:
            cell.reset_recurrent_dropout_mask()

    def run(
        self, sequences: Tensor, states: Nest, mask: Any = None, training: bool = False, nudge: Nudge | None = None
    ) -> tuple[Tensor, Tensor, Nest]:
        """Runs the cells over all time steps; see `RecurrentCell.run`."""
        new_states = []
        for cell, before in zip(self.cells, states, strict=True):
            nested = tree.is_nested(before)
            last, sequences, after = cell.run(
                sequences, list(before) if nested else [before], mask, training, nudge=nudge
            )
            new_states.append(after if nested else after[0])
        return last, sequences, new_states
