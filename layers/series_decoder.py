"""Decoders of series: from what is known about the steps of a horizon to numbers for each step."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops, tree

from .attention import BahdanauAttention, attend_to
from .bridges import state_bridges, states_by_layer
from .distributions import DISTRIBUTIONS
from .dropout import Dropout
from .family import sequence_layers
from .loop import scan
from .memory import Memory
from .types import Shape, Tensor


class SegmentDecoder(layers.Layer):
    """Base of the decoders of series: recurrent layers, each step of which computes a segment of time steps.

    From the output `h` of the top layer and the inputs `x` of a time step, it computes

        readout = tanh(W_r h + b_r)
        outputs = W_o readout + W_x x + b_o

    A subclass sets `outputs` and creates its layers with `create_layers` and then `create_readout`: optimizers and
    `get_weights` depend on the order.

    Args:
        units, cell, num_layers, segment, dropout, recurrent_dropout: As for `SeriesDecoder`.
    """

    outputs: int  # how many numbers are computed per time step

    def __init__(
        self,
        units: int,
        cell: str,
        num_layers: int,
        segment: int,
        dropout: float,
        recurrent_dropout: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.cell = cell
        self.num_layers = num_layers
        self.segment = segment
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout

    def create_layers(self) -> None:
        """Creates the recurrent layers."""
        options = {"return_state": True, "recurrent_dropout": self.recurrent_dropout, "dtype": self.dtype_policy}
        self.layers = sequence_layers(self.cell, self.units, self.num_layers, **options)

    def create_readout(self) -> None:
        """Creates the layers between the recurrent layers and the outputs."""
        policy = self.dtype_policy
        self.readout = layers.Dense(self.units, activation="tanh", dtype=policy, name="readout")
        self.dropouts = [Dropout(self.dropout, dtype=policy) for _ in range(self.num_layers + 1)]
        self.output_projection = layers.Dense(self.segment * self.outputs, dtype=policy, name="output_projection")
        self.shortcut = layers.Dense(self.outputs, use_bias=False, dtype=policy, name="shortcut")

    def build_layers(self, features: int) -> None:
        """Builds the recurrent layers for segments with `features` features."""
        for layer in self.layers:
            layer.build((None, None, features))
            features = self.units

    def build_readout(self, readout_features: int, step_features: int) -> None:
        """Builds the other layers, from the features that the readout reads and those of a time step."""
        self.readout.build((None, None, readout_features))
        self.output_projection.build((None, None, self.units))
        self.shortcut.build((None, None, step_features))

    def check_steps(self, name: str, steps: int | None) -> None:
        """Raises a `ValueError` if a number of time steps is unknown or not a multiple of the segment."""
        if steps is None or steps % self.segment:
            raise ValueError(f"{name} must be a multiple of segment={self.segment}. Received: {steps}")

    def segments(self, x: Tensor) -> Tensor:
        """`(batch, steps, features)` to `(batch, steps / segment, segment * features)`."""
        _, steps, features = x.shape
        return ops.reshape(x, (-1, steps // self.segment, self.segment * features))

    def run_layers(self, inputs: Tensor, states: Sequence[Any], training: bool) -> tuple[Tensor, list[list[Tensor]]]:
        """Runs the recurrent layers over segments.

        Args:
            inputs: Tensor `(batch, segments, features)`.
            states: For each layer its states before the first segment, each `(batch, units)`; or None for zeros.
            training: Whether to apply dropout.

        Returns:
            `(outputs, states)`: those of the top layer `(batch, segments, units)`, and the last states of each layer.
        """
        output, last = inputs, []
        for layer, initial_state, dropout in zip(self.layers, states, self.dropouts[:-1], strict=True):
            output, *layer_states = layer(output, initial_state=initial_state, training=training)
            output = dropout(output, training=training)
            last.append(layer_states)
        return output, last

    def read_out(self, output: Tensor, inputs: Tensor, training: bool = False) -> Tensor:
        """Computes the outputs `(batch, steps, outputs)`.

        Args:
            output: Tensor `(batch, segments, readout_features)`.
            inputs: Tensor `(batch, steps, step_features)`.
            training: Whether to apply dropout.
        """
        readout = self.dropouts[-1](self.readout(output), training=training)
        outputs = ops.reshape(self.output_projection(readout), (-1, inputs.shape[1], self.outputs))
        return outputs + self.shortcut(inputs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "cell": self.cell,
            "num_layers": self.num_layers,
            "segment": self.segment,
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
        }


@keras.saving.register_keras_serializable(package="keras_recurrent")
class SeriesDecoder(SegmentDecoder):
    """Computes numbers for each step of a horizon from what is known about the steps and a `Memory` of the past.

    Its recurrent layers start with states that dense layers compute from the summary of the memory. With attention, the
    context `c` of the output `h` of the top layer is computed from the memory. The inputs `x` also reach the outputs
    without the recurrence, through a linear map.

        readout = tanh(W_r [h; c] + b_r)
        outputs = W_o readout + W_x x + b_o

    Args:
        outputs: Positive integer, how many numbers are computed per step.
        units: Positive integer, the dimension of the recurrent layers and of the readout.
        cell: Name of the recurrent layers in `family.py`, such as `"lstm"`.
        num_layers: Positive integer, the number of recurrent layers.
        segment: Positive integer, the number of consecutive steps that one recurrent step computes at once. The horizon
            must be a multiple of it.
        attention: Whether to attend to the memory.
        dropout: Float in [0, 1), the fraction of each layer's outputs and of the readout to drop in training.
        recurrent_dropout: Float in [0, 1), the fraction of the states to drop before the recurrent products. All steps
            of a sequence share a mask.

    Call arguments:
        inputs: Tensor `(batch, horizon, features)`.
        memory: A `Memory`.
        training: Whether to apply dropout.

    Returns:
        Tensor `(batch, horizon, outputs)`.

    Example:

    >>> from keras_recurrent.layers import SeriesDecoder, Memory
    >>> memory = Memory(values=ops.ones((2, 5, 3)), mask=None, summary=ops.ones((2, 3)))
    >>> SeriesDecoder(outputs=2, units=8, segment=4)(ops.ones((2, 12, 6)), memory).shape
    (2, 12, 2)

    Reference:
        Wen et al. 2017, A multi-horizon quantile recurrent forecaster; Lin et al. 2023, SegRNN, for the segments; Lai
        et al. 2018, LSTNet, section 3.6, for the linear map.
    """

    def __init__(
        self,
        outputs: int,
        units: int,
        cell: str = "gru",
        num_layers: int = 1,
        segment: int = 1,
        attention: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, cell, num_layers, segment, dropout, recurrent_dropout, **kwargs)
        self.outputs = outputs
        self.attention = attention
        self.create_layers()
        policy = self.dtype_policy
        self.bridges = state_bridges(self.layers, policy)
        self.attend = BahdanauAttention(units, dtype=policy, name="attention") if attention else None
        self.create_readout()

    def build(self, inputs_shape: Any, memory_shape: Any) -> None:
        values_shape, *_, summary_shape = memory_shape
        _, horizon, features = inputs_shape
        self.check_steps("The horizon", horizon)
        self.build_layers(self.segment * features)
        for bridge in self.bridges:
            bridge.build(summary_shape)
        readout_features = self.units
        if self.attend is not None:
            self.attend.build((None, None, self.units), values_shape)
            readout_features += values_shape[-1]
        self.build_readout(readout_features, features)

    def compute_output_shape(self, inputs_shape: Shape, memory_shape: Any = None) -> Shape:
        return (*inputs_shape[:-1], self.outputs)

    def call(self, inputs: Tensor, memory: Memory, training: bool = False) -> Tensor:
        memory = Memory(*memory)  # a functional model that was loaded from a file passes a list
        states = states_by_layer(self.layers, [bridge(memory.summary) for bridge in self.bridges])
        output, _ = self.run_layers(self.segments(inputs), states, training)
        if self.attend is not None:
            context, _ = attend_to(self.attend, memory)(output)
            output = ops.concatenate([output, context], axis=-1)
        return self.read_out(output, inputs, training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "outputs": self.outputs, "attention": self.attention}


@keras.saving.register_keras_serializable(package="keras_recurrent")
class AutoregressiveRNN(SegmentDecoder):
    """Computes the distribution of each value of a series from the values before it.

    A recurrent step reads the scaled value `z` of the step before, `o`, which is 1 if it is observed, and the
    covariates `x` of the step itself:

        h(t)       = layers([z(t - 1); o(t - 1); x(t)], h(t - 1))
        outputs(t) = W_o tanh(W_r h(t) + b_r) + W_x x(t) + b_o

    The outputs are the parameters of a distribution of `z(t)`. `call` reads the true values of all steps (teacher
    forcing). `sample` reads those of the past, and then what it drew from the distribution of the step before.

    With segments of `S` steps, each recurrent step reads the values of the previous segment and the covariates of the
    current one, and computes the distributions of all steps of the current one. Given the past, the draws within a
    segment are independent.

    Args:
        distribution: `"gaussian"`, `"student_t"` or `"negative_binomial"`.
        units, cell, num_layers, segment, dropout, recurrent_dropout: As for `SeriesDecoder`.

    Call arguments:
        values: Tensor `(batch, steps)`, the scaled values, 0 where they are missing.
        observed: Tensor `(batch, steps)`, 1 for values and 0 where they are missing.
        covariates: Tensor `(batch, steps, features)`, what is known ahead of each step.
        training: Whether to apply dropout.

    Returns:
        Tensor `(batch, steps, outputs)`, the `outputs` of the `Distribution` of each step.

    Raises:
        ValueError: If there is no such distribution, or it has no quantiles at all levels.

    Example:

    >>> from keras_recurrent.layers import AutoregressiveRNN
    >>> network = AutoregressiveRNN("gaussian", units=8)
    >>> network(ops.ones((2, 12)), ops.ones((2, 12)), ops.ones((2, 12, 3))).shape
    (2, 12, 2)
    >>> levels = keras.random.uniform((2, 100, 4), seed=0)  # 100 samples of 4 steps
    >>> location, scale = ops.zeros((2, 4)), ops.ones((2, 4))
    >>> network.sample(ops.ones((2, 8)), ops.ones((2, 8)), ops.ones((2, 12, 3)), location, scale, levels).shape
    (2, 100, 4)

    Reference:
        Salinas et al. 2020, DeepAR: probabilistic forecasting with autoregressive recurrent networks.
    """

    def __init__(
        self,
        distribution: str,
        units: int,
        cell: str = "gru",
        num_layers: int = 1,
        segment: int = 1,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        names = [name for name, cls in DISTRIBUTIONS.items() if cls.has_all_levels]
        if distribution not in names:
            raise ValueError(f"Argument `distribution` must be one of {', '.join(names)}. Received: {distribution!r}")
        super().__init__(units, cell, num_layers, segment, dropout, recurrent_dropout, **kwargs)
        self.distribution = distribution
        self.outputs = DISTRIBUTIONS[distribution].outputs
        self.create_layers()
        self.create_readout()

    def build(self, values_shape: Shape, observed_shape: Shape, covariates_shape: Any) -> None:
        _, steps, features = covariates_shape
        self.check_steps("The number of steps", steps)
        self.build_layers(self.segment * (2 + features))
        self.build_readout(self.units, features)

    def compute_output_shape(
        self, values_shape: Shape, observed_shape: Shape | None = None, covariates_shape: Shape | None = None
    ) -> Shape:
        return (*values_shape, self.outputs)

    def call(self, values: Tensor, observed: Tensor, covariates: Tensor, training: bool = False) -> Tensor:
        outputs, _ = self.run_layers(self._inputs(values, observed, covariates), [None] * self.num_layers, training)
        return self.read_out(outputs, covariates, training)

    def sample(
        self, values: Tensor, observed: Tensor, covariates: Tensor, location: Tensor, scale: Tensor, levels: Tensor
    ) -> Tensor:
        """Draws continuations of series.

        Args:
            values, observed: Tensors `(batch, context)`, as in a call.
            covariates: Tensor `(batch, context + horizon, features)`.
            location, scale: Tensors `(batch, horizon)`. A value of the series is `location + scale * z`.
            levels: Tensor `(batch, samples, horizon)` with values in (0, 1). Each draw is the quantile at its level, so
                that uniform levels give samples of the distribution.

        Returns:
            Tensor `(batch, samples, horizon)`, in the units of the series.
        """
        values, observed, covariates = (ops.cast(x, self.compute_dtype) for x in (values, observed, covariates))
        context, (_, samples, horizon) = values.shape[1], levels.shape
        distribution = DISTRIBUTIONS[self.distribution]([])

        def by_segment(x):  # `(batch, horizon, ...)` to `(segments, batch, segment, ...)`
            x = ops.reshape(x, (-1, horizon // self.segment, self.segment, *x.shape[2:]))
            return ops.swapaxes(x, 0, 1)

        def repeated(x):  # `(batch, ...)` to `(batch * samples, ...)`
            return ops.repeat(x, samples, axis=0)

        def step(carry, inputs):
            previous, states = carry
            covariates, location, scale, levels = inputs
            covariates, location, scale = map(repeated, (covariates, location, scale))
            inputs = ops.concatenate([previous, self.segments(covariates)[:, 0]], axis=-1)
            output, states = self._advance(inputs, states)
            outputs = self.read_out(ops.expand_dims(output, 1), covariates)
            levels = ops.reshape(ops.swapaxes(levels, 1, 2), (-1, self.segment, 1))
            drawn = distribution.quantiles(ops.cast(outputs, "float32"), location, scale, levels)[..., 0]
            scaled = ops.cast((drawn - location) / scale, self.compute_dtype)
            return (self._read(scaled, ops.ones_like(scaled))[:, 0], states), drawn

        past = self._inputs(values, observed, covariates[:, :context])
        _, states = self.run_layers(past, [None] * self.num_layers, training=False)
        last = self._read(values[:, -self.segment :], observed[:, -self.segment :])[:, 0]
        carry = tree.map_structure(repeated, (last, states))
        steps = (covariates[:, context:], location, scale, ops.swapaxes(levels, 1, 2))
        _, drawn = scan(step, carry, tuple(by_segment(x) for x in steps))  # (segments, batch * samples, segment)
        return ops.reshape(ops.swapaxes(drawn, 0, 1), (-1, samples, horizon))

    def _read(self, values: Tensor, observed: Tensor) -> Tensor:
        """What the step after each segment reads of its values: `(batch, segments, 2 * segment)`."""
        return self.segments(ops.stack([values, observed], axis=-1))

    def _inputs(self, values: Tensor, observed: Tensor, covariates: Tensor) -> Tensor:
        """What the recurrent layers read: `(batch, segments, features)`."""
        previous = ops.pad(self._read(values, observed)[:, :-1], [[0, 0], [1, 0], [0, 0]])
        return ops.concatenate([previous, self.segments(covariates)], axis=-1)

    def _advance(self, output: Tensor, states: Any) -> tuple[Tensor, list[list[Tensor]]]:
        """Runs one step of the recurrent layers: `run_layers` for inputs `(rows, features)`."""
        new_states = []
        for layer, layer_states in zip(self.layers, states, strict=True):
            output, layer_states = layer.cell(output, list(layer_states))
            new_states.append(layer_states)
        return output, new_states

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "distribution": self.distribution}
