"""Encoders: from a text, a series of numbers or an image to a `Memory`."""

from collections.abc import Sequence
from typing import Any, Self

import keras
from keras import layers, ops

from .dropout import Dropout
from .embedding import token_embedding
from .memory import Memory
from .recurrent_encoder import RecurrentEncoder
from .types import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_recurrent")
class TextEncoder(RecurrentEncoder):
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
        super().__init__(units, cell, num_layers, bidirectional, dropout, recurrent_dropout, right_padded, **kwargs)
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.embeddings_in_memory = embeddings_in_memory
        self.embedding = token_embedding(vocabulary_size, embedding_dim, dtype=self.dtype_policy, name="embedding")
        self.create_layers()

    def build(self, tokens_shape: Shape) -> None:
        self.embedding.build(tokens_shape)
        self.build_layers(self.embedding_dim)

    def compute_output_shape(self, tokens_shape: Shape) -> Memory:
        embedded = self.embedding_dim if self.embeddings_in_memory else 0
        values_shape = (*tokens_shape, self.output_size + embedded)
        return Memory(values_shape, tuple(tokens_shape), (tokens_shape[0], self.output_size))

    def call(self, tokens: Tensor, training: bool = False) -> Memory:
        mask = ops.not_equal(tokens, 0)
        embedded = self.dropouts[0](self.embedding(tokens), training=training)
        values, summary = self.run_layers(embedded, mask, training)
        if self.embeddings_in_memory:
            values = ops.concatenate([values, embedded], axis=-1)
        return Memory(values, mask, summary)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "embeddings_in_memory": self.embeddings_in_memory,
        }


@keras.saving.register_keras_serializable(package="keras_recurrent")
class SeriesEncoder(RecurrentEncoder):
    """Encodes series of numbers with a stack of recurrent layers.

    Missing numbers must be replaced, for example by 0 with another feature that says so.

    Args:
        units: Positive integer, the dimension of a recurrent layer in one direction.
        cell: Name of the recurrent layers in `family.py`, such as `"lstm"`.
        num_layers: Positive integer, the number of recurrent layers.
        bidirectional: Whether each layer reads in both directions; their outputs are concatenated.
        dilations: Positive integer for each layer, the rate of its `Dilated`; None for 1 everywhere.
        residual: Whether each layer but the first adds its inputs to its outputs.
        segment: Positive integer, the number of consecutive steps that the first layer reads as one step. With more
            than 1, a dense layer with ReLU computes its `units` features.
        dropout: Float in [0, 1), the fraction of each layer's outputs, and of the dense layer's, to drop in training.
        recurrent_dropout: Float in [0, 1), the fraction of the states to drop before the recurrent products. All steps
            of a sequence share a mask.
        right_padded: As for `TextEncoder`.

    Call arguments:
        sequences: Tensor `(batch, steps, features)`.
        mask: Boolean tensor `(batch, steps)`. Steps where it is False are skipped.
        training: Whether to apply dropout.

    Returns:
        A `Memory` with `values` `(batch, positions, output_size)`, `mask` `(batch, positions)`, and as `summary`
        `(batch, output_size)` the last states of the top layer. `output_size` is `units`, or `2 * units` if the encoder
        is bidirectional. `positions` is `steps / segment`, rounded up: the first segment is padded before its steps, or
        with `right_padded` the last one after them. A segment is masked if all its steps are.

    Raises:
        ValueError: If `dilations` has another length than `num_layers`, or if `segment` is not a positive integer.

    Example:

    >>> from keras_recurrent.layers import SeriesEncoder
    >>> encoder = SeriesEncoder(16, cell="lstm", num_layers=2, dilations=[1, 4], segment=5)
    >>> memory = encoder(ops.ones((2, 48, 3)))
    >>> memory.values.shape, memory.summary.shape
    ((2, 10, 16), (2, 16))

    Reference:
        Chang et al. 2017, Dilated recurrent neural networks, for `dilations`. Lin et al. 2023, SegRNN, section 4.1, for
        `segment`. Wu et al. 2016, Google's neural machine translation system, section 3.1, for `residual`.
    """

    def __init__(
        self,
        units: int,
        cell: str = "gru",
        num_layers: int = 1,
        bidirectional: bool = False,
        dilations: Sequence[int] | None = None,
        residual: bool = False,
        segment: int = 1,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        right_padded: bool = False,
        **kwargs: Any,
    ) -> None:
        if dilations is not None and len(dilations) != num_layers:
            raise ValueError(
                f"Argument `dilations` must hold {num_layers} rates, one per layer. Received: dilations={dilations}"
            )
        if not isinstance(segment, int) or segment < 1:
            raise ValueError(f"Argument `segment` must be a positive integer. Received: segment={segment!r}")
        super().__init__(units, cell, num_layers, bidirectional, dropout, recurrent_dropout, right_padded, **kwargs)
        self.dilations = dilations
        self.residual = residual
        self.segment = segment
        self.projection = None
        if segment > 1:
            self.projection = layers.Dense(units, activation="relu", dtype=self.dtype_policy, name="projection")
        self.create_layers(dilations)

    def build(self, sequences_shape: Shape) -> None:
        features: Any = sequences_shape[-1]
        if self.projection is not None:
            self.projection.build((None, None, self.segment * features))
            features = self.units
        self.build_layers(features)

    def compute_output_shape(self, sequences_shape: Shape) -> Memory:
        batch, steps, _ = sequences_shape
        positions = None if steps is None else -(-steps // self.segment)
        return Memory((batch, positions, self.output_size), (batch, positions), (batch, self.output_size))

    def compute_mask(self, sequences: Tensor, mask: Any) -> Memory:
        return Memory(None, None, None)  # the output has its mask as a tensor

    def call(self, sequences: Tensor, mask: Any = None, training: bool = False) -> Memory:
        values = ops.cast(sequences, self.compute_dtype)
        mask = None if mask is None else ops.cast(mask, "bool")
        if self.projection is not None:
            values, mask = self._segments(values, mask)
            values = self.dropouts[0](self.projection(values), training=training)
        values, summary = self.run_layers(values, mask, training, self.residual)
        # Functional models of Keras do not support None among the outputs of a layer.
        mask = ops.ones_like(values[..., 0], dtype="bool") if mask is None else mask
        return Memory(values, mask, summary)

    def _segments(self, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """`(batch, steps, features)` to `(batch, positions, segment * features)`, and the mask of the positions."""
        batch, steps, features = ops.shape(values)
        padding = (self.segment - steps % self.segment) % self.segment
        positions = (steps + padding) // self.segment
        order = 1 if self.right_padded else -1
        if mask is not None:
            values = ops.where(ops.expand_dims(mask, -1), values, 0)
            mask = ops.concatenate([mask, ops.zeros((batch, padding), "bool")][::order], axis=1)
            mask = ops.any(ops.reshape(mask, (batch, positions, self.segment)), axis=-1)
        values = ops.concatenate([values, ops.zeros((batch, padding, features), values.dtype)][::order], axis=1)
        return ops.reshape(values, (batch, positions, self.segment * features)), mask

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dilations": self.dilations,
            "residual": self.residual,
            "segment": self.segment,
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
