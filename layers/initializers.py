"""Initializers for weights whose columns are the gates of a recurrent layer, one block of columns per gate."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import initializers, ops, random

from .family import SEQUENCE_LAYERS, sequence_layer_class
from .types import Identifier, Tensor


@keras.saving.register_keras_serializable(package="keras_recurrent")
class PerGate(initializers.Initializer):
    """Initializes the block of columns of each gate separately.

    Keras's orthogonal and Glorot initializers treat the columns of all gates as one matrix: no gate by itself is
    orthogonal, and the Glorot scale counts the outputs of all gates.

    Args:
        initializer: Initializer of a block: its name, its configuration or an instance.
        gates: Positive integer, the number of blocks: 4 for the LSTM, 3 for the GRU, 1 for the vanilla network.

    Raises:
        ValueError: If `gates` is not positive, or does not divide the number of columns.

    Example:

    >>> from keras_recurrent.layers import LSTM, PerGate
    >>> layer = LSTM(8, recurrent_initializer=PerGate("orthogonal", gates=4))

    Reference:
        Saxe et al. 2014, Exact solutions to the nonlinear dynamics of learning in deep linear neural networks;
        Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks.
    """

    def __init__(self, initializer: Identifier, gates: int) -> None:
        if gates < 1:
            raise ValueError(f"Argument `gates` must be positive. Received: gates={gates}")
        self.initializer = initializers.get(initializer)
        self.gates = gates

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        if shape[-1] % self.gates:
            raise ValueError(f"Argument `gates` must divide the number of columns, {shape[-1]}. Received: {self.gates}")
        block = (*shape[:-1], shape[-1] // self.gates)
        return ops.concatenate([self._of_gate(index)(block, dtype=dtype) for index in range(self.gates)], axis=-1)

    def _of_gate(self, index: int) -> Any:
        # An initializer with an integer seed returns the same values at each call: every gate needs its own seed.
        if not isinstance(getattr(self.initializer, "seed", None), int):
            return self.initializer
        config = self.initializer.get_config()
        if config["seed"] is not None:
            config["seed"] += index
        return type(self.initializer).from_config(config)

    def get_config(self) -> dict[str, Any]:
        return {"initializer": initializers.serialize(self.initializer), "gates": self.gates}


@keras.saving.register_keras_serializable(package="keras_recurrent")
class GateConstants(initializers.Initializer):
    """Initializes a bias with one constant per gate, such as a forget bias other than 1.

    Args:
        values: Sequence of floats, one per gate: input, forget, candidate, output for the LSTM; update, reset,
            candidate for the GRU.

    Example: an LSTM with a forget bias of 2.

    >>> from keras_recurrent.layers import LSTM, GateConstants
    >>> layer = LSTM(8, bias_initializer=GateConstants([0, 2, 0, 0]), unit_forget_bias=False)

    Reference:
        Jozefowicz, Zaremba and Sutskever 2015, An empirical exploration of recurrent network architectures.
    """

    def __init__(self, values: Sequence[float]) -> None:
        self.values = [float(value) for value in values]
        self.gates = len(self.values)

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        row = ops.convert_to_tensor(self.values, dtype or keras.config.floatx())
        return _as_bias(ops.repeat(row, _units(shape, self.gates)), shape)

    def get_config(self) -> dict[str, Any]:
        return {"values": self.values}


@keras.saving.register_keras_serializable(package="keras_recurrent")
class Chrono(initializers.Initializer):
    """Initializes a bias such that the units' time scales are spread between 1 and `max_steps` steps.

    With u uniform in [1, max_steps - 1] for each unit:

        LSTM:  b_f = log u, b_i = -b_f, the others 0
        GRU:   b_z = log u, the others 0     (here z weighs the old state)

    Args:
        cell: `"lstm"`, `"gru"`, or another name in `family.py` whose cell sets `chrono_signs`.
        max_steps: Integer above 2, the approximate length of the longest dependency in steps.
        seed: Seed of u.

    Raises:
        ValueError: If the cell has no gate that keeps its state, or `max_steps` is not above 2.

    Example:

    >>> from keras_recurrent.layers import LSTM, Chrono
    >>> layer = LSTM(8, bias_initializer=Chrono("lstm", max_steps=200), unit_forget_bias=False)

    Reference:
        Tallec and Ollivier 2018, Can recurrent neural networks warp time?
    """

    def __init__(self, cell: str, max_steps: int, seed: int | None = None) -> None:
        self.signs = sequence_layer_class(cell).cell_class.chrono_signs if cell in SEQUENCE_LAYERS else ()
        if not self.signs:
            raise ValueError(f"Argument `cell` must be a cell with a forget or update gate. Received: cell={cell!r}")
        if max_steps <= 2:
            raise ValueError(f"Argument `max_steps` must be above 2. Received: max_steps={max_steps}")
        self.cell = cell
        self.gates = len(self.signs)
        self.max_steps = max_steps
        self.seed = seed

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        units = _units(shape, self.gates)
        log_times = ops.log(random.uniform((units,), 1, self.max_steps - 1, dtype=dtype, seed=self.seed))
        return _as_bias(ops.concatenate([sign * log_times for sign in self.signs]), shape)

    def get_config(self) -> dict[str, Any]:
        return {"cell": self.cell, "max_steps": self.max_steps, "seed": self.seed}


def _units(shape: tuple[int, ...], gates: int) -> int:
    if shape[-1] % gates:
        raise ValueError(f"The initializer has values for {gates} gates, which do not divide {shape[-1]} columns")
    return shape[-1] // gates


def _as_bias(row: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Returns `row` in the shape of a bias; the GRU adds the second row of its bias to the first, so that it is 0."""
    return row if len(shape) == 1 else ops.stack([row, ops.zeros_like(row)])
