"""Encoders: each turns what it reads into a `Memory`."""

import keras
from keras import layers, ops

from .dropout import Dropout
from .embedding import token_embedding
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
        embeddings_in_memory: Whether a token's embedding stands beside the recurrent outputs in the memory, so that
            attention reads the word itself, too, and not only what it means where it stands.
        dropout: Float in [0, 1), the share of the embeddings and of each layer's outputs to drop in training.
        recurrent_dropout: Float in [0, 1), the share of the states to drop that enter the recurrent products, the same
            at all steps of a sequence.

    Call arguments:
        tokens: Integer tensor `(batch, positions)`. Padding (0) is masked and may stand anywhere.
        training: Whether dropout applies.

    Returns:
        A `Memory` with `values` `(batch, positions, features)`, `mask` `(batch, positions)` and `summary`
        `(batch, features)`, the top layer's last states, where `features` is `units`, or twice that if bidirectional,
        and in `values` `embedding_dim` more with `embeddings_in_memory`.

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
        embeddings_in_memory=False,
        dropout=0.0,
        recurrent_dropout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.units = units
        self.cell = cell
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.embeddings_in_memory = embeddings_in_memory
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.embedding = token_embedding(vocabulary_size, embedding_dim, dtype=self.dtype_policy, name="embedding")
        self.layers = [self._layer(index) for index in range(num_layers)]
        self.dropouts = [Dropout(dropout, dtype=self.dtype_policy) for _ in range(num_layers + 1)]

    def _layer(self, index):
        layer = sequence_layer(
            self.cell,
            self.units,
            return_sequences=True,
            return_state=True,
            recurrent_dropout=self.recurrent_dropout,
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
        beside = self.embedding_dim if self.embeddings_in_memory else 0
        return Memory((*tokens_shape, features + beside), tuple(tokens_shape), (tokens_shape[0], features))

    def call(self, tokens, training=False):
        mask = ops.not_equal(tokens, 0)
        values = embedded = self.dropouts[0](self.embedding(tokens), training=training)
        for layer, dropout in zip(self.layers, self.dropouts[1:], strict=True):
            values, *states = layer(values, mask=mask, training=training)
            values = dropout(values, training=training)
        # One direction ends in [h] or [h, c], two in those of the one and then those of the other.
        directions = 2 if self.bidirectional else 1
        summary = ops.concatenate(states[:: len(states) // directions], axis=-1)
        if self.embeddings_in_memory:
            values = ops.concatenate([values, embedded], axis=-1)
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
            "embeddings_in_memory": self.embeddings_in_memory,
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
        }


@keras.saving.register_keras_serializable(package="keras_recurrent")
class ImageEncoder(layers.Layer):
    """Reads images with a convolutional network.

    Each cell of the network's feature map, with its place `p`, two coordinates in [-1, 1], goes through one dense layer
    and a layer normalisation; the summary is the mean over the cells.

        value(p) = normalise(W features(p) + U p + b)

    Args:
        units: Positive integer, the dimension of a cell's vector.
        backbone: A Keras model from images `(batch, height, width, 3)` in 0 to 255 to a feature map `(batch, rows,
            columns, features)`. While it is not trainable, it runs as in inference: its batch statistics stay what they
            are. None: what comes is a feature map already, such as one that was computed before.
        dropout: Float in [0, 1), the share of the features and of the cells' vectors to drop in training.

    Call arguments:
        images: Tensor `(batch, height, width, 3)`, numbers of any type in 0 to 255, or a feature map.
        training: Whether dropout applies, and the backbone trains.

    Returns:
        A `Memory` with `values` `(batch, rows * columns, units)`, row by row, `mask`, all True, and
        `summary` `(batch, units)`.

    Example:

    >>> backbone = keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(8, 3, strides=8)])
    >>> memory = ImageEncoder(16, backbone)(ops.ones((2, 32, 32, 3)))
    >>> memory.values.shape, memory.summary.shape
    ((2, 16, 16), (2, 16))

    Reference:
        Xu et al. 2015, Show, attend and tell, section 3.1.1, for a map's cells as what attention reads. Perez et al.
        2018, FiLM, section 3.2, for the places beside the features.
    """

    def __init__(self, units, backbone=None, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.backbone = backbone
        self.dropout = dropout
        self.dropouts = [Dropout(dropout, dtype=self.dtype_policy) for _ in range(2)]
        self.projection = layers.Dense(units, dtype=self.dtype_policy, name="projection")
        self.place_projection = layers.Dense(units, use_bias=False, dtype=self.dtype_policy, name="place_projection")
        self.normalization = layers.LayerNormalization(dtype=self.dtype_policy, name="normalization")

    def _map_shape(self, images_shape):
        return tuple(images_shape) if self.backbone is None else self.backbone.compute_output_shape(images_shape)

    def build(self, images_shape):
        self.projection.build((None, None, self._map_shape(images_shape)[-1]))
        self.place_projection.build((None, None, 2))
        self.normalization.build((None, None, self.units))

    def compute_output_shape(self, images_shape):
        batch, rows, columns, _ = self._map_shape(images_shape)
        cells = None if rows is None or columns is None else rows * columns
        return Memory((batch, cells, self.units), (batch, cells), (batch, self.units))

    def copy_reading(self, encoder):
        """Takes the weights of another `ImageEncoder`, but for those of its backbone."""
        for part in ("projection", "place_projection", "normalization"):
            getattr(self, part).set_weights(getattr(encoder, part).get_weights())

    def features(self, images, training=False):
        """The feature map `(batch, rows, columns, features)` of images."""
        if self.backbone is None:
            return images
        return self.backbone(ops.cast(images, self.compute_dtype), training=training and self.backbone.trainable)

    def call(self, images, training=False):
        features = ops.cast(self.features(images, training), self.compute_dtype)
        features = self.dropouts[0](features, training=training)
        _, rows, columns, size = ops.shape(features)
        y, x = (ops.linspace(-1.0, 1.0, count, dtype=self.compute_dtype) for count in (rows, columns))
        places = ops.reshape(ops.stack(ops.meshgrid(x, y), axis=-1), (1, rows * columns, 2))
        cells = ops.reshape(features, (-1, rows * columns, size))
        values = self.normalization(self.projection(cells) + self.place_projection(places))
        values = self.dropouts[1](values, training=training)
        # A mask, though all count: Keras's functional models take no None among a layer's outputs.
        mask = ops.ones_like(values[..., 0], dtype="bool")
        return Memory(values, mask, ops.mean(values, axis=1))

    def get_config(self):
        backbone = None if self.backbone is None else keras.saving.serialize_keras_object(self.backbone)
        return {**super().get_config(), "units": self.units, "backbone": backbone, "dropout": self.dropout}

    @classmethod
    def from_config(cls, config):
        backbone = config.pop("backbone")
        return cls(backbone=backbone and keras.saving.deserialize_keras_object(backbone), **config)
