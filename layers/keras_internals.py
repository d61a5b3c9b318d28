"""Every private name of Keras that the layers depend on, and the differences between its versions.

`tests/layers/test_keras_internals.py` has one test for each name, which says what breaks without it.
"""

from collections.abc import Callable
from typing import Any

import keras

# Private. `cudnn_ok` says whether there is a GPU with cuDNN, and `lstm` and `gru` run its kernels.
from keras.src import backend

# Private. `keras.layers.RNN` and `StackedRNNCells` draw and reset the dropout masks of instances of this class alone.
from keras.src.layers.rnn.dropout_rnn_cell import DropoutRNNCell

from .loop import current_settings
from .types import Nest, Tensor


class DropoutMasks(DropoutRNNCell):
    """Base of the cells: one dropout mask per sequence, also when `keras.layers.RNN` runs the cell.

    A subclass has the attributes `dropout` and `recurrent_dropout` and writes `dropout_mask`.
    """

    def dropout_mask(self, like: Tensor, rate: float) -> Tensor:
        """Draws a tensor of the shape of `like` that inputs or states are multiplied by."""
        raise NotImplementedError

    def _create_dropout_mask(self, step_input: Tensor, dropout_rate: float) -> Tensor:
        # Private hook of `DropoutRNNCell`. Keras's own masks are slow under XLA.
        return self.dropout_mask(step_input, dropout_rate)


class RNN(keras.layers.RNN):
    """`keras.layers.RNN`, but a cell with a method `run` is run by `run_cell` over all time steps at once."""

    def run_cell(
        self, sequences: Tensor, initial_state: Nest, mask: Any, training: bool
    ) -> tuple[Tensor, Tensor, Nest]:
        """Computes `(last_output, outputs, states)`, batch first."""
        raise NotImplementedError

    def inner_loop(self, sequences: Tensor, initial_state: Nest, mask: Any, training: bool = False) -> tuple:
        # Undocumented hook of `keras.layers.RNN`: the loop over time.
        inner_loop = self.run_cell if hasattr(self.cell, "run") else super().inner_loop

        def run(states: Nest) -> tuple[Tensor, Tensor, Nest]:
            return inner_loop(sequences, states, mask, training)

        run_layer = current_settings().layer
        return run(initial_state) if run_layer is None else run_layer(self, run, initial_state)

    def _maybe_config_dropout_masks(self, cell, input_sequence, input_state):
        # Private hook of `keras.layers.RNN`: it draws the masks before the loop. A cell with `run` draws them itself.
        if not hasattr(cell, "run"):
            super()._maybe_config_dropout_masks(cell, input_sequence, input_state)


def keras_kernel(name: str) -> Callable | None:
    """Returns the fused kernel of Keras's `lstm` or `gru`, or None without a GPU that has it.

    Args:
        name: `"lstm"` or `"gru"`.

    Returns:
        Function `(inputs, states, mask, weights) -> (last_output, outputs, states)`, batch first. `weights` are the
        kernel, the recurrent kernel and the bias. It raises `NotImplementedError` if the kernel does not exist after
        all.
    """
    equations = {"activation": keras.activations.tanh, "recurrent_activation": keras.activations.sigmoid}
    if not backend.cudnn_ok(**equations, unroll=False, use_bias=True):
        return None

    def run(inputs: Tensor, states: list[Tensor], mask: Tensor | None, weights: list[Tensor]) -> tuple:
        kernel, recurrent_kernel, bias = weights
        return getattr(backend, name)(
            inputs,
            *states,
            mask,
            kernel=kernel,
            recurrent_kernel=recurrent_kernel,
            bias=bias,
            **equations,
            return_sequences=True,
        )

    return run


def tracked_layer(layer: keras.layers.Layer, name: str) -> Any:
    """Returns the sublayer in an attribute without the layer's `__getattr__`, or None if it is not set yet."""
    # With the PyTorch backend a layer is a `torch.nn.Module`, which keeps its sublayers in `_modules`.
    attributes = vars(layer)
    return attributes.get(name) or attributes.get("_modules", {}).get(name)
