"""The sequence layer that SimpleRNN, LSTM and GRU share."""

import keras


@keras.saving.register_keras_serializable(package="keras_recurrent")
class Recurrent(keras.layers.RNN):
    """Runs a cell over the time steps of a sequence.

    Everything that `keras.layers.RNN` takes, this takes: `return_sequences`, `return_state`, `go_backwards`,
    `stateful`, `unroll`, `zero_output_for_mask`, masks of any pattern, an initial state.

    Args:
        cell: A cell, or a list of cells to stack.
        **kwargs: The arguments of `keras.layers.RNN`.

    Call arguments:
        sequences: Tensor `(batch, steps, features)`.
        initial_state: List of tensors `(batch, units)`; zeros where it is missing.
        mask: Boolean tensor `(batch, steps)`. Where it is False the states and the output stay as they were a step
            before.
        training: Whether dropout applies.

    Returns:
        The last output `(batch, units)`, or all of them `(batch, steps, units)` with `return_sequences`; followed by
        the last states with `return_state`.

    Example:

    >>> from keras_recurrent.layers import GRUCell, Recurrent
    >>> Recurrent(GRUCell(8), return_sequences=True)(keras.ops.ones((2, 5, 3))).shape
    (2, 5, 8)
    """


class CellLayer(Recurrent):
    """A `Recurrent` that made its own cell, so that the cell's arguments are its own.

    Args:
        cell: The cell that the subclass built from its arguments.
        use_cudnn: `"auto"` or `False`. Taken and saved for Keras's sake: the loop is this package's own everywhere.
        **kwargs: The arguments of `Recurrent`.
    """

    def __init__(self, cell, use_cudnn="auto", **kwargs):
        if use_cudnn not in ("auto", False):
            raise ValueError(f"Argument `use_cudnn` must be 'auto' or False: no cuDNN here. Received: {use_cudnn!r}")
        super().__init__(cell, **kwargs)
        self.use_cudnn = use_cudnn
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def __getattr__(self, name):
        # `layer.units`, `layer.dropout`, ...: whatever the cell's configuration names.
        if name != "cell" and "cell" in self.__dict__ and name in self.cell.get_config():
            return getattr(self.cell, name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def get_config(self):
        config = super().get_config()
        del config["cell"]
        activity_regularizer = keras.regularizers.serialize(self.activity_regularizer)
        return {
            **self.cell.get_config(),
            **config,
            "activity_regularizer": activity_regularizer,
            "use_cudnn": self.use_cudnn,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)
