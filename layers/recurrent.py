"""The sequence layer, and the base of SimpleRNN, LSTM and GRU."""

import re
from typing import Any, Self

import keras
from keras import ops, tree

from . import fused
from .backprop import current_nudge
from .cell import RecurrentCell
from .keras_internals import RNN, tracked_layer
from .loop import current_settings, fused_excludes_xla, loop_settings
from .stacked import StackedCells
from .types import Nest, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_recurrent")
class Recurrent(RNN):
    """Runs a cell over the time steps of a sequence.

    It supports everything that `keras.layers.RNN` does: `return_sequences`, `return_state`, `go_backwards`, `stateful`,
    `unroll`, `zero_output_for_mask`, masks with any pattern, and an initial state.

    Args:
        cell: A cell, or a list of cells to stack: in a `StackedCells` if all are of this package, else in
            `keras.layers.StackedRNNCells`.
        **kwargs: Further arguments of `keras.layers.RNN`.

    Call arguments:
        sequences: Tensor `(batch, steps, features)`.
        initial_state: List of tensors `(batch, units)`; None starts with zeros.
        mask: Boolean tensor `(batch, steps)`. Where it is False, the states and the output keep their values of the
            step before. Before the first step whose mask is True, the output is 0 for any initial state.
        training: Whether to apply dropout.

    Returns:
        The last output `(batch, units)`, or with `return_sequences` all outputs `(batch, steps, units)`. With
        `return_state` a list of the output and the last states.

    Raises:
        ValueError: If `mask` or `initial_state` do not fit the sequences and the cell.

    Example:

    >>> from keras_recurrent.layers import GRUCell, Recurrent
    >>> Recurrent(GRUCell(8), return_sequences=True)(ops.ones((2, 5, 3))).shape
    (2, 5, 8)
    """

    def __init__(self, cell: Any, **kwargs: Any) -> None:
        if isinstance(cell, (list, tuple)) and all(hasattr(stacked, "run") for stacked in cell):
            cell = StackedCells(list(cell))
        super().__init__(cell, **kwargs)
        if hasattr(self.cell, "run"):
            self.input_spec = keras.layers.InputSpec(ndim=3)

    def call(self, sequences: Tensor, initial_state: Nest = None, mask: Any = None, training: bool = False) -> Nest:
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

    def check_call(self, sequences: Tensor, initial_state: Nest, mask: Any) -> None:
        """Raises a `ValueError` if the arguments of a call do not fit together."""
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
                f"Argument `initial_state` must hold {len(sizes)} tensors, one per state. Received: {len(states)}"
            )
        for state, size in zip(states, sizes, strict=True):
            if not _same_shape(state.shape, (sequences.shape[0], size)):
                raise ValueError(
                    f"Argument `initial_state` must hold tensors of the shape (batch, units), "
                    f"{(sequences.shape[0], size)}. Received a tensor of the shape {tuple(state.shape)}"
                )

    def _call_without_steps(self, sequences: Tensor, initial_state: Nest) -> Nest:
        """The outputs of a sequence without steps: its last states are the initial ones, the first is the output."""
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

    def reset_state(self, states: Nest = None) -> None:
        """Sets the states of a stateful layer.

        Args:
            states: List of arrays `(batch, units)`, one per state. None resets to the initial states: zeros, or those
                of a `LearnedInitialStateCell`.

        Raises:
            ValueError: If `states` is passed to a layer that is not stateful or not built, or does not fit its states.
        """
        variables = [] if self.states is None else tree.flatten(self.states)
        if states is None:
            states = self.get_initial_state(variables[0].shape[0]) if variables else []
        elif not self.stateful:
            raise ValueError("Argument `states` must be None for a layer that is not stateful")
        states = tree.flatten(states)
        shapes, expected = ([tuple(x.shape) for x in xs] for xs in (states, variables))
        if len(shapes) != len(expected) or not all(map(_same_shape, shapes, expected)):
            raise ValueError(f"Argument `states` must hold arrays of the shapes {expected}. Received: {shapes}")
        for variable, state in zip(variables, states, strict=True):
            variable.assign(ops.cast(state, variable.dtype))

    def save_own_variables(self, store: Any) -> None:
        """Hook of Keras; it also saves the states of a stateful layer."""
        super().save_own_variables(store)
        for index, state in enumerate(tree.flatten(self.states or [])):
            store[f"state_{index}"] = ops.convert_to_numpy(state)

    def load_own_variables(self, store: Any) -> None:
        """Hook of Keras; it keeps the states if the file has none, as files of Keras, or another batch size."""
        names = list(store.keys())
        super().load_own_variables({name: store[name] for name in names if not name.startswith("state_")})
        for index, state in enumerate(tree.flatten(self.states or [])):
            if f"state_{index}" in names and tuple(store[f"state_{index}"].shape) == tuple(state.shape):
                state.assign(store[f"state_{index}"])

    def loop_settings(self) -> dict[str, bool]:
        """Returns the `LoopSettings` that this layer changes for its loop."""
        settings = current_settings()
        use_cudnn = vars(self).get("use_cudnn", "auto")
        return {"unroll": settings.unroll or self.unroll, "fused": settings.fused and use_cudnn is not False}

    def run_cell(
        self, sequences: Tensor, initial_state: Nest, mask: Any, training: bool
    ) -> tuple[Tensor, Tensor, Nest]:
        """Runs a cell of this package over the time steps: `(last_output, outputs, states)`, batch first."""
        cell = self.cell
        sequences = ops.cast(sequences, cell.compute_dtype)
        if self.go_backwards:
            sequences = ops.flip(sequences, 1)
        sequences = ops.transpose(sequences, (1, 0, 2))  # (steps, batch, features)
        mask = tree.flatten(mask)[0]  # Keras passes a list if the initial state has a mask, too
        if mask is not None:
            mask = time_major(mask)
            mask = ops.flip(mask, 0) if self.go_backwards else mask

        with loop_settings(**self.loop_settings(), flipped=self.go_backwards):
            last, outputs, states = cell.run(sequences, initial_state, mask, training, nudge=current_nudge())
        if mask is not None:
            last, outputs = mask_outputs(last, outputs, mask, self.zero_output_for_mask)
        return last, ops.transpose(outputs, (1, 0, 2)), states


def time_major(mask: Tensor) -> Tensor:
    """Converts a mask `(batch, steps)` to that of the time loop: boolean, `(steps, batch, 1)`."""
    return ops.expand_dims(ops.transpose(ops.cast(mask, "bool")), -1)


def mask_outputs(
    last: Tensor, outputs: Tensor, mask: Tensor, zero_output_for_mask: bool = False
) -> tuple[Tensor, Tensor]:
    """Masks outputs as Keras does: they are zero before the first step whose mask is True, for any initial state.

    Args:
        last: Tensor `(..., batch, units)`.
        outputs: Tensor `(steps, ..., batch, units)`.
        mask: Boolean tensor `(steps, ..., batch, 1)`.
        zero_output_for_mask: Whether the outputs are zero at all steps whose mask is False.

    Returns:
        `(last, outputs)`.
    """
    counts = mask if zero_output_for_mask else ops.cumsum(ops.cast(mask, "int32"), axis=0) > 0
    # Without steps, `last` is the initial state.
    is_set = ops.logical_or(ops.any(mask, axis=0), ops.shape(mask)[0] == 0)
    return ops.where(is_set, last, 0), ops.where(counts, outputs, 0)


def _same_shape(shape: Shape, expected: Shape) -> bool:
    """Returns whether two shapes agree in the dimensions that both know."""
    if len(shape) != len(expected):
        return False
    return all(size == other or None in (size, other) for size, other in zip(shape, expected, strict=True))


class CellLayer(Recurrent):
    """Base of the layers that create their own cell and take its arguments.

    A subclass sets `cell_class`. Arguments of that class go to the cell, and all others to `Recurrent`. They are
    attributes of the layer, too.

    Args:
        use_cudnn: False never runs the layer in a fused kernel of cuDNN. `"auto"` and True do where it is possible, and
            on a GPU with TensorFlow they switch off the automatic choice of XLA, which excludes cuDNN. None leaves that
            choice alone.
        **kwargs: The arguments of the cell, and those of `Recurrent`.

    Raises:
        ValueError: As the cell, or if `use_cudnn` is none of Keras's values.
    """

    cell_class: type[RecurrentCell] = RecurrentCell

    def __init__(self, units: int, use_cudnn: bool | str | None = None, **kwargs: Any) -> None:
        if use_cudnn not in (None, "auto", True, False):
            raise ValueError(f"Argument `use_cudnn` must be 'auto', True or False. Received: use_cudnn={use_cudnn!r}")
        kwargs.pop("implementation", None)  # in configurations of older versions of Keras
        arguments = {name: kwargs.pop(name) for name in self.cell_class.argument_names() if name in kwargs}
        cell = self.cell_class(
            units,
            **arguments,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name=_snake_case(self.cell_class.__name__),
        )
        super().__init__(cell, **kwargs)
        if use_cudnn is not None:
            self.use_cudnn = use_cudnn
        if use_cudnn in ("auto", True) and fused.is_plain(cell) and not cell.recurrent_dropout and not self.unroll:
            self.supports_jit = not fused_excludes_xla()

    def __getattr__(self, name: str) -> Any:
        # The arguments of the cell: `layer.units`, `layer.dropout`, ...
        cell = tracked_layer(self, "cell")
        if cell is not None and name in cell.get_config():
            return getattr(cell, name)
        if hasattr(super(), "__getattr__"):
            return super().__getattr__(name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["cell"]
        if "use_cudnn" in vars(self):
            config["use_cudnn"] = self.use_cudnn
        return {**self.cell.get_config(), **config}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)


def _snake_case(name: str) -> str:
    """Converts `"SimpleRNNCell"` to `"simple_rnn_cell"`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
