"""Parts of the models of the apps built from `keras.layers` only, as a Keras user would write them."""

import numpy as np
from keras import layers, ops
from keras_recurrent.apps.shared.text.tokenizers import END, START
from keras_recurrent.layers import beam_search


class TwinImageEncoder:
    """The computation of `keras_recurrent.layers.ImageEncoder` after the backbone.

    Args:
        units: Dimension of the vector of each image region.
        dropout: Dropout rate of the features and of the vectors.
    """

    def __init__(self, units, dropout):
        self.projection = layers.Dense(units)
        self.place_projection = layers.Dense(units, use_bias=False)
        self.normalization = layers.LayerNormalization()
        self.dropouts = [layers.Dropout(dropout) for _ in range(2)]

    def encode(self, features, training=None):
        """Returns the vectors of the regions, their mask and their mean."""
        _, rows, columns, size = features.shape
        y, x = np.linspace(-1, 1, rows), np.linspace(-1, 1, columns)
        positions = np.stack(np.meshgrid(x, y), axis=-1).reshape(1, -1, 2).astype("float32")
        cells = ops.reshape(self.dropouts[0](features, training=training), (-1, rows * columns, size))
        positions = ops.zeros_like(cells[..., :2]) + positions  # TensorFlow would fold the projection of a constant
        values = self.normalization(self.projection(cells) + self.place_projection(positions))
        values = self.dropouts[1](values, training=training)
        return values, ops.ones_like(values[..., 0], dtype="bool"), ops.mean(values, axis=1)

    def copy(self, ours):
        """Copies the weights of an `ImageEncoder` except those of its backbone."""
        for part in ("projection", "place_projection", "normalization"):
            getattr(self, part).set_weights(getattr(ours, part).get_weights())


class TwinDecoder:
    """The computation of a `keras_recurrent.layers.Decoder` that attends after its step, with additive scores.

    Args:
        rnn: `keras.layers.GRU` or `keras.layers.LSTM`.
        size: Size of the vocabulary.
        embedding_dim: Dimension of the token embeddings.
        units: Dimension of the recurrent layer.
        dropout: Dropout rate of the embeddings, the outputs and the readout.
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
        """The layers in the order of our weights."""
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

    def run_rnn(self, tokens, summary, training=True):
        embedded = self.dropouts[0](self.embedding(tokens), training=training)
        outputs = self.rnn(embedded, initial_state=[bridge(summary) for bridge in self.bridges], training=training)
        return self.dropouts[1](outputs, training=training)

    def attend(self, queries, values, mask, keys=None):
        keys = self.key(values) if keys is None else keys
        return self.attention([self.query(queries), values, keys], mask=[None, mask])

    def project(self, queries, context, training=True):
        readout = self.readout(ops.concatenate([queries, context], axis=-1))
        return self.output_projection(self.dropouts[2](readout, training=training))

    def logits(self, tokens, values, mask, summary, training=None):
        queries = self.run_rnn(tokens, summary, training)
        return self.project(queries, self.attend(queries, values, mask), training)

    def search(self, values, mask, summary, beam_size, **options):
        memory = values, mask, self.key(values)  # keys are computed once for all steps, as in our decoder
        memory = [ops.repeat(x, beam_size, axis=0) for x in memory]

        def step(token, states):
            output, states = self.rnn.cell(self.embedding(token), states)
            queries = ops.expand_dims(output, 1)
            logits = self.project(queries, self.attend(queries, *memory), training=False)
            return ops.squeeze(logits, 1), states

        states = [bridge(summary) for bridge in self.bridges]
        return beam_search(step, states, start=START, end=END, beam_size=beam_size, **options)


def copy(weights, layers_of_twin):
    """Copies our weights to layers of a twin, whose weights are in the same order."""
    targets = [weight for layer in layers_of_twin for weight in layer.trainable_variables]
    for target, weight in zip(targets, weights, strict=True):
        target.assign(ops.reshape(weight, target.shape))
