"""Cells that wrap a cell: zoneout, DropConnect, residual connections and learned initial states."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import keras
from keras import layers, ops, random, tree

from .backprop import Nudge
from .cell import RecurrentCell
from .dropout import check_rate, dropout, keep_mask
from .keras_internals import DropoutMasks
from .loop import scan
from .types import Identifier, Nest, Shape, Tensor


class CellWrapper(layers.Layer, DropoutMasks):
    """Base of the wrappers: a cell with the states, the sizes and the weights of the cell that it wraps.

    Args:
        cell: A cell of this package.

    See `RecurrentCell` for the call arguments.

    Raises:
        ValueError: If `cell` cannot be wrapped.
    """

    def __init__(self, cell: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not hasattr(cell, "run"):
            raise ValueError(f"Argument `cell` must be a cell of keras_recurrent. Received: {cell}")
        self.cell = cell
        self.state_size = cell.state_size
        self.output_size = cell.output_size

    def build(self, input_shape: Shape) -> None:
        if not self.cell.built:
            self.cell.build(input_shape)

    def get_initial_state(self, batch_size: int | None = None) -> Nest:
        return self.cell.get_initial_state(batch_size)

    def get_dropout_mask(self, step_input: Tensor) -> Tensor:
        return self.cell.get_dropout_mask(step_input)

    def get_recurrent_dropout_mask(self, step_input: Tensor) -> Tensor:
        return self.cell.get_recurrent_dropout_mask(step_input)

    def reset_dropout_mask(self) -> None:
        self.cell.reset_dropout_mask()

    def reset_recurrent_dropout_mask(self) -> None:
        self.cell.reset_recurrent_dropout_mask()

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cell": keras.saving.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(keras.saving.deserialize_keras_object(config.pop("cell")), **config)


@keras.saving.register_keras_serializable(package="keras_recurrent")
class ResidualCell(CellWrapper):
    """Adds the input of a cell to its output.

        y = x + h'

    The states are those of the cell.

    Args:
        cell: A cell of this package, with as many units as its input has features.

    Raises:
        ValueError: If the output and the input of the cell differ in size.

    Example:

    >>> from keras_recurrent.layers import GRUCell, Recurrent, ResidualCell
    >>> Recurrent(ResidualCell(GRUCell(3)), return_sequences=True)(ops.ones((2, 5, 3))).shape
    (2, 5, 3)

    Reference:
        Wu et al. 2016, Google's neural machine translation system, section 3.1.
    """

    def build(self, input_shape: Shape) -> None:
        if input_shape[-1] != self.output_size:
            raise ValueError(
                f"The input of a residual cell must have as many features as its output, {self.output_size}. Received: "
                f"inputs with {input_shape[-1]} features"
            )
        super().build(input_shape)

    def call(self, inputs: Tensor, states: Nest, training: bool = False) -> tuple[Tensor, Nest]:
        output, states = self.cell(inputs, states, training=training)
        return inputs + output, states

    def run(
        self, sequences: Tensor, states: Nest, mask: Any = None, training: bool = False, nudge: Nudge | None = None
    ) -> tuple[Tensor, Tensor, Nest]:
        """Runs the cell over all time steps; see `RecurrentCell.run`."""
        last, outputs, states = self.cell.run(sequences, states, mask, training, nudge=nudge)
        outputs = outputs + sequences
        if mask is None:
            return last + ops.sum(sequences[-1:], axis=0), outputs, states  # without steps there is no last input

        def hold(before, inputs):
            output, counts = inputs
            output = ops.where(counts, output, before)
            return output, output

        # Where the mask is False, the output is that of the step before, with the input of that step.
        last, outputs = scan(hold, ops.zeros_like(outputs[0]), (outputs, mask))
        return last, outputs, states


@keras.saving.register_keras_serializable(package="keras_recurrent")
class ZoneoutCell(CellWrapper):
    """Keeps random units of the states at their values of the step before.

    In training, each unit of a state keeps its old value with probability `rate`, drawn at each step. At inference, the
    new state is the expectation. With the cell's new state s' and the old state s:

        training:   s'' = m * s + (1 - m) * s',  m = 1 with probability `rate`, else 0
        inference:  s'' = rate * s + (1 - rate) * s'

    Args:
        cell: A `RecurrentCell`, or one in a `DropConnectCell` or a `LearnedInitialStateCell`. To combine zoneout with a
            residual connection or a stack, wrap the `ZoneoutCell` in them.
        rates: Float in [0, 1), or a sequence with one float per state: for the LSTM those of `h` and `c`.
        seed: Seed of the masks.

    Raises:
        ValueError: If a rate is not in [0, 1), there is not one per state, or the cell's output is not its state.

    Example:

    >>> from keras_recurrent.layers import LSTMCell, Recurrent, ZoneoutCell
    >>> Recurrent(ZoneoutCell(LSTMCell(8), rates=[0.05, 0.5]))(ops.ones((2, 5, 3))).shape
    (2, 8)

    Reference:
        Krueger et al. 2017, Zoneout: regularizing RNNs by randomly preserving hidden activations.
    """

    def __init__(self, cell: Any, rates: float | Sequence[float], seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(cell, **kwargs)
        inside = cell
        while isinstance(inside, (DropConnectCell, LearnedInitialStateCell)):
            inside = inside.cell
        if not isinstance(inside, RecurrentCell):
            raise ValueError(f"Argument `cell` must be a cell whose output is its first state. Received: {cell}")
        sizes = tree.flatten(cell.state_size)
        self.rates: list[Any] = list(rates) if isinstance(rates, (list, tuple)) else [rates] * len(sizes)
        if len(self.rates) != len(sizes):
            raise ValueError(f"Argument `rates` must be a number or {len(sizes)} numbers. Received: rates={rates}")
        for rate in self.rates:
            check_rate("rates", rate)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)

    def call(self, inputs: Tensor, states: Nest, training: bool = False) -> tuple[Tensor, Nest]:
        nested = tree.is_nested(states)
        states = list(states) if nested else [states]
        _, new_states = self.cell(inputs, states, training=training)
        if training:
            updates = [
                keep_mask(ops.shape(s), rate, self.seed_generator) for s, rate in zip(states, self.rates, strict=True)
            ]
            states = [ops.where(u, new, old) for u, new, old in zip(updates, new_states, states, strict=True)]
        else:
            states = self._mix(states, new_states)
        return states[0], states if nested else states[0]

    def _mix(self, states: list[Tensor], new_states: list[Tensor]) -> list[Tensor]:
        """Returns the expectation of the states after a step."""
        return [rate * old + (1 - rate) * new for rate, old, new in zip(self.rates, states, new_states, strict=True)]

    def run(
        self, sequences: Tensor, states: Nest, mask: Any = None, training: bool = False, nudge: Nudge | None = None
    ) -> tuple[Tensor, Tensor, Nest]:
        """Runs the cell over all time steps; see `RecurrentCell.run`."""
        if not training:
            return self.cell.run(sequences, states, mask, mix=self._mix, nudge=nudge)
        steps, batch = ops.shape(sequences)[0], ops.shape(sequences)[1]
        masks = []
        for size, rate in zip(tree.flatten(self.state_size), self.rates, strict=True):
            updates = keep_mask((steps, batch, size), rate, self.seed_generator)
            masks.append(updates if mask is None else ops.logical_and(updates, mask))
        return self.cell.run(sequences, states, masks, training, nudge=nudge)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rates": self.rates, "seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_recurrent")
class DropConnectCell(CellWrapper):
    """Drops entries of a cell's recurrent kernel in training.

        U' = m * U / (1 - rate),  m = 0 with probability `rate`, else 1

    `Recurrent` draws one mask per batch, which all steps share.

    Args:
        cell: A `RecurrentCell`.
        rate: Float in [0, 1), the fraction of the entries to drop.
        seed: Seed of the masks.

    Raises:
        ValueError: If `cell` is not a `RecurrentCell`, or `rate` is not in [0, 1).

    Example:

    >>> from keras_recurrent.layers import DropConnectCell, LSTMCell, Recurrent
    >>> layer = Recurrent(DropConnectCell(LSTMCell(8), rate=0.5))
    >>> layer(ops.ones((2, 5, 3)), training=True).shape
    (2, 8)

    Reference:
        Wan et al. 2013, Regularization of neural networks using DropConnect; Merity et al. 2018, Regularizing and
        optimizing LSTM language models, for the recurrent kernel.
    """

    def __init__(self, cell: RecurrentCell, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(cell, **kwargs)
        if not isinstance(cell, RecurrentCell):
            raise ValueError(f"Argument `cell` must be a `RecurrentCell`. Received: {cell}")
        check_rate("rate", rate)
        self.rate = rate
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)

    def _weights(self, training: bool) -> list[Any]:
        recurrent_kernel, *bias = self.cell.inner_weights
        if training and self.rate:
            recurrent_kernel = dropout(ops.convert_to_tensor(recurrent_kernel), self.rate, self.seed_generator)
        return [recurrent_kernel, *bias]

    def call(self, inputs: Tensor, states: Nest, training: bool = False) -> tuple[Tensor, Nest]:
        return self.cell.call(inputs, states, training, weights=self._weights(training))

    def run(
        self,
        sequences: Tensor,
        states: list[Tensor],
        mask: Any = None,
        training: bool = False,
        mix: Callable | None = None,
        nudge: Nudge | None = None,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Runs the cell over all time steps; see `RecurrentCell.run`."""
        weights = self._weights(training)
        return self.cell.run(sequences, states, mask, training, weights=weights, mix=mix, nudge=nudge)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_recurrent")
class LearnedInitialStateCell(CellWrapper):
    """Learns the initial states, which are used if no `initial_state` is passed.

        s_0 = initial_state, the same for all sequences

    A stateful layer copies them when it is built or reset, and does not train them.

    Args:
        cell: A cell of this package.
        initializer: Initializer of the states.

    Example:

    >>> from keras_recurrent.layers import GRUCell, LearnedInitialStateCell, Recurrent
    >>> Recurrent(LearnedInitialStateCell(GRUCell(8)))(ops.ones((2, 5, 3))).shape
    (2, 8)

    Reference:
        Forcada and Carrasco 1995, Learning the initial state of a second-order recurrent neural network during
        regular-language inference.
    """

    def __init__(self, cell: Any, initializer: Identifier = "zeros", **kwargs: Any) -> None:
        super().__init__(cell, **kwargs)
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        self.initial_states = [
            self.add_weight(shape=(size,), initializer=self.initializer, name=f"initial_state_{index}", autocast=False)
            for index, size in enumerate(tree.flatten(self.state_size))
        ]

    def get_initial_state(self, batch_size: int | None = None) -> Nest:
        zeros = super().get_initial_state(batch_size)
        if not self.built:
            return zeros
        return tree.pack_sequence_as(
            zeros,
            [zero + ops.cast(s, zero.dtype) for zero, s in zip(tree.flatten(zeros), self.initial_states, strict=True)],
        )

    def call(self, inputs: Tensor, states: Nest, training: bool = False) -> tuple[Tensor, Nest]:
        return self.cell(inputs, states, training=training)

    def run(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Nest]:
        """Runs the cell over all time steps; see `RecurrentCell.run`."""
        return self.cell.run(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initializer": keras.initializers.serialize(self.initializer)}
