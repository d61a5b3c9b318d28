"""Fusions: from an image and a question to one vector."""

import math
from typing import Any

import keras
from keras import layers, ops, tree

from .attention import BahdanauAttention, masked_softmax
from .memory import Memory
from .types import Nest, Tensor


class Fusion(layers.Layer):
    """Base of the fusions.

    A subclass creates its weights in `build` and writes `fuse`. In the formulas, `v` and `q` are the summaries of the
    image and the question, `V` and `Q` their values with one row per position, and `*` is the elementwise product.
    Biases are omitted.

    Args:
        units: Positive integer, the dimension of the output.

    Call arguments:
        image: A `Memory`, such as the output of `ImageEncoder`.
        question: A `Memory`, such as the output of `TextEncoder`. Positions whose mask is False are ignored.
        owners: Integer tensor `(batch,)`, the row of each question's image, so that what depends on the image alone is
            computed once for all its questions. None if row `i` of the images belongs to row `i` of the questions.

    Returns:
        Tensor `(batch, units)`, one row per question.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def dense(self, features: int, name: str, units: int | None = None, **arguments: Any) -> keras.layers.Dense:
        """Creates a dense layer and builds it for inputs with this number of features."""
        layer = layers.Dense(units or self.units, name=name, dtype=self.dtype_policy, **arguments)
        layer.build((None, features))
        return layer

    def call(self, image: Memory, question: Memory, owners: Tensor | None = None) -> Tensor:
        # A functional model that was loaded from a file passes lists.
        return self.fuse(Memory(*image), Memory(*question), owners)

    def fuse(self, image: Memory, question: Memory, owners: Tensor | None) -> Tensor:
        """Computes the result of `call`."""
        raise NotImplementedError

    def compute_output_shape(self, image_shape: Any, question_shape: Any) -> tuple:
        return (question_shape[2][0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


class _SummaryFusion(Fusion):
    """Base of the fusions that begin with a dense layer for each summary."""

    activation: str | None = None

    def build(self, image_shape: Any, question_shape: Any) -> None:
        self.image_projection = self.dense(image_shape[2][-1], "image_projection", activation=self.activation)
        self.question_projection = self.dense(question_shape[2][-1], "question_projection", activation=self.activation)

    def projected(self, image: Memory, question: Memory, owners: Tensor | None) -> tuple[Tensor, Tensor]:
        """Computes the outputs of both dense layers, one row per question."""
        return _per_question(self.image_projection(image.summary), owners), self.question_projection(question.summary)


@keras.saving.register_keras_serializable(package="keras_recurrent")
class AddFusion(_SummaryFusion):
    """Adds projections of both.

        W_v v + W_q q

    See `Fusion` for the arguments and the result.

    Example:

    >>> from keras_recurrent.layers import AddFusion, Memory
    >>> image = Memory(ops.ones((2, 9, 5)), ops.ones((2, 9), "bool"), ops.ones((2, 5)))
    >>> question = Memory(ops.ones((2, 4, 3)), ops.ones((2, 4), "bool"), ops.ones((2, 3)))
    >>> AddFusion(8)(image, question).shape
    (2, 8)

    Reference:
        Antol et al. 2015, VQA: Visual question answering; Malinowski et al. 2015, Ask your neurons, for early fusions.
    """

    def fuse(self, image: Memory, question: Memory, owners: Tensor | None) -> Tensor:
        v, q = self.projected(image, question, owners)
        return v + q


@keras.saving.register_keras_serializable(package="keras_recurrent")
class MultiplyFusion(_SummaryFusion):
    """Multiplies projections of both.

        (W_v v) * (W_q q)

    See `Fusion` for the arguments and the result.

    Example:

    >>> from keras_recurrent.layers import Memory, MultiplyFusion
    >>> image = Memory(ops.ones((2, 9, 5)), ops.ones((2, 9), "bool"), ops.ones((2, 5)))
    >>> question = Memory(ops.ones((2, 4, 3)), ops.ones((2, 4), "bool"), ops.ones((2, 3)))
    >>> MultiplyFusion(8)(image, question).shape
    (2, 8)

    Reference:
        Antol et al. 2015, VQA: Visual question answering, section 4.2.
    """

    def fuse(self, image: Memory, question: Memory, owners: Tensor | None) -> Tensor:
        v, q = self.projected(image, question, owners)
        return v * q


@keras.saving.register_keras_serializable(package="keras_recurrent")
class ConcatenateFusion(Fusion):
    """Concatenates both, followed by a hidden layer. A linear layer would make it equal to `AddFusion`.

        relu(W [v; q])

    See `Fusion` for the arguments and the result.

    Example:

    >>> from keras_recurrent.layers import ConcatenateFusion, Memory
    >>> image = Memory(ops.ones((2, 9, 5)), ops.ones((2, 9), "bool"), ops.ones((2, 5)))
    >>> question = Memory(ops.ones((2, 4, 3)), ops.ones((2, 4), "bool"), ops.ones((2, 3)))
    >>> ConcatenateFusion(8)(image, question).shape
    (2, 8)

    Reference:
        Zhou et al. 2015, Simple baseline for visual question answering.
    """

    def build(self, image_shape: Any, question_shape: Any) -> None:
        self.projection = self.dense(image_shape[2][-1] + question_shape[2][-1], "projection", activation="relu")

    def fuse(self, image: Memory, question: Memory, owners: Tensor | None) -> Tensor:
        return self.projection(ops.concatenate([_per_question(image.summary, owners), question.summary], axis=-1))


@keras.saving.register_keras_serializable(package="keras_recurrent")
class GatedFusion(_SummaryFusion):
    """Weighs the image against the question with a gate per unit.

        z * tanh(W_v v) + (1 - z) * tanh(W_q q)    with z = sigmoid(W_z [v; q])

    See `Fusion` for the arguments and the result.

    Example:

    >>> from keras_recurrent.layers import GatedFusion, Memory
    >>> image = Memory(ops.ones((2, 9, 5)), ops.ones((2, 9), "bool"), ops.ones((2, 5)))
    >>> question = Memory(ops.ones((2, 4, 3)), ops.ones((2, 4), "bool"), ops.ones((2, 3)))
    >>> GatedFusion(8)(image, question).shape
    (2, 8)

    Reference:
        Arevalo et al. 2017, Gated multimodal units for information fusion, equations 1 to 4.
    """

    activation = "tanh"

    def build(self, image_shape: Any, question_shape: Any) -> None:
        super().build(image_shape, question_shape)
        self.gate = self.dense(image_shape[2][-1] + question_shape[2][-1], "gate", activation="sigmoid")

    def fuse(self, image: Memory, question: Memory, owners: Tensor | None) -> Tensor:
        v, q = self.projected(image, question, owners)
        z = self.gate(ops.concatenate([_per_question(image.summary, owners), question.summary], axis=-1))
        return z * v + (1 - z) * q


@keras.saving.register_keras_serializable(package="keras_recurrent")
class LowRankBilinearFusion(_SummaryFusion):
    """MLB: computes a bilinear form of rank `units` for each unit.

        P (tanh(W_v v) * tanh(W_q q))

    See `Fusion` for the arguments and the result.

    Example:

    >>> from keras_recurrent.layers import LowRankBilinearFusion, Memory
    >>> image = Memory(ops.ones((2, 9, 5)), ops.ones((2, 9), "bool"), ops.ones((2, 5)))
    >>> question = Memory(ops.ones((2, 4, 3)), ops.ones((2, 4), "bool"), ops.ones((2, 3)))
    >>> LowRankBilinearFusion(8)(image, question).shape
    (2, 8)

    Reference:
        Kim et al. 2017, Hadamard product for low-rank bilinear pooling, equation 8.
    """

    activation = "tanh"

    def build(self, image_shape: Any, question_shape: Any) -> None:
        super().build(image_shape, question_shape)
        self.pooling = self.dense(self.units, "pooling")

    def fuse(self, image: Memory, question: Memory, owners: Tensor | None) -> Tensor:
        v, q = self.projected(image, question, owners)
        return self.pooling(v * q)


@keras.saving.register_keras_serializable(package="keras_recurrent")
class MutanFusion(_SummaryFusion):
    """MUTAN: computes a bilinear form for each unit, whose core tensor is a sum of `rank` matrices of rank one.

        sum over r of (M_r tanh(W_v v)) * (N_r tanh(W_q q))

    Args:
        units: Positive integer, the dimension of the output.
        rank: Positive integer, the number of terms.

    See `Fusion` for the call arguments and the result.

    Example:

    >>> from keras_recurrent.layers import Memory, MutanFusion
    >>> image = Memory(ops.ones((2, 9, 5)), ops.ones((2, 9), "bool"), ops.ones((2, 5)))
    >>> question = Memory(ops.ones((2, 4, 3)), ops.ones((2, 4), "bool"), ops.ones((2, 3)))
    >>> MutanFusion(8, rank=3)(image, question).shape
    (2, 8)

    Reference:
        Ben-younes et al. 2017, MUTAN: Multimodal Tucker fusion for visual question answering, equations 8 and 9.
    """

    activation = "tanh"

    def __init__(self, units: int, rank: int = 5, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.rank = rank

    def build(self, image_shape: Any, question_shape: Any) -> None:
        super().build(image_shape, question_shape)
        self.image_factors = self.dense(self.units, "image_factors", units=self.rank * self.units)
        self.question_factors = self.dense(self.units, "question_factors", units=self.rank * self.units)

    def fuse(self, image: Memory, question: Memory, owners: Tensor | None) -> Tensor:
        v, q = self.projected(image, question, owners)
        products = self.image_factors(v) * self.question_factors(q)
        return ops.sum(ops.reshape(products, (-1, self.rank, self.units)), axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rank": self.rank}


@keras.saving.register_keras_serializable(package="keras_recurrent")
class FilmFusion(Fusion):
    """FiLM: the question scales and shifts the features of a small convolutional network over the image.

    Each of the `blocks` is residual, with a scale and a shift per unit that depend on the question:

        X = relu(conv_1x1(X_in))
        X_out = X + relu((1 + scale) * normalize(conv_3x3(X)) + shift)    with [scale; shift] = W q

    `normalize` is batch normalization, over the images in the first block and over the questions in the others, without
    those whose positions are all masked. The result is the maximum over the map, for each unit, of

        relu(conv_1x1(X_out))

    after the last block. The values of an `ImageEncoder` contain the coordinates of the cells.

    Args:
        units: Positive integer, the dimension of the output and of the blocks.
        blocks: Positive integer, the number of blocks.

    See `Fusion` for the call arguments and the result.

    Raises:
        ValueError: If the cells of the image do not form a square.

    Example:

    >>> from keras_recurrent.layers import FilmFusion, Memory
    >>> image = Memory(ops.ones((2, 9, 5)), ops.ones((2, 9), "bool"), ops.ones((2, 5)))
    >>> question = Memory(ops.ones((2, 4, 3)), ops.ones((2, 4), "bool"), ops.ones((2, 3)))
    >>> fusion = FilmFusion(8)
    >>> fusion(image, question).shape, fusion.attend(image, question).shape
    ((2, 8), (2, 1, 9))

    Reference:
        Perez et al. 2018, FiLM: Visual reasoning with a general conditioning layer, section 3.2, and 4.3 for `attend`.
    """

    def __init__(self, units: int, blocks: int = 2, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.blocks = blocks

    def build(self, image_shape: Any, question_shape: Any) -> None:
        self.side = math.isqrt(image_shape[0][1])
        if self.side**2 != image_shape[0][1]:
            raise ValueError(f"The cells of the image must form a square. Received: {image_shape[0][1]} cells")
        self.modulation = self.dense(question_shape[2][-1], "modulation", units=2 * self.blocks * self.units)
        self.narrow, self.wide, self.normalizations = [], [], []
        features = image_shape[0][-1]
        for index in range(self.blocks):
            self.narrow.append(self.dense(features, f"narrow_{index}", activation="relu"))
            wide = layers.Conv2D(
                self.units, 3, padding="same", use_bias=False, name=f"wide_{index}", dtype=self.dtype_policy
            )
            wide.build((None, self.side, self.side, self.units))
            self.wide.append(wide)
            normalization = layers.BatchNormalization(
                momentum=0.9, center=False, scale=False, name=f"normalization_{index}", dtype=self.dtype_policy
            )
            normalization.build((None, self.side, self.side, self.units))
            self.normalizations.append(normalization)
            features = self.units
        self.closing = self.dense(self.units, "closing", activation="relu")

    def _features(self, image: Memory, question: Memory, owners: Tensor | None) -> Tensor:
        """Computes the features of each cell, `(batch, rows, columns, units)`."""
        # Of 5 axes, because LiteRT's converter in TensorFlow 2.20 slices no tensors of 6.
        modulations = ops.reshape(self.modulation(question.summary), (-1, 2 * self.blocks, 1, 1, self.units))
        cells = ops.reshape(image.values, (-1, self.side, self.side, image.values.shape[-1]))
        for index in range(self.blocks):
            scale, shift = modulations[:, 2 * index], modulations[:, 2 * index + 1]
            cells = self.narrow[index](cells)
            # The empty questions that fill a batch must not change the statistics of the others.
            mask = None
            if index and question.mask is not None:
                mask = ops.any(question.mask, axis=1)[:, None, None]
                mask = ops.logical_and(mask, ops.ones_like(cells[..., 0], dtype="bool"))
            normalized = self.normalizations[index](self.wide[index](cells), mask=mask)
            if index == 0:  # from here on the features depend on the question
                cells, normalized = _per_question((cells, normalized), owners)
            cells = cells + ops.relu((1 + scale) * normalized + shift)
        return self.closing(cells)

    def fuse(self, image: Memory, question: Memory, owners: Tensor | None) -> Tensor:
        return ops.max(self._features(image, question, owners), axis=(1, 2))

    def attend(self, image: Memory, question: Memory, owners: Tensor | None = None) -> Tensor:
        """Computes the fraction of the units whose maximum is in each cell, `(batch, 1, cells)`."""
        features = self._features(image, question, owners)
        features = ops.reshape(features, (-1, 1, self.side**2, self.units))
        is_largest = ops.logical_and(features > 0, features == ops.max(features, axis=2, keepdims=True))
        counts = ops.sum(ops.cast(is_largest, features.dtype), axis=-1)
        return counts / ops.maximum(ops.sum(counts, axis=-1, keepdims=True), 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "blocks": self.blocks}


@keras.saving.register_keras_serializable(package="keras_recurrent")
class StackedAttentionFusion(Fusion):
    """Stacked attention: attends to the image repeatedly, each time with the question and what was read before.

    With `m_i = tanh(W_v v_i)` for each cell and `u_0 = tanh(W_q q)`, hop `k` is

        a = softmax over i of (w_k tanh(A_k m_i + B_k u_{k-1}))
        u_k = u_{k-1} + sum over i of a_i m_i

    and the result is the last `u`.

    Args:
        units: Positive integer, the dimension of the output.
        hops: Positive integer, the number of times that the fusion attends to the image.

    See `Fusion` for the call arguments and the result.

    Example:

    >>> from keras_recurrent.layers import Memory, StackedAttentionFusion
    >>> image = Memory(ops.ones((2, 9, 5)), ops.ones((2, 9), "bool"), ops.ones((2, 5)))
    >>> question = Memory(ops.ones((2, 4, 3)), ops.ones((2, 4), "bool"), ops.ones((2, 3)))
    >>> fusion = StackedAttentionFusion(8, hops=2)
    >>> fusion(image, question).shape, fusion.attend(image, question).shape
    ((2, 8), (2, 2, 9))

    Reference:
        Yang et al. 2016, Stacked attention networks for image question answering, section 3.3.
    """

    def __init__(self, units: int, hops: int = 2, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.hops = hops

    def build(self, image_shape: Any, question_shape: Any) -> None:
        self.image_projection = self.dense(image_shape[0][-1], "image_projection", activation="tanh")
        self.question_projection = self.dense(question_shape[2][-1], "question_projection", activation="tanh")
        self.attentions = [
            BahdanauAttention(self.units, name=f"attention_{hop}", dtype=self.dtype_policy) for hop in range(self.hops)
        ]
        for attention in self.attentions:
            attention.build((None, None, self.units), (None, None, self.units))

    def _hops(self, image: Memory, question: Memory, owners: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Computes the last `u`, and the weights `(batch, cells)` of each hop."""
        image = image._replace(values=self.image_projection(image.values))
        keys = _per_question([attention.keys(image) for attention in self.attentions], owners)
        cells = _per_question(image, owners)
        u, weights = self.question_projection(question.summary), []
        for attention, hop_keys in zip(self.attentions, keys, strict=True):
            context, hop_weights = attention(ops.expand_dims(u, 1), cells, hop_keys)
            u = u + ops.squeeze(context, 1)
            weights.append(ops.squeeze(hop_weights, 1))
        return u, weights

    def fuse(self, image: Memory, question: Memory, owners: Tensor | None) -> Tensor:
        u, _ = self._hops(image, question, owners)
        return u

    def attend(self, image: Memory, question: Memory, owners: Tensor | None = None) -> Tensor:
        """Computes the weights of the cells in each hop, `(batch, hops, cells)`."""
        _, weights = self._hops(image, question, owners)
        return ops.stack(weights, axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "hops": self.hops}


@keras.saving.register_keras_serializable(package="keras_recurrent")
class CoAttentionFusion(Fusion):
    """Parallel co-attention: the image attends to the question, and the question to the image.

        C = tanh(Q W_b V^T)
        H_v = tanh(V W_v + C^T (Q W_q)),    H_q = tanh(Q W_q + C (V W_v))
        a_v = softmax(H_v w_v),    a_q = softmax(H_q w_q)

    and the result is `tanh(P_v (a_v V) + P_q (a_q Q))`.

    See `Fusion` for the arguments and the result.

    Example:

    >>> from keras_recurrent.layers import CoAttentionFusion, Memory
    >>> image = Memory(ops.ones((2, 9, 5)), ops.ones((2, 9), "bool"), ops.ones((2, 5)))
    >>> question = Memory(ops.ones((2, 4, 3)), ops.ones((2, 4), "bool"), ops.ones((2, 3)))
    >>> fusion = CoAttentionFusion(8)
    >>> fusion(image, question).shape, fusion.attend(image, question).shape
    ((2, 8), (2, 1, 9))

    Reference:
        Lu et al. 2016, Hierarchical question-image co-attention for visual question answering, equations 3 to 5.
    """

    def build(self, image_shape: Any, question_shape: Any) -> None:
        image, question = image_shape[0][-1], question_shape[0][-1]
        self.affinity = self.dense(question, "affinity", units=image, use_bias=False)
        self.image_projection = self.dense(image, "image_projection")
        self.question_projection = self.dense(question, "question_projection")
        self.image_score = self.dense(self.units, "image_score", units=1, use_bias=False)
        self.question_score = self.dense(self.units, "question_score", units=1, use_bias=False)
        self.image_result = self.dense(image, "image_result")
        self.question_result = self.dense(question, "question_result", use_bias=False)

    def _weights(self, image: Memory, question: Memory, owners: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Computes the weights of the cells and of the words, and the values of the cells for each question."""
        cells, words = self.image_projection(image.values), self.question_projection(question.values)
        cells, image = _per_question((cells, image), owners)
        affinity = ops.tanh(ops.matmul(self.affinity(question.values), ops.transpose(image.values, (0, 2, 1))))
        if question.mask is not None:
            affinity = affinity * ops.expand_dims(ops.cast(question.mask, affinity.dtype), -1)
        if image.mask is not None:
            affinity = affinity * ops.expand_dims(ops.cast(image.mask, affinity.dtype), 1)
        hidden_cells = ops.tanh(cells + ops.matmul(ops.transpose(affinity, (0, 2, 1)), words))
        hidden_words = ops.tanh(words + ops.matmul(affinity, cells))
        return (
            masked_softmax(ops.squeeze(self.image_score(hidden_cells), -1), image.mask),
            masked_softmax(ops.squeeze(self.question_score(hidden_words), -1), question.mask),
            image.values,
        )

    def fuse(self, image: Memory, question: Memory, owners: Tensor | None) -> Tensor:
        cell_weights, word_weights, cells = self._weights(image, question, owners)
        v = self.image_result(_weighted_sum(cell_weights, cells))
        return ops.tanh(v + self.question_result(_weighted_sum(word_weights, question.values)))

    def attend(self, image: Memory, question: Memory, owners: Tensor | None = None) -> Tensor:
        """Computes the weights of the cells, `(batch, 1, cells)`."""
        cell_weights, _, _ = self._weights(image, question, owners)
        return ops.expand_dims(cell_weights, 1)


def _per_question(images: Nest, owners: Tensor | None) -> Nest:
    """Selects the row of each question's image in a nest of tensors with one row per image."""
    if owners is None:
        return images
    return tree.map_structure(lambda x: None if x is None else ops.take(x, owners, axis=0), images)


def _weighted_sum(weights: Tensor, values: Tensor) -> Tensor:
    """Computes `(batch, features)` from weights `(batch, positions)` and values `(batch, positions, features)`."""
    return ops.squeeze(ops.matmul(ops.expand_dims(ops.cast(weights, values.dtype), 1), values), 1)


# The names of the fusions in options and configurations.
FUSIONS = {
    "add": AddFusion,
    "multiply": MultiplyFusion,
    "concatenate": ConcatenateFusion,
    "gated": GatedFusion,
    "mlb": LowRankBilinearFusion,
    "mutan": MutanFusion,
    "film": FilmFusion,
    "stacked_attention": StackedAttentionFusion,
    "co_attention": CoAttentionFusion,
}
