"""The vanilla recurrent network (Elman 1990)."""

from typing import Any

import keras

from .cell import RecurrentCell
from .derivatives import derivative
from .recurrent import CellLayer
from .types import Identifier, Nest, Tensor


@keras.saving.register_keras_serializable(package="keras_recurrent")
class SimpleRNNCell(RecurrentCell):
    """One step of the vanilla recurrent network.

    With the input `x`, the state `h`, and the weights `W` (`kernel`), `U` (`recurrent_kernel`) and `b` (`bias`):

        h' = activation(x W + h U + b)

    See `RecurrentCell` for the arguments, the call arguments and the errors.

    Example:

    >>> from keras_recurrent.layers import SimpleRNNCell
    >>> cell = SimpleRNNCell(8)
    >>> output, states = cell(ops.ones((2, 3)), cell.get_initial_state(2))
    >>> output.shape
    (2, 8)

    Reference:
        Elman 1990, Finding structure in time.
    """

    def step(self, projected: Tensor, inner: Nest, states: list[Tensor]) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        return [self.activation(projected + inner)], ()

    def linearize(self, gates: tuple[Tensor, ...], before: list[Tensor], after: list[Tensor]) -> Nest:
        (h,) = after
        return derivative(self.activation, h)

    def step_gradient(self, coefficients: Nest, d_states: list[Tensor]) -> tuple[Tensor, list[Tensor | None]]:
        (d_h,) = d_states
        return coefficients * d_h, [None]

    differentiated_step = step


@keras.saving.register_keras_serializable(package="keras_recurrent")
class SimpleRNN(CellLayer):
    """The vanilla recurrent network over a sequence: `Recurrent` with a `SimpleRNNCell`.

    The arguments, their order and defaults, the weights and the outputs are those of `keras.layers.SimpleRNN`. See
    `RecurrentCell` for the arguments of the cell, and `Recurrent` for the others and the call arguments.

    Example:

    >>> from keras_recurrent.layers import SimpleRNN
    >>> SimpleRNN(8)(ops.ones((2, 5, 3))).shape
    (2, 8)
    """

    cell_class = SimpleRNNCell

    def __init__(
        self,
        units: int,
        activation: Identifier = "tanh",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        recurrent_initializer: Identifier = "orthogonal",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        recurrent_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        recurrent_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units=units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            seed=seed,
            **kwargs,
        )
