"""The gated recurrent unit (Cho et al. 2014), with the reset gate after or before the recurrent product."""

from typing import Any

import keras
from keras import activations, ops

from .cell import RecurrentCell
from .derivatives import derivative, get_activation
from .recurrent import CellLayer
from .types import Identifier, Nest, Tensor


@keras.saving.register_keras_serializable(package="keras_recurrent")
class GRUCell(RecurrentCell):
    """One step of the GRU.

    With the input `x`, the state `h`, and the columns of `W` (`kernel`), `U` (`recurrent_kernel`) and the biases in
    the order update gate, reset gate, candidate:

        z  = recurrent_activation(x W_z + h U_z + b_z + d_z)
        r  = recurrent_activation(x W_r + h U_r + b_r + d_r)
        g  = activation(x W_g + b_g + r * (h U_g + d_g))        with reset_after=True
        g  = activation(x W_g + b_g + (r * h) U_g)              with reset_after=False, where all d are 0
        h' = z * h + (1 - z) * g

    The weight of the candidate is `1 - z`, as in Keras and cuDNN; in the text of the paper it is `z`.
    `reset_after=True` is version 1 of the paper, which cuDNN computes; `reset_after=False` is version 3. `b` and `d`
    are the rows of `bias`.

    Args:
        units: Positive integer, the dimension of `h`.
        activation: Activation of the candidate.
        recurrent_activation: Activation of the gates.
        use_bias: Whether to add `b` and `d`.
        reset_after: Whether the reset gate is applied after the recurrent product or before it.
        **kwargs: Further arguments of `RecurrentCell`.

    See `RecurrentCell` for the call arguments and the errors.

    Example:

    >>> from keras_recurrent.layers import GRUCell
    >>> cell = GRUCell(8)
    >>> output, states = cell(ops.ones((2, 3)), cell.get_initial_state(2))
    >>> output.shape
    (2, 8)

    Reference:
        Cho et al. 2014, Learning phrase representations using RNN encoder-decoder for statistical machine translation.
    """

    fused_kernel_name = "gru"
    gates = 3
    gate_names = ("update", "reset", "candidate")
    chrono_signs = (1, 0, 0)

    def __init__(
        self,
        units: int,
        activation: Identifier = "tanh",
        recurrent_activation: Identifier = "sigmoid",
        use_bias: bool = True,
        reset_after: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, activation=activation, use_bias=use_bias, **kwargs)
        self.recurrent_activation = get_activation("recurrent_activation", recurrent_activation)
        self.reset_after = reset_after

    @property
    def bias_shape(self) -> tuple[int, ...]:
        columns = self.gates * self.units
        return (2, columns) if self.reset_after else (columns,)

    @property
    def input_bias(self) -> Any:
        return self.bias[0] if self.use_bias and self.reset_after else self.bias

    @property
    def inner_weights(self) -> list[Any]:
        return [self.recurrent_kernel, self.bias[1]] if self.use_bias and self.reset_after else [self.recurrent_kernel]

    @property
    def activations(self) -> list[Any]:
        return [self.activation, self.recurrent_activation]

    @property
    def has_step_gradient(self) -> bool:
        # With `reset_after=False` the candidate's product is inside the step, and `step_gradient` does not cover it.
        return self.reset_after and super().has_step_gradient

    def inner(self, dropped: Tensor, recurrent_kernel: Tensor, *vectors: Tensor) -> tuple[Nest, tuple[Tensor, ...]]:
        if self.reset_after:
            return super().inner(dropped, recurrent_kernel, *vectors)
        h_zr, _ = super().inner(dropped, recurrent_kernel[:, : 2 * self.units])
        return (h_zr, dropped, recurrent_kernel[:, 2 * self.units :]), ()  # `step` computes the candidate's product

    def step(self, projected: Tensor, inner: Nest, states: list[Tensor]) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        (h,) = states
        x_z, x_r, x_g = ops.split(projected, 3, axis=-1)
        if self.reset_after:
            h_z, h_r, h_g = ops.split(inner, 3, axis=-1)
        else:
            h_zr, h_g, u_g = inner
            h_z, h_r = ops.split(h_zr, 2, axis=-1)
        z = self.recurrent_activation(x_z + h_z)
        r = self.recurrent_activation(x_r + h_r)
        reset = r * h_g
        if not self.reset_after:
            reset, _ = super().inner(reset, u_g)
        g = self.activation(x_g + reset)
        return [z * h + (1 - z) * g], (z, r, g, h_g)

    def linearize(self, gates: tuple[Tensor, ...], before: list[Tensor], after: list[Tensor]) -> Nest:
        z, r, g, h_g = gates
        (h,) = before
        d_z = (h - g) * derivative(self.recurrent_activation, z)
        d_g = (1 - z) * derivative(self.activation, g)
        d_r = d_g * h_g * derivative(self.recurrent_activation, r)
        return ops.concatenate([d_z, d_r, d_g], axis=-1), z, r

    def step_gradient(self, coefficients: Nest, d_states: list[Tensor]) -> tuple[Tensor, list[Tensor | None]]:
        d_gates, z, _ = coefficients
        (d_h,) = d_states
        return d_gates * ops.concatenate([d_h, d_h, d_h], axis=-1), [d_h * z]

    def inner_gradient(self, coefficients: Nest, d_projected: Tensor) -> Tensor:
        _, _, r = coefficients
        d_z, d_r, d_g = ops.split(d_projected, 3, axis=-1)
        return ops.concatenate([d_z, d_r, d_g * r], axis=-1)

    differentiated_step = step
    differentiated_inner = inner

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "recurrent_activation": activations.serialize(self.recurrent_activation),
            "reset_after": self.reset_after,
        }


@keras.saving.register_keras_serializable(package="keras_recurrent")
class GRU(CellLayer):
    """The GRU over a sequence: `Recurrent` with a `GRUCell`.

    The arguments, their order and defaults, the weights and the outputs are those of `keras.layers.GRU`. See `GRUCell`
    and `RecurrentCell` for the arguments of the cell, and `Recurrent` for the others and the call arguments.

    Example:

    >>> from keras_recurrent.layers import GRU
    >>> GRU(8, return_sequences=True)(ops.ones((2, 5, 3))).shape
    (2, 5, 8)
    """

    cell_class = GRUCell

    def __init__(
        self,
        units: int,
        activation: Identifier = "tanh",
        recurrent_activation: Identifier = "sigmoid",
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
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
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
            reset_after=reset_after,
            use_cudnn=use_cudnn,
            **kwargs,
        )
