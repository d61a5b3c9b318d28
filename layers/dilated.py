"""Dilation of any sequence layer."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops, tree

from .loop import current_settings, loop_settings
from .types import Nest, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_recurrent")
class Dilated(keras.layers.Wrapper):
    """Runs a sequence layer over every `rate`-th time step.

    The steps `t`, `t + rate`, `t + 2 * rate`, ... form one sequence, which the layer reads independently of the others.
    A recurrence is thus `rate` times shorter, and all `rate` sequences run in parallel.

        h(t) = layer(x(t), h(t - rate))

    Args:
        layer: A sequence layer with `return_sequences=True`, of this package or of Keras: `SimpleRNN`, `LSTM`, `GRU`,
            `Recurrent`, or a `Bidirectional` of one. It must not be stateful.
        rate: Positive integer. With 1, the result is that of `layer`.
        **kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        sequences: Tensor `(batch, steps, features)`. `steps` may be unknown, and need not be a multiple of `rate`.
        mask: Boolean tensor `(batch, steps)`. Where it is False, the states and the output keep their values of `rate`
            steps before.
        training: Whether to apply dropout.

    Returns:
        The outputs `(batch, steps, units)`. With `return_state` of the layer a list: the outputs, then the states, each
        `(batch, units)`: those after the last step whose mask is True, or for a backward layer those after the first.

    Raises:
        ValueError: If `layer` returns no sequences, is stateful or has `merge_mode=None`, or if `rate` is not a
            positive integer.

    Example:

    >>> from keras_recurrent.layers import GRU, Dilated
    >>> Dilated(GRU(8, return_sequences=True), rate=4)(ops.ones((2, 10, 3))).shape
    (2, 10, 8)

    A stack whose layers but the first add their inputs to their outputs:

    >>> from keras_recurrent.layers import GRUCell, Recurrent, ResidualCell
    >>> cells = [GRUCell(8), ResidualCell(GRUCell(8)), ResidualCell(GRUCell(8))]
    >>> stack = keras.Sequential(
    ...     [Dilated(Recurrent(cell, return_sequences=True), rate=4**i) for i, cell in enumerate(cells)]
    ... )
    >>> stack(ops.ones((2, 50, 3))).shape
    (2, 50, 8)

    Reference:
        Chang et al. 2017, Dilated recurrent neural networks, section 2.1.
    """

    def __init__(self, layer: Any, rate: int, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        if not isinstance(rate, int) or rate < 1:
            raise ValueError(f"Argument `rate` must be a positive integer. Received: rate={rate!r}")
        if not getattr(layer, "return_sequences", False) or getattr(layer, "stateful", False):
            raise ValueError(
                f"Argument `layer` must be a layer with return_sequences=True that is not stateful. Received: {layer}"
            )
        if getattr(layer, "merge_mode", "concat") is None:
            raise ValueError("Argument `layer` must have one output. Received: a layer with merge_mode=None")
        self.rate = rate
        self.supports_masking = True

    def build(self, sequences_shape: Shape) -> None:
        if not self.layer.built:
            self.layer.build((None, None, sequences_shape[-1]))

    def compute_output_shape(self, sequences_shape: Shape) -> Any:
        return self.layer.compute_output_shape(sequences_shape)

    def compute_mask(self, sequences: Tensor, mask: Any) -> Any:
        return self.layer.compute_mask(sequences, mask)

    def call(self, sequences: Tensor, mask: Any = None, training: bool = False) -> Nest:
        if self.rate == 1 or sequences.shape[1] == 0:
            return self.layer(sequences, mask=mask, training=training)
        if (run_layer := current_settings().layer) is not None:
            with loop_settings(layer=self._delayed(run_layer)):
                return self.layer(sequences, mask=mask, training=training)
        batch, steps, _ = ops.shape(sequences)
        # A scalar tensor where the number of steps is unknown. ONNX's `Mod` differs for negative numbers.
        padding = (self.rate - steps % self.rate) % self.rate
        counts = ops.ones((batch, steps), "bool") if mask is None else ops.cast(mask, "bool")
        is_plain = mask is None and isinstance(padding, int) and padding == 0
        with loop_settings(right_padded=mask is None or current_settings().right_padded):
            outputs = self.layer(
                self._fold(sequences, padding),
                mask=None if is_plain else self._fold(counts, padding),
                training=training,
            )
        if not self.layer.return_state:
            return self._unfold(outputs, batch, steps)
        outputs, *states = outputs
        return (self._unfold(outputs, batch, steps), *self._last_states(states, counts))

    def _delayed(self, run_layer: Callable) -> Callable:
        """Returns what runs the layer in an export of one step, given what runs a layer that is not dilated.

        A state is a tensor `(batch, rate * size)` there: the states of the last `rate` steps, the oldest first.
        """

        def run_delayed(layer: Any, run: Callable, initial_state: Nest) -> tuple[Tensor, Tensor, Nest]:
            def run_oldest(states: Nest) -> tuple[Tensor, Tensor, Nest]:
                last, outputs, new = run(tree.map_structure(lambda x, y: x[:, : y.shape[-1]], states, initial_state))
                states = tree.map_structure(lambda x, y: ops.concatenate([x[:, y.shape[-1] :], y], 1), states, new)
                return last, outputs, states

            repeated = tree.map_structure(lambda x: ops.tile(x, (1, self.rate)), initial_state)
            last, outputs, states = run_layer(layer, run_oldest, repeated)
            latest = tree.map_structure(lambda x, y: x[:, -y.shape[-1] :], states, initial_state)
            return last, outputs, latest

        return run_delayed

    def _fold(self, x: Tensor, padding: Any) -> Tensor:
        """`(batch, steps, ...)` to `(batch * rate, steps / rate, ...)`, padded after the last step."""
        batch, steps, *rest = ops.shape(x)
        length = (steps + padding) // self.rate
        if not isinstance(padding, int) or padding > 0:
            zeros = ops.zeros((batch, padding, *rest), keras.backend.standardize_dtype(x.dtype))
            x = ops.concatenate([x, zeros], axis=1)
        x = ops.swapaxes(ops.reshape(x, (batch, length, self.rate, *rest)), 1, 2)  # (batch, rate, length, ...)
        return ops.reshape(x, (batch * self.rate, length, *rest))

    def _unfold(self, outputs: Tensor, batch: Any, steps: Any) -> Tensor:
        """`(batch * rate, length, units)` to `(batch, steps, units)`."""
        _, length, units = ops.shape(outputs)
        is_backward = getattr(self.layer, "go_backwards", False)  # its first output is that of the last step
        if is_backward:
            outputs = ops.flip(outputs, 1)
        outputs = ops.swapaxes(ops.reshape(outputs, (batch, self.rate, length, units)), 1, 2)
        outputs = ops.reshape(outputs, (batch, length * self.rate, units))[:, :steps]
        return ops.flip(outputs, 1) if is_backward else outputs

    def _last_states(self, states: list[Tensor], counts: Tensor) -> list[Tensor]:
        """Selects the states `(batch, units)` after the last step of each row among those of the `rate` sequences."""
        both: list[Any] = [getattr(self.layer, name, None) for name in ("forward_layer", "backward_layer")]
        directions = [self.layer] if None in both else both
        counts = ops.cast(counts, "int32")
        batch, steps = ops.shape(counts)
        selected = []
        for index, state in enumerate(states):
            if directions[index * len(directions) // len(states)].go_backwards:
                last = ops.argmax(counts, axis=1)
            else:
                last = steps - 1 - ops.argmax(ops.flip(counts, 1), axis=1)
            is_last = ops.cast(ops.expand_dims(ops.one_hot(last % self.rate, self.rate), -1), state.dtype)
            state = ops.reshape(state, (batch, self.rate, ops.shape(state)[-1]))
            selected.append(ops.sum(state * is_last, axis=1))
        return selected

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}
