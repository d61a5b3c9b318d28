"""Bridges: dense layers from the summary of a memory to the initial states of a decoder."""

from collections.abc import Iterable, Sequence
from typing import Any

from keras import layers

from .types import Tensor


def state_bridges(recurrent_layers: Sequence[Any], dtype: Any = None) -> list[layers.Dense]:
    """Returns a dense layer for each state of a stack of recurrent layers, from the bottom to the top.

    Args:
        recurrent_layers: The recurrent layers.
        dtype: The dtype policy of the dense layers.

    Example:

    >>> from keras_recurrent.layers import GRU, LSTM
    >>> from keras_recurrent.layers.bridges import state_bridges
    >>> [bridge.units for bridge in state_bridges([LSTM(8), GRU(4)])]
    [8, 8, 4]
    """
    sizes = [size for layer in recurrent_layers for size in layer.state_size]
    return [
        layers.Dense(size, activation="tanh", dtype=dtype, name=f"bridge_{index}") for index, size in enumerate(sizes)
    ]


def states_by_layer(recurrent_layers: Sequence[Any], states: Iterable[Tensor]) -> tuple[list[Tensor], ...]:
    """Divides the states of a stack, from the bottom to the top, into one list for each layer.

    Example:

    >>> from keras_recurrent.layers import GRU, LSTM
    >>> from keras_recurrent.layers.bridges import states_by_layer
    >>> states_by_layer([LSTM(8), GRU(4)], ["h", "c", "h of the top"])
    (['h', 'c'], ['h of the top'])
    """
    rest = iter(states)
    return tuple([next(rest) for _ in layer.state_size] for layer in recurrent_layers)
