"""Texts that cannot be used, in the graph: the others of a batch get their answers."""

from typing import NamedTuple

import tensorflow as tf

from ....layers.types import Tensor
from .rows import first_error
from .tokenizers import GraphTokenizer

# The signature of functions of texts.
TEXTS = [tf.TensorSpec([None], tf.string, name="text")]


class EncodedTexts(NamedTuple):
    """Texts as ids.

    Attributes:
        ids: int32 ragged tensor `(batch, None)`, with an end token.
        error: String tensor `(batch,)`, what is wrong with each text, empty if nothing is.
        is_usable: Boolean tensor `(batch,)`, whether the ids can be used.
    """

    ids: Tensor
    error: Tensor
    is_usable: Tensor


def is_utf_8(texts: Tensor) -> Tensor:
    """Returns whether strings are valid UTF-8, a boolean tensor of their shape."""
    return tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="ignore") == texts


def encode_checked(tokenizer: GraphTokenizer, texts: Tensor, name: str, max_length: int, limit: int) -> EncodedTexts:
    """Encodes texts and says what is wrong with each.

    A text that is not UTF-8 or has no tokens cannot be used. One of more than `max_length` tokens has an error, but it
    can be used; one of more than `limit` tokens is cut.

    Args:
        tokenizer: The tokenizer.
        texts: String tensor `(batch,)`.
        name: What the messages call a text, such as `"question"`.
        max_length: Positive integer, the number of tokens, with the end token, that the model was trained on.
        limit: Positive integer, the number of tokens, with the end token, that are used.
    """
    is_valid = is_utf_8(texts)
    ids = tokenizer.ids_of(tf.where(is_valid, texts, ""))
    lengths = ids.row_lengths() + 1
    error = first_error((~is_valid, f"the {name} is not UTF-8"), (lengths == 1, f"the {name} is empty"))
    is_usable = error == ""
    error = first_error(
        (~is_usable, error),
        (lengths > limit, f"the {name} has more than {limit:,} tokens; the rest is ignored"),
        (lengths > max_length, f"the {name} has more than {max_length:,} tokens, the maximum in training"),
    )
    return EncodedTexts(tokenizer.with_end(ids, limit), error, is_usable)
