"""Fusions: what an image and a question together say, as one vector."""

import math

import keras
from keras import layers, ops, tree

from .attention import BahdanauAttention, masked_softmax
from .memory import Memory


class Fusion(layers.Layer):
    """Base of the fusions.

    A subclass makes its weights in `build` and writes `fuse`. In the formulas `v` and `q` are the summaries of image
    and question, `V` and `Q` their values, a row a position, and `*` is the elementwise product; biases are left out.

    Args:
        units: Positive integer, the dimension of the result.

    Call arguments:
        image: A `Memory` such as `ImageEncoder` emits.
        question: A `Memory` such as `TextEncoder` emits. What its mask leaves out does not count.
        owners: Integer tensor `(batch,)`, for each question the row of its image, so that what depends on an image
            alone is computed once for all its questions; None where each question has an image of its own.

    Returns:
        Tensor `(batch, units)`, with a row a question.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def dense(self, inputs, name, units=None, **arguments):
        """A dense layer of this fusion, built for inputs of so many features."""
        layer = layers.Dense(units or self.units, name=name, dtype=self.dtype_policy, **arguments)
        layer.build((None, inputs))
        return layer

    def call(self, image, question, owners=None):
        # A functional model that was read from a file gives lists.
        return self.fuse(Memory(*image), Memory(*question), owners)

    def fuse(self, image, question, owners):
        """What `call` returns."""
        raise NotImplementedError

    def compute_output_shape(self, image_shape, question_shape):
        return (question_shape[2][0], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class _OfSummaries(Fusion):
    """A fusion that begins with a dense layer for each summary."""

    activation = None

    def build(self, image_shape, question_shape):
        self.image_projection = self.dense(image_shape[2][-1], "image_projection", activation=self.activation)
        self.question_projection = self.dense(question_shape[2][-1], "question_projection", activation=self.activation)

    def projected(self, image, question, owners):
        return _of_each(self.image_projection(image.summary), owners), self.question_projection(question.summary)


@keras.saving.register_keras_serializable(package="keras_recurrent")
class AddFusion(_OfSummaries):
    """The sum of both:

        W_v v + W_q q

    Arguments, call arguments and results are those of `Fusion`.

    Example:

    >>> image = Memory(ops.ones((2, 9, 5)), ops.ones((2, 9), "bool"), ops.ones((2, 5)))
    >>> question = Memory(ops.ones((2, 4, 3)), ops.ones((2, 4), "bool"), ops.ones((2, 3)))
    >>> AddFusion(8)(image, question).shape
    (2, 8)

    Reference:
        Antol et al. 2015, VQA: Visual question answering; Malinowski et al. 2015, Ask your neurons, for early fusions.
    """

    def fuse(self, image, question, owners):
        v, q = self.projected(image, question, owners)
        return v + q


@keras.saving.register_keras_serializable(package="keras_recurrent")
class MultiplyFusion(_OfSummaries):
    """The product of both:

        (W_v v) * (W_q q)

    Arguments, call arguments and results are those of `Fusion`.

    Example:

    >>> image = Memory(ops.ones((2, 9, 5)), ops.ones((2, 9), "bool"), ops.ones((2, 5)))
    >>> question = Memory(ops.ones((2, 4, 3)), ops.ones((2, 4), "bool"), ops.ones((2, 3)))
    >>> MultiplyFusion(8)(image, question).shape
    (2, 8)

    Reference:
        Antol et al. 2015, VQA: Visual question answering, section 4.2.
    """

    def fuse(self, image, question, owners):
        v, q = self.projected(image, question, owners)
        return v * q


@keras.saving.register_keras_serializable(package="keras_recurrent")
class ConcatenateFusion(Fusion):
    """Both beside each other, through one hidden layer, for without it this were `AddFusion`:

        relu(W [v; q])

    Arguments, call arguments and results are those of `Fusion`.

    Example:

    >>> image = Memory(ops.ones((2, 9, 5)), ops.ones((2, 9), "bool"), ops.ones((2, 5)))
    >>> question = Memory(ops.ones((2, 4, 3)), ops.ones((2, 4), "bool"), ops.ones((2, 3)))
    >>> ConcatenateFusion(8)(image, question).shape
    (2, 8)

    Reference:
        Zhou et al. 2015, Simple baseline for visual question answering.
    """

    def build(self, image_shape, question_shape):
        self.projection = self.dense(image_shape[2][-1] + question_shape[2][-1], "projection", activation="relu")

    def fuse(self, image, question, owners):
        return self.projection(ops.concatenate([_of_each(image.summary, owners), question.summary], axis=-1))


@keras.saving.register_keras_serializable(package="keras_recurrent")
class GatedFusion(_OfSummaries):
    """A gate weighs image against question, for each unit:

        z * tanh(W_v v) + (1 - z) * tanh(W_q q)    with z = sigmoid(W_z [v; q])

    Arguments, call arguments and results are those of `Fusion`.

    Example:

    >>> image = Memory(ops.ones((2, 9, 5)), ops.ones((2, 9), "bool"), ops.ones((2, 5)))
    >>> question = Memory(ops.ones((2, 4, 3)), ops.ones((2, 4), "bool"), ops.ones((2, 3)))
    >>> GatedFusion(8)(image, question).shape
    (2, 8)

    Reference:
        Arevalo et al. 2017, Gated multimodal units for information fusion, equations 1 to 4.
    """

    activation = "tanh"

    def build(self, image_shape, question_shape):
        super().build(image_shape, question_shape)
        self.gate = self.dense(image_shape[2][-1] + question_shape[2][-1], "gate", activation="sigmoid")

    def fuse(self, image, question, owners):
        v, q = self.projected(image, question, owners)
        z = self.gate(ops.concatenate([_of_each(image.summary, owners), question.summary], axis=-1))
        return z * v + (1 - z) * q


@keras.saving.register_keras_serializable(package="keras_recurrent")
class LowRankBilinearFusion(_OfSummaries):
    """MLB, a bilinear form of low rank for each unit:

        P (tanh(W_v v) * tanh(W_q q))

    Arguments, call arguments and results are those of `Fusion`; the rank is `units`.

    Example:

    >>> image = Memory(ops.ones((2, 9, 5)), ops.ones((2, 9), "bool"), ops.ones((2, 5)))
    >>> question = Memory(ops.ones((2, 4, 3)), ops.ones((2, 4), "bool"), ops.ones((2, 3)))
    >>> LowRankBilinearFusion(8)(image, question).shape
    (2, 8)

    Reference:
        Kim et al. 2017, Hadamard product for low-rank bilinear pooling, equation 8.
    """

    activation = "tanh"

    def build(self, image_shape, question_shape):
        super().build(image_shape, question_shape)
        self.pooling = self.dense(self.units, "pooling")

    def fuse(self, image, question, owners):
        v, q = self.projected(image, question, owners)
        return self.pooling(v * q)


@keras.saving.register_keras_serializable(package="keras_recurrent")
class MutanFusion(_OfSummaries):
    """MUTAN, a bilinear form whose core tensor is a sum of `rank` matrices of rank one, for each unit:

        sum over r of (M_r tanh(W_v v)) * (N_r tanh(W_q q))

    Args:
        units: Positive integer, the dimension of the result.
        rank: Positive integer, the number of terms.

    Call arguments and results are those of `Fusion`.

    Example:

    >>> image = Memory(ops.ones((2, 9, 5)), ops.ones((2, 9), "bool"), ops.ones((2, 5)))
    >>> question = Memory(ops.ones((2, 4, 3)), ops.ones((2, 4), "bool"), ops.ones((2, 3)))
    >>> MutanFusion(8, rank=3)(image, question).shape
    (2, 8)

    Reference:
        Ben-younes et al. 2017, MUTAN: Multimodal Tucker fusion for visual question answering, equations 8 and 9.
    """

    activation = "tanh"

    def __init__(self, units, rank=5, **kwargs):
        super().__init__(units, **kwargs)
        self.rank = rank

    def build(self, image_shape, question_shape):
        super().build(image_shape, question_shape)
        self.image_factors = self.dense(self.units, "image_factors", units=self.rank * self.units)
        self.question_factors = self.dense(self.units, "question_factors", units=self.rank * self.units)

    def fuse(self, image, question, owners):
        v, q = self.projected(image, question, owners)
        products = self.image_factors(v) * self.question_factors(q)
        return ops.sum(ops.reshape(products, (-1, self.rank, self.units)), axis=1)

    def get_config(self):
        return {**super().get_config(), "rank": self.rank}


@keras.saving.register_keras_serializable(package="keras_recurrent")
class FilmFusion(Fusion):
    """FiLM: the question scales and shifts the features of a small convolutional network over the image.

    A block, of which there are `blocks`, is residual, with one scale and one shift a unit from the question:

        X = relu(conv_1x1(X_in))
        X_out = X + relu((1 + scale) * normalise(conv_3x3(X)) + shift)    with [scale; shift] = W q

    where `normalise` is over the batch: its images in the first block, its questions in the others. The result is
    what is largest over the map, for each unit, in

        relu(conv_1x1(X_out))

    of the last block. The places of the cells are in the memory already.

    Args:
        units: Positive integer, the dimension of the result and of the blocks.
        blocks: Positive integer.

    Call arguments and results are those of `Fusion`; the image's cells must be those of a square.

    Example:

    >>> image = Memory(ops.ones((2, 9, 5)), ops.ones((2, 9), "bool"), ops.ones((2, 5)))
    >>> question = Memory(ops.ones((2, 4, 3)), ops.ones((2, 4), "bool"), ops.ones((2, 3)))
    >>> fusion = FilmFusion(8)
    >>> fusion(image, question).shape, fusion.attend(image, question).shape
    ((2, 8), (2, 1, 9))

    Reference:
        Perez et al. 2018, FiLM: Visual reasoning with a general conditioning layer, section 3.2, and 4.3 for where it
        looks.
    """

    def __init__(self, units, blocks=2, **kwargs):
        super().__init__(units, **kwargs)
        self.blocks = blocks

    def build(self, image_shape, question_shape):
        self.side = math.isqrt(image_shape[0][1])
        if self.side**2 != image_shape[0][1]:
            raise ValueError(f"The image's cells must be those of a square. Received: {image_shape[0][1]} cells")
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

    def _found(self, image, question, owners):
        """What is found in each cell, `(batch, rows, columns, units)`."""
        modulations = ops.reshape(self.modulation(question.summary), (-1, self.blocks, 2, 1, 1, self.units))
        cells = ops.reshape(image.values, (-1, self.side, self.side, image.values.shape[-1]))
        for index in range(self.blocks):
            scale, shift = modulations[:, index, 0], modulations[:, index, 1]
            cells = self.narrow[index](cells)
            looked = self.normalizations[index](self.wide[index](cells))
            if index == 0:  # up to here no question has been heard
                cells, looked = _of_each((cells, looked), owners)
            cells = cells + ops.relu((1 + scale) * looked + shift)
        return self.closing(cells)

    def fuse(self, image, question, owners):
        return ops.max(self._found(image, question, owners), axis=(1, 2))

    def attend(self, image, question, owners=None):
        """The share of the units whose largest value comes from each cell, `(batch, 1, cells)`."""
        found = self._found(image, question, owners)
        found = ops.reshape(found, (-1, 1, self.side**2, self.units))
        is_largest = ops.logical_and(found > 0, found == ops.max(found, axis=2, keepdims=True))
        numbers = ops.sum(ops.cast(is_largest, found.dtype), axis=-1)
        return numbers / ops.maximum(ops.sum(numbers, axis=-1, keepdims=True), 1)

    def get_config(self):
        return {**super().get_config(), "blocks": self.blocks}


@keras.saving.register_keras_serializable(package="keras_recurrent")
class StackedAttentionFusion(Fusion):
    """Stacked attention: what was found in the image, together with the question, asks the image again.

    With `m_i = tanh(W_v v_i)` for each cell and `u_0 = tanh(W_q q)`, hop `k` is

        a = softmax over i of (w_k tanh(A_k m_i + B_k u_{k-1}))
        u_k = u_{k-1} + sum over i of a_i m_i

    and the result is the last `u`.

    Args:
        units: Positive integer, the dimension of the result.
        hops: Positive integer, how often the image is asked.

    Call arguments and results are those of `Fusion`.

    Example:

    >>> image = Memory(ops.ones((2, 9, 5)), ops.ones((2, 9), "bool"), ops.ones((2, 5)))
    >>> question = Memory(ops.ones((2, 4, 3)), ops.ones((2, 4), "bool"), ops.ones((2, 3)))
    >>> fusion = StackedAttentionFusion(8, hops=2)
    >>> fusion(image, question).shape, fusion.attend(image, question).shape
    ((2, 8), (2, 2, 9))

    Reference:
        Yang et al. 2016, Stacked attention networks for image question answering, section 3.3.
    """

    def __init__(self, units, hops=2, **kwargs):
        super().__init__(units, **kwargs)
        self.hops = hops

    def build(self, image_shape, question_shape):
        self.image_projection = self.dense(image_shape[0][-1], "image_projection", activation="tanh")
        self.question_projection = self.dense(question_shape[2][-1], "question_projection", activation="tanh")
        self.attentions = [
            BahdanauAttention(self.units, name=f"attention_{hop}", dtype=self.dtype_policy) for hop in range(self.hops)
        ]
        for attention in self.attentions:
            attention.build((None, None, self.units), (None, None, self.units))

    def _asked(self, image, question, owners):
        """The last `u`, and the weights of each hop."""
        seen = image._replace(values=self.image_projection(image.values))
        keys = _of_each([attention.keys(seen) for attention in self.attentions], owners)
        cells = _of_each(seen, owners)
        u, looks = self.question_projection(question.summary), []
        for attention, keys_of_hop in zip(self.attentions, keys, strict=True):
            context, weights = attention(ops.expand_dims(u, 1), cells, keys_of_hop)
            u = u + ops.squeeze(context, 1)
            looks.append(ops.squeeze(weights, 1))
        return u, looks

    def fuse(self, image, question, owners):
        return self._asked(image, question, owners)[0]

    def attend(self, image, question, owners=None):
        """The weights of the cells in each hop, `(batch, hops, cells)`."""
        return ops.stack(self._asked(image, question, owners)[1], axis=1)

    def get_config(self):
        return {**super().get_config(), "hops": self.hops}


@keras.saving.register_keras_serializable(package="keras_recurrent")
class CoAttentionFusion(Fusion):
    """Parallel co-attention: image and question say of each other what matters.

        C = tanh(Q W_b V^T)
        H_v = tanh(V W_v + C^T (Q W_q)),    H_q = tanh(Q W_q + C (V W_v))
        a_v = softmax(H_v w_v),    a_q = softmax(H_q w_q)

    and the result is `tanh(P_v (a_v V) + P_q (a_q Q))`.

    Arguments, call arguments and results are those of `Fusion`.

    Example:

    >>> image = Memory(ops.ones((2, 9, 5)), ops.ones((2, 9), "bool"), ops.ones((2, 5)))
    >>> question = Memory(ops.ones((2, 4, 3)), ops.ones((2, 4), "bool"), ops.ones((2, 3)))
    >>> fusion = CoAttentionFusion(8)
    >>> fusion(image, question).shape, fusion.attend(image, question).shape
    ((2, 8), (2, 1, 9))

    Reference:
        Lu et al. 2016, Hierarchical question-image co-attention for visual question answering, equations 3 to 5.
    """

    def build(self, image_shape, question_shape):
        image, question = image_shape[0][-1], question_shape[0][-1]
        self.affinity = self.dense(question, "affinity", units=image, use_bias=False)
        self.image_projection = self.dense(image, "image_projection")
        self.question_projection = self.dense(question, "question_projection")
        self.image_score = self.dense(self.units, "image_score", units=1, use_bias=False)
        self.question_score = self.dense(self.units, "question_score", units=1, use_bias=False)
        self.image_result = self.dense(image, "image_result")
        self.question_result = self.dense(question, "question_result", use_bias=False)

    def _weights(self, image, question, owners):
        """The weights of cells and of words, and the values of the cells."""
        cells, words = self.image_projection(image.values), self.question_projection(question.values)
        cells, image = _of_each((cells, image), owners)
        affinity = ops.tanh(ops.matmul(self.affinity(question.values), ops.transpose(image.values, (0, 2, 1))))
        if question.mask is not None:
            affinity = affinity * ops.expand_dims(ops.cast(question.mask, affinity.dtype), -1)
        if image.mask is not None:
            affinity = affinity * ops.expand_dims(ops.cast(image.mask, affinity.dtype), 1)
        of_cells = ops.tanh(cells + ops.matmul(ops.transpose(affinity, (0, 2, 1)), words))
        of_words = ops.tanh(words + ops.matmul(affinity, cells))
        return (
            masked_softmax(ops.squeeze(self.image_score(of_cells), -1), image.mask),
            masked_softmax(ops.squeeze(self.question_score(of_words), -1), question.mask),
            image.values,
        )

    def fuse(self, image, question, owners):
        of_cells, of_words, cells = self._weights(image, question, owners)
        found = self.image_result(_averaged(of_cells, cells))
        return ops.tanh(found + self.question_result(_averaged(of_words, question.values)))

    def attend(self, image, question, owners=None):
        """The weights of the cells, `(batch, 1, cells)`."""
        return ops.expand_dims(self._weights(image, question, owners)[0], 1)


def _of_each(known, owners):
    """What is known of the images, any nest of tensors with a row an image, with a row a question instead."""
    if owners is None:
        return known
    return tree.map_structure(lambda x: None if x is None else ops.take(x, owners, axis=0), known)


def _averaged(weights, values):
    """`(batch, features)`, of weights `(batch, positions)` and values `(batch, positions, features)`."""
    return ops.squeeze(ops.matmul(ops.expand_dims(ops.cast(weights, values.dtype), 1), values), 1)


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
