"""Metrics of captions: BLEU, ROUGE-L and CIDEr by the formulas of coco-caption."""

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import or_
from typing import Any, TypeAlias

import numpy as np

ORDERS = (1, 2, 3, 4)  # lengths of the n-grams

# How often each n-gram of a caption occurs: one counter per order.
NGrams: TypeAlias = Sequence[Counter]


def caption_tokens(text: str) -> list[str]:
    """Splits a caption into the words that the metrics compare, in lower case, without punctuation and symbols.

    It replaces the tokenizer of coco-caption, which requires Java, and differs from it: that tokenizer also splits
    `man's` into `man 's` and `don't` into `do n't`, keeps `t-shirt` and `3.5` whole, and keeps symbols such as `&`.
    Captions in a language without spaces must be split into words before.

    Args:
        text: A caption in any script.

    Returns:
        List of words of letters, their marks, digits, and apostrophes inside the word, which are all written `'`.

    Example:

    >>> from keras_recurrent.apps.captioning.metrics import caption_tokens
    >>> caption_tokens("The man's T-shirt: «très chic»!")
    ['the', "man's", 't', 'shirt', 'très', 'chic']
    """
    # The \w of regular expressions leaves out marks, among them half of the vowels of Hindi.
    kept = (
        character if character == "'" or unicodedata.category(character)[0] in "LMN" else " "
        for character in text.lower().replace("’", "'")
    )
    words = (word.strip("'") for word in "".join(kept).split())
    return [word for word in words if word]


class CaptionMetrics:
    """Computes BLEU, ROUGE-L and CIDEr as coco-caption does, and the diversity of the captions, part by part.

    What coco-caption and most papers call CIDEr is CIDEr-D, here `cider_d`. It clips the counts of n-grams and lowers
    the similarity of captions of different lengths, so that repeated words do not raise it. `cider` is the first
    definition of Vedantam et al. without stemming. As in coco-caption, the images of the test set are the documents of
    the inverse document frequency. A CIDEr therefore belongs to its test set; for a single image it is 0.

    It keeps sums, the document frequency of the hash of each n-gram of the references, and the distinct captions.

    Args:
        references: For each image of the test set the list of its reference captions.

    Example:

    >>> from keras_recurrent.apps.captioning.metrics import CaptionMetrics
    >>> references = [["A dog runs.", "A dog is running."], ["The cat sleeps."]]
    >>> metrics = CaptionMetrics(references)
    >>> metrics.update(["a dog runs"], references[:1])
    >>> metrics.update(["a cat sleeps"], references[1:])
    >>> {name: round(metrics.result()[name], 2) for name in ("bleu_1", "rouge_l", "cider_d", "vocabulary_used")}
    {'bleu_1': 83.33, 'rouge_l': 0.83, 'cider_d': 3.94, 'vocabulary_used': 5}

    Reference:
        Chen et al. 2015, Microsoft COCO captions: data collection and evaluation server; Papineni et al. 2002, BLEU;
        Lin 2004, ROUGE; Vedantam et al. 2015, CIDEr.
    """

    def __init__(self, references: Iterable[Sequence[str]]) -> None:
        self._cider = Cider([ngrams(caption_tokens(text)) for text in texts] for texts in references)
        self._bleu = Bleu()
        self._sums = np.zeros(3)  # of ROUGE-L, CIDEr and CIDEr-D
        self._images = 0
        self._captions: set[str] = set()
        self._words: set[str] = set()

    def update(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        """Adds captions, and for each one the reference captions of its image.

        Raises:
            ValueError: If the numbers of captions and lists differ, or an image has no reference.
        """
        _check_references(hypotheses, references)
        for hypothesis, texts in zip(hypotheses, references, strict=True):
            words, others = caption_tokens(hypothesis), [*map(caption_tokens, texts)]
            counts, other_counts = ngrams(words), [*map(ngrams, others)]
            self._bleu.update(counts, other_counts)
            self._sums += (_rouge_l(words, others), *self._cider.scores(counts, other_counts))
            self._images += 1
            self._captions.add(" ".join(words))
            self._words.update(words)

    def result(self) -> dict[str, Any]:
        """Computes the metrics of all captions.

        Returns:
            Dictionary with

            - `bleu_1` to `bleu_4` in 0 to 100, corpus BLEU with n-grams up to that length;
            - `rouge_l` in 0 to 1, the mean over the images;
            - `cider` and `cider_d` in 0 to 10, means over the images; some papers print a hundred times as much;
            - `distinct_captions`, the number of captions that differ by more than case and punctuation;
            - `vocabulary_used`, the number of distinct words in them.

        Raises:
            ValueError: If there is no caption.
        """
        if not self._images:
            raise ValueError("There is no caption")
        rouge_l, cider, cider_d = (self._sums / self._images).tolist()
        return {
            **self._bleu.result(),
            "rouge_l": rouge_l,
            "cider": cider,
            "cider_d": cider_d,
            "distinct_captions": len(self._captions),
            "vocabulary_used": len(self._words),
        }


def caption_metrics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Computes the metrics of a list of captions, one per image of a test set; see `CaptionMetrics`.

    Args:
        hypotheses: One caption per image.
        references: One list of reference captions per image, each with one or more.

    Raises:
        ValueError: If there is no caption, the numbers of captions and lists differ, or an image has no reference.

    Example:

    >>> from keras_recurrent.apps.captioning.metrics import caption_metrics
    >>> hypotheses = ["a dog runs", "a cat sleeps"]
    >>> references = [["A dog runs.", "A dog is running."], ["The cat sleeps."]]
    >>> metrics = caption_metrics(hypotheses, references)
    >>> {name: round(metrics[name], 2) for name in ("bleu_1", "rouge_l", "cider_d", "vocabulary_used")}
    {'bleu_1': 83.33, 'rouge_l': 0.83, 'cider_d': 3.94, 'vocabulary_used': 5}
    """
    _check_references(hypotheses, references)
    metrics = CaptionMetrics(references)
    metrics.update(hypotheses, references)
    return metrics.result()


def _check_references(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if len(hypotheses) != len(references):
        raise ValueError(
            "Each caption needs a list of references. "
            f"Received: {len(hypotheses)} captions and {len(references)} lists of references"
        )
    for index, texts in enumerate(references):
        if not texts:
            raise ValueError(f"Each image needs a reference. Received none for the image at index {index}")


def ngrams(words: Sequence[str]) -> NGrams:
    """Counts the n-grams of each order in `ORDERS`."""
    return [Counter(zip(*(words[start:] for start in range(order)), strict=False)) for order in ORDERS]


class Bleu:
    """Corpus BLEU with the closest reference length; of two equally close ones, the shorter.

    Args:
        smoothing: Number that is added to the counts of all and of matching n-grams of each order above 1.
    """

    def __init__(self, smoothing: int = 0) -> None:
        self.smoothing = smoothing
        self.matched: Counter = Counter()
        self.total: Counter = Counter()
        self.length = self.reference_length = 0

    def update(self, hypothesis: NGrams, references: Sequence[NGrams]) -> None:
        """Adds a caption and the references of its image."""
        words = hypothesis[0].total()
        self.length += words
        self.reference_length += min((caption[0].total() for caption in references), key=lambda n: (abs(n - words), n))
        for order, ours, *theirs in zip(ORDERS, hypothesis, *references, strict=True):
            self.matched[order] += (ours & reduce(or_, theirs)).total()
            self.total[order] += ours.total()

    def result(self) -> dict[str, float]:
        """Computes `bleu_1` to `bleu_4` of all captions, from 0 to 100."""
        tiny, small = 1e-15, 1e-9  # those of coco-caption, against division by 0
        ratio = (self.length + tiny) / (self.reference_length + small)
        brevity = min(1.0, math.exp(1 - 1 / ratio))
        product, scores = 1.0, {}
        for order in ORDERS:
            more = self.smoothing * (order > 1)
            product *= (self.matched[order] + more + tiny) / (self.total[order] + more + small)
            scores[f"bleu_{order}"] = 100 * brevity * product ** (1 / order)
        return scores


def _rouge_l(hypothesis: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """F-measure of the longest common subsequence; precision and recall are the maxima over the references."""
    common = [_common_length(hypothesis, reference) for reference in references]
    # An empty caption scores 0 even for an empty reference, for which coco-caption computes 1.
    precision = max(common) / max(len(hypothesis), 1)
    recall = max(length / max(len(reference), 1) for length, reference in zip(common, references, strict=True))
    beta = 1.2
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision) if recall else 0.0


def _common_length(words: Sequence[str], others: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    previous = [0] * (len(others) + 1)
    for word in words:
        current = [0]
        for index, other in enumerate(others):
            current.append(previous[index] + 1 if word == other else max(previous[index + 1], current[index]))
        previous = current
    return previous[-1]


def caption_reward(references: Sequence[Sequence[str]]) -> Callable[[int, str], float]:
    """Returns the reward of minimum risk training: CIDEr-D plus half of BLEU-4 in 0 to 1.

    The end of a caption counts as a word. Otherwise truncated captions such as "a man in a" would score well. BLEU is
    smoothed by one n-gram of each order above 1 (Lin and Och 2004), because a single caption often matches no four
    words.

    Args:
        references: One list of reference captions per image.

    Returns:
        Function from the index of an image and a caption to its reward in [0, 10.5].

    Example:

    >>> from keras_recurrent.apps.captioning.metrics import caption_reward
    >>> reward = caption_reward([["A dog runs."], ["A cat sleeps."]])
    >>> reward(0, "a dog runs") > reward(0, "a dog") > reward(0, "a cat")
    True
    """

    def with_end(caption):
        return ngrams([*caption_tokens(caption), "\n"])

    counts = [[with_end(caption) for caption in captions] for captions in references]
    cider = Cider(counts)

    def reward(index, caption):
        caption, bleu = with_end(caption), Bleu(smoothing=1)
        bleu.update(caption, counts[index])
        return cider.scores(caption, counts[index])[1] + bleu.result()["bleu_4"] / 200

    return reward


class Cider:
    """Computes CIDEr and CIDEr-D.

    Args:
        references: For each image the reference captions, as `ngrams` returns them. The images are the documents of
            the inverse document frequency. They are not kept.
    """

    def __init__(self, references: Iterable[Sequence[NGrams]]):
        self.images = 0
        self.documents: Counter = Counter()
        for captions in references:
            self.images += 1
            # Hashes take two thirds of the memory of the n-grams.
            self.documents.update({hash(ngram) for caption in captions for counts in caption for ngram in counts})

    def _weighted(self, caption: NGrams) -> list[dict[tuple, float]]:
        """For each order, the counts of n-grams times their inverse document frequencies."""
        return [
            {
                ngram: count * math.log(self.images / max(1, self.documents[hash(ngram)]))
                for ngram, count in counts.items()
            }
            for counts in caption
        ]

    def scores(self, hypothesis: NGrams, captions: Sequence[NGrams]) -> tuple[float, float]:
        """Computes `(cider, cider_d)`, in 0 to 10, of a caption of an image with some reference captions."""
        cider = cider_d = 0.0
        vectors = self._weighted(hypothesis)
        for caption in captions:
            difference = hypothesis[0].total() - caption[0].total()
            penalty = math.exp(-(difference**2) / (2 * 6**2))
            for ours, theirs in zip(vectors, self._weighted(caption), strict=True):
                norms = math.hypot(*ours.values()) * math.hypot(*theirs.values())
                if norms:
                    shared = ours.keys() & theirs.keys()
                    cider += sum(ours[ngram] * theirs[ngram] for ngram in shared) / norms
                    cider_d += (
                        penalty * sum(min(ours[ngram], theirs[ngram]) * theirs[ngram] for ngram in shared) / norms
                    )
        share = 10 / (len(ORDERS) * len(captions))
        return share * cider, share * cider_d
