"""The stack of recurrent layers of `TextEncoder` and `SeriesEncoder`."""

from collections.abc import Sequence
from typing import Any

from keras import layers, ops

from .dilated import Dilated
from .dropout import Dropout
from .family import sequence_layers
from .loop import current_settings, loop_settings
from .types import Tensor


class RecurrentEncoder(layers.Layer):
    """Base of the encoders of sequences: a stack of recurrent layers with dropout after each.

    A subclass creates the layers that come before the stack and then calls `create_layers`: optimizers and
    `get_weights` depend on the order.

    Args:
        units, cell, num_layers, bidirectional, dropout, recurrent_dropout, right_padded: As for `TextEncoder`.
    """

    def __init__(
        self,
        units: int,
        cell: str,
        num_layers: int,
        bidirectional: bool,
        dropout: float,
        recurrent_dropout: float,
        right_padded: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.cell = cell
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.right_padded = right_padded

    @property
    def output_size(self) -> int:
        """The dimension of the outputs of each layer."""
        return 2 * self.units if self.bidirectional else self.units

    def create_layers(self, dilations: Sequence[int] | None = None) -> None:
        """Creates the recurrent layers.

        Args:
            dilations: The rate of each layer's `Dilated`; None for 1 everywhere.
        """
        policy = self.dtype_policy
        options = {"return_state": True, "recurrent_dropout": self.recurrent_dropout, "dtype": policy}
        stack = sequence_layers(self.cell, self.units, self.num_layers, **options)
        if self.bidirectional:
            stack = [
                layers.Bidirectional(layer, dtype=policy, name=f"both_{index}") for index, layer in enumerate(stack)
            ]
        rates = [1] * self.num_layers if dilations is None else dilations
        self.layers = [
            layer if rate == 1 else Dilated(layer, rate, dtype=policy, name=f"dilated_{index}")
            for index, (layer, rate) in enumerate(zip(stack, rates, strict=True))
        ]
        self.dropouts = [Dropout(self.dropout, dtype=policy) for _ in range(self.num_layers + 1)]

    def build_layers(self, features: int) -> None:
        """Builds the recurrent layers for inputs with `features` features."""
        for layer in self.layers:
            layer.build((None, None, features))
            features = self.output_size

    def run_layers(
        self, values: Tensor, mask: Tensor | None, training: bool, residual: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Runs the recurrent layers.

        Args:
            values: Tensor `(batch, steps, features)`.
            mask: Boolean tensor `(batch, steps)`, or None.
            training: Whether to apply dropout.
            residual: Whether each layer but the first adds its inputs to its outputs.

        Returns:
            `(values, summary)`: the outputs of the top layer `(batch, steps, output_size)`, and its last states
            `(batch, output_size)`.
        """
        for index, (layer, dropout) in enumerate(zip(self.layers, self.dropouts[1:], strict=True)):
            with loop_settings(right_padded=self.right_padded or current_settings().right_padded):
                outputs, *states = layer(values, mask=mask, training=training)
            outputs = dropout(outputs, training=training)
            values = values + outputs if residual and index else outputs
        # The states of the forward direction, then those of the backward direction; each begins with the output.
        directions = 2 if self.bidirectional else 1
        summary = ops.concatenate(states[:: len(states) // directions], axis=-1)
        return values, summary

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "cell": self.cell,
            "num_layers": self.num_layers,
            "bidirectional": self.bidirectional,
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "right_padded": self.right_padded,
        }
