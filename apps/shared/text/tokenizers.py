"""Tokenizers: texts to token ids and back, with the same TensorFlow operations in training and in an export."""

import io
import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import tensorflow as tf
from keras import layers

from ....datasets import DataError
from ....datasets.files import nfc
from ....extras import import_extra
from ....layers.types import Tensor
from ..console import note
from ..errors import ModelFolderError, first_line
from ..models import folders
from .normalization import normalize

PADDING, UNKNOWN, START, END = range(4)

SPECIAL = ("", "[UNK]", "<start>", "<end>")

# Marks the side of a punctuation token that had no space, so that the text can be reconstructed.
JOINER = "￭"


def display_form(token: str) -> str:
    """Returns a token without the marks that say where the spaces are.

    Example:

    >>> from keras_recurrent.apps.shared.text.tokenizers import display_form
    >>> display_form("￭."), display_form("▁day")
    ('.', 'day')
    """
    return token.replace(JOINER, "").replace("▁", "")


class Tokenizer:
    """Base of the tokenizers: token ids with 0 for padding, 1 for unknown tokens, 2 for the start and 3 for the end.

    All methods that take or return tensors run inside a TensorFlow graph, and so in an exported model. A subclass
    implements `ids_of`, `texts_of`, `tokens_of`, `pieces`, `surface_forms`, `tracked`, `save` and `load`.

    Args:
        lowercase: Whether texts are converted to lower case first.
    """

    file: ClassVar[str]  # the end of the name of the tokenizer's file in a model's folder

    tracked: Any  # the object with the lookup tables or resources, which an export must track

    def __init__(self, lowercase: bool = False) -> None:
        self.lowercase = lowercase

    def clean(self, texts: Tensor) -> Tensor:
        """Converts texts as `normalize` does, and to lower case if `lowercase` is set."""
        texts = normalize(texts)
        return tf.strings.lower(texts, encoding="utf-8") if self.lowercase else texts

    def __len__(self) -> int:
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

    def pieces(self, texts: Tensor) -> Tensor:
        """Splits texts `(batch,)` into tokens without replacing unknown ones: ragged strings `(batch, None)`."""
        raise NotImplementedError

    def surface_forms(self, pieces: Sequence[str]) -> list[str]:
        """Returns the tokens of one text with their spaces, such that their concatenation is the text."""
        raise NotImplementedError

    def save(self, path: Path) -> None:
        """Writes the tokenizer to a file."""
        raise NotImplementedError

    @classmethod
    def load(cls, path: Path, lowercase: bool) -> Self:
        """Reads a file that `save` wrote.

        Raises:
            ModelFolderError: If the file is damaged. The message names it.
        """
        raise NotImplementedError

    @classmethod
    def fit(cls, texts: Sequence[str], vocabulary_size: int, lowercase: bool = False) -> Self:
        """Learns a tokenizer with at most `vocabulary_size` ids from texts."""
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

    def encode_padded(self, texts: Tensor, max_length: int | None = None) -> Tensor:
        """Returns `encode` as a dense tensor `(batch, steps)`, padded with 0, with at least one step."""
        return self.padded(self.encode(texts, max_length))

    @staticmethod
    def padded(ids: Tensor) -> Tensor:
        """Returns a ragged tensor of ids as a dense one `(batch, steps)`, padded with 0, with at least one step."""
        ids = ids.to_tensor()
        return tf.pad(ids, [[0, 0], [0, tf.maximum(0, 1 - tf.shape(ids)[1])]])

    def decode(self, ids: Tensor) -> Tensor:
        """Converts ids `(batch, steps)` to texts `(batch,)`, without padding, start and end tokens."""
        is_text = tf.logical_and(ids != PADDING, tf.logical_and(ids != START, ids != END))
        return self.texts_of(tf.ragged.boolean_mask(ids, is_text))


class VocabularyTokenizer(Tokenizer):
    """A tokenizer with a list of tokens, based on `keras.layers.TextVectorization`.

    A subclass sets `split` and implements `standardize`, `join` and `surface_forms`.

    Args:
        vocabulary: The tokens from id 4 on, without repetitions.
        lowercase: Whether texts are converted to lower case first.
    """

    file = "vocabulary.txt"
    split: ClassVar[str]  # as in `TextVectorization`

    def __init__(self, vocabulary: Sequence[str], lowercase: bool = False) -> None:
        super().__init__(lowercase)
        self.vocabulary = [str(token) for token in vocabulary]
        self.tracked = self._vectorizer(vocabulary=[*SPECIAL[2:], *self.vocabulary])
        self.tracked(tf.constant([""]))  # creates the tables, before an export tracks the layer
        self.tokens = tf.constant([*SPECIAL, *self.vocabulary])

    @classmethod
    def fit(cls, texts: Sequence[str], vocabulary_size: int, lowercase: bool = False) -> Self:
        """Returns a tokenizer of the most frequent tokens of `texts`, with at most `vocabulary_size` ids."""
        tokenizer = cls([], lowercase)
        vectorizer = tokenizer._vectorizer(max_tokens=vocabulary_size - 2)
        vectorizer.adapt(tf.data.Dataset.from_tensor_slices(texts).batch(1024))
        return cls(vectorizer.get_vocabulary(include_special_tokens=False), lowercase)

    def _vectorizer(self, **arguments: Any) -> layers.TextVectorization:
        return layers.TextVectorization(standardize=self._standardize, split=self.split, ragged=True, **arguments)

    def _standardize(self, texts: Tensor) -> Tensor:
        return self.standardize(self.clean(texts))

    def standardize(self, texts: Tensor) -> Tensor:
        """Prepares clean texts for the split."""
        return texts

    def join(self, tokens: Tensor) -> Tensor:
        """Joins a ragged tensor of tokens `(batch, None)` to texts `(batch,)`."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(SPECIAL) + len(self.vocabulary)

    def ids_of(self, texts: Tensor) -> Tensor:
        return tf.cast(self.tracked(texts), tf.int32)

    def texts_of(self, ids: Tensor) -> Tensor:
        return self.join(tf.gather(self.tokens, ids))

    def tokens_of(self, ids: Tensor) -> Tensor:
        return tf.gather(self.tokens, ids)

    def pieces(self, texts: Tensor) -> Tensor:
        texts = self._standardize(texts)
        return tf.strings.split(texts) if self.split == "whitespace" else tf.strings.unicode_split(texts, "UTF-8")

    def save(self, path: Path) -> None:
        """Writes the vocabulary, one token per line, from id 4 on."""
        folders.write_list(path.parent, path.name, self.vocabulary)

    @classmethod
    def load(cls, path: Path, lowercase: bool) -> Self:
        lines = folders.read_list(path.parent, path.name)
        # Vocabularies of earlier versions may have entries that are not in NFC. An entry becomes its NFC, unless that
        # is an entry already. The ids stay.
        entries, tokens = set(lines), []
        for line in lines:
            tokens.append(line if nfc(line) in entries else nfc(line))
            entries.add(tokens[-1])
        try:
            return cls(tokens, lowercase)
        except ValueError as error:  # an entry is repeated
            raise ModelFolderError(f"{path}: not a vocabulary: {first_line(error)}") from error


class WordTokenizer(VocabularyTokenizer):
    """Splits texts into words and punctuation marks.

    A punctuation token has a joiner on each side that had no space, so that decoding reconstructs the text:
    `"(Well, no.)"` becomes `(￭ Well ￭, no ￭. ￭)`.

    Args:
        vocabulary: The tokens from id 4 on, without repetitions.
        lowercase: Whether texts are converted to lower case first.

    Example:

    >>> from keras_recurrent.apps.shared.text.tokenizers import WordTokenizer
    >>> tokenizer = WordTokenizer.fit(["a dog, a cat."], vocabulary_size=100)
    >>> sorted(tokenizer.vocabulary)
    ['a', 'cat', 'dog', '￭,', '￭.']
    >>> tokenizer.decode(tokenizer.encode(["a cat, a dog."]).to_tensor()).numpy()[0].decode()
    'a cat, a dog.'
    """

    split = "whitespace"

    def standardize(self, texts: Tensor) -> Tensor:
        texts = tf.strings.regex_replace(texts, JOINER, "")
        # \x01 and \x02 mark the left and right side of each punctuation mark until its neighbors are known.
        texts = tf.strings.regex_replace(texts, r"([\pP\pS])", "\x01\\1\x02")
        texts = tf.strings.regex_replace(texts, "\x02\x01", f" {JOINER}")
        texts = tf.strings.regex_replace(texts, "^\x01|\x02$", "")
        texts = tf.strings.regex_replace(texts, "\x02 ", " ")
        texts = tf.strings.regex_replace(texts, " \x01", " ")
        texts = tf.strings.regex_replace(texts, "\x01", f" {JOINER}")
        return tf.strings.regex_replace(texts, "\x02", f"{JOINER} ")

    def join(self, tokens: Tensor) -> Tensor:
        texts = tf.strings.reduce_join(tokens, axis=-1, separator=" ")
        return tf.strings.regex_replace(texts, f" ?{JOINER} ?", "")

    def surface_forms(self, pieces: Sequence[str]) -> list[str]:
        forms = []
        for index, piece in enumerate(pieces):
            is_joined = index == 0 or piece.startswith(JOINER) or pieces[index - 1].endswith(JOINER)
            forms.append(("" if is_joined else " ") + display_form(piece))
        return forms


class CharacterTokenizer(VocabularyTokenizer):
    """Splits texts into characters, spaces included."""

    split = "character"

    def join(self, tokens: Tensor) -> Tensor:
        return tf.strings.reduce_join(tokens, axis=-1)

    def surface_forms(self, pieces: Sequence[str]) -> list[str]:
        return list(pieces)


class LiteralCharacterTokenizer(CharacterTokenizer):
    """Splits texts into characters as they are: line breaks, runs of spaces and decomposed characters are kept."""

    file = "characters.json"

    def clean(self, texts: Tensor) -> Tensor:
        texts = tf.strings.regex_replace(texts, r"\x00", "")  # for Keras NUL is no character
        return tf.strings.lower(texts, encoding="utf-8") if self.lowercase else texts

    def save(self, path: Path) -> None:
        """Writes the characters as a list in JSON, from id 4 on."""
        path.write_text(json.dumps(self.vocabulary, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path, lowercase: bool) -> Self:
        try:
            vocabulary = json.loads(path.read_text(encoding="utf-8-sig"))
            if not isinstance(vocabulary, list) or not all(isinstance(token, str) for token in vocabulary):
                raise ValueError("not a list of strings")
            return cls(vocabulary, lowercase)
        except (ValueError, RecursionError) as error:  # ValueError: also for text that is not UTF-8 or not JSON
            raise ModelFolderError(f"{path}: {first_line(error)}") from error


class SubwordTokenizer(Tokenizer):
    """Splits texts into subwords by byte-pair encoding with SentencePiece.

    Requires the extra `subword`: `sentencepiece` learns the pieces, `tensorflow-text` runs them inside the graph. A
    SavedModel with this tokenizer loads after `import tensorflow_text`.

    Args:
        model: Bytes, the model file of SentencePiece.
        lowercase: Whether texts are converted to lower case first.

    Reference:
        Sennrich et al. 2016, Neural machine translation of rare words with subword units; Kudo and Richardson 2018,
        SentencePiece.
    """

    file = "sentencepiece.model"

    def __init__(self, model: bytes, lowercase: bool = False) -> None:
        super().__init__(lowercase)
        self.model = model
        # TensorFlow shares resources of the same name, also in a loaded model.
        name = f"sentencepiece_{uuid.uuid4().hex}"
        self.tracked = import_extra("tensorflow_text", "subword").SentencepieceTokenizer(
            model=model, out_type=tf.int32, name=name
        )
        self.vocabulary_size = int(self.tracked.vocab_size())

    @classmethod
    def fit(cls, texts: Sequence[str], vocabulary_size: int, lowercase: bool = False) -> Self:
        """Learns a tokenizer with at most `vocabulary_size` ids from texts.

        Raises:
            DataError: If SentencePiece cannot learn that many pieces from the texts.
            MissingExtra: If the extra `subword` is not installed.
        """
        sentencepiece = import_extra("sentencepiece", "subword")
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=(text.decode() for text in Tokenizer(lowercase).clean(tf.constant(texts)).numpy()),
                model_writer=model,
                model_type="bpe",
                vocab_size=vocabulary_size,
                hard_vocab_limit=False,
                character_coverage=1.0,
                pad_id=PADDING,
                unk_id=UNKNOWN,
                bos_id=START,
                eos_id=END,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise DataError(f"SentencePiece cannot learn {vocabulary_size} pieces from the texts: {error}") from error
        return cls(model.getvalue(), lowercase)

    def __len__(self) -> int:
        return self.vocabulary_size

    def ids_of(self, texts: Tensor) -> Tensor:
        return self.tracked.tokenize(self.clean(texts))

    def texts_of(self, ids: Tensor) -> Tensor:
        return self.tracked.detokenize(ids)

    def tokens_of(self, ids: Tensor) -> Tensor:
        return tf.where(ids == PADDING, "", self.tracked.id_to_string(ids))

    def pieces(self, texts: Tensor) -> Tensor:
        tokenizer = import_extra("tensorflow_text", "subword").SentencepieceTokenizer(
            model=self.model, out_type=tf.string
        )
        return tokenizer.tokenize(self.clean(texts))

    def surface_forms(self, pieces: Sequence[str]) -> list[str]:
        return [piece.replace("▁", " " if index else "") for index, piece in enumerate(pieces)]

    def save(self, path: Path) -> None:
        """Writes the model file of SentencePiece."""
        path.write_bytes(self.model)

    @classmethod
    def load(cls, path: Path, lowercase: bool) -> Self:
        try:
            content = path.read_bytes()
            # Raises an error, where TensorFlow's operation also prints to standard error.
            import_extra("sentencepiece", "subword").SentencePieceProcessor(model_proto=content)
            return cls(content, lowercase)
        except (tf.errors.OpError, RuntimeError, ValueError) as error:
            raise ModelFolderError(f"{path}: not a SentencePiece model, or a damaged one") from error


# The keys are the choices of the option `tokenizer`; see `config.TokenizerName`.
TOKENIZERS: dict[str, type[Tokenizer]] = {
    "words": WordTokenizer,
    "characters": CharacterTokenizer,
    "subwords": SubwordTokenizer,
}


def fit_tokenizer(texts: Sequence[str], config: Any, description: str) -> Tokenizer:
    """Fits the tokenizer of a configuration to texts, and notes if there are fewer tokens than `vocabulary_size`.

    Args:
        texts: List of strings.
        config: A `TokenizerConfig`.
        description: The subject and verb of that note, such as `"the captions have"`.
    """
    tokenizer = TOKENIZERS[config.tokenizer].fit(texts, config.vocabulary_size, config.lowercase)
    if len(tokenizer) < config.vocabulary_size:
        note(f"{description} {len(tokenizer)} tokens, fewer than vocabulary_size {config.vocabulary_size}")
    return tokenizer


def strings(texts: Sequence[str]) -> Tensor:
    """Converts a list of texts, which may be empty, to a string tensor `(batch,)`."""
    return tf.constant([text.encode() for text in texts], tf.string, shape=(len(texts),))
