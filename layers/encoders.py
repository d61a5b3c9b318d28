"""Encoders: each turns what it reads into a `Memory`."""

import keras
from keras import layers, ops

from .dropout import Dropout
from .embedding import ScaledEmbedding
from .family import sequence_layer
from .memory import Memory


@keras.saving.register_keras_serializable(package="keras_recurrent")
class TextEncoder(layers.Layer):
    """Reads token ids with an embedding and a stack of recurrent layers.

    Args:
        vocabulary_size: Positive integer, the number of token ids; 0 is padding.
        embedding_dim: Positive integer, the dimension of a token's embedding.
        units: Positive integer, the dimension of a recurrent layer in one direction.
        cell: `"simple_rnn"`, `"lstm"` or `"gru"`.
        num_layers: Positive integer, how many recurrent layers stand on each other.
        bidirectional: Whether each layer reads in both directions; its outputs are concatenated.
        dropout: Float in [0, 1), the share of the embeddings and of each layer's outputs to drop in training.

    Call arguments:
        tokens: Integer tensor `(batch, positions)`. Padding (0) is masked and may stand anywhere.
        training: Whether dropout applies.

    Returns:
        A `Memory` with `values` `(batch, positions, features)`, `mask` `(batch, positions)` and `summary`
        `(batch, features)`, the top layer's last states, where `features` is `units`, or twice that if bidirectional.

    Example:

    >>> encoder = TextEncoder(vocabulary_size=100, embedding_dim=8, units=16)
    >>> memory = encoder(ops.array([[5, 6, 7, 3, 0]]))
    >>> memory.values.shape, memory.summary.shape
    ((1, 5, 32), (1, 32))
    """

    def __init__(
        self,
        vocabulary_size,
        embedding_dim,
        units,
        cell="gru",
        num_layers=1,
        bidirectional=True,
        dropout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.units = units
        self.cell = cell
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.embedding = ScaledEmbedding(vocabulary_size, embedding_dim, dtype=self.dtype_policy, name="embedding")
        self.layers = [self._layer(index) for index in range(num_layers)]
        self.dropouts = [Dropout(dropout, dtype=self.dtype_policy) for _ in range(num_layers + 1)]

    def _layer(self, index):
        layer = sequence_layer(
            self.cell,
            self.units,
            return_sequences=True,
            return_state=True,
            dtype=self.dtype_policy,
            name=f"{self.cell}_{index}",
        )
        return (
            layers.Bidirectional(layer, dtype=self.dtype_policy, name=f"both_{index}") if self.bidirectional else layer
        )

    def build(self, tokens_shape):
        self.embedding.build(tokens_shape)
        features = self.embedding_dim
        for layer in self.layers:
            layer.build((None, None, features))
            features = 2 * self.units if self.bidirectional else self.units

    def compute_output_shape(self, tokens_shape):
        features = 2 * self.units if self.bidirectional else self.units
        return Memory((*tokens_shape, features), tuple(tokens_shape), (tokens_shape[0], features))

    def call(self, tokens, training=False):
        mask = ops.not_equal(tokens, 0)
        values = self.dropouts[0](self.embedding(tokens), training=training)
        for layer, dropout in zip(self.layers, self.dropouts[1:], strict=True):
            values, *states = layer(values, mask=mask, training=training)
            values = dropout(values, training=training)
        # One direction ends in [h] or [h, c], two in those of the one and then those of the other.
        directions = 2 if self.bidirectional else 1
        summary = ops.concatenate(states[:: len(states) // directions], axis=-1)
        return Memory(values, mask, summary)

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "units": self.units,
            "cell": self.cell,
            "num_layers": self.num_layers,
            "bidirectional": self.bidirectional,
            "dropout": self.dropout,
        }
