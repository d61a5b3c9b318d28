"""The gated recurrent unit (Cho et al. 2014), in both of its variants."""

import keras
from keras import activations, ops

from .cell import RecurrentCell
from .derivatives import derivative, named_activation
from .recurrent import CellLayer


@keras.saving.register_keras_serializable(package="keras_recurrent")
class GRUCell(RecurrentCell):
    """One step of the GRU.

    With the input `x`, the state `h`, and the columns of `W` (`kernel`), `U` (`recurrent_kernel`) and the biases in
    the order update gate, reset gate, candidate:

        z  = recurrent_activation(x W_z + h U_z + b_z + d_z)
        r  = recurrent_activation(x W_r + h U_r + b_r + d_r)
        g  = activation(x W_g + b_g + r * (h U_g + d_g))        with reset_after, the default
        g  = activation(x W_g + b_g + (r * h) U_g)              without it, and without any d
        h' = z * h + (1 - z) * g

    The candidate's weight is `1 - z`, as in Keras and cuDNN; in the paper's text it is `z`. `reset_after` is version 1
    of the paper (and cuDNN's), its absence version 3. `b` and `d` are the rows of `bias`.

    Args:
        units: Positive integer, the dimension of `h`.
        activation: The activation of the candidate.
        recurrent_activation: The activation of the gates.
        use_bias: Whether there are `b` and `d`.
        reset_after: Whether the reset gate applies after the recurrent product or before it.
        **kwargs: The other arguments of `RecurrentCell`.

    Example:

    >>> from keras_recurrent.layers import GRUCell
    >>> cell = GRUCell(8)
    >>> output, states = cell(keras.ops.ones((2, 3)), cell.get_initial_state(2))
    >>> output.shape
    (2, 8)

    Reference:
        Cho et al. 2014, Learning phrase representations using RNN encoder-decoder for statistical machine translation.
    """

    gates = 3
    gate_names = ("update", "reset", "candidate")

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        reset_after=True,
        **kwargs,
    ):
        super().__init__(units, activation=activation, use_bias=use_bias, **kwargs)
        self.recurrent_activation = named_activation("recurrent_activation", recurrent_activation)
        self.reset_after = reset_after

    @property
    def bias_shape(self):
        columns = self.gates * self.units
        return (2, columns) if self.reset_after else (columns,)

    @property
    def input_bias(self):
        return self.bias[0] if self.use_bias and self.reset_after else self.bias

    @property
    def inner_weights(self):
        return [self.recurrent_kernel, self.bias[1]] if self.use_bias and self.reset_after else [self.recurrent_kernel]

    @property
    def activations(self):
        return [self.activation, self.recurrent_activation]

    @property
    def has_step_gradient(self):
        # Before the reset, the candidate's product is in the middle of the step, and its derivative with it.
        return self.reset_after and super().has_step_gradient

    def inner(self, dropped, recurrent_kernel, bias=None):
        if self.reset_after:
            return super().inner(dropped, recurrent_kernel, bias)
        h_zr, _ = super().inner(dropped, recurrent_kernel[:, : 2 * self.units])
        return (h_zr, dropped, recurrent_kernel[:, 2 * self.units :]), ()  # the candidate's product waits for the reset

    def step(self, projected, inner, states):
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
        return [z * states[0] + (1 - z) * g], (z, r, g, h_g)

    def linearize(self, gates, before, after):
        z, r, g, h_g = gates
        d_z = (before[0] - g) * derivative(self.recurrent_activation, z)
        d_g = (1 - z) * derivative(self.activation, g)
        d_r = d_g * h_g * derivative(self.recurrent_activation, r)
        return ops.concatenate([d_z, d_r, d_g], axis=-1), z, r

    def step_gradient(self, coefficients, d_states):
        d_gates, z, _ = coefficients
        (d_h,) = d_states
        return d_gates * ops.concatenate([d_h, d_h, d_h], axis=-1), [d_h * z]

    def inner_gradient(self, coefficients, d_projected):
        d_z, d_r, d_g = ops.split(d_projected, 3, axis=-1)
        return ops.concatenate([d_z, d_r, d_g * coefficients[2]], axis=-1)

    def get_config(self):
        return {
            **super().get_config(),
            "recurrent_activation": activations.serialize(self.recurrent_activation),
            "reset_after": self.reset_after,
        }


@keras.saving.register_keras_serializable(package="keras_recurrent")
class GRU(CellLayer):
    """The GRU over a sequence: `Recurrent` around a `GRUCell`.

    Arguments, their order, defaults, weights and outputs are those of `keras.layers.GRU`; what the cell's mean stands
    at `GRUCell` and `RecurrentCell`, the others and the call arguments at `Recurrent`.

    Example:

    >>> from keras_recurrent.layers import GRU
    >>> GRU(8, return_sequences=True)(keras.ops.ones((2, 5, 3))).shape
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
        reset_after=True,
        use_cudnn="auto",
        **kwargs,
    ):
        cell = GRUCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
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
            reset_after=reset_after,
            seed=seed,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="gru_cell",
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
