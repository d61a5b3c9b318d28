"""Tokenizers: texts to token ids and back, by the same TensorFlow graph in training and inside an export."""

import io
import json
import uuid

import tensorflow as tf
from keras import layers

from ....datasets import DataError
from ..console import note
from ..extras import needed

PADDING, UNKNOWN, START, END = range(4)

SPECIAL = ("", "[UNK]", "<start>", "<end>")

# Marks the side of a punctuation token on which there was no space, so that the text can be put together again.
JOINER = "￭"


def shown(token):
    """A token as people read it, without the marks of where spaces stood."""
    return token.replace(JOINER, "").replace("▁", "")


class Tokenizer:
    """Splits texts and numbers the pieces, with 0 for padding, 1 for the unknown, 2 for the start and 3 for the end.

    All of it runs inside a graph, and so in an exported model. A subclass says how, in `ids_of` and `texts_of`.

    Args:
        lowercase: Whether texts are lowercased first.
    """

    file = None  # its name in a model's folder, behind `source.` or `target.`

    def __init__(self, lowercase=False):
        self.lowercase = lowercase

    def clean(self, texts):
        """Strings with single spaces, lowercased if that is asked."""
        texts = tf.strings.strip(tf.strings.regex_replace(texts, r"[\s\x00]+", " "))
        return tf.strings.lower(texts, encoding="utf-8") if self.lowercase else texts

    def ids_of(self, texts):
        """Ids of texts `(batch,)` without an end: an int32 ragged tensor `(batch, None)`."""
        raise NotImplementedError

    def texts_of(self, ids):
        """Texts `(batch,)` of a ragged tensor of ids without padding, start and end."""
        raise NotImplementedError

    def tokens_of(self, ids):
        """The tokens of a tensor of ids as strings, empty at padding."""
        raise NotImplementedError

    def pieces(self, texts):
        """The tokens of texts `(batch,)`, unknown ones as they stand there, without ends: ragged strings."""
        raise NotImplementedError

    def spelled(self, pieces):
        """The tokens of one text as strings with their spaces, which one after the other are the text."""
        raise NotImplementedError

    def encode(self, texts, longest=None):
        """Ids of texts `(batch,)`, each closed by the end token: an int32 ragged tensor `(batch, None)`.

        A text with more ids than `longest` is cut, its end token included.
        """
        ids = self.ids_of(texts)
        if longest is not None:
            ids = ids[:, : longest - 1]
        return tf.concat([ids, tf.fill([ids.nrows(), 1], END)], axis=1)

    def encode_padded(self, texts, longest=None):
        """`encode` as a dense tensor `(batch, positions)`, 0 after each end; of no texts, too, it has a position."""
        ids = self.encode(texts, longest).to_tensor()
        return tf.pad(ids, [[0, 0], [0, tf.maximum(0, 1 - tf.shape(ids)[1])]])

    def decode(self, ids):
        """Texts of ids `(batch, positions)`, without padding, start and end tokens: strings `(batch,)`."""
        is_text = tf.logical_and(ids != PADDING, tf.logical_and(ids != START, ids != END))
        return self.texts_of(tf.ragged.boolean_mask(ids, is_text))


class VocabularyTokenizer(Tokenizer):
    """A tokenizer with a list of tokens, on `keras.layers.TextVectorization`.

    A subclass says how texts are split (`split`, `standardize`) and put together (`join`).

    Args:
        vocabulary: The tokens from id 4 on, each once.
        lowercase: Whether texts are lowercased first.
    """

    file = "vocabulary.txt"
    split = None

    def __init__(self, vocabulary, lowercase=False):
        super().__init__(lowercase)
        self.vocabulary = list(vocabulary)
        self.vectorizer = self._vectorizer(vocabulary=[*SPECIAL[2:], *self.vocabulary])
        self.vectorizer(tf.constant([""]))  # creates its tables before anything tracks it
        self.tokens = tf.constant([*SPECIAL, *self.vocabulary])

    @classmethod
    def fit(cls, texts, vocabulary_size, lowercase=False):
        """The tokenizer of the commonest tokens of `texts`, with at most `vocabulary_size` ids."""
        tokenizer = cls([], lowercase)
        counts = tokenizer._vectorizer(max_tokens=vocabulary_size - 2)
        counts.adapt(tf.data.Dataset.from_tensor_slices(texts).batch(1024))
        return cls(counts.get_vocabulary(include_special_tokens=False), lowercase)

    def _vectorizer(self, **arguments):
        return layers.TextVectorization(standardize=self._standardize, split=self.split, ragged=True, **arguments)

    def _standardize(self, texts):
        return self.standardize(self.clean(texts))

    def standardize(self, texts):
        """What happens to texts before they are split."""
        return texts

    def join(self, tokens):
        """Strings from a ragged tensor of tokens."""
        raise NotImplementedError

    def __len__(self):
        return len(SPECIAL) + len(self.vocabulary)

    def ids_of(self, texts):
        return tf.cast(self.vectorizer(texts), tf.int32)

    def texts_of(self, ids):
        return self.join(tf.gather(self.tokens, ids))

    def tokens_of(self, ids):
        return tf.gather(self.tokens, ids)

    def pieces(self, texts):
        texts = self._standardize(texts)
        return tf.strings.split(texts) if self.split == "whitespace" else tf.strings.unicode_split(texts, "UTF-8")

    @property
    def tracked(self):
        """What an export must track."""
        return self.vectorizer

    def save(self, path):
        """Writes the vocabulary, one token a line, the token with id 4 first."""
        path.write_text("".join(f"{token}\n" for token in self.vocabulary), encoding="utf-8")

    @classmethod
    def load(cls, path, lowercase):
        """Reads what `save` wrote."""
        return cls(path.read_text(encoding="utf-8").split("\n")[:-1], lowercase)


class WordTokenizer(VocabularyTokenizer):
    """Words, with punctuation split off.

    A punctuation token carries a joiner on each side where no space stood, so that decoding attaches it again:
    `"(Well, no.)"` is `(￭ Well ￭, no ￭. ￭)`.
    """

    split = "whitespace"

    def standardize(self, texts):
        texts = tf.strings.regex_replace(texts, JOINER, "")
        # \x01 and \x02 stand at the left and right side of each punctuation mark until it is known what is beside it.
        texts = tf.strings.regex_replace(texts, r"([\pP\pS])", "\x01\\1\x02")
        texts = tf.strings.regex_replace(texts, "\x02\x01", f" {JOINER}")
        texts = tf.strings.regex_replace(texts, "^\x01|\x02$", "")
        texts = tf.strings.regex_replace(texts, "\x02 ", " ")
        texts = tf.strings.regex_replace(texts, " \x01", " ")
        texts = tf.strings.regex_replace(texts, "\x01", f" {JOINER}")
        return tf.strings.regex_replace(texts, "\x02", f"{JOINER} ")

    def join(self, tokens):
        texts = tf.strings.reduce_join(tokens, axis=-1, separator=" ")
        return tf.strings.regex_replace(texts, f" ?{JOINER} ?", "")

    def spelled(self, pieces):
        joined = [
            place == 0 or piece.startswith(JOINER) or before.endswith(JOINER)
            for place, (before, piece) in enumerate(zip(["", *pieces], pieces, strict=False))
        ]
        return [("" if is_joined else " ") + shown(piece) for is_joined, piece in zip(joined, pieces, strict=True)]


class CharacterTokenizer(VocabularyTokenizer):
    """Characters, the space among them."""

    split = "character"

    def join(self, tokens):
        return tf.strings.reduce_join(tokens, axis=-1)

    def spelled(self, pieces):
        return list(pieces)


class LiteralCharacterTokenizer(CharacterTokenizer):
    """Characters as they are, line breaks and runs of spaces among them."""

    file = "characters.json"

    def clean(self, texts):
        texts = tf.strings.regex_replace(texts, r"\x00", "")  # Keras's own sign for nothing
        return tf.strings.lower(texts, encoding="utf-8") if self.lowercase else texts

    def save(self, path):
        """Writes the characters as a list in JSON, the one with id 4 first."""
        path.write_text(json.dumps(self.vocabulary, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path, lowercase):
        """Reads what `save` wrote."""
        return cls(json.loads(path.read_text(encoding="utf-8")), lowercase)


class SubwordTokenizer(Tokenizer):
    """Pieces of words, by byte-pair encoding, that SentencePiece learns from texts.

    Needs the extra `subword`: `sentencepiece` learns, `tensorflow-text` runs the pieces inside the graph. TensorFlow
    reads a model that was exported with it after `import tensorflow_text`.

    Args:
        model: Bytes, what SentencePiece learned.
        lowercase: Whether texts are lowercased first.

    Reference:
        Sennrich et al. 2016, Neural machine translation of rare words with subword units; Kudo and Richardson 2018,
        SentencePiece.
    """

    file = "sentencepiece.model"

    def __init__(self, model, lowercase=False):
        super().__init__(lowercase)
        self.model = model
        # TensorFlow's resource goes by this name, in a loaded model, too: of two with one name, one is the other.
        name = f"sentencepiece_{uuid.uuid4().hex}"
        self.tracked = needed("tensorflow_text", "subword").SentencepieceTokenizer(
            model=model, out_type=tf.int32, name=name
        )
        self.size = int(self.tracked.vocab_size())

    @classmethod
    def fit(cls, texts, vocabulary_size, lowercase=False):
        """The tokenizer that `texts` give, with at most `vocabulary_size` ids."""
        sentencepiece = needed("sentencepiece", "subword")
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

    def __len__(self):
        return self.size

    def ids_of(self, texts):
        return self.tracked.tokenize(self.clean(texts))

    def texts_of(self, ids):
        return self.tracked.detokenize(ids)

    def tokens_of(self, ids):
        return tf.where(ids == PADDING, "", self.tracked.id_to_string(ids))

    def pieces(self, texts):
        pieces = needed("tensorflow_text", "subword").SentencepieceTokenizer(model=self.model, out_type=tf.string)
        return pieces.tokenize(self.clean(texts))

    def spelled(self, pieces):
        return [piece.replace("▁", " " if place else "") for place, piece in enumerate(pieces)]

    def save(self, path):
        """Writes SentencePiece's model."""
        path.write_bytes(self.model)

    @classmethod
    def load(cls, path, lowercase):
        """Reads what `save` wrote."""
        return cls(path.read_bytes(), lowercase)


TOKENIZERS = {"words": WordTokenizer, "characters": CharacterTokenizer, "subwords": SubwordTokenizer}


def fit_tokenizer(texts, config, what):
    """The tokenizer that a configuration names, fitted to texts; tells if they have fewer tokens than were asked for.

    Args:
        texts: List of strings.
        config: A configuration with `tokenizer`, `vocabulary_size` and `lowercase`.
        what: What the texts are, with its verb, such as `"the captions have"`.
    """
    tokenizer = TOKENIZERS[config.tokenizer].fit(texts, config.vocabulary_size, config.lowercase)
    if len(tokenizer) < config.vocabulary_size:
        note(f"{what} {len(tokenizer)} tokens, fewer than vocabulary_size {config.vocabulary_size}")
    return tokenizer


def strings(texts):
    """A list of texts as a tensor `(batch,)`; of none, too."""
    return tf.constant([text.encode() for text in texts], tf.string, shape=(len(texts),))
