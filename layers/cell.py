"""The base of the cells: weights, dropout masks and configuration."""

import contextlib
import inspect
import numbers
from collections.abc import Callable
from typing import Any

from keras import activations, constraints, initializers, layers, ops, random, regularizers, tree

from . import backprop, fused
from .backprop import Nudge
from .derivatives import get_activation, has_derivative
from .dropout import check_rate, dropout
from .keras_internals import DropoutMasks
from .loop import current_settings
from .types import Identifier, Nest, Shape, Tensor


class RecurrentCell(layers.Layer, DropoutMasks):
    """Base of the cells: one step of a recurrent network with a kernel for the input and one for the state.

    A subclass sets `gates`, the number of blocks of `units` columns in its kernels, and writes its elementwise
    equations in `step`. The product with the input is in `project`: it needs no state, so that it is computed for all
    time steps at once. The product with the state is in `inner`. Subclasses do not override `call` and `run`.

    The backend differentiates a cell unless the class writes the derivative of its equations in `linearize` and
    `step_gradient` and declares so with `differentiated_step = step`; then the fast loop of `backprop.py` runs it. A
    class that overrides `inner` and writes `product_gradient` or `inner_gradient` for it declares
    `differentiated_inner = inner`. A subclass that overrides `step` or `inner` alone inherits a declaration for other
    equations than its own, and is differentiated by the backend.

    Args:
        units: Positive integer, the dimension of the output and of each state.
        activation: Activation of the candidate and, in the LSTM, of the output.
        use_bias: Whether the projections have a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: Initializers of the weights.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Regularizers of the weights.
        kernel_constraint, recurrent_constraint, bias_constraint: Constraints of the weights.
        dropout: Float in [0, 1), the fraction of the inputs to drop. All steps and gates share one mask per sequence.
        recurrent_dropout: Float in [0, 1), the same for the state that enters the recurrent product
            (Gal and Ghahramani 2016).
        seed: Seed of the dropout masks.

    Call arguments:
        inputs: Tensor `(batch, features)`.
        states: List of tensors `(batch, units)`; a cell with one state also takes the tensor itself.
        training: Whether to apply dropout.

    Returns:
        `(output, new_states)`: a tensor `(batch, units)`, and states in the structure of `states`.

    Raises:
        ValueError: If `units` is not a positive integer, a rate is not in [0, 1), or an initializer is for another
            number of gates.
    """

    gates: int = 1

    # The names of what `step` returns beside the states.
    gate_names: tuple[str, ...] = ()

    # The names of the states; the first one is the output.
    state_names: tuple[str, ...] = ("h",)

    # For each gate 1 if opening it keeps the state, -1 if opening it overwrites the state, else 0; see `Chrono`.
    chrono_signs: tuple[int, ...] = ()

    # The `step` that `linearize` and `step_gradient` differentiate.
    differentiated_step: Callable | None = None

    # The arguments that concern the weights and not the equations.
    weight_arguments: tuple[str, ...] = tuple(
        f"{weight}_{kind}"
        for weight in ("kernel", "recurrent", "bias")
        for kind in ("initializer", "regularizer", "constraint")
    )

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
        kernel_constraint: Identifier = None,
        recurrent_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_units(units)
        check_rate("dropout", dropout)
        check_rate("recurrent_dropout", recurrent_dropout)
        self.units = int(units)
        self.activation = get_activation("activation", activation)
        self.use_bias = use_bias
        self.kernel_initializer = self._initializer("kernel_initializer", kernel_initializer)
        self.recurrent_initializer = self._initializer("recurrent_initializer", recurrent_initializer)
        self.bias_initializer = self._initializer("bias_initializer", bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.recurrent_constraint = constraints.get(recurrent_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)
        self.state_size: int | list[int] = self.units if self.state_count == 1 else [self.units] * self.state_count
        self.output_size = self.units

    def _initializer(self, name: str, initializer: Identifier) -> Any:
        initializer = initializers.get(initializer)
        gates = getattr(initializer, "gates", self.gates)
        if gates != self.gates:
            raise ValueError(
                f"Argument `{name}` must be an initializer for {self.gates} gates. Received one for {gates} gates"
            )
        return initializer

    @classmethod
    def argument_names(cls) -> set[str]:
        """Returns the names of the constructor's arguments, those of the base cells included."""
        signatures = [inspect.signature(base.__init__) for base in cls.__mro__ if issubclass(base, RecurrentCell)]
        return {name for signature in signatures for name in signature.parameters} - {"self", "kwargs"}

    @property
    def state_count(self) -> int:
        return len(self.state_names)

    @property
    def bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def build(self, input_shape: Shape) -> None:
        columns = self.gates * self.units
        # No autocast: the weights are cast where they are used, and the fast loop sums their gradients in their dtype.
        self.kernel = self.add_weight(
            shape=(input_shape[-1], columns),
            name="kernel",
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            autocast=False,
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.output_size, columns),
            name="recurrent_kernel",
            initializer=self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
            autocast=False,
        )
        self.bias: Any = None
        if self.use_bias:
            self.bias = self.add_weight(
                shape=self.bias_shape,
                name="bias",
                initializer=self.initial_bias,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                autocast=False,
            )

    def initial_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """Returns the initial bias; a cell overrides it to treat some gates differently."""
        return self.bias_initializer(shape, dtype=dtype)

    @property
    def input_bias(self) -> Any:
        """The bias of `project`, or None."""
        return self.bias

    @property
    def inner_weights(self) -> list[Any]:
        """The weights of `inner`: the recurrent kernel, then vectors such as the bias of the recurrent product."""
        return [self.recurrent_kernel]

    @property
    def activations(self) -> list[Callable]:
        """The activations in the equations."""
        return [self.activation]

    @property
    def has_step_gradient(self) -> bool:
        """Whether the class differentiates these equations itself, with the activations of this cell."""
        cls = type(self)
        is_declared = cls.step is cls.differentiated_step and cls.inner is cls.differentiated_inner
        return is_declared and all(map(has_derivative, self.activations))

    def project(self, inputs: Tensor) -> Tensor:
        """Computes the part of a step that needs no state: `(..., features)` to `(..., gates * units)`."""
        return _by_rows(lambda rows: self.project_product(self.input_product(rows)), inputs)

    def input_product(self, inputs: Tensor, features: slice | None = None) -> Tensor:
        """Multiplies inputs, or those of their features that are given, by the kernel or by its rows for them."""
        kernel = self.kernel if features is None else self.kernel[features]
        return _by_rows(lambda rows: ops.matmul(rows, ops.cast(kernel, rows.dtype)), inputs)

    def project_product(self, product: Tensor) -> Tensor:
        """Computes the projection from the input's product with the kernel: adds the bias."""
        bias = self.input_bias
        return product if bias is None else product + ops.cast(bias, product.dtype)

    def inner(self, dropped: Tensor, recurrent_kernel: Tensor, *vectors: Tensor) -> tuple[Nest, tuple[Tensor, ...]]:
        """Computes the recurrent product and adds its bias: `(batch, units)` to `(batch, gates * units)`.

        Args:
            dropped: The first state, after dropout.
            recurrent_kernel, *vectors: What `inner_weights` returns; here the only vector is the bias, if there is one.

        Returns:
            `(inner, kept)`, where `kept` is what `product_gradient` and `vector_gradients` need from this step.
        """
        inner = ops.matmul(dropped, ops.cast(recurrent_kernel, dropped.dtype))
        for bias in vectors:
            inner = inner + ops.cast(bias, dropped.dtype)
        return inner, ()

    # The `inner` that `inner_gradient`, `product_gradient` and `vector_gradients` differentiate.
    differentiated_inner: Callable | None = inner

    def step(self, projected: Tensor, inner: Nest, states: list[Tensor]) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """Computes the cell's equations from a projected input, the recurrent product and the states.

        Returns:
            `(new_states, gates)`, where `gates` is what `linearize` needs beside the states.
        """
        raise NotImplementedError(f"{type(self).__name__} must write its equations in `step`.")

    def linearize(self, gates: tuple[Tensor, ...], before: list[Tensor], after: list[Tensor]) -> Nest:
        """Computes the coefficients of the step's derivative for all steps at once; see `backprop.py`."""
        raise NotImplementedError(f"{type(self).__name__} must write its derivative in `linearize`.")

    def step_gradient(self, coefficients: Nest, d_states: list[Tensor]) -> tuple[Tensor, list[Tensor | None]]:
        """Applies the coefficients: `(d_projected, d_before)`, where None in `d_before` means 0."""
        raise NotImplementedError(f"{type(self).__name__} must write its derivative in `step_gradient`.")

    def inner_gradient(self, coefficients: Nest, d_projected: Tensor) -> Tensor:
        """Computes the derivative with respect to `inner`; it is `d_projected` if the equations add the two."""
        return d_projected

    def product_gradient(self, kept: tuple[Tensor, ...], d_inner: Tensor, *inner_weights: Tensor) -> Tensor:
        """Computes the derivative with respect to the recurrent product within `inner`."""
        return d_inner

    def vector_gradients(self, kept: tuple[Tensor, ...], d_inner: Tensor) -> list[Tensor]:
        """Computes the derivatives with respect to the vectors in `inner_weights`, before the sum over all rows."""
        return [d_inner]

    def dropout_mask(self, like: Tensor, rate: float) -> Tensor:
        return dropout(ops.ones_like(like), rate, self.seed_generator)

    def recurrent_dropout_mask(self, state: Tensor, training: bool = False) -> Tensor | None:
        """Draws what a state `(batch, units)` is multiplied by before all recurrent products, or returns None."""
        return self.dropout_mask(state, self.recurrent_dropout) if training and self.recurrent_dropout else None

    def drop_inputs(self, sequences: Tensor, training: bool = False) -> Tensor:
        """Applies dropout to inputs `(steps, batch, features)`, with one mask for all steps."""
        return sequences * self.dropout_mask(sequences[0], self.dropout) if training and self.dropout else sequences

    def call(
        self, inputs: Tensor, states: Nest, training: bool = False, weights: list[Any] | None = None
    ) -> tuple[Tensor, Nest]:
        nested = tree.is_nested(states)
        states = list(states) if nested else [states]
        if len(states) != self.state_count:
            raise ValueError(f"Argument `states` must hold {self.state_count} tensors. Received: {len(states)} tensors")
        dropped = states[0]
        if training and self.dropout:
            inputs = inputs * self.get_dropout_mask(inputs)
        if training and self.recurrent_dropout:
            dropped = dropped * self.get_recurrent_dropout_mask(dropped)
        inner, _ = self.inner(dropped, *(weights or self.inner_weights))
        new_states, _ = self.step(self.project(inputs), inner, states)
        return new_states[0], new_states if nested else new_states[0]

    def run(
        self,
        sequences: Tensor,
        states: list[Tensor],
        mask: Any = None,
        training: bool = False,
        weights: list[Any] | None = None,
        mix: Callable | None = None,
        nudge: Nudge | None = None,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Runs the cell over all time steps of a sequence.

        Args:
            sequences: Tensor `(steps, batch, features)`.
            states: List of tensors `(batch, units)`.
            mask: Boolean tensor, False where the states keep their values: `(steps, batch, 1)`, or a list with one
                mask `(steps, batch, units)` per state; or None.
            training: Whether to apply dropout.
            weights: Replacement of `inner_weights`; None uses those.
            mix: Function from the old and the new states of a step to the states after it, outside of training.
            nudge: What is added to the states after each step; see `backprop.Nudge`.

        Returns:
            `(last_output, outputs, states)`: `(batch, units)`, `(steps, batch, units)`, and the last states.
        """
        settings = current_settings()
        if settings.node is not None and mix is None:
            result = settings.node(self, sequences, states, mask, settings.flipped)
            if result is not None:
                outputs, states = result
                return states[0], outputs, states
        sequences = self.drop_inputs(sequences, training)
        if weights is None and mix is None and nudge is None:
            kernel = fused.kernel_for(self, sequences, mask, training)
            if kernel is not None:
                with contextlib.suppress(NotImplementedError):
                    outputs, states = fused.run(kernel, self, sequences, states, mask)
                    return states[0], outputs, states
        outputs, states = backprop.run(
            self,
            # One product for all steps, except at inference: there the large array costs more than it saves.
            self.project(sequences) if training else sequences,
            states,
            weights or self.inner_weights,
            self.recurrent_dropout_mask(states[0], training),
            mask,
            mix,
            by_hand=training and self.has_step_gradient,
            project=None if training else self.project,
            nudges=nudge and nudge(self, [(ops.shape(sequences)[0], *ops.shape(state)) for state in states]),
        )
        return states[0], outputs, states

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """Returns zeros, one tensor `(batch_size, units)` per state."""
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in tree.flatten(self.state_size)]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": initializers.serialize(self.recurrent_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "recurrent_regularizer": regularizers.serialize(self.recurrent_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "recurrent_constraint": constraints.serialize(self.recurrent_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
        }


def check_units(units: Any) -> None:
    """Raises a `ValueError` if `units` is not a positive integer."""
    if not isinstance(units, numbers.Integral) or isinstance(units, bool) or units <= 0:
        raise ValueError(f"Received an invalid value for argument `units`, expected a positive integer, got {units!r}.")


def _by_rows(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Applies a function of a matrix to `(..., features)`."""
    # On some backends the derivative of a product of three dimensions computes one kernel gradient per step.
    if len(x.shape) == 2:
        return function(x)
    rows = function(ops.reshape(x, (-1, x.shape[-1])))
    return ops.reshape(rows, (*ops.shape(x)[:-1], rows.shape[-1]))
