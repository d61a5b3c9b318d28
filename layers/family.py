"""The names of the recurrent layers in options and configurations, and the former names of options.

The module imports neither Keras nor a layer, so that a command line can run it before it loads Keras.
"""

from typing import Any

# From the name in options to the name of the class in `keras_recurrent.layers`.
SEQUENCE_LAYERS = {"simple_rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}

# From the values of the former option `attention` to the options in its place.
_FORMER_ATTENTIONS = {
    "luong": {"query": "after_step"},
    "bahdanau": {"query": "before_step"},
    "none": {"score": "none"},
}


def sequence_layer_class(cell: str) -> Any:
    """Returns the class of a sequence layer, a subclass of `CellLayer`.

    Args:
        cell: A key of `SEQUENCE_LAYERS`.

    Raises:
        ValueError: If there is no such cell.

    Example:

    >>> from keras_recurrent.layers.family import sequence_layer_class
    >>> sequence_layer_class("gru").__name__
    'GRU'
    """
    from .. import layers

    if cell not in SEQUENCE_LAYERS:
        raise ValueError(f"Argument `cell` must be one of {', '.join(SEQUENCE_LAYERS)}. Received: cell={cell!r}")
    return getattr(layers, SEQUENCE_LAYERS[cell])


def sequence_layer(cell: str, units: int, **arguments: Any) -> Any:
    """Returns a sequence layer by the name of its cell.

    Args:
        cell: A key of `SEQUENCE_LAYERS`: `"simple_rnn"`, `"lstm"` or `"gru"`.
        units: Positive integer, the dimension of the output.
        **arguments: Further arguments of the layer.

    Raises:
        ValueError: If there is no such cell.

    Example:

    >>> from keras_recurrent.layers import sequence_layer
    >>> sequence_layer("gru", 8).units
    8
    """
    # The decoders and models around these layers gain more from XLA than the layers from cuDNN, where one excludes the
    # other.
    return sequence_layer_class(cell)(units, **{"use_cudnn": None, **arguments})


def sequence_layers(cell: str, units: int, num_layers: int, **arguments: Any) -> list[Any]:
    """Returns a stack of sequence layers that return their sequences, named `lstm_0`, `lstm_1`, ...

    Args:
        cell: A key of `SEQUENCE_LAYERS`.
        units: Positive integer, the dimension of each layer's output.
        num_layers: Positive integer, the number of layers.
        **arguments: Further arguments of each layer.

    Raises:
        ValueError: If there is no such cell.

    Example:

    >>> from keras_recurrent.layers.family import sequence_layers
    >>> [layer.name for layer in sequence_layers("lstm", 8, num_layers=2)]
    ['lstm_0', 'lstm_1']
    """
    return [
        sequence_layer(cell, units, return_sequences=True, name=f"{cell}_{index}", **arguments)
        for index in range(num_layers)
    ]


def rename_attention(config: dict[str, Any]) -> dict[str, Any]:
    """Replaces the former option `attention` of a configuration by `score` and `query`.

    Args:
        config: Dictionary of options; `attention` is `"luong"`, `"bahdanau"` or `"none"`, or missing.

    Returns:
        Dictionary without `attention`, or with it if its value is none of these.

    Example:

    >>> from keras_recurrent.layers.family import rename_attention
    >>> rename_attention({"attention": "bahdanau", "score": "additive"})
    {'score': 'additive', 'query': 'before_step'}
    """
    config = dict(config)
    if config.get("attention") in _FORMER_ATTENTIONS:
        config.update(_FORMER_ATTENTIONS[config.pop("attention")])
    return config
