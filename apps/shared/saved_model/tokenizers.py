"""The tokenizers in a TensorFlow graph. `text/tokenizers.py` has those of Python."""

import uuid
from typing import Any

import tensorflow as tf

from ....extras import import_extra
from ....layers.types import Tensor
from ..text.tokenizers import (
    END,
    JOINER,
    PADDING,
    START,
    UNKNOWN,
    CharacterTokenizer,
    LiteralCharacterTokenizer,
    SubwordTokenizer,
    WordTokenizer,
)
from .normalization import normalize


class GraphTokenizer:
    """Base of the tokenizers in the graph. A subclass implements `pieces`, `ids_of` and `texts_of`.

    Args:
        tokenizer: The tokenizer of Python with the same ids.

    Attributes:
        tracked: The object with the lookup table or the model, which a SavedModel must track.
    """

    tracked: Any

    def __init__(self, tokenizer: Any) -> None:
        self.lowercase = tokenizer.lowercase
        self.size = len(tokenizer)

    def clean(self, texts: Tensor) -> Tensor:
        """Converts texts as `normalize` does, and to lower case if `lowercase` is set."""
        texts = normalize(texts)
        return tf.strings.lower(texts, encoding="utf-8") if self.lowercase else texts

    def pieces(self, texts: Tensor) -> Tensor:
        """Splits texts `(batch,)` into tokens without replacing unknown ones: ragged strings `(batch, None)`."""
        raise NotImplementedError

    def ids_of(self, texts: Tensor) -> Tensor:
        """Converts texts `(batch,)` to ids without an end token: an int32 ragged tensor `(batch, None)`."""
        raise NotImplementedError

    def texts_of(self, ids: Tensor) -> Tensor:
        """Converts a ragged tensor of ids without padding, start and end to texts `(batch,)`."""
        raise NotImplementedError

    def tokens_of(self, ids: Tensor) -> Tensor:
        """Converts a tensor of ids to their tokens, strings of the same shape, empty at padding."""
        raise NotImplementedError

    def encode(self, texts: Tensor, max_length: int | None = None) -> Tensor:
        """Converts texts `(batch,)` to ids with an end token: an int32 ragged tensor `(batch, None)`.

        Args:
            texts: String tensor `(batch,)`.
            max_length: Maximum number of ids per text, the end token included. Longer texts are cut.
        """
        return self.with_end(self.ids_of(texts), max_length)

    @staticmethod
    def with_end(ids: Tensor, max_length: int | None = None) -> Tensor:
        """Cuts ids, a ragged tensor `(batch, None)`, as `encode` does, and adds the end token to each row."""
        if max_length is not None:
            ids = ids[:, : max_length - 1]
        return tf.concat([ids, tf.fill([ids.nrows(), 1], END)], axis=1)

    @staticmethod
    def padded(ids: Tensor) -> Tensor:
        """Returns a ragged tensor of ids as a dense one `(batch, steps)`, padded with 0, with at least one step."""
        ids = ids.to_tensor()
        return tf.pad(ids, [[0, 0], [0, tf.maximum(0, 1 - tf.shape(ids)[1])]])

    def decode(self, ids: Tensor) -> Tensor:
        """Converts ids `(batch, steps)` to texts `(batch,)`, without padding, start and end tokens."""
        is_text = tf.logical_and(ids != PADDING, tf.logical_and(ids != START, ids != END))
        return self.texts_of(tf.ragged.boolean_mask(ids, is_text))

    def describe(self, numbers: dict[str, Tensor]) -> dict[str, Tensor]:
        """Converts the `tokens` of `Writer.numbers` to strings, and adds `texts` `(batch, beam)`.

        The text of a hypothesis of length 0 is empty.
        """
        ids = numbers["tokens"]
        batch, beam, steps = tf.unstack(tf.shape(ids))
        texts = tf.reshape(self.decode(tf.reshape(ids, [-1, steps])), [batch, beam])
        texts = tf.where(numbers["lengths"] == 0, "", texts)
        return {**numbers, "texts": texts, "tokens": self.tokens_of(ids)}


class _Vocabulary(GraphTokenizer):
    """Base of the tokenizers with a list of tokens."""

    def __init__(self, tokenizer: Any) -> None:
        super().__init__(tokenizer)
        self.tokens = tf.constant(tokenizer.tokens)
        ids = tf.lookup.KeyValueTensorInitializer(tokenizer.tokens[START:], tf.range(START, self.size))
        self.tracked = tf.lookup.StaticHashTable(ids, default_value=UNKNOWN)

    def ids_of(self, texts: Tensor) -> Tensor:
        return self.tracked.lookup(self.pieces(texts))

    def tokens_of(self, ids: Tensor) -> Tensor:
        return tf.gather(self.tokens, ids)


class _Words(_Vocabulary):
    def pieces(self, texts: Tensor) -> Tensor:
        texts = tf.strings.regex_replace(self.clean(texts), JOINER, "")
        # \x01 and \x02 mark the left and right side of each punctuation mark until its neighbors are known.
        texts = tf.strings.regex_replace(texts, r"([\pP\pS])", "\x01\\1\x02")
        texts = tf.strings.regex_replace(texts, "\x02\x01", f" {JOINER}")
        texts = tf.strings.regex_replace(texts, "^\x01|\x02$", "")
        texts = tf.strings.regex_replace(texts, "\x02 ", " ")
        texts = tf.strings.regex_replace(texts, " \x01", " ")
        texts = tf.strings.regex_replace(texts, "\x01", f" {JOINER}")
        return tf.strings.split(tf.strings.regex_replace(texts, "\x02", f"{JOINER} "))

    def texts_of(self, ids: Tensor) -> Tensor:
        texts = tf.strings.reduce_join(tf.gather(self.tokens, ids), axis=-1, separator=" ")
        return tf.strings.regex_replace(texts, f" ?{JOINER} ?", "")


class _Characters(_Vocabulary):
    def pieces(self, texts: Tensor) -> Tensor:
        return tf.strings.unicode_split(self.clean(texts), "UTF-8")

    def texts_of(self, ids: Tensor) -> Tensor:
        return tf.strings.reduce_join(tf.gather(self.tokens, ids), axis=-1)


class _LiteralCharacters(_Characters):
    def clean(self, texts: Tensor) -> Tensor:
        texts = tf.strings.regex_replace(texts, r"\x00", "")
        return tf.strings.lower(texts, encoding="utf-8") if self.lowercase else texts


class _Subwords(GraphTokenizer):
    """SentencePiece's model in operations of `tensorflow-text`. A program that loads the SavedModel imports it, too."""

    def __init__(self, tokenizer: SubwordTokenizer) -> None:
        super().__init__(tokenizer)
        self.model = tokenizer.model
        # TensorFlow shares resources of the same name, also in a loaded model.
        self.tracked = self._sentencepiece(tf.int32, name=f"sentencepiece_{uuid.uuid4().hex}")

    def _sentencepiece(self, out_type: Any, **arguments: Any) -> Any:
        text = import_extra("tensorflow_text", "subword-saved-model")
        return text.SentencepieceTokenizer(model=self.model, out_type=out_type, **arguments)

    def pieces(self, texts: Tensor) -> Tensor:
        return self._sentencepiece(tf.string).tokenize(self.clean(texts))

    def ids_of(self, texts: Tensor) -> Tensor:
        return self.tracked.tokenize(self.clean(texts))

    def texts_of(self, ids: Tensor) -> Tensor:
        return self.tracked.detokenize(ids)

    def tokens_of(self, ids: Tensor) -> Tensor:
        return tf.where(ids == PADDING, "", self.tracked.id_to_string(ids))


_GRAPHS: dict[type, type[GraphTokenizer]] = {
    WordTokenizer: _Words,
    CharacterTokenizer: _Characters,
    LiteralCharacterTokenizer: _LiteralCharacters,
    SubwordTokenizer: _Subwords,
}


def in_graph(tokenizer: Any) -> GraphTokenizer:
    """Returns a tokenizer whose methods run in a TensorFlow graph.

    Example:

    >>> from keras_recurrent.apps.shared.saved_model.tokenizers import in_graph
    >>> from keras_recurrent.apps.shared.text.tokenizers import WordTokenizer
    >>> tokenizer = in_graph(WordTokenizer(["a", "dog"]))
    >>> tokenizer.encode(["a cat", "a dog"]).to_list()
    [[4, 1, 3], [4, 5, 3]]
    """
    return _GRAPHS[type(tokenizer)](tokenizer)
