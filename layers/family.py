"""The recurrent layers by the names that options and configurations use."""

from .gru import GRU
from .lstm import LSTM
from .simple_rnn import SimpleRNN

SEQUENCE_LAYERS = {"simple_rnn": SimpleRNN, "lstm": LSTM, "gru": GRU}


def sequence_layer(cell, units, **arguments):
    """The sequence layer of a cell's name.

    Args:
        cell: `"simple_rnn"`, `"lstm"` or `"gru"`.
        units: Positive integer, the layer's dimension.
        **arguments: The other arguments of the layer.

    Raises:
        ValueError: If there is no cell of that name.

    Example:

    >>> sequence_layer("gru", 8).units
    8
    """
    if cell not in SEQUENCE_LAYERS:
        raise ValueError(f"Argument `cell` must be one of {', '.join(SEQUENCE_LAYERS)}. Received: cell={cell!r}")
    return SEQUENCE_LAYERS[cell](units, **arguments)
