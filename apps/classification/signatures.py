"""The function of a classifier's SavedModel, from strings or numbers to labels."""

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from ...layers.types import Tensor
from ..shared.saved_model.rows import answer_usable, number_error
from ..shared.saved_model.texts import TEXTS, encode_checked
from ..shared.saved_model.tokenizers import in_graph

if TYPE_CHECKING:
    from .model import Classifier, TextClassifier
    from .series import SeriesClassifier


def signatures(classifier: "Classifier") -> tuple[dict[str, Any], list[Any]]:
    """Returns one signature, from texts or from series; see `TrainedModel.signatures`.

    Its outputs are the most probable `label` and its `probability` `(batch,)`; `labels`, the names of all labels, and
    their `probabilities`, `(batch, labels)`; and `error` `(batch,)`, what is wrong with an input, empty if nothing is.
    The other outputs of an input that cannot be used are zeros and empty strings.
    """
    of_inputs: Any = {"text": _of_texts, "series": _of_series}[classifier.config.inputs]
    return of_inputs(classifier)


def _of_texts(classifier: "TextClassifier") -> tuple[dict[str, Any], list[Any]]:
    """From strings `text` `(batch,)`. A text of more than `config.max_length` tokens is cut there, as always."""
    tokenizer, max_length = in_graph(classifier.tokenizer), classifier.config.max_length

    def best(ids: Tensor) -> dict[str, Tensor]:
        return _best(classifier, tokenizer.padded(ids))

    def answer(text: Tensor) -> dict[str, Tensor]:
        ids, error, is_usable = encode_checked(tokenizer, text, "text", max_length, limit=max_length)
        return answer_usable(best, error, is_usable, ids)

    return {"serving_default": (answer, TEXTS)}, [tokenizer.tracked]


def _of_series(classifier: "SeriesClassifier") -> tuple[dict[str, Any], list[Any]]:
    """From float32 `numbers` `(batch, steps, channels)`, NaN where a number is missing and after a series."""

    def answer(numbers: Tensor) -> dict[str, Tensor]:
        # A batch without steps gets one, without a number.
        padded = tf.concat([numbers, tf.fill([tf.shape(numbers)[0], 1, classifier.channels], float("nan"))], axis=1)
        error = number_error(numbers, "number")
        return answer_usable(lambda numbers: _best(classifier, numbers), error, error == "", padded)

    spec = tf.TensorSpec([None, None, classifier.channels], tf.float32, name="numbers")
    return {"serving_default": (answer, [spec])}, []


def _best(classifier: "Classifier", inputs: Tensor) -> dict[str, Tensor]:
    labels, probabilities = tf.constant(classifier.labels), classifier.core(inputs)["probabilities"]
    return {
        "label": tf.gather(labels, tf.argmax(probabilities, axis=1)),
        "probability": tf.reduce_max(probabilities, axis=1),
        "labels": tf.tile(labels[None], (tf.shape(probabilities)[0], 1)),  # servers split each output by rows
        "probabilities": probabilities,
    }
