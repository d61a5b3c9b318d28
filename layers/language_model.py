"""A recurrent language model without an encoder."""

from typing import Any, NamedTuple

import keras
from keras import layers, ops

from . import constraints
from .constraints import IMPOSSIBLE
from .dropout import Dropout
from .embedding import token_embedding
from .family import sequence_layers
from .search import Hypotheses, sample
from .types import Nest, Tensor


class LanguageModelState(NamedTuple):
    """The state of a `LanguageModel`.

    Attributes:
        layers: Tuple with one list per recurrent layer of its states `(batch, units)`.
    """

    layers: tuple[list[Tensor], ...]


class SamplingState(NamedTuple):
    """The state of `LanguageModel.sample`.

    Attributes:
        time: Integer tensor `(rows, 1)`, the number of steps before this one.
        model: The `LanguageModelState`.
    """

    time: Tensor
    model: LanguageModelState


@keras.saving.register_keras_serializable(package="keras_recurrent")
class LanguageModel(keras.Model):
    """Predicts the next token after each token of a sequence.

    The input of the recurrent layers is the embedding or the one-hot vector of a token; that of token 0, padding, is a
    vector of zeros. A dense layer computes the logits of the next token.

    Token ids 0 (padding), 1 (unknown), 2 (start) and 3 (end) are fixed.

    Args:
        vocabulary_size: Positive integer, the number of token ids.
        units: Positive integer, the dimension of a recurrent layer.
        embedding_dim: Positive integer, the dimension of the token embeddings; None uses one-hot vectors.
        cell: Name of the recurrent layers in `family.py`, such as `"lstm"`.
        num_layers: Positive integer, the number of recurrent layers.
        batch_size: Positive integer for truncated back-propagation through long texts in batches of this size: the last
            states of each row are its first states in the next batch, and gradients end at the start of a batch. None
            starts each batch with zeros.
        dropout: Float in [0, 1), the fraction of the embeddings and of each layer's outputs to drop in training.
        recurrent_dropout: Float in [0, 1), the fraction of the states to drop before the recurrent products. All steps
            of a sequence share a mask.

    Call arguments:
        inputs: Integer tensor `(batch, steps)`. With `batch_size` `(tokens, is_continuation)`, where `is_continuation`
            `(batch,)` is 1 if the row continues that of the previous batch, and 0 if it starts a new text.
        training: Whether to apply dropout.

    Returns:
        The logits of the next token after each token, `(batch, steps, vocabulary_size)`.

    Example:

    >>> from keras_recurrent.layers import LanguageModel
    >>> model = LanguageModel(vocabulary_size=30, units=16)
    >>> model(ops.array([[2, 7, 8, 9]])).shape
    (1, 4, 30)
    >>> draws = keras.random.uniform((1, 2, 20))  # two samples of at most 20 tokens
    >>> model.sample(ops.array([[7, 8]]), draws).tokens.shape
    (1, 2, 20)

    Reference:
        Mikolov et al. 2010, Recurrent neural network based language model; Graves 2013, Generating sequences with
        recurrent neural networks; Williams and Peng 1990, An efficient gradient-based algorithm for on-line training of
        recurrent network trajectories, for the truncated gradients.
    """

    padding, unknown, start, end = 0, 1, 2, 3

    def __init__(
        self,
        vocabulary_size: int,
        units: int,
        embedding_dim: int | None = None,
        cell: str = "lstm",
        num_layers: int = 1,
        batch_size: int | None = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.units = units
        self.embedding_dim = embedding_dim
        self.cell = cell
        self.num_layers = num_layers
        self.batch_size = batch_size
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        policy = self.dtype_policy
        self.embedding: Any = None
        if embedding_dim is not None:
            self.embedding = token_embedding(vocabulary_size, embedding_dim, dtype=policy, name="embedding")
        self.recurrent_layers = sequence_layers(
            cell, units, num_layers, return_state=True, recurrent_dropout=recurrent_dropout, dtype=policy
        )
        # For the embeddings, but not for one-hot vectors, and for the outputs of each layer.
        rates = [dropout if embedding_dim else 0.0, *[dropout] * num_layers]
        self.dropouts = [Dropout(rate, dtype=policy) for rate in rates]
        self.output_projection = layers.Dense(vocabulary_size, dtype=policy, name="output_projection")

    def build(self, input_shape: Any) -> None:
        features = self.embedding_dim or self.vocabulary_size
        if self.embedding is not None:
            self.embedding.build((None, None))
        for layer in self.recurrent_layers:
            layer.build((None, None, features))
            features = self.units
        self.output_projection.build((None, None, self.units))
        self.carried: list[Any] = []
        if self.batch_size is not None:
            self.carried = [
                self.add_weight(shape=(self.batch_size, size), initializer="zeros", trainable=False, name="carried")
                for layer in self.recurrent_layers
                for size in layer.state_size
            ]

    def initial_state(self, batch_size: int) -> LanguageModelState:
        """Returns the state before the first token: zeros."""
        return LanguageModelState(tuple(layer.cell.get_initial_state(batch_size) for layer in self.recurrent_layers))

    def step(self, token: Tensor, state: LanguageModelState) -> tuple[Tensor, LanguageModelState]:
        """Reads one token per row.

        Args:
            token: Integer tensor `(batch,)`.
            state: The result of `initial_state`, or the state after the previous token.

        Returns:
            `(logits, state)`: `(batch, vocabulary_size)`, and the new state.
        """
        output, new_states = self._embed(token), []
        for layer, layer_states in zip(self.recurrent_layers, state.layers, strict=True):
            output, layer_states = layer.cell(output, list(layer_states))
            new_states.append(layer_states)
        return self.output_projection(output), LanguageModelState(tuple(new_states))

    def read(
        self, tokens: Tensor, state: LanguageModelState, training: bool = False
    ) -> tuple[Tensor, LanguageModelState]:
        """Reads tokens `(batch, steps)`: their logits `(batch, steps, vocabulary_size)`, and the last state."""
        output, new_states = self.dropouts[0](self._embed(tokens), training=training), []
        for layer, layer_states, dropout in zip(self.recurrent_layers, state.layers, self.dropouts[1:], strict=True):
            output, *layer_states = layer(output, initial_state=list(layer_states), training=training)
            output = dropout(output, training=training)
            new_states.append(layer_states)
        return self.output_projection(output), LanguageModelState(tuple(new_states))

    def call(self, inputs: Nest, training: bool = False) -> Tensor:
        if self.batch_size is None:
            return self.read(inputs, self.initial_state(ops.shape(inputs)[0]), training)[0]
        tokens, is_continuation = inputs
        is_new = ops.expand_dims(is_continuation == 0, -1)
        carried = iter(self.carried)
        state = LanguageModelState(
            tuple(
                [
                    ops.cast(ops.where(is_new, 0.0, ops.convert_to_tensor(next(carried))), self.compute_dtype)
                    for _ in layer.state_size
                ]
                for layer in self.recurrent_layers
            )
        )
        logits, state = self.read(tokens, state, training)
        last = [x for layer_states in state.layers for x in layer_states]
        for variable, value in zip(self.carried, last, strict=True):
            variable.assign(ops.cast(value, variable.dtype))
        return logits

    def sample(
        self,
        prompt: Tensor,
        draws: Tensor,
        *,
        start: Any = None,
        ends: bool = True,
        reads: Any = None,
        temperature: Any = 1.0,
        top_k: int | None = None,
        top_p: Any = 1.0,
        tokens: int | None = None,
    ) -> Hypotheses:
        """Draws random continuations of prompts.

        Args:
            prompt: Integer tensor `(batch, positions)`, the tokens of each prompt, followed by 0.
            draws: Float tensor `(batch, samples, max_length)`, uniform in [0, 1).
            start: Id of the token that the first step reads; None is the start token.
            ends: Whether the end token may be drawn.
            reads: Positive integer, the number of steps that read the token before, beginning with `start`; later
                steps read padding. None is all.
            temperature, top_k, top_p: See `keras_recurrent.layers.sample`.
            tokens: Positive integer; only ids below it may be drawn after a prompt. None is the whole vocabulary.

        Returns:
            `Hypotheses` in the order of the draws, which begin with the prompts and not with the start token.
        """
        if not self.built:
            self.build(None)
        ids = ops.arange(self.vocabulary_size)
        is_allowed = ops.logical_and(
            ids >= (self.end if ends else self.end + 1), ids < (tokens or self.vocabulary_size)
        )
        excluded = ops.where(is_allowed, 0.0, IMPOSSIBLE)

        def step(token, state):
            time, model_state = state
            read = token if reads is None else ops.where(time[:, 0] < reads, token, self.padding)
            logits, model_state = self.step(read, model_state)
            return ops.cast(logits, "float32"), SamplingState(time + 1, model_state)

        batch = ops.shape(prompt)[0]
        drawn, lengths, scores, *_ = sample(
            step,
            SamplingState(ops.zeros((batch, 1), dtype="int32"), self.initial_state(batch)),
            draws,
            start=self.start if start is None else start,
            end=self.end,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            constraints=[constraints.prefix(prompt, lambda logits, time, tokens: logits + excluded)],
        )
        return Hypotheses(drawn, lengths, scores)

    def _embed(self, tokens: Tensor) -> Tensor:
        if self.embedding is None:
            # The one-hot vector of the id -1 is zero.
            vectors = ops.one_hot(tokens - 1, self.vocabulary_size - 1, dtype=self.compute_dtype)
            return ops.pad(vectors, [[0, 0]] * len(tokens.shape) + [[1, 0]])
        vectors = self.embedding(tokens)
        return ops.where(ops.expand_dims(tokens != self.padding, -1), vectors, 0)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "units": self.units,
            "embedding_dim": self.embedding_dim,
            "cell": self.cell,
            "num_layers": self.num_layers,
            "batch_size": self.batch_size,
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
        }
