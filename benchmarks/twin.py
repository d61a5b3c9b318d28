"""Parts of the apps' models from `keras.layers` alone, as a Keras user would write them."""

import numpy as np
from keras import layers, ops
from keras_recurrent.apps.shared.text.tokenizers import END, START
from keras_recurrent.layers import beam_search


class TwinImageEncoder:
    """What `keras_recurrent.layers.ImageEncoder` computes from features.

    Args:
        units: Dimension of a cell's vector.
        dropout: Share of the features and of the vectors to drop; `training` is None where the model decides.
    """

    def __init__(self, units, dropout):
        self.projection = layers.Dense(units)
        self.place_projection = layers.Dense(units, use_bias=False)
        self.normalization = layers.LayerNormalization()
        self.dropouts = [layers.Dropout(dropout) for _ in range(2)]

    def encode(self, features, training=None):
        """Vectors of the cells, their mask, and their mean."""
        _, rows, columns, size = features.shape
        y, x = np.linspace(-1, 1, rows), np.linspace(-1, 1, columns)
        places = np.stack(np.meshgrid(x, y), axis=-1).reshape(1, -1, 2).astype("float32")
        cells = ops.reshape(self.dropouts[0](features, training=training), (-1, rows * columns, size))
        places = ops.zeros_like(cells[..., :2]) + places  # a constant would be projected once, and never again
        values = self.normalization(self.projection(cells) + self.place_projection(places))
        values = self.dropouts[1](values, training=training)
        return values, ops.ones_like(values[..., 0], dtype="bool"), ops.mean(values, axis=1)

    def copy(self, ours):
        """Takes the weights of an `ImageEncoder`, but for those of its backbone."""
        for part in ("projection", "place_projection", "normalization"):
            getattr(self, part).set_weights(getattr(ours, part).get_weights())


class TwinDecoder:
    """What `keras_recurrent.layers.Decoder` computes with Luong's placement and additive scores.

    Args:
        rnn: `keras.layers.GRU` or `keras.layers.LSTM`.
        size: The vocabulary's size.
        embedding_dim: Dimension of a token's embedding.
        units: Dimension of the recurrent layer.
        dropout: Share of the embeddings and outputs to drop; `training` is None where the model decides.
    """

    def __init__(self, rnn, size, embedding_dim, units, dropout):
        self.embedding = layers.Embedding(size, embedding_dim)
        self.rnn = rnn(units, return_sequences=True)
        states = len(self.rnn.cell.state_size) if rnn is layers.LSTM else 1
        self.bridges = [layers.Dense(units, activation="tanh") for _ in range(states)]
        self.query, self.key = layers.Dense(units, use_bias=False), layers.Dense(units)
        self.attention = layers.AdditiveAttention()
        self.readout = layers.Dense(units, activation="tanh")
        self.output_projection = layers.Dense(size)
        self.dropouts = [layers.Dropout(dropout) for _ in range(3)]

    @property
    def layers(self):
        """In the order of our weights."""
        return [
            self.embedding,
            self.rnn,
            *self.bridges,
            self.query,
            self.key,
            self.attention,
            self.readout,
            self.output_projection,
        ]

    def recur(self, read, summary, training=True):
        embedded = self.dropouts[0](self.embedding(read), training=training)
        outputs = self.rnn(embedded, initial_state=[bridge(summary) for bridge in self.bridges], training=training)
        return self.dropouts[1](outputs, training=training)

    def attend(self, queries, values, mask, keys=None):
        keys = self.key(values) if keys is None else keys
        return self.attention([self.query(queries), values, keys], mask=[None, mask])

    def answer(self, queries, context, training=True):
        readout = self.readout(ops.concatenate([queries, context], axis=-1))
        return self.output_projection(self.dropouts[2](readout, training=training))

    def logits(self, read, values, mask, summary, training=None):
        queries = self.recur(read, summary, training)
        return self.answer(queries, self.attend(queries, values, mask), training)

    def search(self, values, mask, summary, beam_size, **options):
        memory = values, mask, self.key(values)  # the keys once for all steps, as ours
        memory = [ops.repeat(x, beam_size, axis=0) for x in memory]

        def step(token, states):
            output, states = self.rnn.cell(self.embedding(token), states)
            queries = ops.expand_dims(output, 1)
            logits = self.answer(queries, self.attend(queries, *memory), training=False)
            return ops.squeeze(logits, 1), states

        states = [bridge(summary) for bridge in self.bridges]
        return beam_search(step, states, start=START, end=END, beam_size=beam_size, **options)


def copy(weights, twins):
    """Gives layers of a twin our weights, which are in the same order."""
    theirs = [weight for layer in twins for weight in layer.trainable_variables]
    for their, weight in zip(theirs, weights, strict=True):
        their.assign(ops.reshape(weight, their.shape))
