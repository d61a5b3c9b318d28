"""A recurrent language model: what follows, from what came before, and nothing else."""

import keras
from keras import layers, ops

from . import constraints
from .constraints import IMPOSSIBLE
from .dropout import Dropout
from .embedding import token_embedding
from .family import sequence_layer
from .search import sample


@keras.saving.register_keras_serializable(package="keras_recurrent")
class LanguageModel(keras.Model):
    """The next token after each of a sequence.

    A token is read as an embedding or as a one-hot vector, goes through recurrent layers on each other, and a dense
    layer gives the logits of the next one. Token 0, padding, is read as a vector of zeros.

    Token ids 0 (padding), 1 (unknown), 2 (start) and 3 (end) are fixed.

    Args:
        vocabulary_size: Positive integer, the number of token ids.
        units: Positive integer, the dimension of a recurrent layer.
        embedding_dim: Positive integer, the dimension of a token's embedding; None reads one-hot vectors.
        cell: `"simple_rnn"`, `"lstm"` or `"gru"`.
        num_layers: Positive integer, how many recurrent layers stand on each other.
        batch_size: Positive integer: the last states of a batch of so many sequences, row by row, are the first of the
            next one, so that a long text is read in pieces, and gradients end where a piece begins. None starts each
            batch from zeros.
        dropout: Float in [0, 1), the share of the embeddings and of each layer's outputs to drop in training.
        recurrent_dropout: Float in [0, 1), the share of the states to drop that enter the recurrent products, the same
            at all steps of a sequence.

    Call arguments:
        inputs: Integer tensor `(batch, steps)`; with `batch_size` `(tokens, goes_on)`, the latter `(batch,)` with 1
            where the row continues that of the batch before, and 0 where it begins anew.
        training: Whether dropout applies.

    Returns:
        The logits of the next token after each, `(batch, steps, vocabulary_size)`.

    Example:

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
        vocabulary_size,
        units,
        embedding_dim=None,
        cell="lstm",
        num_layers=1,
        batch_size=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.units = units
        self.embedding_dim = embedding_dim
        self.cell = cell
        self.num_layers = num_layers
        self.batch_size = batch_size
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        policy = {"dtype": self.dtype_policy}
        self.embedding = None
        if embedding_dim is not None:
            self.embedding = token_embedding(vocabulary_size, embedding_dim, name="embedding", **policy)
        self.recurrent_layers = [
            sequence_layer(
                cell,
                units,
                return_sequences=True,
                return_state=True,
                recurrent_dropout=recurrent_dropout,
                name=f"{cell}_{index}",
                **policy,
            )
            for index in range(num_layers)
        ]
        # Of the embeddings, and of each layer's outputs; of a one-hot vector there is nothing to drop.
        self.dropouts = [Dropout(dropout if index or embedding_dim else 0, **policy) for index in range(num_layers + 1)]
        self.output_projection = layers.Dense(vocabulary_size, name="output_projection", **policy)

    def build(self, input_shape):
        features = self.vocabulary_size
        if self.embedding is not None:
            self.embedding.build((None, None))
            features = self.embedding_dim
        for layer in self.recurrent_layers:
            layer.build((None, None, features))
            features = self.units
        self.output_projection.build((None, None, self.units))
        self.carried = []
        if self.batch_size is not None:
            self.carried = [
                self.add_weight(shape=(self.batch_size, size), initializer="zeros", trainable=False, name="carried")
                for layer in self.recurrent_layers
                for size in layer.state_size
            ]

    def initial_state(self, batch_size):
        """The state before the first token: a list of zeros `(batch_size, units)` for each layer, in a tuple."""
        return tuple(layer.cell.get_initial_state(batch_size) for layer in self.recurrent_layers)

    def step(self, token, state):
        """Reads one token.

        Args:
            token: Integer tensor `(batch,)`.
            state: What `initial_state` or the step before returned.

        Returns:
            `(logits, state)`: `(batch, vocabulary_size)`, and the new state.
        """
        output, new_state = self._embed(token), []
        for layer, layer_state in zip(self.recurrent_layers, state, strict=True):
            output, layer_state = layer.cell(output, list(layer_state))
            new_state.append(layer_state)
        return self.output_projection(output), tuple(new_state)

    def read(self, tokens, state, training=False):
        """Reads many tokens `(batch, steps)`: their logits `(batch, steps, vocabulary_size)`, and the last state."""
        output, new_state = self.dropouts[0](self._embed(tokens), training=training), []
        for layer, layer_state, dropout in zip(self.recurrent_layers, state, self.dropouts[1:], strict=True):
            output, *layer_state = layer(output, initial_state=list(layer_state), training=training)
            output = dropout(output, training=training)
            new_state.append(layer_state)
        return self.output_projection(output), tuple(new_state)

    def call(self, inputs, training=False):
        if self.batch_size is None:
            return self.read(inputs, self.initial_state(ops.shape(inputs)[0]), training)[0]
        tokens, goes_on = inputs
        begins = ops.expand_dims(goes_on == 0, -1)
        carried = iter(self.carried)
        state = tuple(
            [
                ops.cast(ops.where(begins, 0.0, ops.convert_to_tensor(next(carried))), self.compute_dtype)
                for _ in layer.state_size
            ]
            for layer in self.recurrent_layers
        )
        logits, state = self.read(tokens, state, training)
        for variable, last in zip(self.carried, (x for layer_state in state for x in layer_state), strict=True):
            variable.assign(ops.cast(last, variable.dtype))
        return logits

    def sample(
        self,
        prompt,
        draws,
        *,
        start=None,
        ends=True,
        reads=None,
        temperature=1.0,
        top_k=None,
        top_p=1.0,
        tokens=None,
    ):
        """Random continuations of prompts, as `Hypotheses` that begin with the prompt, without a start token.

        Args:
            prompt: Integer tensor `(batch, positions)`, 0 after each prompt; of no positions for none.
            draws: Float tensor `(batch, samples, max_length)`, uniform in [0, 1).
            start: The token that is read first; None is the start token.
            ends: Whether the end token may come.
            reads: Positive integer: only the first so many steps read a token, `start` and then what the one before
                wrote; those after them read padding, zeros. None is all.
            temperature, top_k, top_p: As in `search.sample`.
            tokens: Positive integer: only the ids below it may come after a prompt; None is all.
        """
        if not self.built:
            self.build(None)
        ids = ops.arange(self.vocabulary_size)
        allowed = ops.logical_and(ids >= (self.end if ends else self.end + 1), ids < (tokens or self.vocabulary_size))
        never = ops.where(allowed, 0.0, IMPOSSIBLE)

        def step(token, state):
            time, state = state
            read = token if reads is None else ops.where(time[:, 0] < reads, token, self.padding)
            logits, state = self.step(read, state)
            return ops.cast(logits, "float32"), (time + 1, state)

        batch = ops.shape(prompt)[0]
        return sample(
            step,
            (ops.zeros((batch, 1), dtype="int32"), self.initial_state(batch)),
            draws,
            start=self.start if start is None else start,
            end=self.end,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            constraints=[constraints.prefix(prompt, lambda logits, time, tokens: logits + never)],
        )

    def _embed(self, tokens):
        if self.embedding is None:
            # Of the id -1 there is no 1 anywhere.
            vectors = ops.one_hot(tokens - 1, self.vocabulary_size - 1, dtype=self.compute_dtype)
            return ops.pad(vectors, [[0, 0]] * len(tokens.shape) + [[1, 0]])
        vectors = self.embedding(tokens)
        return ops.where(ops.expand_dims(tokens != self.padding, -1), vectors, 0)

    def get_config(self):
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
