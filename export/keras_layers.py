"""From a model with layers of this package to one with the layers of Keras alone."""

from typing import Any

import keras

# The classes that compute what a class of Keras with the same arguments computes.
_KERAS_CLASSES: dict[str, Any] = {
    "GRU": keras.layers.GRU,
    "LSTM": keras.layers.LSTM,
    "SimpleRNN": keras.layers.SimpleRNN,
    "GRUCell": keras.layers.GRUCell,
    "LSTMCell": keras.layers.LSTMCell,
    "SimpleRNNCell": keras.layers.SimpleRNNCell,
    "StackedCells": keras.layers.StackedRNNCells,
    "Recurrent": keras.layers.RNN,
    "Bidirectional": keras.layers.Bidirectional,
    "Dropout": keras.layers.Dropout,
}

_INITIALIZERS = ("Chrono", "GateConstants", "PerGate")

_PACKAGE = "keras_recurrent>"


def to_keras(model: Any) -> Any:
    """Returns the same model with the layers of Keras alone, and a copy of the weights.

    A program that loads the result does not need this package.

    Args:
        model: A built Keras model whose `get_config` describes it, such as a Sequential or Functional model, or a built
            layer.

    Raises:
        ValueError: If Keras has no layer that computes what a layer of the model does.

    Example:

    >>> from keras_recurrent.export import to_keras
    >>> from keras_recurrent.layers import LSTM
    >>> model = keras.Sequential([keras.Input((None, 3)), LSTM(8)])
    >>> type(to_keras(model).layers[0]) is keras.layers.LSTM
    True
    """
    if not model.built:
        raise ValueError(f"Argument `model` must be built. Received: {model.name}, which has no weights yet")
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    result = keras.saving.deserialize_keras_object(_convert(config, ""), safe_mode=False)
    if not result.built:
        result.build_from_config(model.get_build_config())
    result.set_weights(model.get_weights())
    return result


def _convert(value: Any, owner: str) -> Any:
    """Replaces the classes of this package in a configuration by those of Keras.

    Args:
        value: The configuration, or a part of it.
        owner: Names of the layers that the part belongs to, for the error message.
    """
    if isinstance(value, (list, tuple)):
        return type(value)(_convert(item, owner) for item in value)
    if not isinstance(value, dict):
        return value
    name = str(value.get("registered_name"))
    config = value.get("config")
    if isinstance(config, dict):
        owner = f"{owner}/{config['name']}".lstrip("/") if "name" in config else owner
    if name.startswith(_PACKAGE):
        value = _replace(value, name.removeprefix(_PACKAGE), owner)
    return {key: _convert(item, owner) for key, item in value.items()}


def _replace(value: dict[str, Any], name: str, owner: str) -> dict[str, Any]:
    """Replaces the class of an object's configuration."""
    if name in _INITIALIZERS:  # the weights are copied
        return keras.saving.serialize_keras_object(keras.initializers.Zeros())
    if name not in _KERAS_CLASSES:
        raise ValueError(f"The layer '{owner}' cannot become a layer of Keras, which has no {name}")
    class_name = _KERAS_CLASSES[name].__name__
    return {**value, "module": "keras.layers", "class_name": class_name, "registered_name": None}
