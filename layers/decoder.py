"""The decoder: from a memory and the previous tokens to the next token."""

import math
from typing import Any, Self

import keras
from keras import layers, ops

from .attention import BahdanauAttention, LuongAttention
from .bridges import state_bridges, states_by_layer
from .dropout import Dropout
from .embedding import token_embedding
from .family import rename_attention, sequence_layers
from .memory import Memory
from .reader import DecoderState, Reader, repeat_rows
from .types import Shape, Tensor

SCORES = ("additive", "multiplicative", "none")
QUERIES = ("after_step", "before_step")
CONDITIONINGS = ("init", "pre", "par", "merge")


@keras.saving.register_keras_serializable(package="keras_recurrent")
class Decoder(layers.Layer):
    """A recurrent language model that is conditioned on a `Memory`.

    The output `h` of the top recurrent layer and the context `c`, which attention computes from the memory, give the
    logits:

        readout = tanh(W_r [h; c] + b_r)
        logits  = W_o readout + b_o

    `score` says how attention compares a query with the memory. With `"none"` there is no context, and the readout is
    `h`, unless `tie_softmax` or `conditioning="merge"` require a dense layer.

    `query` says which state is the query. With `"after_step"`, as in the paper of Luong et al., it is `h`. With
    `"before_step"`, as in that of Bahdanau et al., it is the state of the bottom layer before the step, and the context
    is also concatenated to the embedding of the token. On Multi30k the validation loss after half an epoch is 4.26 with
    `"after_step"` and multiplicative scores, 3.96 with `"before_step"` and additive scores, and 3.87 with
    `"after_step"` and additive scores. `"after_step"` trains faster, since attention is computed for all steps at once.

    `conditioning` says how the summary of the memory enters. With `"init"`, dense layers compute the initial states
    from it. Otherwise the initial states are zero. With `"pre"`, a projection of the summary is the first input. With
    `"par"`, the summary is concatenated to the embedding of each token. With `"merge"`, it is concatenated to `h` in
    the readout, so that the recurrent layers do not depend on the memory.

    Args:
        vocabulary_size: Positive integer, the number of token ids.
        embedding_dim: Positive integer, the dimension of the token embeddings.
        units: Positive integer, the dimension of the recurrent layers and of the readout.
        cell: Name of the recurrent layers in `family.py`, such as `"lstm"`.
        num_layers: Positive integer, the number of recurrent layers.
        score: `"additive"`, `"multiplicative"` or `"none"`.
        query: `"after_step"` or `"before_step"`.
        input_feeding: Whether to concatenate the readout of each step to the embedding of the next token; it is zero in
            the first step. It requires attention with `query="after_step"`. Training then computes the steps one by
            one.
        tie_softmax: Whether `W_o` is the transposed embedding matrix divided by the square root of its dimension (Press
            and Wolf 2017; the divisor is that of Vaswani et al. 2017). The readout then has `embedding_dim` units.
        conditioning: `"init"`, `"pre"`, `"par"` or `"merge"`.
        attention_penalty: Float, the weight in the loss of `mean(sum((1 - attention) ** 2))`, where the sum is over the
            positions of the memory, and `attention` is the sum of a position's weights in all steps. It encourages the
            decoder to attend to each position once.
        dropout: Float in [0, 1), the fraction of the embeddings, of each layer's outputs and of the readout to drop in
            training.
        recurrent_dropout: Float in [0, 1), the fraction of the states to drop before the recurrent products. All steps
            of a sequence share a mask.

    Call arguments:
        tokens: Integer tensor `(batch, steps)`, the start token and the target without its end token; or
            `(batch, targets, steps)`, several targets per row of the memory.
        memory: A `Memory`, the output of an encoder.
        training: Whether to apply dropout.

    Returns:
        The logits of the next token after each of `tokens`, `(batch, steps, vocabulary_size)` or `(batch, targets,
        steps, vocabulary_size)`.

    Raises:
        ValueError: If an option has an unknown value, or options do not go together.

    Example:

    >>> from keras_recurrent.layers import Decoder, TextEncoder
    >>> memory = TextEncoder(vocabulary_size=100, embedding_dim=8, units=16)(ops.array([[5, 6, 3]]))
    >>> decoder = Decoder(vocabulary_size=90, embedding_dim=8, units=16)
    >>> decoder(ops.array([[2, 7, 8, 9]]), memory).shape
    (1, 4, 90)
    >>> logits, state, weights = decoder.step(ops.array([2]), decoder.initial_state(memory), memory)
    >>> logits.shape, weights.shape
    ((1, 90), (1, 3))

    Reference:
        Luong et al. 2015, section 3.1, for the readout, and 3.3 for input feeding; Bahdanau et al. 2015, section 3.1.
        Press and Wolf 2017, Using the output embedding to improve language models, for the tied softmax. Tanti, Gatt
        and Camilleri 2018, Where to put the image in an image caption generator, for the conditioning. Xu et al. 2015,
        Show, attend and tell, equation 14, for the penalty. Gal and Ghahramani 2016, A theoretically grounded
        application of dropout in recurrent neural networks.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        units: int,
        cell: str = "gru",
        num_layers: int = 1,
        score: str = "additive",
        query: str = "after_step",
        input_feeding: bool = False,
        tie_softmax: bool = False,
        conditioning: str = "init",
        attention_penalty: float = 0.0,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _check_option("score", score, SCORES)
        _check_option("query", query, QUERIES)
        _check_option("conditioning", conditioning, CONDITIONINGS)
        if input_feeding and (score == "none" or query != "after_step"):
            raise ValueError(
                "Argument `input_feeding` needs attention with query='after_step'. "
                f"Received: score={score!r}, query={query!r}"
            )
        if attention_penalty and score == "none":
            raise ValueError("Argument `attention_penalty` needs attention. Received: score='none'")
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.units = units
        self.cell = cell
        self.num_layers = num_layers
        self.score = score
        self.query = query
        self.input_feeding = input_feeding
        self.tie_softmax = tie_softmax
        self.conditioning = conditioning
        self.attention_penalty = attention_penalty
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.readout_units = embedding_dim if tie_softmax else units
        self._create_layers()

    def _create_layers(self) -> None:
        policy = self.dtype_policy
        self.embedding = token_embedding(self.vocabulary_size, self.embedding_dim, dtype=policy, name="embedding")
        self.layers = sequence_layers(
            self.cell, self.units, self.num_layers, recurrent_dropout=self.recurrent_dropout, dtype=policy
        )
        self.bridges = state_bridges(self.layers, policy) if self.conditioning == "init" else []
        self.first_input: Any = None
        if self.conditioning == "pre":
            self.first_input = layers.Dense(self.embedding_dim, dtype=policy, name="first_input")
        self.attention: Any = None
        if self.score == "additive":
            self.attention = BahdanauAttention(self.units, dtype=policy, name="attention")
        elif self.score == "multiplicative":
            self.attention = LuongAttention(dtype=policy, name="attention")
        self.readout: Any = None
        if self.attention is not None or self.tie_softmax or self.conditioning == "merge":
            self.readout = layers.Dense(self.readout_units, activation="tanh", dtype=policy, name="readout")
        # Of the embeddings, of the outputs of each layer, and of the readout if that is a layer of its own.
        self.dropouts = [Dropout(self.dropout, dtype=policy) for _ in range(self.num_layers + 2)]
        if not self.tie_softmax:
            self.output_projection = layers.Dense(self.vocabulary_size, dtype=policy, name="output_projection")

    @property
    def feeds_context(self) -> bool:
        """Whether the context is an input of the recurrence."""
        return self.attention is not None and self.query == "before_step"

    def build(self, tokens_shape: Shape, memory_shape: Any) -> None:
        values_shape, *_, summary_shape = memory_shape
        if not self.embedding.built:  # a tied embedding is built
            self.embedding.build(tokens_shape)
        self.input_dim = self.embedding_dim + (summary_shape[-1] if self.conditioning == "par" else 0)
        features = self.input_dim
        if self.feeds_context:
            features += values_shape[-1]
        elif self.input_feeding:
            features += self.readout_units
        for layer in self.layers:
            layer.build((None, None, features))
            features = self.units
        for bridge in self.bridges:
            bridge.build(summary_shape)
        if self.first_input is not None:
            self.first_input.build(summary_shape)
        features = self.units
        if self.attention is not None:
            self.attention.build((None, None, self.units), values_shape)
            features += values_shape[-1]
        if self.conditioning == "merge":
            features += summary_shape[-1]
        if self.readout is not None:
            self.readout.build((None, None, features))
        if self.tie_softmax:
            self.output_bias = self.add_weight(
                shape=(self.vocabulary_size,), initializer="zeros", name="output_bias", autocast=False
            )
        else:
            self.output_projection.build((None, None, self.units))

    def initial_state(self, memory: Memory) -> DecoderState:
        """Computes the state before the first token."""
        batch = ops.shape(memory.summary)[0]
        sizes = [size for layer in self.layers for size in layer.state_size]
        states = [bridge(memory.summary) for bridge in self.bridges]
        zeros = [ops.zeros((batch, size), dtype=self.compute_dtype) for size in sizes if not self.bridges]
        state = DecoderState(states_by_layer(self.layers, states or zeros))
        if self.input_feeding:
            state = state._replace(readout=ops.zeros((batch, self.readout_units), dtype=self.compute_dtype))
        if self.first_input is not None:
            _, state, _ = Reader(self, memory).advance(self.first_input(memory.summary), state)
        return state

    def step(self, token: Tensor, state: DecoderState, memory: Memory) -> tuple[Tensor, DecoderState, Tensor | None]:
        """Reads one token per row.

        Args:
            token: Integer tensor `(batch,)`.
            state: The result of `initial_state`, or the state after the previous token.
            memory: A `Memory`.

        Returns:
            `(logits, state, weights)`: `(batch, vocabulary_size)`, the new state, and the attention weights
            `(batch, positions)`, None without attention.
        """
        return self.reader(memory)(token, state)

    def reader(self, memory: Memory, hypotheses: int | None = None) -> Reader:
        """Returns `step` for one memory, as a function `(token, state) -> (logits, state, weights)`.

        It computes once what depends on the memory alone. With `hypotheses`, as many consecutive rows of tokens and
        states share a row of the memory.
        """
        return Reader(self, memory, hypotheses)

    def logits(self, readout: Tensor, training: bool = False) -> Tensor:
        """Computes the logits from readouts `(..., readout_units)`."""
        if self.readout is not None:
            readout = self.dropouts[-1](readout, training=training)
        if not self.tie_softmax:
            return self.output_projection(readout)
        # Keras casts weights in `call` alone.
        embeddings, bias = (ops.cast(weight, readout.dtype) for weight in (self.embedding.embeddings, self.output_bias))
        return ops.matmul(readout, ops.transpose(embeddings)) / math.sqrt(self.embedding_dim) + bias

    def call(self, tokens: Tensor, memory: Memory, training: bool = False) -> Tensor:
        memory = Memory(*memory)  # a functional model that was loaded from a file passes a list
        rows, targets = _as_rows(tokens)
        readouts, weights = self.reader(memory, targets).read(rows, training)
        if training and self.attention_penalty:
            mask = None if memory.mask is None else repeat_rows(memory.mask, targets)
            self.add_loss(self.attention_penalty * coverage_loss(rows, mask, weights))
        logits = self.logits(readouts, training)
        return logits if targets is None else ops.reshape(logits, (*ops.shape(tokens), self.vocabulary_size))

    def align(self, tokens: Tensor, memory: Memory) -> Tensor | None:
        """Computes the attention weights for the token that follows each of `tokens`.

        Args:
            tokens: Integer tensor `(batch, steps)` or `(batch, targets, steps)`, as in `call`.
            memory: A `Memory`.

        Returns:
            Tensor `(batch, steps, positions)` or `(batch, targets, steps, positions)`; None without attention.
        """
        rows, targets = _as_rows(tokens)
        _, weights = self.reader(memory, targets).read(rows)
        if weights is None or targets is None:
            return weights
        return ops.reshape(weights, (*ops.shape(tokens), ops.shape(weights)[-1]))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "units": self.units,
            "cell": self.cell,
            "num_layers": self.num_layers,
            "score": self.score,
            "query": self.query,
            "input_feeding": self.input_feeding,
            "tie_softmax": self.tie_softmax,
            "conditioning": self.conditioning,
            "attention_penalty": self.attention_penalty,
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**rename_attention(config))


def coverage_loss(tokens: Tensor, mask: Tensor | None, weights: Tensor) -> Tensor:
    """Computes the squared difference of each position's total attention from 1, summed, and averaged over the rows.

    Args:
        tokens: Integer tensor `(rows, steps)`. Padding is 0. A row that holds the start token alone is ignored: it
            fills up a source with fewer targets than others.
        mask: Boolean tensor `(rows, positions)`, or None.
        weights: Attention weights `(rows, steps, positions)`.

    Returns:
        Scalar tensor.

    Example:

    >>> from keras_recurrent.layers.decoder import coverage_loss
    >>> weights = ops.array([[[0.5, 0.5], [0.5, 0.0]]])
    >>> float(coverage_loss(ops.array([[2, 7]]), None, weights))
    0.25
    """
    steps = ops.expand_dims(ops.cast(tokens != 0, "float32"), -1)
    counts = ops.cast(ops.any(tokens[:, 1:] != 0, axis=1), "float32")
    missing = 1 - ops.sum(steps * ops.cast(weights, "float32"), axis=1)
    if mask is not None:
        missing = missing * ops.cast(mask, "float32")
    return ops.sum(counts * ops.sum(ops.square(missing), axis=-1)) / ops.maximum(ops.sum(counts), 1)


def _check_option(name: str, value: str, values: tuple[str, ...]) -> None:
    if value not in values:
        raise ValueError(f"Argument `{name}` must be one of {', '.join(values)}. Received: {value!r}")


def _as_rows(tokens: Tensor) -> tuple[Tensor, Any]:
    """Reshapes `(batch, targets, steps)` to `(batch * targets, steps)`; also returns the number of targets, or None."""
    _, *targets, steps = ops.shape(tokens)
    return (ops.reshape(tokens, (-1, steps)), *targets) if targets else (tokens, None)
