"""BLEU and chrF of translations."""

from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics import BLEU, CHRF


def translation_metrics(
    hypotheses: Sequence[str], references: Sequence[str], lowercase: bool = False
) -> dict[str, Any]:
    """Computes BLEU and chrF with sacrebleu.

    Args:
        hypotheses: List of strings.
        references: List of strings, one per hypothesis.
        lowercase: Whether to ignore case.

    Returns:
        Dictionary of `bleu` and `chrf`, from 0 to 100, and `signature`, sacrebleu's description of how BLEU was
        computed.

    Example:

    >>> from keras_recurrent.apps.translation.metrics import translation_metrics
    >>> translation_metrics(["a man sleeps here ."], ["a man sleeps here ."])["chrf"]
    100.0
    """
    bleu, chrf = BLEU(lowercase=lowercase), CHRF(lowercase=lowercase)
    return {
        "bleu": bleu.corpus_score(hypotheses, [references]).score,
        "chrf": chrf.corpus_score(hypotheses, [references]).score,
        "signature": str(bleu.get_signature()),
    }
