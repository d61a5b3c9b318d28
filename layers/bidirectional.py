"""Both directions of a sequence in one loop."""

from typing import Any

import keras
from keras import ops, tree

from . import backprop, fused
from .cell import RecurrentCell
from .loop import current_settings, loop_settings
from .recurrent import mask_outputs, time_major
from .types import Nest, Tensor

# Arguments of the cells in which the two directions may differ, beside those that concern the weights alone.
_PER_DIRECTION = ("name", "trainable", "dtype", "dropout", "seed")


@keras.saving.register_keras_serializable(package="keras_recurrent")
class Bidirectional(keras.layers.Bidirectional):
    """`keras.layers.Bidirectional` with one loop over time instead of two.

    The two directions, each with its own weights, are the two rows of a tensor: each step computes one batched product
    for both and launches half as many operations. Layers that a GPU runs in fused kernels run one after the other.
    Weights and outputs are those of `keras.layers.Bidirectional`, so that a model can switch between the two. On a CPU,
    TensorFlow runs two loops in parallel: there one loop is as fast under XLA, and slower without it.

    Args:
        layer: A `SimpleRNN`, `LSTM`, `GRU` or `Recurrent` of this package whose cell differentiates its own equations.
            It must not be stateful.
        merge_mode: `"concat"`, `"sum"`, `"mul"`, `"ave"`, or None to return both outputs.
        weights: As for `keras.layers.Bidirectional`.
        backward_layer: The layer of the backward direction; None copies `layer`.
        **kwargs: Further arguments of `keras.layers.Bidirectional`.

    Call arguments:
        sequences: Tensor `(batch, steps, features)`.
        initial_state: List of the forward layer's states, then the backward layer's, each `(batch, units)`.
        mask: Boolean tensor `(batch, steps)`; see `Recurrent`.
        training: Whether to apply dropout.

    Returns:
        The merged outputs: with `"concat"` `(batch, 2 * units)`, or with `return_sequences`
        `(batch, steps, 2 * units)`. With `return_state` the last states of the forward and of the backward layer
        follow.

    Raises:
        ValueError: If the cell does not differentiate its own equations, the layer is stateful, or the cells of the two
            layers compute different equations.

    Example:

    >>> from keras_recurrent.layers import LSTM, Bidirectional
    >>> Bidirectional(LSTM(8, return_sequences=True))(ops.ones((2, 5, 3))).shape
    (2, 5, 16)

    Reference:
        Schuster and Paliwal 1997, Bidirectional recurrent neural networks.
    """

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(layer, merge_mode, weights, backward_layer, **kwargs)
        cells: list[Any] = [getattr(direction, "cell", None) for direction in (self.forward_layer, self.backward_layer)]
        for cell in cells:
            if not isinstance(cell, RecurrentCell) or not cell.has_step_gradient:
                raise ValueError(
                    "Argument `layer` must be a layer of keras_recurrent whose cell has its derivative written by "
                    f"hand; keras.layers.Bidirectional takes any layer. Received: {layer} with the cell {cell}"
                )
        first, second = (_equations(cell) for cell in cells)
        if type(cells[0]) is not type(cells[1]) or first != second:
            raise ValueError(
                "Arguments `layer` and `backward_layer` must have cells of one type, with the same units, "
                f"activations, biases and recurrent dropout. Received: {first} and {second}"
            )
        if self.stateful:
            raise ValueError("Argument `layer` must not be stateful, since the backward layer has no earlier state.")

    def call(self, sequences: Tensor, initial_state: Nest = None, mask: Any = None, training: bool = False) -> Nest:
        if sequences.shape[1] == 0 or current_settings().portable or self._is_fused(sequences, mask, training):
            return super().call(sequences, initial_state, mask, training)
        directions = (self.forward_layer, self.backward_layer)
        initial_states = self._split_states(sequences, initial_state)
        for layer, states in zip(directions, initial_states, strict=True):
            layer.check_call(sequences, states, mask)
        if mask is not None:
            mask = time_major(mask)
            mask = ops.stack([ops.flip(mask, 0) if layer.go_backwards else mask for layer in directions], axis=1)
        with loop_settings(unroll=self.forward_layer.unroll):
            outputs, states = self._run(sequences, initial_states, mask, training)
        last = states[0]
        if mask is not None:
            last, outputs = mask_outputs(last, outputs, mask, self.return_sequences)
        if self.return_sequences:
            forward, backward = (ops.transpose(x, (1, 0, 2)) for x in ops.unstack(outputs, axis=1))
            output = self._merge(forward, ops.flip(backward, 1))
        else:
            output = self._merge(*ops.unstack(last))
        if not self.return_state:
            return output
        states = [state for direction in zip(*map(ops.unstack, states), strict=True) for state in direction]
        return (*(output if self.merge_mode is None else [output]), *states)

    def _is_fused(self, sequences: Tensor, mask: Any, training: bool) -> bool:
        """Returns whether both directions run in fused kernels, which take one direction each."""
        cell = self.forward_layer.cell
        with loop_settings(**self.forward_layer.loop_settings()):
            inputs = ops.cast(sequences, cell.compute_dtype)
            kernel = fused.kernel_for(cell, inputs, mask, training)
        return kernel is not None and backprop.current_nudge() is None

    def _split_states(self, sequences: Tensor, initial_state: Nest) -> tuple[list[Tensor], list[Tensor]]:
        """Returns the initial states of both directions; zeros if `initial_state` is None."""
        first, second = self.forward_layer.cell, self.backward_layer.cell
        if initial_state is None:
            initial_state = [s for cell in (first, second) for s in cell.get_initial_state(ops.shape(sequences)[0])]
        initial_state = [ops.cast(state, first.compute_dtype) for state in tree.flatten(initial_state)]
        if len(initial_state) != first.state_count + second.state_count:
            raise ValueError(
                f"Argument `initial_state` must hold {first.state_count + second.state_count} tensors, those of the "
                f"forward and then those of the backward layer. Received: {len(initial_state)} tensors"
            )
        return initial_state[: first.state_count], initial_state[first.state_count :]

    def _run(self, sequences, initial_states, mask, training):
        """Runs both directions, each in the order of its loop.

        Args:
            sequences: Tensor `(batch, steps, features)`.
            initial_states: The states of both directions.
            mask: Boolean tensor `(steps, 2, batch, 1)`, or None.
            training: Whether to apply dropout.

        Returns:
            `(outputs, states)`: `(steps, 2, batch, units)`, and a list of the last states `(2, batch, units)`.
        """
        directions = (self.forward_layer, self.backward_layer)
        first, second = cells = [layer.cell for layer in directions]
        sequences = ops.transpose(ops.cast(sequences, first.compute_dtype), (1, 0, 2))  # (steps, batch, features)
        rows = [
            layer.cell.drop_inputs(ops.flip(sequences, 0) if layer.go_backwards else sequences, training)
            for layer in directions
        ]
        dropout_masks = [
            cell.recurrent_dropout_mask(states[0], training) for cell, states in zip(cells, initial_states, strict=True)
        ]
        states = [ops.stack(pair) for pair in zip(*initial_states, strict=True)]  # each (2, batch, units)
        nudge = backprop.current_nudge()

        def project(rows):
            return ops.stack([cell.project(row) for cell, row in zip(cells, rows, strict=True)], axis=-3)

        return backprop.run(
            first,
            project(rows) if training else ops.stack(rows, axis=1),  # (steps, 2, batch, ...)
            states,
            [_both(*pair) for pair in zip(first.inner_weights, second.inner_weights, strict=True)],
            None if dropout_masks[0] is None else ops.stack(dropout_masks),
            mask,
            by_hand=training,
            project=None if training else lambda rows: project(ops.unstack(rows)),
            nudges=nudge and nudge(first, [(ops.shape(sequences)[0], *ops.shape(state)) for state in states]),
        )

    def _merge(self, forward: Tensor, backward: Tensor) -> Any:
        forward, backward = (ops.cast(x, self.compute_dtype) for x in (forward, backward))
        match self.merge_mode:
            case "concat":
                return ops.concatenate([forward, backward], axis=-1)
            case "sum":
                return forward + backward
            case "ave":
                return (forward + backward) / 2
            case "mul":
                return forward * backward
            case None:
                return forward, backward


def _equations(cell: RecurrentCell) -> dict[str, Any]:
    """Returns the configuration of a cell without what may differ between the directions."""
    ignored = (*_PER_DIRECTION, *cell.weight_arguments)
    config = {name: value for name, value in cell.get_config().items() if name not in ignored}
    return {**config, "dtype": cell.dtype_policy.name}


def _both(first: Any, second: Any) -> Tensor:
    """Combines a weight of both directions: kernels `(2, units, columns)`, vectors `(2, 1, columns)`."""
    # `ops.stack` does not take Keras variables on TensorFlow.
    both = ops.concatenate([ops.expand_dims(first, 0), ops.expand_dims(second, 0)])
    return both if len(both.shape) == 3 else ops.expand_dims(both, 1)
