"""The function of a classifier's SavedModel, from strings to labels."""

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from ...layers.types import Tensor
from ..shared.saved_model.rows import answer_usable
from ..shared.saved_model.texts import TEXTS, encode_checked
from ..shared.saved_model.tokenizers import in_graph

if TYPE_CHECKING:
    from .model import Classifier


def signatures(classifier: "Classifier") -> tuple[dict[str, Any], list[Any]]:
    """Returns one signature from strings `text` `(batch,)`; see `TrainedModel.signatures`.

    Its outputs are the most probable `label` and its `probability` `(batch,)`; `labels`, the names of all labels, and
    their `probabilities`, `(batch, labels)`; and `error` `(batch,)`, what is wrong with a text, empty if nothing is.
    The other outputs of a text that is empty or not UTF-8 are zeros and empty strings. A text of more than
    `config.max_length` tokens is cut there, as always.
    """
    tokenizer, max_length = in_graph(classifier.tokenizer), classifier.config.max_length
    labels = tf.constant(classifier.labels)

    def best(ids: Tensor) -> dict[str, Tensor]:
        probabilities = classifier.core(tokenizer.padded(ids))["probabilities"]
        return {
            "label": tf.gather(labels, tf.argmax(probabilities, axis=1)),
            "probability": tf.reduce_max(probabilities, axis=1),
            "labels": tf.tile(labels[None], (tf.shape(probabilities)[0], 1)),  # servers split each output by rows
            "probabilities": probabilities,
        }

    def answer(text: Tensor) -> dict[str, Tensor]:
        ids, error, is_usable = encode_checked(tokenizer, text, "text", max_length, limit=max_length)
        return answer_usable(best, error, is_usable, ids)

    return {"serving_default": (answer, TEXTS)}, [tokenizer.tracked]
