"""How well a generator predicts the characters of a text."""

import math

import keras
import numpy as np
import tensorflow as tf

from ..shared.errors import UsageError
from . import data

PIECE = 1000  # characters of a long text that are measured at a time


def bits(generator, texts):
    """How many bits the model needs for what `data.read` returns, and for how many characters, ends among them.

    The first character of a long text is given, as is that of a line to a model that is fed zeros, unless a label
    is. A character that the model does not know counts as the unknown one.
    """
    total, count = 0.0, 0
    state = None
    for read, target, weights, goes_on in _pieces(generator, texts):
        logits, state = generator.read(read, state if goes_on else generator.model.initial_state(len(read)))
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(target, tf.cast(logits, tf.float32))
        weights = weights * (target < len(generator.tokenizer))  # a label is no character
        total += float(tf.reduce_sum(losses * weights)) / math.log(2)
        count += int(weights.sum())
    return total, count


def adapted_bits(generator, text, rate):
    """`bits` of a long text from which the model goes on learning: behind each piece, a step of gradient descent.

    A piece has `window` characters, as in training, and is measured before it is learned from. Afterwards the model
    is what it was before.

    Args:
        text: A string, what `data.read` returns.
        rate: Float, the learning rate; the gradient of all weights together is cut to a norm of 1.

    Raises:
        UsageError: If the model is one of lines.

    Reference:
        Mikolov et al. 2010, Recurrent neural network based language model, section 2, for dynamic models; Krause et
        al. 2018, Dynamic evaluation of neural sequence models.
    """
    if generator.ends:
        raise UsageError("lines are texts of their own; only in the mode text there is one to adapt to")
    optimizer = keras.optimizers.SGD(rate, global_clipnorm=1.0)
    variables = generator.model.trainable_variables
    optimizer.build(variables)

    @tf.function(reduce_retracing=True)
    def learn(read, target, state):
        with tf.GradientTape() as tape:
            logits, state = generator.model.read(read, state)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(target, tf.cast(logits, tf.float32)))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss, state

    ids = data.text_ids(text, generator.tokenizer)
    begun, state, total = generator.model.get_weights(), generator.model.initial_state(1), 0.0
    try:
        for first in range(0, len(ids) - 1, generator.config.window):
            piece = ids[np.newaxis, first : first + generator.config.window + 1]
            loss, state = learn(piece[:, :-1], piece[:, 1:], state)
            total += float(loss) * (piece.shape[1] - 1) / math.log(2)
    finally:
        generator.model.set_weights(begun)
    return total, len(ids) - 1


def _pieces(generator, texts):
    """What to read of texts, what to find, weights, and whether to go on from the state before."""
    if generator.ends:
        rows = data.sequences(texts, generator.tokenizer, generator.labels)
        for batch in data.line_batches(rows, generator.config, "test").dataset.as_numpy_iterator():
            yield *batch, False
        return
    ids = data.text_ids(texts, generator.tokenizer)
    for first in range(0, len(ids) - 1, PIECE):
        piece = ids[np.newaxis, first : first + PIECE + 1]
        yield piece[:, :-1], piece[:, 1:], np.ones((1, piece.shape[1] - 1), "float32"), first > 0
