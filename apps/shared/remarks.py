"""Remarks on predictions, for people: unknown words of the inputs, and empty answers."""

import contextlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from .console import note
from .verbs import Streaming

if TYPE_CHECKING:
    from .text.tokenizers import Tokenizer

SHOWN = 10  # different words in the remark
KEPT = 10_000  # different words that are counted one by one, so that the memory does not grow with the inputs


class Remarks:
    """Collects remarks on predictions; see `collect_remarks`.

    Args:
        is_terminal: Whether the answers are shown at a terminal.
        tokenizer: The tokenizer of the inputs. None if they are not texts.
    """

    def __init__(self, is_terminal: bool, tokenizer: "Tokenizer | None" = None) -> None:
        self.is_terminal = is_terminal
        self.tokenizer = tokenizer
        self._unknown: Counter[str] = Counter()
        self._total = self._texts = self._texts_with_unknown = 0
        self._answers = self._empty_answers = 0

    def read(self, texts: Iterable[str]) -> None:
        """Counts the unknown words of texts, or the unknown characters if the tokens are not words."""
        if self.tokenizer is None:
            return
        from .text.tokenizers import display_form

        for text in texts:
            tokens = [display_form(token) for token in self.tokenizer.unknown(text)]
            self._texts += 1
            self._texts_with_unknown += bool(tokens)
            for token in tokens if self._has_words else "".join(tokens):
                self._total += 1
                if token in self._unknown or len(self._unknown) < KEPT:
                    self._unknown[token] += 1

    @property
    def _has_words(self) -> bool:
        from .text.tokenizers import WordTokenizer

        return isinstance(self.tokenizer, WordTokenizer)

    def answer(self, text: str, source: str | None = None) -> str:
        """Returns the text to print for an answer, which is "(empty)" for an empty answer at a terminal.

        Args:
            text: The answer.
            source: The text that was answered. If it is empty, the empty answer is not reported.
        """
        self._answers += 1
        if text or (source is not None and not source.strip()):
            return text
        self._empty_answers += 1
        return "(empty)" if self.is_terminal else text

    def report(self) -> None:
        """Prints the remarks on standard error, one line each."""
        if self._total:
            kind = f"{'word' if self._has_words else 'character'}{'s' if self._total > 1 else ''}"
            named = [f"{token} ({count})" if count > 1 else token for token, count in self._unknown.most_common(SHOWN)]
            more = f" and {len(self._unknown) - SHOWN:,} more" if len(self._unknown) > SHOWN else ""
            note(
                f"{self._total:,} unknown {kind} in {self._texts_with_unknown:,} of {self._texts:,} texts: "
                f"{', '.join(named)}{more}"
            )
        if self._empty_answers and not self.is_terminal:
            verb = "is" if self._empty_answers == 1 else "are"
            note(f"{self._empty_answers:,} of {self._answers:,} answers {verb} empty")


@contextlib.contextmanager
def collect_remarks(streaming: Streaming, tokenizer: "Tokenizer | None" = None) -> Iterator[Remarks]:
    """Yields an object that collects remarks on predictions, and prints them at the end of the block.

    Args:
        streaming: The options of the command.
        tokenizer: See `Remarks`.
    """
    result = Remarks(streaming.output is None and sys.stdout.isatty(), tokenizer)
    try:
        yield result
    finally:
        result.report()
