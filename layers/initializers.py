"""Initializers that know that the columns of a recurrent layer's weights are several gates side by side."""

import keras
from keras import initializers, ops, random


@keras.saving.register_keras_serializable(package="keras_recurrent")
class PerGate(initializers.Initializer):
    """Initializes the block of columns of each gate by itself.

    Keras's orthogonal and Glorot initializers see one matrix with the columns of all gates, so that no gate alone is
    orthogonal and each is scaled for outputs that it does not have.

    Args:
        initializer: The initializer of a block: its name, or an instance.
        gates: Positive integer, the number of blocks: 4 for the LSTM, 3 for the GRU, 1 for the vanilla network.

    Example:

    >>> from keras_recurrent.layers import LSTM, PerGate
    >>> layer = LSTM(8, recurrent_initializer=PerGate("orthogonal", gates=4))

    Reference:
        Saxe et al. 2014, Exact solutions to the nonlinear dynamics of learning in deep linear neural networks;
        Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks.
    """

    def __init__(self, initializer, gates):
        if gates < 1:
            raise ValueError(f"Argument `gates` must be positive. Received: gates={gates}")
        self.initializer = initializers.get(initializer)
        self.gates = gates

    def __call__(self, shape, dtype=None):
        if shape[-1] % self.gates:
            raise ValueError(f"Argument `gates` must divide the number of columns, {shape[-1]}. Received: {self.gates}")
        block = (*shape[:-1], shape[-1] // self.gates)
        return ops.concatenate([self._of_gate(index)(block, dtype=dtype) for index in range(self.gates)], axis=-1)

    def _of_gate(self, index):
        # With a number for a seed, given or drawn, an initializer repeats itself: each gate needs a number of its own.
        if not isinstance(getattr(self.initializer, "seed", None), int):
            return self.initializer
        config = self.initializer.get_config()
        if config["seed"] is not None:
            config["seed"] += index
        return type(self.initializer).from_config(config)

    def get_config(self):
        return {"initializer": initializers.serialize(self.initializer), "gates": self.gates}


@keras.saving.register_keras_serializable(package="keras_recurrent")
class GateConstants(initializers.Initializer):
    """A bias with one constant a gate, such as a forget bias other than 1.

    Args:
        values: Sequence of floats, one a gate: input, forget, candidate, output for the LSTM; update, reset, candidate
            for the GRU.

    Example: an LSTM whose forget bias starts at 2.

    >>> from keras_recurrent.layers import LSTM, GateConstants
    >>> layer = LSTM(8, bias_initializer=GateConstants([0, 2, 0, 0]), unit_forget_bias=False)

    Reference:
        Jozefowicz, Zaremba and Sutskever 2015, An empirical exploration of recurrent network architectures.
    """

    def __init__(self, values):
        self.values = [float(value) for value in values]
        self.gates = len(self.values)

    def __call__(self, shape, dtype=None):
        row = ops.convert_to_tensor(self.values, dtype or keras.config.floatx())
        return _one_bias(ops.repeat(row, _units(shape, self.gates)), shape)

    def get_config(self):
        return {"values": self.values}


@keras.saving.register_keras_serializable(package="keras_recurrent")
class Chrono(initializers.Initializer):
    """A bias with which the units remember for times spread between 1 and `max_steps` steps.

    With u uniform in [1, max_steps - 1] for each unit:

        LSTM:  b_f = log u, b_i = -b_f, the others 0
        GRU:   b_z = log u, the others 0     (z weighs the old state here)

    Args:
        cell: `"lstm"` or `"gru"`.
        max_steps: Integer above 2, about the longest dependency in steps.
        seed: Seed of u.

    Example:

    >>> from keras_recurrent.layers import LSTM, Chrono
    >>> layer = LSTM(8, bias_initializer=Chrono("lstm", max_steps=200), unit_forget_bias=False)

    Reference:
        Tallec and Ollivier 2018, Can recurrent neural networks warp time?
    """

    def __init__(self, cell, max_steps, seed=None):
        if cell not in ("lstm", "gru"):
            raise ValueError(f"Argument `cell` must be 'lstm' or 'gru'. Received: cell={cell!r}")
        if max_steps <= 2:
            raise ValueError(f"Argument `max_steps` must be above 2. Received: max_steps={max_steps}")
        self.cell = cell
        self.gates = 4 if cell == "lstm" else 3
        self.max_steps = max_steps
        self.seed = seed

    def __call__(self, shape, dtype=None):
        units = _units(shape, self.gates)
        remember = ops.log(random.uniform((units,), 1, self.max_steps - 1, dtype=dtype, seed=self.seed))
        zeros = ops.zeros_like(remember)
        gates = [-remember, remember, zeros, zeros] if self.cell == "lstm" else [remember, zeros, zeros]
        return _one_bias(ops.concatenate(gates), shape)

    def get_config(self):
        return {"cell": self.cell, "max_steps": self.max_steps, "seed": self.seed}


def _units(shape, gates):
    if shape[-1] % gates:
        raise ValueError(f"The initializer is one of {gates} gates, which do not divide {shape[-1]} columns")
    return shape[-1] // gates


def _one_bias(row, shape):
    """`row` as a bias; the second row of a GRU's, that of the recurrent product, is added to the first, and so 0."""
    return row if len(shape) == 1 else ops.stack([row, ops.zeros_like(row)])
