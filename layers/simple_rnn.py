"""The vanilla recurrent network (Elman 1990)."""

import keras

from .cell import RecurrentCell
from .derivatives import derivative
from .recurrent import CellLayer


@keras.saving.register_keras_serializable(package="keras_recurrent")
class SimpleRNNCell(RecurrentCell):
    """One step of the vanilla recurrent network.

    With the input `x`, the state `h` and their weights `W` (`kernel`), `U` (`recurrent_kernel`) and `b` (`bias`):

        h' = activation(x W + h U + b)

    Arguments, call arguments and errors are those of `RecurrentCell`.

    Example:

    >>> from keras_recurrent.layers import SimpleRNNCell
    >>> cell = SimpleRNNCell(8)
    >>> output, states = cell(keras.ops.ones((2, 3)), cell.get_initial_state(2))
    >>> output.shape
    (2, 8)

    Reference:
        Elman 1990, Finding structure in time.
    """

    def step(self, projected, inner, states):
        return [self.activation(projected + inner)], ()

    def linearize(self, gates, before, after):
        return derivative(self.activation, after[0])

    def step_gradient(self, coefficients, d_states):
        return coefficients * d_states[0], [None]


@keras.saving.register_keras_serializable(package="keras_recurrent")
class SimpleRNN(CellLayer):
    """The vanilla recurrent network over a sequence: `Recurrent` around a `SimpleRNNCell`.

    Arguments, their order, defaults, weights and outputs are those of `keras.layers.SimpleRNN`; what the cell's mean
    stands at `RecurrentCell`, the others and the call arguments at `Recurrent`.

    Example:

    >>> from keras_recurrent.layers import SimpleRNN
    >>> SimpleRNN(8)(keras.ops.ones((2, 5, 3))).shape
    (2, 8)
    """

    def __init__(
        self,
        units,
        activation="tanh",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        seed=None,
        **kwargs,
    ):
        cell = SimpleRNNCell(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="simple_rnn_cell",
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
