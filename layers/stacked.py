"""Cells on top of one another."""

import keras
from keras import layers, tree


@keras.saving.register_keras_serializable(package="keras_recurrent")
class StackedCells(layers.StackedRNNCells):
    """Cells on top of one another, each run over the whole sequence before the next.

    `Recurrent([cell, cell])` makes one. It computes what `keras.layers.StackedRNNCells` does, but each cell has its
    input products of all steps at once.

    Args:
        cells: List of cells of this package, from the bottom to the top.

    Call arguments:
        inputs: Tensor `(batch, features)`.
        states: List with the states of each cell.
        training: Whether dropout applies.

    Example:

    >>> from keras_recurrent.layers import GRUCell, LSTMCell, Recurrent
    >>> Recurrent([GRUCell(8), LSTMCell(4)])(keras.ops.ones((2, 5, 3))).shape
    (2, 4)
    """

    def __init__(self, cells, **kwargs):
        super().__init__(cells, **kwargs)
        for cell in cells:
            if not hasattr(cell, "run"):
                raise ValueError(f"Argument `cells` must hold cells of keras_recurrent. Received: {cell}")

    def get_dropout_mask(self, step_input):
        """Nothing: inside a wrapper, too, each cell draws its own mask when it is called."""

    get_recurrent_dropout_mask = get_dropout_mask

    def reset_dropout_mask(self):
        for cell in self.cells:
            cell.reset_dropout_mask()

    def reset_recurrent_dropout_mask(self):
        for cell in self.cells:
            cell.reset_recurrent_dropout_mask()

    def run(self, sequences, states, mask=None, training=False):
        new_states = []
        for cell, before in zip(self.cells, states, strict=True):
            nested = tree.is_nested(before)
            last, sequences, after = cell.run(sequences, list(before) if nested else [before], mask, training)
            new_states.append(after if nested else after[0])
        return last, sequences, new_states
