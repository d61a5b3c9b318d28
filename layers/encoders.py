"""Encoders: from a text or an image to a `Memory`."""

from typing import Any, Self

import keras
from keras import layers, ops

from .dropout import Dropout
from .embedding import token_embedding
from .family import sequence_layers
from .loop import current_settings, loop_settings
from .memory import Memory
from .types import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_recurrent")
class TextEncoder(layers.Layer):
    """Encodes token ids with an embedding and a stack of recurrent layers.

    Args:
        vocabulary_size: Positive integer, the number of token ids; 0 is padding.
        embedding_dim: Positive integer, the dimension of the token embeddings.
        units: Positive integer, the dimension of a recurrent layer in one direction.
        cell: Name of the recurrent layers in `family.py`, such as `"lstm"`.
        num_layers: Positive integer, the number of recurrent layers.
        bidirectional: Whether each layer reads in both directions; their outputs are concatenated.
        embeddings_in_memory: Whether to concatenate the embeddings of the tokens to the values of the memory, so that
            attention reads the words themselves beside their meaning in context.
        dropout: Float in [0, 1), the fraction of the embeddings and of each layer's outputs to drop in training.
        recurrent_dropout: Float in [0, 1), the fraction of the states to drop before the recurrent products. All steps
            of a sequence share a mask.
        right_padded: Whether the padding of each row follows its tokens. It lets a GPU run the layers in fused kernels;
            with padding elsewhere, their outputs would be wrong.

    Call arguments:
        tokens: Integer tensor `(batch, positions)`. Padding (0) is masked at any position.
        training: Whether to apply dropout.

    Returns:
        A `Memory` with `values` `(batch, positions, features)`, `mask` `(batch, positions)`, and as `summary`
        `(batch, features)` the last states of the top layer. `features` is `units`, or `2 * units` if the encoder is
        bidirectional; with `embeddings_in_memory` those of `values` are `embedding_dim` more.

    Example:

    >>> from keras_recurrent.layers import TextEncoder
    >>> encoder = TextEncoder(vocabulary_size=100, embedding_dim=8, units=16)
    >>> memory = encoder(ops.array([[5, 6, 7, 3, 0]]))
    >>> memory.values.shape, memory.summary.shape
    ((1, 5, 32), (1, 32))
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        units: int,
        cell: str = "gru",
        num_layers: int = 1,
        bidirectional: bool = True,
        embeddings_in_memory: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        right_padded: bool = False,
        **kwargs: Any,
    ) -> None:
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
        self.right_padded = right_padded
        policy = self.dtype_policy
        self.embedding = token_embedding(vocabulary_size, embedding_dim, dtype=policy, name="embedding")
        recurrent_layers = sequence_layers(
            cell, units, num_layers, return_state=True, recurrent_dropout=recurrent_dropout, dtype=policy
        )
        self.layers = [
            layers.Bidirectional(layer, dtype=policy, name=f"both_{index}") if bidirectional else layer
            for index, layer in enumerate(recurrent_layers)
        ]
        self.dropouts = [Dropout(dropout, dtype=policy) for _ in range(num_layers + 1)]

    def build(self, tokens_shape: Shape) -> None:
        self.embedding.build(tokens_shape)
        features = self.embedding_dim
        for layer in self.layers:
            layer.build((None, None, features))
            features = 2 * self.units if self.bidirectional else self.units

    def compute_output_shape(self, tokens_shape: Shape) -> Memory:
        features = 2 * self.units if self.bidirectional else self.units
        embedded = self.embedding_dim if self.embeddings_in_memory else 0
        return Memory((*tokens_shape, features + embedded), tuple(tokens_shape), (tokens_shape[0], features))

    def call(self, tokens: Tensor, training: bool = False) -> Memory:
        mask = ops.not_equal(tokens, 0)
        values = embedded = self.dropouts[0](self.embedding(tokens), training=training)
        for layer, dropout in zip(self.layers, self.dropouts[1:], strict=True):
            with loop_settings(right_padded=self.right_padded or current_settings().right_padded):
                values, *states = layer(values, mask=mask, training=training)
            values = dropout(values, training=training)
        # The states of the forward direction, then those of the backward direction; each begins with the output.
        directions = 2 if self.bidirectional else 1
        summary = ops.concatenate(states[:: len(states) // directions], axis=-1)
        if self.embeddings_in_memory:
            values = ops.concatenate([values, embedded], axis=-1)
        return Memory(values, mask, summary)

    def get_config(self) -> dict[str, Any]:
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
            "right_padded": self.right_padded,
        }


@keras.saving.register_keras_serializable(package="keras_recurrent")
class ImageEncoder(layers.Layer):
    """Encodes images with a convolutional network.

    Each cell of the network's feature map, at the position `p` with two coordinates in [-1, 1], goes through a dense
    layer and layer normalization. The summary is the mean over the cells.

        value(p) = normalize(W features(p) + U p + b)

    Args:
        units: Positive integer, the dimension of the values.
        backbone: A Keras model from images `(batch, height, width, 3)` with numbers in 0 to 255 to a feature map
            `(batch, rows, columns, features)`. If it is not trainable, it runs as at inference, without updates of
            batch statistics. None if the encoder's input is a feature map.
        dropout: Float in [0, 1), the fraction of the features and of the values to drop in training.

    Call arguments:
        images: Tensor `(batch, height, width, 3)`, numbers of any type in 0 to 255, or a feature map.
        training: Whether to apply dropout, and to run a trainable backbone in training mode.

    Returns:
        A `Memory` with `values` `(batch, rows * columns, units)` in row-major order, a `mask` that is True everywhere,
        and `summary` `(batch, units)`.

    Example:

    >>> from keras_recurrent.layers import ImageEncoder
    >>> backbone = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 3, strides=8)])
    >>> memory = ImageEncoder(16, backbone)(ops.ones((2, 32, 32, 3)))
    >>> memory.values.shape, memory.summary.shape
    ((2, 16, 16), (2, 16))

    Reference:
        Xu et al. 2015, Show, attend and tell, section 3.1.1, for attention over the cells of a feature map. Perez et
        al. 2018, FiLM, section 3.2, for the coordinates.
    """

    def __init__(self, units: int, backbone: Any = None, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.backbone = backbone
        self.dropout = dropout
        self.dropouts = [Dropout(dropout, dtype=self.dtype_policy) for _ in range(2)]
        self.projection = layers.Dense(units, dtype=self.dtype_policy, name="projection")
        self.place_projection = layers.Dense(units, use_bias=False, dtype=self.dtype_policy, name="place_projection")
        self.normalization = layers.LayerNormalization(dtype=self.dtype_policy, name="normalization")

    def _map_shape(self, images_shape: Shape) -> Shape:
        return tuple(images_shape) if self.backbone is None else self.backbone.compute_output_shape(images_shape)

    def build(self, images_shape: Shape) -> None:
        self.projection.build((None, None, self._map_shape(images_shape)[-1]))
        self.place_projection.build((None, None, 2))
        self.normalization.build((None, None, self.units))

    def compute_output_shape(self, images_shape: Shape) -> Memory:
        batch, rows, columns, _ = self._map_shape(images_shape)
        cells = None if rows is None or columns is None else rows * columns
        return Memory((batch, cells, self.units), (batch, cells), (batch, self.units))

    def copy_reading(self, encoder: "ImageEncoder") -> None:
        """Copies all weights of another `ImageEncoder` but those of its backbone."""
        for part in ("projection", "place_projection", "normalization"):
            getattr(self, part).set_weights(getattr(encoder, part).get_weights())

    def features(self, images: Tensor, training: bool = False) -> Tensor:
        """Computes the feature map `(batch, rows, columns, features)` of images."""
        if self.backbone is None:
            return images
        return self.backbone(ops.cast(images, self.compute_dtype), training=training and self.backbone.trainable)

    def call(self, images: Tensor, training: bool = False) -> Memory:
        features = ops.cast(self.features(images, training), self.compute_dtype)
        features = self.dropouts[0](features, training=training)
        _, rows, columns, size = ops.shape(features)
        y, x = (ops.linspace(-1.0, 1.0, count, dtype=self.compute_dtype) for count in (rows, columns))
        coordinates = ops.reshape(ops.stack(ops.meshgrid(x, y), axis=-1), (1, rows * columns, 2))
        cells = ops.reshape(features, (-1, rows * columns, size))
        values = self.normalization(self.projection(cells) + self.place_projection(coordinates))
        values = self.dropouts[1](values, training=training)
        # Functional models of Keras do not support None among the outputs of a layer.
        mask = ops.ones_like(values[..., 0], dtype="bool")
        return Memory(values, mask, ops.mean(values, axis=1))

    def get_config(self) -> dict[str, Any]:
        backbone = None if self.backbone is None else keras.saving.serialize_keras_object(self.backbone)
        return {**super().get_config(), "units": self.units, "backbone": backbone, "dropout": self.dropout}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        backbone = config.pop("backbone")
        return cls(backbone=backbone and keras.saving.deserialize_keras_object(backbone), **config)
