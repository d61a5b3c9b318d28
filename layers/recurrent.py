"""The sequence layer that SimpleRNN, LSTM and GRU share."""

import keras
from keras import ops, tree

from .stacked import StackedCells


@keras.saving.register_keras_serializable(package="keras_recurrent")
class Recurrent(keras.layers.RNN):
    """Runs a cell over the time steps of a sequence.

    Everything that `keras.layers.RNN` takes, this takes: `return_sequences`, `return_state`, `go_backwards`,
    `stateful`, `unroll`, `zero_output_for_mask`, masks of any pattern, an initial state.

    Args:
        cell: A cell, or a list of cells to stack: a `StackedCells` where all are of this package, else Keras's.
        **kwargs: The arguments of `keras.layers.RNN`.

    Call arguments:
        sequences: Tensor `(batch, steps, features)`.
        initial_state: List of tensors `(batch, units)`; zeros where it is missing.
        mask: Boolean tensor `(batch, steps)`. Where it is False the states and the output stay as they were a step
            before; before the first step that counts the output is 0, whatever the initial state is.
        training: Whether dropout applies.

    Returns:
        The last output `(batch, units)`, or all of them `(batch, steps, units)` with `return_sequences`; followed by
        the last states with `return_state`.

    Example:

    >>> from keras_recurrent.layers import GRUCell, Recurrent
    >>> Recurrent(GRUCell(8), return_sequences=True)(keras.ops.ones((2, 5, 3))).shape
    (2, 5, 8)
    """

    def __init__(self, cell, **kwargs):
        if isinstance(cell, (list, tuple)) and all(hasattr(one, "run") for one in cell):
            cell = StackedCells(cell)
        super().__init__(cell, **kwargs)
        if hasattr(self.cell, "run"):
            self.input_spec = keras.layers.InputSpec(ndim=3)

    def call(self, sequences, initial_state=None, mask=None, training=False):
        self.check_call(sequences, initial_state, mask)
        if (
            isinstance(self.cell, StackedCells)
            and initial_state is not None
            and not any(map(tree.is_nested, initial_state))
        ):
            initial_state = tree.pack_sequence_as(self.state_size, list(initial_state))
        if sequences.shape[1] == 0:
            return self._call_without_steps(sequences, initial_state)
        return super().call(sequences, initial_state, mask, training)

    def check_call(self, sequences, initial_state, mask):
        """Raises a `ValueError` where the arguments of a call do not fit together."""
        if mask is not None:
            mask = tree.flatten(mask)[0]
        if mask is not None and not _same_shape(mask.shape, sequences.shape[:2]):
            raise ValueError(
                f"Argument `mask` must have the shape (batch, steps) of the sequences, {tuple(sequences.shape[:2])}. "
                f"Received: mask.shape={tuple(mask.shape)}"
            )
        if initial_state is None:
            return
        states, sizes = tree.flatten(initial_state), tree.flatten(self.state_size)
        if len(states) != len(sizes):
            raise ValueError(
                f"Argument `initial_state` must hold {len(sizes)} tensors, one a state. Received: {len(states)} tensors"
            )
        for state, size in zip(states, sizes, strict=True):
            if not _same_shape(state.shape, (sequences.shape[0], size)):
                raise ValueError(
                    f"Argument `initial_state` must hold tensors of the shape (batch, units), "
                    f"{(sequences.shape[0], size)}. Received one of the shape {tuple(state.shape)}"
                )

    def _call_without_steps(self, sequences, initial_state):
        """What a sequence of no steps leaves: the initial state, whose first part is the last output."""
        batch = ops.shape(sequences)[0]
        if initial_state is None:
            initial_state = self.states if self.stateful else self.get_initial_state(batch)
        states = tree.map_structure(lambda state: ops.cast(state, self.compute_dtype), list(initial_state))
        if self.stateful:
            self.reset_state(states)
        top = states[-1] if isinstance(self.cell, keras.layers.StackedRNNCells) else states
        output = tree.flatten(top)[0]
        if self.return_sequences:
            output = ops.zeros((batch, 0, self.cell.output_size), self.compute_dtype)
        return (output, *states) if self.return_state else output

    def reset_state(self, states=None):
        """Sets the states of a stateful layer.

        Args:
            states: List of arrays `(batch, units)`, one a state; where it is missing, what the layer starts from, zeros
                or what a `LearnedInitialStateCell` has learned.

        Raises:
            ValueError: If `states` are given and the layer is not stateful or not built, or they do not fit its states.
        """
        variables = [] if self.states is None else tree.flatten(self.states)
        if states is None:
            states = self.get_initial_state(variables[0].shape[0]) if variables else []
        elif not self.stateful:
            raise ValueError("Argument `states` is for a stateful layer. Received: states of one that is not")
        states = tree.flatten(states)
        shapes, expected = ([tuple(x.shape) for x in xs] for xs in (states, variables))
        if len(shapes) != len(expected) or not all(map(_same_shape, shapes, expected)):
            raise ValueError(f"Argument `states` must hold arrays of the shapes {expected}. Received: {shapes}")
        for variable, state in zip(variables, states, strict=True):
            variable.assign(ops.cast(state, variable.dtype))

    def save_own_variables(self, store):
        """Keras's hook: the states of a stateful layer are saved, too."""
        super().save_own_variables(store)
        for index, state in enumerate(tree.flatten(self.states or [])):
            store[f"state_{index}"] = ops.convert_to_numpy(state)

    def load_own_variables(self, store):
        """Keras's hook; states stay as they are where the file has none, as Keras's files, or of another batch size."""
        names = list(store.keys())  # Keras's store is no dictionary
        super().load_own_variables({name: store[name] for name in names if not name.startswith("state_")})
        for index, state in enumerate(tree.flatten(self.states or [])):
            if f"state_{index}" in names and tuple(store[f"state_{index}"].shape) == tuple(state.shape):
                state.assign(store[f"state_{index}"])

    def _maybe_config_dropout_masks(self, cell, input_sequence, input_state):
        """Keras's hook, which draws the masks before the loop: a cell with a `run` draws them there."""
        if not hasattr(cell, "run"):
            super()._maybe_config_dropout_masks(cell, input_sequence, input_state)

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """Runs the cell over the time steps: as it says itself in `run`, or else as Keras does."""
        cell = self.cell
        if not hasattr(cell, "run"):
            return super().inner_loop(sequences, initial_state, mask, training)
        sequences = ops.transpose(ops.cast(sequences, cell.compute_dtype), (1, 0, 2))  # (steps, batch, features)
        mask = tree.flatten(mask)[0]  # a list of masks where Keras passes on those of the initial state, too
        if mask is not None:
            mask = time_major(mask)
        if self.go_backwards:
            sequences = ops.flip(sequences, 0)
            mask = None if mask is None else ops.flip(mask, 0)

        last, outputs, states = cell.run(sequences, initial_state, mask, training)
        if mask is not None:
            last, outputs = mask_outputs(last, outputs, mask, self.zero_output_for_mask)
        return last, ops.transpose(outputs, (1, 0, 2)), states


def time_major(mask):
    """A mask `(batch, steps)` as the loop reads it: boolean, `(steps, batch, 1)`."""
    return ops.expand_dims(ops.transpose(ops.cast(mask, "bool")), -1)


def mask_outputs(last, outputs, mask, zero_output_for_mask=False):
    """Keras's outputs under a mask: zero until the first step that counts, whatever the initial state is.

    Args:
        last: Tensor `(..., batch, units)`.
        outputs: Tensor `(steps, ..., batch, units)`.
        mask: Boolean tensor `(steps, ..., batch, 1)`.
        zero_output_for_mask: Whether the outputs are zero at all steps that do not count.

    Returns:
        `(last, outputs)`.
    """
    counts = mask if zero_output_for_mask else ops.cumsum(ops.cast(mask, "int32"), axis=0) > 0
    some = ops.logical_or(ops.any(mask, axis=0), ops.shape(mask)[0] == 0)  # of no steps, `last` is the initial state
    return ops.where(some, last, 0), ops.where(counts, outputs, 0)


def _same_shape(shape, expected):
    """Whether two shapes agree where both are known."""
    if len(shape) != len(expected):
        return False
    return all(size == other or None in (size, other) for size, other in zip(shape, expected, strict=True))


class CellLayer(Recurrent):
    """A `Recurrent` that made its own cell, so that the cell's arguments are its own.

    Args:
        cell: The cell that the subclass built from its arguments.
        use_cudnn: Taken and saved where Keras's layer has it, and without effect: the loop is this package's own.
        implementation: Taken for the sake of Keras's older configurations, and without effect.
        **kwargs: The arguments of `Recurrent`.
    """

    def __init__(self, cell, use_cudnn=None, implementation=None, **kwargs):
        if use_cudnn not in (None, "auto", True, False):
            raise ValueError(f"Argument `use_cudnn` must be 'auto', True or False. Received: use_cudnn={use_cudnn!r}")
        super().__init__(cell, **kwargs)
        if use_cudnn is not None:
            self.use_cudnn = use_cudnn

    def __getattr__(self, name):
        # `layer.units`, `layer.dropout`, ...: whatever the cell's configuration names.
        # PyTorch keeps a layer's layers in `_modules`.
        cell = self.__dict__.get("cell") or self.__dict__.get("_modules", {}).get("cell")
        if cell is not None and name in cell.get_config():
            return getattr(cell, name)
        if hasattr(super(), "__getattr__"):
            return super().__getattr__(name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def get_config(self):
        config = super().get_config()
        del config["cell"]
        if "use_cudnn" in self.__dict__:
            config["use_cudnn"] = self.use_cudnn
        return {**self.cell.get_config(), **config}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
