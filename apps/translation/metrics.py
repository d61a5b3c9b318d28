"""BLEU and chrF of translations."""

from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp


class TranslationMetrics:
    """Computes BLEU and chrF with sacrebleu, part by part, and keeps only sums.

    Args:
        lowercase: Whether to ignore case.

    Example:

    >>> from keras_recurrent.apps.translation.metrics import TranslationMetrics
    >>> metrics = TranslationMetrics()
    >>> metrics.update(["a man sleeps here ."], ["a man sleeps here ."])
    >>> metrics.update(["a dog runs ."], ["the dog runs ."])
    >>> round(metrics.result()["bleu"], 1)
    79.8
    """

    def __init__(self, lowercase: bool = False) -> None:
        self._bleu = BLEU(lowercase=lowercase)
        self._chrf = CHRF(lowercase=lowercase)
        self._sums: dict[str, list[int]] = {}

    def update(self, hypotheses: Sequence[str], references: Sequence[str]) -> None:
        """Adds translations, one or more, and as many references."""
        for name, metric in (("bleu", self._bleu), ("chrf", self._chrf)):
            # `corpus_score` sums these statistics of each sentence, too, but over one list of all sentences.
            rows = metric._extract_corpus_statistics(hypotheses, [references])
            former = self._sums.get(name)
            self._sums[name] = [*map(sum, zip(*rows, *([former] if former else []), strict=True))]
        self._bleu._force = True  # sacrebleu warns of tokenized translations only once
        for tokenizer in (Tokenizer13a, TokenizerRegexp):
            tokenizer.__call__.cache_clear()  # of 65,536 sentences

    def result(self) -> dict[str, Any]:
        """Computes the scores of all translations.

        Returns:
            Dictionary of `bleu` and `chrf`, from 0 to 100, and `signature`, sacrebleu's description of how BLEU was
            computed.
        """
        return {
            "bleu": self._bleu._compute_score_from_stats(self._sums["bleu"]).score,
            "chrf": self._chrf._compute_score_from_stats(self._sums["chrf"]).score,
            "signature": str(self._bleu.get_signature()),
        }


def translation_metrics(
    hypotheses: Sequence[str], references: Sequence[str], lowercase: bool = False
) -> dict[str, Any]:
    """Computes the BLEU and chrF of lists of translations and references; see `TranslationMetrics`.

    Example:

    >>> from keras_recurrent.apps.translation.metrics import translation_metrics
    >>> translation_metrics(["a man sleeps here ."], ["a man sleeps here ."])["chrf"]
    100.0
    """
    metrics = TranslationMetrics(lowercase)
    metrics.update(hypotheses, references)
    return metrics.result()
