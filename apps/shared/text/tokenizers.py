"""Tokenizers: texts to token ids and back.

How a text is split and joined stands in `runner.py`, the program of an export. Here is what training adds: learning a
tokenizer from texts, and its file. `saved_model/tokenizers.py` computes the same in a TensorFlow graph.
"""

import functools
import io
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import sentencepiece

from ....datasets import DataError
from ....datasets.files import nfc
from ..console import note
from ..errors import ModelFolderError, first_line
from ..models import folders, runner
from .ragged import Ragged

PADDING, UNKNOWN, START, END = runner.PADDING, runner.UNKNOWN, runner.START, runner.END
SPECIAL = runner.SPECIAL
JOINER = runner.JOINER

CODE_POINTS = 0x110000
CHUNK = 2**20  # characters that are converted at once
KNOWN_WORDS = 2**18  # words whose ids are kept
SENTENCES = 1_000_000  # from which SentencePiece learns at most


def display_form(token: str) -> str:
    """Returns a token without the marks that say where the spaces are.

    Example:

    >>> from keras_recurrent.apps.shared.text.tokenizers import display_form
    >>> display_form("￭."), display_form("▁day")
    ('.', 'day')
    """
    return token.replace(JOINER, "").replace("▁", "")


def chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yields texts in lists of about `CHUNK` characters."""
    part, size = [], 0
    for text in texts:
        part.append(text)
        size += len(text) + 1
        if size >= CHUNK:
            yield part
            part, size = [], 0
    if part:
        yield part


class Tokenizer(Protocol):
    """What all tokenizers have. Ids are 0 for padding, 1 for unknown tokens, 2 for the start and 3 for the end.

    Attributes:
        file: The end of the name of the tokenizer's file in a model's folder.
        lowercase: Whether texts are converted to lower case.
        tokens: List of the token of each id; that of padding is empty.
    """

    file: ClassVar[str]
    lowercase: bool
    tokens: list[str]

    def __len__(self) -> int:
        """Returns the number of ids."""

    def clean(self, text: str) -> str:
        """Returns a text in Unicode's form NFC with single spaces, in lower case if `lowercase` is set."""

    def split(self, text: str) -> list[str]:
        """Splits a text into tokens, without replacing unknown ones."""

    def ids_of(self, pieces: Sequence[str]) -> list[int]:
        """Converts the tokens of a text to ids."""

    def encode(self, text: str) -> list[int]:
        """Converts a text to ids, without an end token."""

    def encode_all(self, texts: Iterable[str]) -> Ragged:
        """Converts texts to ids as `encode` does."""

    def unknown(self, text: str) -> list[str]:
        """Returns the tokens of a text that have no id."""

    def decode(self, ids: Iterable[int]) -> str:
        """Converts ids to a text, without padding, start and end tokens."""

    def surface_forms(self, pieces: Sequence[str]) -> list[str]:
        """Returns the tokens of one text with their spaces, such that their concatenation is the text."""

    def save(self, path: Path) -> None:
        """Writes the tokenizer to a file."""

    @classmethod
    def load(cls, path: Path, lowercase: bool) -> Self:
        """Reads a file that `save` wrote.

        Raises:
            ModelFolderError: If the file is damaged. The message names it.
        """

    @classmethod
    def fit(cls, texts: Iterable[str], vocabulary_size: int, lowercase: bool = False) -> Self:
        """Learns a tokenizer with at most `vocabulary_size` ids from texts."""


class SpacedTexts:
    """Texts as indices of their different words with the punctuation marks at them.

    Counting and encoding then look up each word of the texts once instead of twice, and the strings can be dropped.

    Args:
        texts: The texts.
        lowercase: Whether they are converted to lower case.
    """

    def __init__(self, texts: Iterable[str], lowercase: bool) -> None:
        spaced, index_of = runner.Words([], lowercase).spaced, _IndexOfWord()

        def parts() -> Iterator[Ragged]:
            for part in chunks(texts):
                rows = [spaced(text) for text in part]
                values = map(index_of.__getitem__, itertools.chain.from_iterable(rows))
                offsets = np.cumsum([0, *map(len, rows)])
                yield Ragged(np.fromiter(values, "int32", offsets[-1]), offsets)

        self.rows = Ragged.join(parts())
        self.words = [*index_of]

    def counts(self) -> Iterator[tuple[str, int]]:
        """Yields each word with its number."""
        return zip(self.words, np.bincount(self.rows.values, minlength=len(self.words)).tolist(), strict=True)


class _IndexOfWord(dict):
    def __missing__(self, word: str) -> int:
        self[word] = index = len(self)
        return index


class _Vocabulary(runner.Words):
    """Base of the tokenizers with a list of tokens."""

    file: ClassVar[str] = "vocabulary.txt"

    def __init__(self, vocabulary: Iterable[str], lowercase: bool = False) -> None:
        super().__init__([*vocabulary], lowercase)
        if len(self.ids) < len(self.tokens) - START:
            (repeated, _), *_ = Counter(self.tokens).most_common(1)
            raise ValueError(f"the token {repeated!r} occurs more than once")

    @classmethod
    def fit(cls, texts: Iterable[str], vocabulary_size: int, lowercase: bool = False) -> Self:
        """Returns a tokenizer of the most frequent tokens of `texts`, with at most `vocabulary_size` ids."""
        counts = cls([], lowercase).count(texts)
        # Of equally frequent tokens, the last one in the order of code points is the first.
        tokens = sorted(counts, key=lambda token: (counts[token], token), reverse=True)
        return cls(tokens[: vocabulary_size - len(SPECIAL)], lowercase)

    def count(self, texts: Iterable[str]) -> Counter:
        """Counts the tokens of texts."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.tokens)

    def surface_forms(self, pieces: Sequence[str]) -> list[str]:
        return list(pieces)

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
        except ValueError as error:
            raise ModelFolderError(f"{path}: not a vocabulary: {first_line(error)}") from error


class WordTokenizer(_Vocabulary):
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
    >>> tokenizer.decode(tokenizer.encode("a cat, a dog."))
    'a cat, a dog.'
    """

    def count(self, texts: Iterable[str] | SpacedTexts) -> Counter:
        texts = texts if isinstance(texts, SpacedTexts) else SpacedTexts(texts, self.lowercase)
        counts: Counter = Counter()
        for word, count in texts.counts():
            for token in runner.split_word(word):
                counts[token] += count
        return counts

    def encode_spaced(self, texts: SpacedTexts) -> Iterator[Ragged]:
        """Converts texts to ids as `encode` does, and yields them in parts."""
        table = Ragged.of(map(self._ids_of_word.__getitem__, texts.words))
        return (part.replaced(table) for _, part in texts.rows.parts())

    def encode_all(self, texts: Iterable[str]) -> Ragged:
        ids_of = self._ids_of_word.__getitem__
        return Ragged.of([*itertools.chain.from_iterable(map(ids_of, self.spaced(text)))] for text in texts)

    @functools.cached_property
    def _ids_of_word(self) -> "_IdsOfWord":
        return _IdsOfWord(self.ids)

    def surface_forms(self, pieces: Sequence[str]) -> list[str]:
        forms = []
        for index, piece in enumerate(pieces):
            is_joined = index == 0 or piece.startswith(JOINER) or pieces[index - 1].endswith(JOINER)
            forms.append(("" if is_joined else " ") + display_form(piece))
        return forms


class _IdsOfWord(dict):
    """The ids of words with the punctuation marks at them. The first `KNOWN_WORDS` words are kept."""

    def __init__(self, ids: dict[str, int]) -> None:
        super().__init__()
        self._ids = ids

    def __missing__(self, word: str) -> tuple[int, ...]:
        result = tuple(self._ids.get(token, UNKNOWN) for token in runner.split_word(word))
        if len(self) < KNOWN_WORDS:
            self[word] = result
        return result


class _CharacterVocabulary(_Vocabulary):
    """Base of the tokenizers whose tokens are characters: counts and looks up all characters of many texts at once."""

    def count(self, texts: Iterable[str]) -> Counter:
        counts = np.zeros(CODE_POINTS, "int64")
        for part in chunks(texts):
            counts += np.bincount(self._code_points(part)[0], minlength=CODE_POINTS)
        return Counter({chr(code): int(counts[code]) for code in np.flatnonzero(counts)})

    def encode_all(self, texts: Iterable[str]) -> Ragged:
        codes, lengths = self._code_points(texts)
        return Ragged(self._id_of_code_point[codes], np.concatenate([[0], np.cumsum(lengths, dtype="int64")]))

    def _code_points(self, texts: Iterable[str]) -> tuple[np.ndarray, list[int]]:
        """The characters of all texts one after another, and the length of each text."""
        texts = [self.clean(text) for text in texts]
        return np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), "<u4"), [*map(len, texts)]

    @functools.cached_property
    def _id_of_code_point(self) -> np.ndarray:
        table = np.full(CODE_POINTS, UNKNOWN, "int32")
        for token, index in self.ids.items():
            if len(token) == 1:
                table[ord(token)] = index
        return table


class CharacterTokenizer(_CharacterVocabulary, runner.Characters):
    """Splits texts into characters, spaces included."""


class LiteralCharacterTokenizer(_CharacterVocabulary, runner.LiteralCharacters):
    """Splits texts into characters as they are: line breaks, runs of spaces and decomposed characters are kept."""

    file: ClassVar[str] = "characters.json"

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


class SubwordTokenizer(runner.Subwords):
    """Splits texts into subwords by byte-pair encoding with SentencePiece.

    Args:
        model: Bytes, the model file of SentencePiece.
        lowercase: Whether texts are converted to lower case first.

    Reference:
        Sennrich et al. 2016, Neural machine translation of rare words with subword units; Kudo and Richardson 2018,
        SentencePiece.
    """

    file: ClassVar[str] = "sentencepiece.model"

    def __init__(self, model: bytes, lowercase: bool = False) -> None:
        # First, because it raises an error for a damaged model.
        self._processor = sentencepiece.SentencePieceProcessor()
        self._processor.LoadFromSerializedProto(model)
        super().__init__(model, lowercase)
        self.model = model

    @classmethod
    def fit(cls, texts: Iterable[str], vocabulary_size: int, lowercase: bool = False) -> Self:
        """Learns a tokenizer with at most `vocabulary_size` ids from texts, of which at most `SENTENCES` are drawn.

        Raises:
            DataError: If SentencePiece cannot learn that many pieces from the texts.
        """
        model = io.BytesIO()
        clean = runner.Words([], lowercase).clean
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=map(clean, texts),
                model_writer=model,
                model_type="bpe",
                vocab_size=vocabulary_size,
                input_sentence_size=SENTENCES,  # drawn at random, the same ones each time
                shuffle_input_sentence=True,
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
        return len(self.tokens)

    def split(self, text: str) -> list[str]:
        return self._processor.encode(self.clean(text), out_type=str)

    def encode_all(self, texts: Iterable[str]) -> Ragged:
        texts = [self.clean(text) for text in texts]
        return Ragged.of(self._processor.encode(texts, out_type=int, num_threads=os.cpu_count()))

    def surface_forms(self, pieces: Sequence[str]) -> list[str]:
        return [piece.replace("▁", " " if index else "") for index, piece in enumerate(pieces)]

    def save(self, path: Path) -> None:
        """Writes the model file of SentencePiece."""
        path.write_bytes(self.model)

    @classmethod
    def load(cls, path: Path, lowercase: bool) -> Self:
        try:
            return cls(path.read_bytes(), lowercase)
        except (RuntimeError, ValueError) as error:
            raise ModelFolderError(f"{path}: not a SentencePiece model, or a damaged one") from error


# The keys are the choices of the option `tokenizer`; see `config.TokenizerName`.
TOKENIZERS: dict[str, type[Any]] = {
    "words": WordTokenizer,
    "characters": CharacterTokenizer,
    "subwords": SubwordTokenizer,
}


def prepare(texts: Iterable[str], config: Any) -> Iterable[str] | SpacedTexts:
    """Returns texts in the form in which a tokenizer of a configuration is fitted to them and encodes them fastest."""
    return SpacedTexts(texts, config.lowercase) if config.tokenizer == "words" else texts


def fit_tokenizer(texts: Iterable[str] | SpacedTexts, config: Any, description: str) -> Any:
    """Fits the tokenizer of a configuration to texts, and notes if there are fewer tokens than `vocabulary_size`.

    Args:
        texts: The texts, which may be prepared.
        config: A `TokenizerConfig`.
        description: The subject and verb of that note, such as `"the captions have"`.
    """
    tokenizer = TOKENIZERS[config.tokenizer].fit(texts, config.vocabulary_size, config.lowercase)
    if len(tokenizer) < config.vocabulary_size:
        note(f"{description} {len(tokenizer)} tokens, fewer than vocabulary_size {config.vocabulary_size}")
    return tokenizer
