"""BLEU and chrF of translations."""

from sacrebleu.metrics import BLEU, CHRF


def translation_metrics(hypotheses, references, lowercase=False):
    """BLEU and chrF of translations, by sacrebleu.

    Args:
        hypotheses: List of strings.
        references: List of strings, one a hypothesis.
        lowercase: Whether upper and lower case count as the same.

    Returns:
        Dictionary with `bleu` and `chrf` in 0 to 100 and `signature`, sacrebleu's account of how BLEU was computed.

    Example:

    >>> translation_metrics(["a man sleeps here ."], ["a man sleeps here ."])["chrf"]
    100.0
    """
    bleu, chrf = BLEU(lowercase=lowercase), CHRF(lowercase=lowercase)
    return {
        "bleu": bleu.corpus_score(hypotheses, [references]).score,
        "chrf": chrf.corpus_score(hypotheses, [references]).score,
        "signature": str(bleu.get_signature()),
    }
