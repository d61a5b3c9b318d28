"""Both directions of a sequence in one loop."""

import keras
from keras import ops, tree

from . import backprop
from .cell import RecurrentCell
from .recurrent import mask_outputs, time_major


@keras.saving.register_keras_serializable(package="keras_recurrent")
class Bidirectional(keras.layers.Bidirectional):
    """`keras.layers.Bidirectional` with one loop over time instead of two.

    The two directions, each with its own weights, are the two rows of one axis: a step takes one batched product for
    both, and half as many operations are launched. Weights and outputs are those of `keras.layers.Bidirectional`, so a
    model may change from the one to the other. On a CPU, TensorFlow runs two loops side by side: there one loop is as
    fast under XLA, and slower without it.

    Args:
        layer: A `SimpleRNN`, `LSTM`, `GRU` or `Recurrent` of this package that the fast loop runs by hand, and that
            is not stateful.
        merge_mode: `"concat"`, `"sum"`, `"mul"`, `"ave"`, or None for both outputs side by side.
        **kwargs: The other arguments of `keras.layers.Bidirectional`.

    Call arguments:
        sequences: Tensor `(batch, steps, features)`.
        initial_state: List of the forward layer's states, then the backward layer's, each `(batch, units)`.
        mask: Boolean tensor `(batch, steps)`, as in `Recurrent`.
        training: Whether dropout applies.

    Returns:
        The merged outputs: with `"concat"` `(batch, 2 * units)`, or `(batch, steps, 2 * units)` with
        `return_sequences`; followed by the forward and the backward layer's last states with `return_state`.

    Raises:
        ValueError: If the layer's cell is one that the fast loop does not run by hand, if the layer is stateful, or if
            the two layers differ in their cells.

    Example:

    >>> from keras_recurrent.layers import LSTM, Bidirectional
    >>> Bidirectional(LSTM(8, return_sequences=True))(keras.ops.ones((2, 5, 3))).shape
    (2, 5, 16)

    Reference:
        Schuster and Paliwal 1997, Bidirectional recurrent neural networks.
    """

    def __init__(self, layer, merge_mode="concat", weights=None, backward_layer=None, **kwargs):
        super().__init__(layer, merge_mode, weights, backward_layer, **kwargs)
        cells = [getattr(layer, "cell", None) for layer in (self.forward_layer, self.backward_layer)]
        for cell in cells:
            if not isinstance(cell, RecurrentCell) or not cell.has_step_gradient:
                raise ValueError(
                    "Argument `layer` must be a layer of keras_recurrent whose cell has its derivative written by "
                    f"hand; keras.layers.Bidirectional takes any. Received: {layer} with the cell {cell}"
                )
        first, second = (cell.get_config() for cell in cells)
        for name in ("units", "activation", "recurrent_activation", "use_bias", "recurrent_dropout"):
            if type(cells[0]) is not type(cells[1]) or first.get(name) != second.get(name):
                raise ValueError(
                    "Arguments `layer` and `backward_layer` must have cells of one type, with the same units, "
                    f"activations, biases and recurrent dropout. Received: {first} and {second}"
                )
        if self.stateful:
            raise ValueError("Argument `layer` must not be stateful: two directions do not continue from one another.")

    def call(self, sequences, initial_state=None, mask=None, training=False):
        if sequences.shape[1] == 0:
            return super().call(sequences, initial_state, mask, training)
        layers = (self.forward_layer, self.backward_layer)
        first, second = cells = [layer.cell for layer in layers]
        if initial_state is None:
            initial_state = [s for cell in cells for s in cell.get_initial_state(ops.shape(sequences)[0])]
        initial_state = [ops.cast(state, first.compute_dtype) for state in tree.flatten(initial_state)]
        if len(initial_state) != first.state_count + second.state_count:
            raise ValueError(
                f"Argument `initial_state` must hold {first.state_count + second.state_count} tensors, those of the "
                f"forward and then those of the backward layer. Received: {len(initial_state)} tensors"
            )
        initial_states = (initial_state[: first.state_count], initial_state[first.state_count :])
        for layer, states in zip(layers, initial_states, strict=True):
            layer.check_call(sequences, states, mask)

        sequences = ops.transpose(ops.cast(sequences, first.compute_dtype), (1, 0, 2))  # (steps, batch, features)
        sequences, drops = zip(
            *(
                layer.cell.dropped(ops.flip(sequences, 0) if layer.go_backwards else sequences, states[0], training)
                for layer, states in zip(layers, initial_states, strict=True)
            ),
            strict=True,
        )
        if mask is not None:
            mask = time_major(mask)
            mask = ops.stack([ops.flip(mask, 0) if layer.go_backwards else mask for layer in layers], axis=1)

        def project(rows):
            return ops.stack([cell.project(row) for cell, row in zip(cells, rows, strict=True)], axis=-3)

        outputs, states = backprop.run(
            first,
            project(sequences) if training else ops.stack(sequences, axis=1),  # (steps, 2, batch, ...)
            [ops.stack(pair) for pair in zip(*initial_states, strict=True)],  # each (2, batch, units)
            [_both(*pair) for pair in zip(first.inner_weights, second.inner_weights, strict=True)],
            None if drops[0] is None else ops.stack(drops),
            mask,
            by_hand=training,
            project=None if training else lambda rows: project(ops.unstack(rows)),
            nudges=first.nudge
            and first.nudge([(ops.shape(sequences[0])[0], 2, *ops.shape(state)) for state in initial_states[0]]),
        )
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

    def _merge(self, forward, backward):
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


def _both(first, second):
    """A weight of both directions: kernels `(2, units, columns)`, vectors `(2, 1, columns)`."""
    # Not `stack`, which on TensorFlow does not take Keras's variables.
    both = ops.concatenate([ops.expand_dims(first, 0), ops.expand_dims(second, 0)])
    return both if len(both.shape) == 3 else ops.expand_dims(both, 1)
