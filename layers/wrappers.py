"""Cells that wrap a cell: zoneout, DropConnect, residual, a learned initial state; all of them in the fast loop."""

import keras
from keras import layers, ops, random, tree

# Not public, but the protocol by which `keras.layers.RNN` and `StackedRNNCells` draw one mask a sequence.
from keras.src.layers.rnn.dropout_rnn_cell import DropoutRNNCell

from .cell import RecurrentCell
from .dropout import check_rate, dropout, keep_mask
from .loop import scan


class CellWrapper(layers.Layer, DropoutRNNCell):
    """Base of the wrappers: a cell with the states, the sizes and the weights of another.

    Args:
        cell: A cell of this package.

    Call arguments are those of `RecurrentCell`.

    Raises:
        ValueError: If `cell` is not one that can be wrapped so.
    """

    def __init__(self, cell, **kwargs):
        super().__init__(**kwargs)
        if not hasattr(cell, "run"):
            raise ValueError(f"Argument `cell` must be a cell of keras_recurrent. Received: {cell}")
        self.cell = cell
        self.state_size = cell.state_size
        self.output_size = cell.output_size

    def build(self, input_shape):
        if not self.cell.built:
            self.cell.build(input_shape)

    def get_initial_state(self, batch_size=None):
        return self.cell.get_initial_state(batch_size)

    def get_dropout_mask(self, step_input):
        return self.cell.get_dropout_mask(step_input)

    def get_recurrent_dropout_mask(self, step_input):
        return self.cell.get_recurrent_dropout_mask(step_input)

    def reset_dropout_mask(self):
        self.cell.reset_dropout_mask()

    def reset_recurrent_dropout_mask(self):
        self.cell.reset_recurrent_dropout_mask()

    def get_config(self):
        return {**super().get_config(), "cell": keras.saving.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("cell")), **config)


@keras.saving.register_keras_serializable(package="keras_recurrent")
class ResidualCell(CellWrapper):
    """Adds a cell's input to its output; the states stay the cell's own.

        y = x + h'

    Args:
        cell: A cell of this package whose output has as many units as its input has features.

    Example:

    >>> from keras_recurrent.layers import GRUCell, Recurrent, ResidualCell
    >>> Recurrent(ResidualCell(GRUCell(3)), return_sequences=True)(keras.ops.ones((2, 5, 3))).shape
    (2, 5, 3)

    Reference:
        Wu et al. 2016, Google's neural machine translation system, section 3.1.
    """

    def build(self, input_shape):
        if input_shape[-1] != self.output_size:
            raise ValueError(
                f"A residual cell adds its input to its output: both must have {self.output_size} units. Received: "
                f"inputs with {input_shape[-1]} features"
            )
        super().build(input_shape)

    def call(self, inputs, states, training=False):
        output, states = self.cell(inputs, states, training=training)
        return inputs + output, states

    def run(self, sequences, states, mask=None, training=False):
        last, outputs, states = self.cell.run(sequences, states, mask, training)
        outputs = outputs + sequences
        if mask is None:
            return last + ops.sum(sequences[-1:], axis=0), outputs, states  # of no steps there is no last one

        def hold(before, inputs):
            output, counts = inputs
            output = ops.where(counts, output, before)
            return output, output

        # Where the mask is False the output is the one before, which had another input.
        last, outputs = scan(hold, ops.zeros_like(outputs[0]), (outputs, mask))
        return last, outputs, states


@keras.saving.register_keras_serializable(package="keras_recurrent")
class ZoneoutCell(CellWrapper):
    """Keeps some units of the states as they were a step before.

    In training each unit of each state, at each step, is kept with the state's rate; otherwise the new and the old
    value are mixed by it. With the cell's new state s' and the old s:

        training:   s'' = m * s + (1 - m) * s',  m = 1 with probability `rate`, else 0
        otherwise:  s'' = rate * s + (1 - rate) * s'

    Args:
        cell: A `RecurrentCell`, also in a `DropConnectCell` or a `LearnedInitialStateCell`. A residual connection or a
            stack goes around the zoneout, not into it.
        rates: Float in [0, 1), or one a state: for the LSTM that of `h` and that of `c`.
        seed: Seed of the masks.

    Example:

    >>> from keras_recurrent.layers import LSTMCell, Recurrent, ZoneoutCell
    >>> Recurrent(ZoneoutCell(LSTMCell(8), rates=[0.05, 0.5]))(keras.ops.ones((2, 5, 3))).shape
    (2, 8)

    Reference:
        Krueger et al. 2017, Zoneout: regularizing RNNs by randomly preserving hidden activations.
    """

    def __init__(self, cell, rates, seed=None, **kwargs):
        super().__init__(cell, **kwargs)
        inside = cell
        while isinstance(inside, (DropConnectCell, LearnedInitialStateCell)):
            inside = inside.cell
        if not isinstance(inside, RecurrentCell):
            raise ValueError(f"Argument `cell` must be a cell whose output is its state. Received: {cell}")
        sizes = tree.flatten(cell.state_size)
        rates = list(rates) if isinstance(rates, (list, tuple)) else [rates] * len(sizes)
        if len(rates) != len(sizes):
            raise ValueError(f"Argument `rates` must be a number or {len(sizes)} numbers. Received: rates={rates}")
        for rate in rates:
            check_rate("rates", rate)
        self.rates = rates
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)

    def call(self, inputs, states, training=False):
        nested = tree.is_nested(states)
        states = list(states) if nested else [states]
        _, new_states = self.cell(inputs, states, training=training)
        if training:
            moves = [
                keep_mask(ops.shape(s), rate, self.seed_generator) for s, rate in zip(states, self.rates, strict=True)
            ]
            states = [ops.where(m, new, old) for m, new, old in zip(moves, new_states, states, strict=True)]
        else:
            states = self._mix(states, new_states)
        return states[0], states if nested else states[0]

    def _mix(self, states, new_states):
        """What is expected of a state: between the old and the new."""
        return [rate * old + (1 - rate) * new for rate, old, new in zip(self.rates, states, new_states, strict=True)]

    def run(self, sequences, states, mask=None, training=False):
        if not training:
            return self.cell.run(sequences, states, mask, mix=self._mix)
        steps, batch = ops.shape(sequences)[0], ops.shape(sequences)[1]
        masks = []
        for size, rate in zip(tree.flatten(self.state_size), self.rates, strict=True):
            moves = keep_mask((steps, batch, size), rate, self.seed_generator)
            masks.append(moves if mask is None else ops.logical_and(moves, mask))
        return self.cell.run(sequences, states, masks, training)

    def get_config(self):
        return {**super().get_config(), "rates": self.rates, "seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_recurrent")
class DropConnectCell(CellWrapper):
    """Drops entries of a cell's recurrent kernel in training: in `Recurrent` one mask a batch, the same for all steps.

        U' = m * U / (1 - rate),  m = 0 with probability `rate`, else 1

    Args:
        cell: A `RecurrentCell`.
        rate: Float in [0, 1).
        seed: Seed of the masks.

    Example:

    >>> from keras_recurrent.layers import DropConnectCell, LSTMCell, Recurrent
    >>> Recurrent(DropConnectCell(LSTMCell(8), rate=0.5))(keras.ops.ones((2, 5, 3)), training=True).shape
    (2, 8)

    Reference:
        Wan et al. 2013, Regularization of neural networks using DropConnect; Merity et al. 2018, Regularizing and
        optimizing LSTM language models, for the recurrent kernel.
    """

    def __init__(self, cell, rate, seed=None, **kwargs):
        super().__init__(cell, **kwargs)
        if not isinstance(cell, RecurrentCell):
            raise ValueError(f"Argument `cell` must have a recurrent kernel of its own. Received: {cell}")
        check_rate("rate", rate)
        self.rate = rate
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)

    def _weights(self, training):
        recurrent_kernel, *bias = self.cell.inner_weights
        if training and self.rate:
            recurrent_kernel = dropout(ops.convert_to_tensor(recurrent_kernel), self.rate, self.seed_generator)
        return [recurrent_kernel, *bias]

    def call(self, inputs, states, training=False):
        return self.cell.call(inputs, states, training, weights=self._weights(training))

    def run(self, sequences, states, mask=None, training=False, mix=None):
        return self.cell.run(sequences, states, mask, training, weights=self._weights(training), mix=mix)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_recurrent")
class LearnedInitialStateCell(CellWrapper):
    """Starts from states that are weights, and trained, where `initial_state` is not given.

        s_0 = initial_state, the same for every sequence

    A stateful layer starts from the values that they have when it is built or reset, and they learn nothing there.

    Args:
        cell: A cell of this package.
        initializer: Initializer of the states.

    Example:

    >>> from keras_recurrent.layers import GRUCell, LearnedInitialStateCell, Recurrent
    >>> Recurrent(LearnedInitialStateCell(GRUCell(8)))(keras.ops.ones((2, 5, 3))).shape
    (2, 8)

    Reference:
        Forcada and Carrasco 1995, Learning the initial state of a second-order recurrent neural network during
        regular-language inference.
    """

    def __init__(self, cell, initializer="zeros", **kwargs):
        super().__init__(cell, **kwargs)
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape):
        super().build(input_shape)
        self.initial_states = [
            self.add_weight(shape=(size,), initializer=self.initializer, name=f"initial_state_{index}", autocast=False)
            for index, size in enumerate(tree.flatten(self.state_size))
        ]

    def get_initial_state(self, batch_size=None):
        zeros = super().get_initial_state(batch_size)
        if not self.built:
            return zeros
        return tree.pack_sequence_as(
            zeros,
            [zero + ops.cast(s, zero.dtype) for zero, s in zip(tree.flatten(zeros), self.initial_states, strict=True)],
        )

    def call(self, inputs, states, training=False):
        return self.cell(inputs, states, training=training)

    def run(self, *args, **kwargs):
        return self.cell.run(*args, **kwargs)

    def get_config(self):
        return {**super().get_config(), "initializer": keras.initializers.serialize(self.initializer)}
