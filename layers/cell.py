"""What the cells of this package share: their weights, their dropout masks and their configuration."""

import numbers

from keras import activations, constraints, initializers, layers, ops, random, regularizers, tree

# Not public, but the protocol by which `keras.layers.RNN` and `StackedRNNCells` draw one mask a sequence.
from keras.src.layers.rnn.dropout_rnn_cell import DropoutRNNCell

from . import backprop
from .derivatives import has_derivative, named_activation
from .dropout import check_rate, dropout


class RecurrentCell(layers.Layer, DropoutRNNCell):
    """Base of the cells: one step of a recurrent network with an input and a recurrent kernel.

    A subclass sets `gates`, the number of blocks of `units` columns in its kernels, and writes its equations in
    `step`, elementwise; it leaves `call` and `run` alone. The product with the input is apart from it, in `project`,
    because it needs no state and so can be taken for all time steps at once; the product with the state is in `inner`.
    A subclass that also writes the step's derivative, in `linearize` and `step_gradient`, is run by the fast loop of
    `backprop.py`, which says what they mean. Any other, one that overrides `step` alone among them, is differentiated
    by the backend.

    Args:
        units: Positive integer, the dimension of the output and of each state.
        activation: The activation of the candidate and, in the LSTM, of the output.
        use_bias: Whether the projections have a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: Initializers of the weights.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Regularizers of the weights.
        kernel_constraint, recurrent_constraint, bias_constraint: Constraints of the weights.
        dropout: Float in [0, 1), the share of the inputs to drop. One mask is drawn a sequence and shared by the gates.
        recurrent_dropout: Float in [0, 1), the same for the state that enters the recurrent product
            (Gal and Ghahramani 2016).
        seed: Seed of the dropout masks.

    Call arguments:
        inputs: Tensor `(batch, features)`.
        states: List of tensors `(batch, units)`; a cell with one state takes the bare tensor too.
        training: Whether dropout applies.

    Returns:
        `(output, new_states)`: `(batch, units)`, and states of the structure that came in.

    Raises:
        ValueError: If `units` is not a positive integer or a rate lies outside [0, 1).
    """

    gates = 1
    state_count = 1
    gate_names = ()  # of what `step` hands over beside the states
    nudge = None  # function of shapes to the `nudges` of `backprop.run`: a place to measure the states' derivative

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
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not isinstance(units, numbers.Integral) or isinstance(units, bool) or units <= 0:
            raise ValueError(
                f"Received an invalid value for argument `units`, expected a positive integer, got {units!r}."
            )
        check_rate("dropout", dropout)
        check_rate("recurrent_dropout", recurrent_dropout)
        units = int(units)
        self.units = units
        self.activation = named_activation("activation", activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        for name in ("kernel_initializer", "recurrent_initializer", "bias_initializer"):
            gates = getattr(getattr(self, name), "gates", self.gates)
            if gates != self.gates:
                raise ValueError(f"Argument `{name}` must be one of {self.gates} gates. Received: one of {gates}")
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
        self.state_size = units if self.state_count == 1 else [units] * self.state_count
        self.output_size = units

    @property
    def bias_shape(self):
        return (self.gates * self.units,)

    def build(self, input_shape):
        columns = self.gates * self.units
        # Not cast by Keras but where they are used, so that the fast loop sums their gradients in their own precision.
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
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                shape=self.bias_shape,
                name="bias",
                initializer=self.initial_bias,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                autocast=False,
            )

    def initial_bias(self, shape, dtype=None):
        """The first value of the bias; a cell that starts some gates otherwise overrides it."""
        return self.bias_initializer(shape, dtype=dtype)

    @property
    def input_bias(self):
        """The bias of `project`, or None."""
        return self.bias

    @property
    def inner_weights(self):
        """The weights of `inner`: the recurrent kernel, and the bias of its product where there is one."""
        return [self.recurrent_kernel]

    @property
    def activations(self):
        """The activations of the equations."""
        return [self.activation]

    @property
    def has_step_gradient(self):
        """Whether the fast loop can run the cell as it is configured, with the derivative of these very equations."""
        classes = type(self).__mro__

        def place(name):
            return next(index for index, one in enumerate(classes) if name in vars(one))

        if classes[place("linearize")] is RecurrentCell or place("linearize") > place("step"):
            return False
        if min(place("linearize"), place("product_gradient")) > place("inner"):
            return False
        return all(map(has_derivative, self.activations))

    def project(self, inputs):
        """The part of a step that needs no state: `(..., features)` to `(..., gates * units)`."""
        # Of two dimensions: a product of three has, on some backends, a kernel gradient a step, and then their sum.
        rows = ops.reshape(inputs, (-1, inputs.shape[-1]))
        projected = self.project_product(ops.matmul(rows, ops.cast(self.kernel, inputs.dtype)))
        bias = self.input_bias
        projected = projected if bias is None else projected + ops.cast(bias, inputs.dtype)
        return ops.reshape(projected, (*ops.shape(inputs)[:-1], projected.shape[-1]))

    def project_product(self, product):
        """What becomes of the input's product before its bias is added."""
        return product

    def inner(self, dropped, recurrent_kernel, bias=None):
        """The recurrent product and its bias: the state `(batch, units)` to `(batch, gates * units)`.

        Returns:
            `(inner, kept)`, where `kept` is what `product_gradient` and `vector_gradients` need of it.
        """
        inner = ops.matmul(dropped, ops.cast(recurrent_kernel, dropped.dtype))
        return (inner if bias is None else inner + ops.cast(bias, dropped.dtype)), ()

    def step(self, projected, inner, states):
        """The cell's equations, from a projected input, the recurrent product and the states.

        Returns:
            `(new_states, gates)`, where `gates` is what `linearize` needs beside the states.
        """
        raise NotImplementedError(f"{type(self).__name__} must write its equations in `step`.")

    def linearize(self, gates, before, after):
        """The coefficients of the step's derivative, for all steps at once; see `backprop.py`."""
        raise NotImplementedError(f"{type(self).__name__} must write its derivative in `linearize`.")

    def step_gradient(self, coefficients, d_states):
        """`(d_projected, d_before)`: what `linearize` found, applied; None in `d_before` for no direct path."""
        raise NotImplementedError(f"{type(self).__name__} must write its derivative in `step_gradient`.")

    def inner_gradient(self, coefficients, d_projected):
        """The derivative with respect to `inner`; the projected input's where the two are added."""
        return d_projected

    def product_gradient(self, kept, d_inner, *inner_weights):
        """The derivative with respect to the recurrent product within `inner`."""
        return d_inner

    def vector_gradients(self, kept, d_inner):
        """The derivatives with respect to the weights of `inner` but the kernel, each before its sum over all rows."""
        return [d_inner]

    def _create_dropout_mask(self, step_input, dropout_rate):
        """Keras's hook: what multiplies the inputs, or the state, at all steps of a sequence."""
        return dropout(ops.ones_like(step_input), dropout_rate, self.seed_generator)

    def call(self, inputs, states, training=False, weights=None):
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

    def run(self, sequences, states, mask=None, training=False, weights=None, mix=None):
        """The cell over all time steps of a sequence.

        Args:
            sequences: Tensor `(steps, batch, features)`.
            states: List of tensors `(batch, units)`.
            mask: Boolean tensor, False where the states stay as they are: `(steps, batch, 1)`, or a list with one of
                `(steps, batch, units)` a state; or None.
            training: Whether dropout applies.
            weights: What stands for `inner_weights`.
            mix: Function of a step's old and new states to those that stay, not in training.

        Returns:
            `(last_output, outputs, states)`: `(batch, units)`, `(steps, batch, units)`, and the last states.
        """
        sequences, dropout_mask = self.dropped(sequences, states[0], training)
        outputs, states = backprop.run(
            self,
            # All steps in one product, but where no gradient is wanted: there the large array costs more than it saves.
            self.project(sequences) if training else sequences,
            states,
            weights or self.inner_weights,
            dropout_mask,
            mask,
            mix,
            by_hand=training and self.has_step_gradient,
            project=None if training else self.project,
            nudges=self.nudge and self.nudge([(ops.shape(sequences)[0], *ops.shape(state)) for state in states]),
        )
        return states[0], outputs, states

    def dropped(self, sequences, state, training):
        """`sequences` `(steps, batch, features)` with dropout, and the mask for the recurrent product, or None."""
        dropout_mask = None
        if training and self.dropout:
            sequences = sequences * self._create_dropout_mask(sequences[0], self.dropout)
        if training and self.recurrent_dropout:
            dropout_mask = self._create_dropout_mask(state, self.recurrent_dropout)
        return sequences, dropout_mask

    def get_initial_state(self, batch_size=None):
        """Zeros, one `(batch_size, units)` a state."""
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in tree.flatten(self.state_size)]

    def get_config(self):
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
