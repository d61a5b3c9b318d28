"""How well a generator predicts the characters of a text."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from ...layers.types import Tensor
from ..shared.errors import UsageError
from . import data

if TYPE_CHECKING:
    from .model import Generator

CHUNK = 1000  # characters of a long text that are measured at once


def bits(generator: "Generator", texts: Any) -> tuple[float, int]:
    """Computes how many bits a model needs to encode texts, and the number of characters, ends included.

    The first character of a long text is given, as is the first character of a line to a model that is fed zeros and
    has no labels. Characters outside of the vocabulary count as the unknown token.

    Args:
        generator: The `Generator`.
        texts: What `data.read` returns.

    Returns:
        `(bits, characters)`.
    """
    total, count = 0.0, 0
    state = None
    for inputs, targets, weights, is_continuation in _chunks(generator, texts):
        state = state if is_continuation else generator.model.initial_state(len(inputs))
        logits, state = generator.read(inputs, state)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, tf.cast(logits, tf.float32))
        weights = weights * (targets < len(generator.tokenizer))  # without the labels
        total += float(tf.reduce_sum(losses * weights)) / math.log(2)
        count += int(weights.sum())
    return total, count


def adapted_bits(generator: "Generator", text: str, rate: float) -> tuple[float, int]:
    """Computes `bits` of a long text for a model that learns from it: one step of gradient descent after each window.

    A window has `config.window` characters, as in training, and is measured before the model learns from it. The
    weights of the model are restored at the end.

    Args:
        generator: The `Generator`.
        text: What `data.read` returns in the mode `text`.
        rate: The learning rate. The gradient is clipped to a global norm of 1.

    Raises:
        UsageError: If the model was trained on lines.

    Reference:
        Mikolov et al. 2010, Recurrent neural network based language model, section 2, for dynamic models; Krause et
        al. 2018, Dynamic evaluation of neural sequence models.
    """
    if generator.has_end:
        raise UsageError("lines are independent texts; adaptation works only in the mode text")
    optimizer = keras.optimizers.SGD(rate, global_clipnorm=1.0)
    variables = generator.model.trainable_variables
    optimizer.build(variables)

    @tf.function(reduce_retracing=True)
    def learn(inputs: Tensor, targets: Tensor, state: Any) -> tuple[Tensor, Any]:
        with tf.GradientTape() as tape:
            logits, state = generator.model.read(inputs, state)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, tf.cast(logits, tf.float32)))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss, state

    ids = data.text_ids(text, generator.tokenizer)
    weights, state, total = generator.model.get_weights(), generator.model.initial_state(1), 0.0
    try:
        for first in range(0, len(ids) - 1, generator.config.window):
            window = ids[np.newaxis, first : first + generator.config.window + 1]
            loss, state = learn(window[:, :-1], window[:, 1:], state)
            total += float(loss) * (window.shape[1] - 1) / math.log(2)
    finally:
        generator.model.set_weights(weights)
    return total, len(ids) - 1


def _chunks(generator: "Generator", texts: Any) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, bool]]:
    """Yields `(inputs, targets, weights, is_continuation)` of lines in batches, or of a long text in chunks."""
    if generator.has_end:
        rows = data.sequences(texts, generator.tokenizer, generator.labels)
        for batch in data.line_batches(rows, generator.config, "test").dataset.as_numpy_iterator():
            yield *batch, False
        return
    ids = data.text_ids(texts, generator.tokenizer)
    for first in range(0, len(ids) - 1, CHUNK):
        chunk = ids[np.newaxis, first : first + CHUNK + 1]
        yield chunk[:, :-1], chunk[:, 1:], np.ones((1, chunk.shape[1] - 1), "float32"), first > 0
