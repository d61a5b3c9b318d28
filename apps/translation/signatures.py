"""The functions of a translator's SavedModel, from strings to strings."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from ...layers.types import Tensor
from ..shared.saved_model.rows import answer_usable
from ..shared.saved_model.texts import TEXTS, encode_checked
from ..shared.saved_model.tokenizers import in_graph

if TYPE_CHECKING:
    from .model import Translator

MAX_SOURCE_TOKENS = 1000  # of a text, because the memory of a batch grows with its longest text
IDS = [tf.TensorSpec([None, None], tf.int32)]


def signatures(translator: "Translator") -> tuple[dict[str, Any], list[Any]]:
    """Returns two signatures that take strings `text` `(batch,)`; see `TrainedModel.signatures`.

    `serving_default` has the outputs `text` and `score` `(batch,)` of the best translations. `nbest` has those of
    `Translator.core`, but `tokens` as strings, with `texts` `(batch, beam)`, empty for the length 0, and
    `source_tokens` `(batch, positions)`. Both also return `error` `(batch,)`, what is wrong with a text, empty if
    nothing is. The other outputs of a text that is empty or not UTF-8 are zeros and empty strings. A text of more than
    `config.max_length` tokens is translated, and of one of more than `MAX_SOURCE_TOKENS` the first ones.
    """
    source, target = in_graph(translator.source), in_graph(translator.target)
    max_length = translator.config.max_length
    # Stored once for both.
    search = tf.function(
        lambda ids: translator.writer.search(ids, alignments=True), input_signature=IDS, autograph=False
    )

    def answer_texts(function: Callable[[Tensor], dict[str, Tensor]], text: Tensor) -> dict[str, Tensor]:
        """Computes a function of ids `(batch, steps)` for the strings `(batch,)` that can be translated."""
        limit = max(max_length, MAX_SOURCE_TOKENS)
        ids, error, is_usable = encode_checked(source, text, "text", max_length, limit)
        return answer_usable(lambda ids: function(source.padded(ids)), error, is_usable, ids)

    def best(ids: Tensor) -> dict[str, Tensor]:
        hypotheses = search(ids)
        return {"text": target.decode(hypotheses.tokens[:, 0]), "score": hypotheses.scores[:, 0]}

    def describe(ids: Tensor) -> dict[str, Tensor]:
        numbers = translator.writer.numbers(search(ids))
        return {**target.describe(numbers), "source_tokens": source.tokens_of(ids)}

    functions = {
        "serving_default": (lambda text: answer_texts(best, text), TEXTS),
        "nbest": (lambda text: answer_texts(describe, text), TEXTS),
    }
    return functions, [source.tracked, target.tracked]
