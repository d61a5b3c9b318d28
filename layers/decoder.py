"""The decoder: from a memory and the tokens so far to the next token."""

import math

import keras
from keras import layers, ops, tree

from .attention import BahdanauAttention, LuongAttention
from .dropout import Dropout
from .embedding import token_embedding
from .family import sequence_layer
from .loop import scan
from .memory import Memory

ATTENTIONS = ("luong", "bahdanau", "none")
SCORES = ("additive", "multiplicative")
CONDITIONINGS = ("init", "pre", "par", "merge")


@keras.saving.register_keras_serializable(package="keras_recurrent")
class Decoder(layers.Layer):
    """A recurrent language model that is conditioned on a `Memory`.

    The output `h` of the top recurrent layer and the context `c` that attention reads from the memory give the logits:

        readout = tanh(W_r [h; c] + b_r)
        logits  = W_o readout + b_o

    The memory's summary enters in one of four places, `conditioning`. With `"init"`, it is the first state, through a
    dense layer a state (the bridge). With the others the first state is zero. With `"pre"`, it is read before the first
    token, through a dense layer to an embedding's dimension. With `"par"`, it stands beside each token's embedding, and
    with `"merge"` beside `h` in the readout, so that the recurrent layers are a language model that sees no memory.

    With `"luong"` attention, the query is `h` itself, after the recurrent step. With `"bahdanau"` attention, the query
    is the bottom layer's state before the step, and the context enters that layer beside the token's embedding.
    With `"none"`, there is no context, and the readout is `h` unless something stands beside it. With
    `input_feeding`, the readout of a step stands beside the token's embedding in the next, so that the decoder knows
    where it looked before; the first step has zeros there.

    How query and memory are compared, `score`, is a choice of its own. The papers pair multiplicative scores with the
    one and additive scores with the other; additive scores learn faster. On Multi30k the validation loss after half an
    epoch is 4.26 with `"luong"` and multiplicative scores, 3.96 with `"bahdanau"` and additive ones, and 3.87 with
    `"luong"` and additive ones, where training takes the attention of all steps at once.

    Args:
        vocabulary_size: Positive integer, the number of token ids.
        embedding_dim: Positive integer, the dimension of a token's embedding.
        units: Positive integer, the dimension of a recurrent layer and of the readout.
        cell: `"simple_rnn"`, `"lstm"` or `"gru"`.
        num_layers: Positive integer, how many recurrent layers stand on each other.
        attention: `"luong"`, `"bahdanau"` or `"none"`.
        score: `"additive"` or `"multiplicative"`, how the attention compares.
        conditioning: `"init"`, `"pre"`, `"par"` or `"merge"`, where the memory's summary enters.
        input_feeding: Whether the readout is fed to the next step; `attention` must be `"luong"`. Training then takes
            the steps one by one.
        tie_softmax: Whether `W_o` is the transposed embedding matrix divided by the square root of its dimension (Press
            and Wolf 2017; the divisor is that of Vaswani et al. 2017). The readout has then the embedding's dimension,
            and there is one without attention, too.
        attention_penalty: Float, the weight in the loss of `mean(sum((1 - attention) ** 2))`, the sum over the memory's
            positions, of the attention that each got in all steps together: it shall look everywhere once.
        dropout: Float in [0, 1), the share of the embeddings, of each layer's outputs and of the readout to drop in
            training.
        recurrent_dropout: Float in [0, 1), the share of the states to drop that enter the recurrent products, the same
            at all steps of a sequence.

    Call arguments:
        tokens: Integer tensor `(batch, steps)`: the start token and the target but for its end; or `(batch, targets,
            steps)`, several targets for each of the memory's.
        memory: What an encoder emitted.
        training: Whether dropout applies.

    Returns:
        The logits of the next token after each of `tokens`, `(batch, steps, vocabulary_size)` or `(batch, targets,
        steps, vocabulary_size)`.

    Raises:
        ValueError: If the cell, the attention, the score or the conditioning has no such name, input is fed without
            `"luong"`, or there is a penalty but no attention.

    Example:

    >>> memory = TextEncoder(vocabulary_size=100, embedding_dim=8, units=16)(ops.array([[5, 6, 3]]))
    >>> decoder = Decoder(vocabulary_size=90, embedding_dim=8, units=16)
    >>> decoder(ops.array([[2, 7, 8, 9]]), memory).shape
    (1, 4, 90)
    >>> logits, state, weights = decoder.step(ops.array([2]), decoder.initial_state(memory), memory)
    >>> logits.shape, weights.shape
    ((1, 90), (1, 3))

    Reference:
        Luong et al. 2015, section 3.1, and 3.3 for input feeding; Bahdanau et al. 2015, section 3.1; the readout is the
        former's in both. Press and Wolf 2017, Using the output embedding to improve language models, for the tied
        softmax. Tanti, Gatt and Camilleri 2018, Where to put the image in an image caption generator, for the
        conditioning and its names. Xu et al. 2015, Show, attend and tell, equation 14, for the penalty. Gal and
        Ghahramani 2016, A theoretically grounded application of dropout in recurrent neural networks.
    """

    def __init__(
        self,
        vocabulary_size,
        embedding_dim,
        units,
        cell="gru",
        num_layers=1,
        attention="luong",
        score="additive",
        input_feeding=False,
        tie_softmax=False,
        conditioning="init",
        attention_penalty=0.0,
        dropout=0.0,
        recurrent_dropout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for argument, value, names in (
            ("attention", attention, ATTENTIONS),
            ("score", score, SCORES),
            ("conditioning", conditioning, CONDITIONINGS),
        ):
            if value not in names:
                raise ValueError(f"Argument `{argument}` must be one of {', '.join(names)}. Received: {value!r}")
        if input_feeding and attention != "luong":
            raise ValueError(f"Argument `input_feeding` needs attention 'luong'. Received: attention={attention!r}")
        if attention_penalty and attention == "none":
            raise ValueError("Argument `attention_penalty` needs an attention. Received: attention='none'")
        self.score = score
        self.conditioning = conditioning
        self.attention_penalty = attention_penalty
        self.input_feeding = input_feeding
        self.tie_softmax = tie_softmax
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.units = units
        self.cell = cell
        self.num_layers = num_layers
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        policy = {"dtype": self.dtype_policy}
        self.embedding = token_embedding(vocabulary_size, embedding_dim, name="embedding", **policy)
        self.layers = [
            sequence_layer(
                cell,
                units,
                return_sequences=True,
                recurrent_dropout=recurrent_dropout,
                name=f"{cell}_{index}",
                **policy,
            )
            for index in range(num_layers)
        ]
        states = [state for layer in self.layers for state in layer.state_size]
        self.bridges = [
            layers.Dense(size, activation="tanh", name=f"bridge_{index}", **policy)
            for index, size in enumerate(states if conditioning == "init" else [])
        ]
        self.first_input = None
        if conditioning == "pre":
            self.first_input = layers.Dense(embedding_dim, name="first_input", **policy)
        self.attention_name = attention
        self.attention = None
        if attention != "none":
            self.attention = (
                BahdanauAttention(units, name="attention", **policy)
                if score == "additive"
                else LuongAttention(name="attention", **policy)
            )
        self.readout = None
        self.readout_units = embedding_dim if tie_softmax else units
        if self.attention is not None or tie_softmax or conditioning == "merge":
            self.readout = layers.Dense(self.readout_units, activation="tanh", name="readout", **policy)
        # Of the embeddings, of each layer's outputs, and of the readout, if that is not the last layer's output.
        self.dropouts = [Dropout(dropout, **policy) for _ in range(num_layers + 2)]
        if not tie_softmax:
            self.output_projection = layers.Dense(vocabulary_size, name="output_projection", **policy)

    @property
    def feeds_context(self):
        """Whether the context enters the recurrence."""
        return self.attention_name == "bahdanau"

    def build(self, tokens_shape, memory_shape):
        values_shape, *_, summary_shape = memory_shape
        if not self.embedding.built:  # a tied one is built already
            self.embedding.build(tokens_shape)
        features = self.input_dim = self.embedding_dim + (summary_shape[-1] if self.conditioning == "par" else 0)
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

    def initial_state(self, memory):
        """The state before the first token: a list of states `(batch, units)` for each layer, in a tuple.

        With input feeding, the tuple ends with a list of the readout that is fed.
        """
        batch = ops.shape(memory.summary)[0]
        sizes = [size for layer in self.layers for size in layer.state_size]
        states = [bridge(memory.summary) for bridge in self.bridges]
        states = iter(states or [ops.zeros((batch, size), dtype=self.compute_dtype) for size in sizes])
        state = tuple([next(states) for _ in layer.state_size] for layer in self.layers)
        if self.input_feeding:
            state = (*state, [ops.zeros((batch, self.readout_units), dtype=self.compute_dtype)])
        if self.first_input is None:
            return state
        _, state, _ = self._advance(memory)(self._project(self.first_input(memory.summary)), state)
        return state

    def step(self, token, state, memory):
        """Reads one token.

        Args:
            token: Integer tensor `(batch,)`.
            state: What `initial_state` or the step before returned.
            memory: What an encoder emitted.

        Returns:
            `(logits, state, weights)`: `(batch, vocabulary_size)`, the new state, and the attention's weights
            `(batch, positions)`, None without attention.
        """
        return self.reader(memory)(token, state)

    def reader(self, memory, hypotheses=None):
        """`step` for many steps over one memory: what depends on the memory alone is computed here, once.

        With `hypotheses`, that many rows of tokens and states follow each other for each row of the memory.
        """
        advance = self._advance(memory, hypotheses)
        summaries = _repeated(memory.summary, hypotheses)

        def step(token, state):
            embedded = self._joined(self.embedding(token), summaries, "par")
            readout, state, weights = advance(self._project(embedded), state)
            return self._logits(readout), state, weights

        return step

    def _attend(self, memory, hypotheses):
        """Attention over one memory: a function of queries `(rows, queries, units)`, or None without attention.

        For each row of the memory, `hypotheses` rows of queries follow each other; None is one.
        """
        if self.attention is None:
            return None
        keys = self.attention.keys(memory)

        def attend(queries):
            if hypotheses is None:
                return self.attention(queries, memory, keys)
            count = ops.shape(queries)[1]
            found = self.attention(ops.reshape(queries, (-1, hypotheses * count, self.units)), memory, keys)
            return [ops.reshape(x, (-1, count, ops.shape(x)[-1])) for x in found]

        return attend

    def _joined(self, values, summaries, conditioning):
        """`values` with the summaries of the same rows beside them, if that is the decoder's conditioning."""
        return ops.concatenate([values, summaries], axis=-1) if self.conditioning == conditioning else values

    def _project(self, embedded):
        """The bottom cell's projected input, but for what is fed."""
        cell = self.layers[0].cell
        if not (self.feeds_context or self.input_feeding):
            return cell.project(embedded)
        projected = ops.matmul(embedded, ops.cast(cell.kernel[: self.input_dim], embedded.dtype))
        return projected + ops.cast(cell.input_bias, embedded.dtype)

    def _advance(self, memory, hypotheses=None):
        """A step from a token's projected embedding to the readout.

        The step is a function `(projected, state, drop, keep) -> (readout, state, weights)`, where `drop(index,
        output)` is applied to the output of each layer, and `keep(index, output)` to what enters its recurrent product.
        """
        attend = self._attend(memory, hypotheses)
        summaries = _repeated(memory.summary, hypotheses)

        def attend_rows(queries):
            return [ops.squeeze(x, 1) for x in attend(ops.expand_dims(queries, 1))]

        def step(projected, state, drop=lambda index, output: output, keep=lambda index, output: output):
            context = weights = None
            fed = state[-1][0] if self.input_feeding else None
            if self.feeds_context:
                context, weights = attend_rows(state[0][0])
                fed = context
            if fed is not None:
                kernel = self.layers[0].cell.kernel[self.input_dim :]
                projected = projected + ops.matmul(fed, ops.cast(kernel, fed.dtype))
            output, new_states = None, []
            for index, (layer, layer_state) in enumerate(zip(self.layers, state[: self.num_layers], strict=True)):
                cell = layer.cell
                inner, _ = cell.inner(keep(index, layer_state[0]), *cell.inner_weights)
                layer_state, _ = cell.step(cell.project(output) if index else projected, inner, layer_state)
                output = drop(index, layer_state[0])
                new_states.append(layer_state)
            if self.attention is not None and not self.feeds_context:
                context, weights = attend_rows(output)
            readout = self._read_out(output, context, summaries)
            if self.input_feeding:
                new_states.append([readout])
            return readout, tuple(new_states), weights

        return step

    def _read_out(self, output, context, summaries):
        if context is not None:
            output = ops.concatenate([output, context], axis=-1)
        output = self._joined(output, summaries, "merge")
        return output if self.readout is None else self.readout(output)

    def _logits(self, readout, training=False):
        if self.readout is not None:
            readout = self.dropouts[-1](readout, training=training)
        if not self.tie_softmax:
            return self.output_projection(readout)
        # Cast by hand: `step` runs outside of `call`, where Keras would do it.
        embeddings, bias = (ops.cast(weight, readout.dtype) for weight in (self.embedding.embeddings, self.output_bias))
        return ops.matmul(readout, ops.transpose(embeddings)) / math.sqrt(self.embedding_dim) + bias

    def _read(self, tokens, memory, training=False, hypotheses=None):
        """Teacher forcing without the softmax: readouts and attention's weights `(rows, steps, ...)` of all steps.

        The tokens are `(rows, steps)`, `hypotheses` rows for each of the memory, as in `reader`.
        """
        embedded = self.dropouts[0](self.embedding(tokens), training=training)
        summaries = ops.expand_dims(_repeated(memory.summary, hypotheses), 1)
        summaries = ops.repeat(summaries, ops.shape(tokens)[1], axis=1)
        embedded = self._joined(embedded, summaries, "par")
        state = tree.map_structure(lambda x: _repeated(x, hypotheses), self.initial_state(memory))
        if self.feeds_context or self.input_feeding:
            return self._read_in_steps(embedded, state, memory, training, hypotheses)
        output = embedded
        for layer, states, dropout in zip(self.layers, state, self.dropouts[1:-1], strict=True):
            output = dropout(layer(output, initial_state=states, training=training), training=training)
        context = weights = None
        if self.attention is not None:
            context, weights = self._attend(memory, hypotheses)(output)
        return self._read_out(output, context, summaries), weights

    def _read_in_steps(self, embedded, state, memory, training, hypotheses):
        projected = self._project(ops.transpose(embedded, (1, 0, 2)))
        # What dropout multiplies outputs by, drawn for all steps before the loop: `(steps, batch, units)` a layer. What
        # enters a recurrent product has one mask for all steps.
        ones = ops.ones((*ops.shape(projected)[:2], self.units), dtype=projected.dtype)
        kept = [dropout(ones, training=training) for dropout in self.dropouts[1:-1]]
        masks = [
            layer.cell.recurrent_dropout_mask(layer_state[0], training)
            for layer, layer_state in zip(self.layers, state[: self.num_layers], strict=True)
        ]
        advance = self._advance(memory, hypotheses)

        def keep(index, output):
            return output if masks[index] is None else output * masks[index]

        def step(state, inputs):
            projected, kept = inputs
            readout, state, weights = advance(projected, state, lambda index, output: output * kept[index], keep)
            return state, (readout, weights)

        _, (readouts, weights) = scan(step, state, (projected, kept))
        return ops.transpose(readouts, (1, 0, 2)), ops.transpose(weights, (1, 0, 2))

    def call(self, tokens, memory, training=False):
        memory = Memory(*memory)  # a functional model that was read from a file gives a list
        rows, hypotheses = _rows(tokens)
        readouts, weights = self._read(rows, memory, training, hypotheses)
        if training and self.attention_penalty:
            mask = None if memory.mask is None else _repeated(memory.mask, hypotheses)
            self.add_loss(self.attention_penalty * self._unevenness(rows, mask, weights))
        logits = self._logits(readouts, training)
        return logits if hypotheses is None else ops.reshape(logits, (*ops.shape(tokens), self.vocabulary_size))

    def _unevenness(self, tokens, mask, weights):
        """How far each position is from one look in all steps: the sum of squares, averaged over the targets.

        Rows of a start token alone do not count: they fill up those sources that have fewer targets than others.
        """
        steps = ops.expand_dims(ops.cast(tokens != 0, "float32"), -1)
        counts = ops.cast(ops.any(tokens[:, 1:] != 0, axis=1), "float32")
        missing = 1 - ops.sum(steps * ops.cast(weights, "float32"), axis=1)
        if mask is not None:
            missing = missing * ops.cast(mask, "float32")
        return ops.sum(counts * ops.sum(ops.square(missing), axis=-1)) / ops.maximum(ops.sum(counts), 1)

    def align(self, tokens, memory):
        """Where the attention looks before it writes what follows each of `tokens`.

        Args:
            tokens: Integer tensor `(batch, steps)` or `(batch, targets, steps)`, as in `call`.
            memory: What an encoder emitted.

        Returns:
            The attention's weights, `(batch, steps, positions)` or `(batch, targets, steps, positions)`; None without
            attention.
        """
        rows, hypotheses = _rows(tokens)
        _, weights = self._read(rows, memory, hypotheses=hypotheses)
        if weights is None or hypotheses is None:
            return weights
        return ops.reshape(weights, (*ops.shape(tokens), ops.shape(weights)[-1]))

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "units": self.units,
            "cell": self.cell,
            "num_layers": self.num_layers,
            "attention": self.attention_name,
            "score": self.score,
            "input_feeding": self.input_feeding,
            "tie_softmax": self.tie_softmax,
            "conditioning": self.conditioning,
            "attention_penalty": self.attention_penalty,
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
        }


def _rows(tokens):
    """Tokens `(batch, steps)` or `(batch, targets, steps)` as rows of steps, and the number of targets, or None."""
    _, *several, steps = ops.shape(tokens)
    return (ops.reshape(tokens, (-1, steps)), *several) if several else (tokens, None)


def _repeated(x, count):
    """Each row so many times; None is once."""
    return x if count is None else ops.repeat(x, count, axis=0)
