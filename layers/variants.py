"""Cells that change the equations: peepholes, a projection, layer normalization."""

from typing import Any

import keras
from keras import ops

from .cell import RecurrentCell
from .gru import GRUCell
from .lstm import LSTMCell
from .simple_rnn import SimpleRNNCell
from .types import Nest, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_recurrent")
class PeepholeLSTMCell(LSTMCell):
    """An LSTM whose gates also read the cell state, with one weight per gate and unit.

    With the rows `w_i, w_f, w_o` of `peephole`:

        i  = recurrent_activation(x W_i + h U_i + b_i + w_i * c)
        f  = recurrent_activation(x W_f + h U_f + b_f + w_f * c)
        g  = activation(x W_g + h U_g + b_g)
        c' = f * c + i * g
        o  = recurrent_activation(x W_o + h U_o + b_o + w_o * c')
        h' = o * activation(c')

    See `LSTMCell` for the arguments and the call arguments.

    Example:

    >>> from keras_recurrent.layers import PeepholeLSTMCell, Recurrent
    >>> Recurrent(PeepholeLSTMCell(8))(ops.ones((2, 5, 3))).shape
    (2, 8)

    Reference:
        Gers, Schraudolph and Schmidhuber 2002, Learning precise timing with LSTM recurrent networks.
    """

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        self.peephole = self.add_weight(shape=(3, self.units), name="peephole", autocast=False)

    def step(self, projected: Tensor, inner: Nest, states: list[Tensor]) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        _, c = states
        w_i, w_f, w_o = ops.unstack(ops.cast(self.peephole, projected.dtype))
        i, f, g, o = ops.split(projected + inner, 4, axis=-1)
        i = self.recurrent_activation(i + w_i * c)
        f = self.recurrent_activation(f + w_f * c)
        g = self.activation(g)
        c = f * c + i * g
        o = self.recurrent_activation(o + w_o * c)
        return [o * self.activation(c), c], (i, f, g, o)


@keras.saving.register_keras_serializable(package="keras_recurrent")
class ProjectedLSTMCell(LSTMCell):
    """An LSTM whose output is projected to another number of dimensions.

        h' = (o * activation(c')) P

    `P` (`projection_kernel`) has the shape `(units, projection_units)`. The gates read the projected `h`. The other
    equations are those of `LSTMCell`.

    Args:
        units: Positive integer, the dimension of `c`.
        projection_units: Positive integer, the dimension of `h`.
        **kwargs: Further arguments of `LSTMCell`.

    Raises:
        ValueError: As `LSTMCell`, or if `projection_units` is not a positive integer.

    Example:

    >>> from keras_recurrent.layers import ProjectedLSTMCell, Recurrent
    >>> Recurrent(ProjectedLSTMCell(8, projection_units=4))(ops.ones((2, 5, 3))).shape
    (2, 4)

    Reference:
        Sak, Senior and Beaufays 2014, Long short-term memory recurrent neural network architectures for large scale
        acoustic modeling.
    """

    def __init__(self, units: int, projection_units: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        if not isinstance(projection_units, int) or projection_units <= 0:
            raise ValueError(f"Argument `projection_units` must be a positive integer. Received: {projection_units!r}")
        self.projection_units = projection_units
        self.state_size = [projection_units, units]
        self.output_size = projection_units

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        self.projection_kernel = self.add_weight(
            shape=(self.units, self.projection_units),
            name="projection_kernel",
            initializer=self.kernel_initializer,
            autocast=False,
        )

    def step(self, projected: Tensor, inner: Nest, states: list[Tensor]) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        (h, c), gates = super().step(projected, inner, states)
        return [ops.matmul(h, ops.cast(self.projection_kernel, h.dtype)), c], gates

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "projection_units": self.projection_units}


class LayerNormalized(RecurrentCell):
    """Mixin for cells: normalizes both products of a step over their features before the bias is added.

        x W  becomes  gain_x * normalize(x W)
        h U  becomes  gain_h * normalize(h U)

    with `normalize(a) = (a - mean(a)) / sqrt(variance(a) + 0.001)`, where `gain_x` and `gain_h` are the rows of `gain`.
    """

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        shape = (2, self.gates * self.units)
        self.gain = self.add_weight(shape=shape, initializer="ones", name="gain", autocast=False)

    @property
    def inner_weights(self) -> list[Any]:
        recurrent_kernel, *bias = super().inner_weights
        return [recurrent_kernel, self.gain[1], *bias]

    def project_product(self, product: Tensor) -> Tensor:
        return super().project_product(_normalize(product)[0] * ops.cast(self.gain[0], product.dtype))

    def inner(self, dropped: Tensor, recurrent_kernel: Tensor, *vectors: Tensor) -> tuple[Nest, tuple[Tensor, ...]]:
        gain, *biases = vectors
        product, _ = super().inner(dropped, recurrent_kernel)
        normal, scale = _normalize(product)
        inner = normal * ops.cast(gain, normal.dtype)
        for bias in biases:
            inner = inner + ops.cast(bias, inner.dtype)
        return inner, (normal, scale)

    def product_gradient(self, kept: tuple[Tensor, ...], d_inner: Tensor, *inner_weights: Tensor) -> Tensor:
        _, gain, *_ = inner_weights
        normal, scale = kept
        d_normal = d_inner * ops.cast(gain, d_inner.dtype)
        return scale * (d_normal - _mean(d_normal) - normal * _mean(d_normal * normal))

    def vector_gradients(self, kept: tuple[Tensor, ...], d_inner: Tensor) -> list[Tensor]:
        normal, _ = kept
        return [d_inner * normal, *super().vector_gradients(kept, d_inner)]

    differentiated_inner = inner


def _normalize(x):
    """Returns `(x - mean(x)) / sqrt(variance(x) + 0.001)`, and the reciprocal of the divisor."""
    # In float32 also under mixed precision, since the variance of half-precision numbers is inaccurate.
    wide = ops.cast(x, "float32") if x.dtype != "float64" else x
    centered = wide - _mean(wide)
    scale = ops.rsqrt(_mean(ops.square(centered)) + 1e-3)
    return ops.cast(centered * scale, x.dtype), ops.cast(scale, x.dtype)


def _mean(x):
    """Returns the mean of each row, `(..., 1)`."""
    # As a product, for which XLA on a CPU has faster code than for a reduction.
    return ops.matmul(x, ops.full((x.shape[-1], 1), 1 / x.shape[-1], dtype=x.dtype))


@keras.saving.register_keras_serializable(package="keras_recurrent")
class LayerNormSimpleRNNCell(LayerNormalized, SimpleRNNCell):
    """A `SimpleRNNCell` with layer normalization of both products; see `LayerNormalized`.

    Example:

    >>> from keras_recurrent.layers import LayerNormSimpleRNNCell, Recurrent
    >>> Recurrent(LayerNormSimpleRNNCell(8))(ops.ones((2, 5, 3))).shape
    (2, 8)

    Reference:
        Ba, Kiros and Hinton 2016, Layer normalization.
    """


@keras.saving.register_keras_serializable(package="keras_recurrent")
class LayerNormLSTMCell(LayerNormalized, LSTMCell):
    """An `LSTMCell` with layer normalization of both products; see `LayerNormalized`.

    The cell state is not normalized.

    Example:

    >>> from keras_recurrent.layers import LayerNormLSTMCell, Recurrent
    >>> Recurrent(LayerNormLSTMCell(8))(ops.ones((2, 5, 3))).shape
    (2, 8)

    Reference:
        Ba, Kiros and Hinton 2016, Layer normalization, equations 20 and 21.
    """


@keras.saving.register_keras_serializable(package="keras_recurrent")
class LayerNormGRUCell(LayerNormalized, GRUCell):
    """A `GRUCell` with layer normalization of both products; see `LayerNormalized`.

    Raises:
        ValueError: As `GRUCell`, or if `reset_after` is False.

    Example:

    >>> from keras_recurrent.layers import LayerNormGRUCell, Recurrent
    >>> Recurrent(LayerNormGRUCell(8))(ops.ones((2, 5, 3))).shape
    (2, 8)

    Reference:
        Ba, Kiros and Hinton 2016, Layer normalization.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        if not self.reset_after:
            raise ValueError("Argument `reset_after` must be True for layer normalization. Received: reset_after=False")
