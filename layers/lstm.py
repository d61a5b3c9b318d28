"""Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""

import keras
from keras import activations, ops

from .cell import RecurrentCell
from .derivatives import derivative, named_activation
from .recurrent import CellLayer


@keras.saving.register_keras_serializable(package="keras_recurrent")
class LSTMCell(RecurrentCell):
    """One step of the LSTM.

    With the input `x`, the output `h`, the cell state `c`, and the columns of `W` (`kernel`), `U`
    (`recurrent_kernel`) and `b` (`bias`) in the order input gate, forget gate, candidate, output gate:

        i  = recurrent_activation(x W_i + h U_i + b_i)
        f  = recurrent_activation(x W_f + h U_f + b_f)
        g  = activation(x W_g + h U_g + b_g)
        o  = recurrent_activation(x W_o + h U_o + b_o)
        c' = f * c + i * g
        h' = o * activation(c')

    Args:
        units: Positive integer, the dimension of `h` and of `c`.
        activation: The activation of the candidate and of the cell state.
        recurrent_activation: The activation of the gates.
        use_bias: Whether there is a `b`.
        unit_forget_bias: Whether `b_f` starts at 1, so that the cell remembers at first (Jozefowicz et al. 2015).
        **kwargs: The other arguments of `RecurrentCell`.

    Call arguments:
        inputs: Tensor `(batch, features)`.
        states: `[h, c]`, each `(batch, units)`.
        training: Whether dropout applies.

    Example:

    >>> from keras_recurrent.layers import LSTMCell
    >>> cell = LSTMCell(8)
    >>> output, (h, c) = cell(keras.ops.ones((2, 3)), cell.get_initial_state(2))
    >>> c.shape
    (2, 8)

    Reference:
        Hochreiter and Schmidhuber 1997, Long short-term memory; Gers et al. 2000, Learning to forget.
    """

    gates = 4
    state_count = 2
    gate_names = ("input", "forget", "candidate", "output")

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        unit_forget_bias=True,
        **kwargs,
    ):
        super().__init__(units, activation=activation, use_bias=use_bias, **kwargs)
        self.recurrent_activation = named_activation("recurrent_activation", recurrent_activation)
        self.unit_forget_bias = unit_forget_bias
        if use_bias and unit_forget_bias and hasattr(self.bias_initializer, "gates"):
            raise ValueError(
                "Argument `unit_forget_bias` must be False where `bias_initializer` knows the gates: both say what the "
                f"forget bias is. Received: unit_forget_bias=True, bias_initializer={self.bias_initializer}"
            )

    def initial_bias(self, shape, dtype=None):
        if not self.unit_forget_bias:
            return super().initial_bias(shape, dtype)
        i = self.bias_initializer((self.units,), dtype=dtype)
        f = ops.ones((self.units,), dtype=dtype)
        g_o = self.bias_initializer((2 * self.units,), dtype=dtype)
        return ops.concatenate([i, f, g_o])

    @property
    def activations(self):
        return [self.activation, self.recurrent_activation]

    def step(self, projected, inner, states):
        i, f, g, o = ops.split(projected + inner, 4, axis=-1)
        i = self.recurrent_activation(i)
        f = self.recurrent_activation(f)
        g = self.activation(g)
        o = self.recurrent_activation(o)
        c = f * states[1] + i * g
        return [o * self.activation(c), c], (i, f, g, o)

    def linearize(self, gates, before, after):
        i, f, g, o = gates
        y = self.activation(f * before[1] + i * g)  # not `after`: a mask may keep the old `c` where `h` moves on
        d_i = g * derivative(self.recurrent_activation, i)
        d_f = before[1] * derivative(self.recurrent_activation, f)
        d_g = i * derivative(self.activation, g)
        d_o = y * derivative(self.recurrent_activation, o)
        return ops.concatenate([d_i, d_f, d_g, d_o], axis=-1), o * derivative(self.activation, y), f

    def step_gradient(self, coefficients, d_states):
        d_gates, d_c_by_h, f = coefficients
        d_h, d_c = d_states
        d_c = d_c + d_h * d_c_by_h
        return d_gates * ops.concatenate([d_c, d_c, d_c, d_h], axis=-1), [None, d_c * f]

    def get_config(self):
        return {
            **super().get_config(),
            "recurrent_activation": activations.serialize(self.recurrent_activation),
            "unit_forget_bias": self.unit_forget_bias,
        }


@keras.saving.register_keras_serializable(package="keras_recurrent")
class LSTM(CellLayer):
    """The LSTM over a sequence: `Recurrent` around an `LSTMCell`.

    Arguments, their order, defaults, weights and outputs are those of `keras.layers.LSTM`; what the cell's mean stands
    at `LSTMCell` and `RecurrentCell`, the others and the call arguments at `Recurrent`.

    Example:

    >>> from keras_recurrent.layers import LSTM
    >>> output, h, c = LSTM(8, return_sequences=True, return_state=True)(keras.ops.ones((2, 5, 3)))
    >>> output.shape
    (2, 5, 8)
    """

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        unit_forget_bias=True,
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        use_cudnn="auto",
        **kwargs,
    ):
        cell = LSTMCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
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
            name="lstm_cell",
        )
        super().__init__(
            cell,
            use_cudnn=use_cudnn,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
