"""The activations, and the derivatives of those that have one as a function of their value."""

from keras import activations, ops

# The derivatives of the activations that have one as a function of their value `y`.
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


def derivative(activation, y):
    """The derivative of an activation where its value is `y`."""
    return _DERIVATIVES[activation](y)


def has_derivative(activation):
    """Whether `derivative` knows the activation."""
    return activation in _DERIVATIVES


def named_activation(name, activation):
    """An activation from what Keras takes for one; `name` is the argument that a `ValueError` names."""
    try:
        return activations.get(activation)
    except ValueError as error:
        raise ValueError(
            f"Argument `{name}` must be the name of an activation of Keras or a function. Received: {activation!r}"
        ) from error
