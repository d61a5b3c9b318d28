"""The derivatives of activations, as functions of the activation's value."""

from collections.abc import Callable

from keras import activations, ops

from .types import Identifier, Tensor

_DERIVATIVES = {
    activations.linear: ops.ones_like,
    activations.tanh: lambda y: 1 - y * y,
    activations.sigmoid: lambda y: y * (1 - y),
    activations.relu: lambda y: ops.cast(y > 0, y.dtype),
    activations.hard_sigmoid: lambda y: ops.cast(ops.logical_and(y > 0, y < 1), y.dtype) / 6,
    activations.softsign: lambda y: ops.square(1 - ops.abs(y)),
    activations.softplus: lambda y: 1 - ops.exp(-y),
    activations.elu: lambda y: ops.where(y > 0, 1, y + 1),
}


def derivative(activation: Callable, y: Tensor) -> Tensor:
    """Returns the derivative of an activation at the point where its value is `y`.

    Example:

    >>> from keras_recurrent.layers.derivatives import derivative
    >>> float(derivative(keras.activations.tanh, ops.convert_to_tensor(0.5)))
    0.75
    """
    return _DERIVATIVES[activation](y)


def has_derivative(activation: Callable) -> bool:
    """Returns whether `derivative` supports the activation."""
    return activation in _DERIVATIVES


def get_activation(name: str, activation: Identifier) -> Callable:
    """Returns an activation function.

    Args:
        name: Name of the argument, for the error message.
        activation: Name of a Keras activation, its configuration, a function, or None for the identity.

    Raises:
        ValueError: If Keras has no such activation.
    """
    try:
        return activations.get(activation)
    except ValueError as error:
        raise ValueError(
            f"Argument `{name}` must be the name of a Keras activation or a function. Received: {activation!r}"
        ) from error
