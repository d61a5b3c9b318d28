"""How well a generator predicts the characters of a text."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from ...layers import LanguageModel
from ..shared.errors import UsageError
from ..shared.training.losses import TokenCrossentropy
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
        losses = _losses(targets, logits)
        weights = weights * (targets < len(generator.tokenizer))  # without the labels
        total += float(np.sum(losses * weights)) / math.log(2)
        count += int(weights.sum())
    return total, count


def adapted_bits(generator: "Generator", text: str, rate: float) -> tuple[float, int]:
    """Computes `bits` of a long text for a model that learns from it: one step of gradient descent after each window.

    A window has `config.window` characters, as in training, and is measured before the model learns from it. The
    weights of the generator do not change.

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
    # A copy for one text, whose weights the steps change.
    options = {"batch_size": 1, "dropout": 0.0, "recurrent_dropout": 0.0}
    model = LanguageModel.from_config({**generator.model.get_config(), **options})
    model.build(None)
    for variable, value in zip(model.trainable_variables, generator.model.trainable_variables, strict=True):
        variable.assign(value)
    model.compile(keras.optimizers.SGD(rate, global_clipnorm=1.0), TokenCrossentropy())
    ids = data.text_ids(text, generator.tokenizer).astype("int32")
    total = 0.0
    for first in range(0, len(ids) - 1, generator.config.window):
        window = ids[np.newaxis, first : first + generator.config.window + 1]
        is_continuation = np.array([first > 0], "float32")
        loss = model.train_on_batch((window[:, :-1], is_continuation), window[:, 1:])
        total += float(loss) * (window.shape[1] - 1) / math.log(2)
    return total, len(ids) - 1


def _losses(targets: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """The cross-entropy of each target `(batch, steps)`."""
    return ops.convert_to_numpy(TokenCrossentropy(reduction="none")(targets, ops.convert_to_tensor(logits)))


def _chunks(generator: "Generator", texts: Any) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, bool]]:
    """Yields `(inputs, targets, weights, is_continuation)` of lines in batches, or of a long text in chunks."""
    if generator.has_end:
        rows = data.sequences(texts, generator.tokenizer, generator.labels)
        for batch in data.line_batches(rows, generator.config, "test"):
            yield *batch, False
        return
    ids = data.text_ids(texts, generator.tokenizer)
    for first in range(0, len(ids) - 1, CHUNK):
        chunk = ids[np.newaxis, first : first + CHUNK + 1]
        yield chunk[:, :-1], chunk[:, 1:], np.ones((1, chunk.shape[1] - 1), "float32"), first > 0
