"""Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""

from typing import Any

import keras
from keras import activations, ops

from .cell import RecurrentCell
from .derivatives import derivative, get_activation
from .recurrent import CellLayer
from .types import Identifier, Nest, Tensor


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
        activation: Activation of the candidate and of the cell state.
        recurrent_activation: Activation of the gates.
        use_bias: Whether to add `b`.
        unit_forget_bias: Whether to initialize `b_f` with 1, so that the cell keeps its state at the start of training
            (Jozefowicz et al. 2015).
        **kwargs: Further arguments of `RecurrentCell`.

    Call arguments:
        inputs: Tensor `(batch, features)`.
        states: `[h, c]`, each `(batch, units)`.
        training: Whether to apply dropout.

    Raises:
        ValueError: As `RecurrentCell`, or if both `unit_forget_bias` and `bias_initializer` set the forget bias.

    Example:

    >>> from keras_recurrent.layers import LSTMCell
    >>> cell = LSTMCell(8)
    >>> output, (h, c) = cell(ops.ones((2, 3)), cell.get_initial_state(2))
    >>> c.shape
    (2, 8)

    Reference:
        Hochreiter and Schmidhuber 1997, Long short-term memory; Gers et al. 2000, Learning to forget.
    """

    fused_kernel_name = "lstm"
    gates = 4
    gate_names = ("input", "forget", "candidate", "output")
    state_names = ("h", "c")
    chrono_signs = (-1, 1, 0, 0)
    weight_arguments = (*RecurrentCell.weight_arguments, "unit_forget_bias")

    def __init__(
        self,
        units: int,
        activation: Identifier = "tanh",
        recurrent_activation: Identifier = "sigmoid",
        use_bias: bool = True,
        unit_forget_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, activation=activation, use_bias=use_bias, **kwargs)
        self.recurrent_activation = get_activation("recurrent_activation", recurrent_activation)
        self.unit_forget_bias = unit_forget_bias
        if use_bias and unit_forget_bias and hasattr(self.bias_initializer, "gates"):
            raise ValueError(
                "Argument `unit_forget_bias` must be False if `bias_initializer` sets the bias of each gate. "
                f"Received: unit_forget_bias=True, bias_initializer={self.bias_initializer}"
            )

    def initial_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        if not self.unit_forget_bias:
            return super().initial_bias(shape, dtype)
        i = self.bias_initializer((self.units,), dtype=dtype)
        f = ops.ones((self.units,), dtype=dtype)
        g_o = self.bias_initializer((2 * self.units,), dtype=dtype)
        return ops.concatenate([i, f, g_o])

    @property
    def activations(self) -> list[Any]:
        return [self.activation, self.recurrent_activation]

    def step(self, projected: Tensor, inner: Nest, states: list[Tensor]) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        _, c = states
        i, f, g, o = ops.split(projected + inner, 4, axis=-1)
        i = self.recurrent_activation(i)
        f = self.recurrent_activation(f)
        g = self.activation(g)
        o = self.recurrent_activation(o)
        c = f * c + i * g
        return [o * self.activation(c), c], (i, f, g, o)

    def linearize(self, gates: tuple[Tensor, ...], before: list[Tensor], after: list[Tensor]) -> Nest:
        i, f, g, o = gates
        _, c = before
        y = self.activation(f * c + i * g)  # not from `after`: a mask may keep the old `c` and update `h`
        d_i = g * derivative(self.recurrent_activation, i)
        d_f = c * derivative(self.recurrent_activation, f)
        d_g = i * derivative(self.activation, g)
        d_o = y * derivative(self.recurrent_activation, o)
        return ops.concatenate([d_i, d_f, d_g, d_o], axis=-1), o * derivative(self.activation, y), f

    def step_gradient(self, coefficients: Nest, d_states: list[Tensor]) -> tuple[Tensor, list[Tensor | None]]:
        d_gates, d_c_by_h, f = coefficients
        d_h, d_c = d_states
        d_c = d_c + d_h * d_c_by_h
        return d_gates * ops.concatenate([d_c, d_c, d_c, d_h], axis=-1), [None, d_c * f]

    differentiated_step = step

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "recurrent_activation": activations.serialize(self.recurrent_activation),
            "unit_forget_bias": self.unit_forget_bias,
        }


@keras.saving.register_keras_serializable(package="keras_recurrent")
class LSTM(CellLayer):
    """The LSTM over a sequence: `Recurrent` with an `LSTMCell`.

    The arguments, their order and defaults, the weights and the outputs are those of `keras.layers.LSTM`. See
    `LSTMCell` and `RecurrentCell` for the arguments of the cell, and `Recurrent` for the others and the call arguments.

    Example:

    >>> from keras_recurrent.layers import LSTM
    >>> output, h, c = LSTM(8, return_sequences=True, return_state=True)(ops.ones((2, 5, 3)))
    >>> output.shape
    (2, 5, 8)
    """

    cell_class = LSTMCell

    def __init__(
        self,
        units: int,
        activation: Identifier = "tanh",
        recurrent_activation: Identifier = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        recurrent_initializer: Identifier = "orthogonal",
        bias_initializer: Identifier = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Identifier = None,
        recurrent_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        recurrent_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: bool | str | None = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units=units,
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
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            use_cudnn=use_cudnn,
            **kwargs,
        )
