"""BLEU, ROUGE-L and CIDEr of captions, by the formulas of coco-caption."""

import math
import unicodedata
from collections import Counter
from functools import reduce
from operator import or_

import numpy as np

ORDERS = (1, 2, 3, 4)  # of the n-grams in the metrics of captions


def caption_tokens(text):
    """The words of a caption as its metrics compare them: lowercased, without punctuation and symbols.

    It stands in for the tokenizer of coco-caption, which needs Java, and is simpler: that one also splits `man's` into
    `man 's` and `don't` into `do n't`, leaves `t-shirt` and `3.5` whole and keeps symbols such as `&`. Captions in a
    language that writes no spaces must come with their words split.

    Args:
        text: String in any script.

    Returns:
        List of strings: letters, their marks, digits, and apostrophes inside a word, all of them as `'`.

    Example:

    >>> caption_tokens("The man's T-shirt: «très chic»!")
    ['the', "man's", 't', 'shirt', 'très', 'chic']
    """
    # Marks are categories of their own, and not in a regular expression's \w: they are half the vowels of Hindi.
    kept = (
        character if character == "'" or unicodedata.category(character)[0] in "LMN" else " "
        for character in text.lower().replace("’", "'")
    )
    words = (word.strip("'") for word in "".join(kept).split())
    return [word for word in words if word]


def caption_metrics(hypotheses, references):
    """BLEU, ROUGE-L and CIDEr of captions as coco-caption computes them, and how much they differ among themselves.

    Beware of the names: what coco-caption calls CIDEr, and so what papers print, is CIDEr-D, here `cider_d`: compare
    that with a paper's table. It cuts the weight of an n-gram at what the reference has and lowers the similarity of
    captions of different lengths, so that a caption gains nothing by repeating words. `cider` is without both: the
    first definition of Vedantam et al., but for their stemming of words. The documents of the inverse document
    frequency are the images of this call, as in coco-caption, so a CIDEr belongs to its test set; of one image it is 0.

    Args:
        hypotheses: List of strings, one an image.
        references: List of lists of strings, one list an image, of any lengths but 0.

    Returns:
        Dictionary with

        - `bleu_1` to `bleu_4` in 0 to 100, with n-grams up to that length, of all captions together;
        - `rouge_l` in 0 to 1, the mean over the images;
        - `cider` and `cider_d` in 0 to 10, means over the images; some papers print a hundred times as much;
        - `distinct_captions`, how many captions differ by more than case and punctuation;
        - `vocabulary_used`, the number of distinct words in the captions.

    Example:

    >>> hypotheses = ["a dog runs", "a cat sleeps"]
    >>> references = [["A dog runs.", "A dog is running."], ["The cat sleeps."]]
    >>> metrics = caption_metrics(hypotheses, references)
    >>> {name: round(metrics[name], 2) for name in ("bleu_1", "rouge_l", "cider_d", "vocabulary_used")}
    {'bleu_1': 83.33, 'rouge_l': 0.83, 'cider_d': 3.94, 'vocabulary_used': 5}

    Reference:
        Chen et al. 2015, Microsoft COCO captions: data collection and evaluation server; Papineni et al. 2002, BLEU;
        Lin 2004, ROUGE; Vedantam et al. 2015, CIDEr.
    """
    if len(hypotheses) != len(references):
        raise ValueError(f"There must be references for each caption: {len(references)} for {len(hypotheses)} captions")
    if not hypotheses:
        raise ValueError("There must be a caption")
    if not all(references):
        raise ValueError(f"Each image must have a reference. Image {list(map(bool, references)).index(False)} has none")
    hypotheses = [caption_tokens(text) for text in hypotheses]
    references = [[caption_tokens(text) for text in texts] for texts in references]
    counts = [ngrams(words) for words in hypotheses]
    reference_counts = [[ngrams(words) for words in captions] for captions in references]
    scores = Cider(reference_counts).scores
    cider, cider_d = np.mean([scores(place, caption) for place, caption in enumerate(counts)], axis=0).tolist()
    return {
        **_bleu(counts, reference_counts),
        "rouge_l": sum(map(_rouge_l, hypotheses, references)) / len(hypotheses),
        "cider": cider,
        "cider_d": cider_d,
        "distinct_captions": len(set(map(tuple, hypotheses))),
        "vocabulary_used": len(set().union(*hypotheses)),
    }


def ngrams(words):
    """How often each n-gram occurs: a Counter for each order."""
    return [Counter(zip(*(words[start:] for start in range(order)), strict=False)) for order in ORDERS]


def _bleu(hypotheses, references, smoothing=0):
    """Corpus BLEU with the reference length that is closest, the shorter of two; captions are given by `ngrams`.

    With `smoothing`, so many more n-grams of each order above 1 count as written and as right.
    """
    matched, total = Counter(), Counter()
    length = reference_length = 0
    for hypothesis, captions in zip(hypotheses, references, strict=True):
        words = hypothesis[0].total()
        length += words
        reference_length += min((caption[0].total() for caption in captions), key=lambda n: (abs(n - words), n))
        for order, ours, *theirs in zip(ORDERS, hypothesis, *captions, strict=True):
            matched[order] += (ours & reduce(or_, theirs)).total()
            total[order] += ours.total()
    tiny, small = 1e-15, 1e-9  # coco-caption's, against division by 0
    ratio = (length + tiny) / (reference_length + small)
    brevity = min(1.0, math.exp(1 - 1 / ratio))
    product, scores = 1.0, {}
    for order in ORDERS:
        more = smoothing * (order > 1)
        product *= (matched[order] + more + tiny) / (total[order] + more + small)
        scores[f"bleu_{order}"] = 100 * brevity * product ** (1 / order)
    return scores


def _rouge_l(hypothesis, references):
    """An F-measure of the longest common subsequence; precision and recall are each that of the best reference."""
    common = [_common_length(hypothesis, reference) for reference in references]
    # An empty caption has nothing in common with any, not even with an empty reference (of which coco-caption makes 1).
    precision = max(common) / max(len(hypothesis), 1)
    recall = max(length / max(len(reference), 1) for length, reference in zip(common, references, strict=True))
    beta = 1.2
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision) if recall else 0.0


def _common_length(words, others):
    """The length of the longest common subsequence."""
    previous = [0] * (len(others) + 1)
    for word in words:
        current = [0]
        for index, other in enumerate(others):
            current.append(previous[index] + 1 if word == other else max(previous[index + 1], current[index]))
        previous = current
    return previous[-1]


def caption_reward(references):
    """How good a caption is while a model learns by what it writes: its CIDEr-D, and half its BLEU-4 in 0 to 1.

    The end of a caption is a word here, too: otherwise a caption would gain by leaving out how it ends, for "a man in
    a" has the n-grams of many a good one. Of the orders above 1, one more n-gram counts as written and as right (Lin
    and Och 2004), because a single caption often has no four words right.

    Args:
        references: List of lists of strings, one list an image.

    Returns:
        Function from the place of an image and a caption, a string, to a number in 0 to 10.5.

    Example:

    >>> reward = caption_reward([["A dog runs."], ["A cat sleeps."]])
    >>> reward(0, "a dog runs") > reward(0, "a dog") > reward(0, "a cat")
    True
    """

    def ended(caption):
        return ngrams([*caption_tokens(caption), "\n"])

    cider = Cider([[ended(caption) for caption in captions] for captions in references])

    def reward(place, caption):
        caption = ended(caption)
        bleu = _bleu([caption], [cider.references[place]], smoothing=1)["bleu_4"]
        return cider.scores(place, caption)[1] + bleu / 200

    return reward


class Cider:
    """CIDEr and CIDEr-D of captions of given images.

    Args:
        references: List of lists of captions, one list an image, each caption as n-grams; see `ngrams`. These images
            are the documents of the inverse document frequency.
    """

    def __init__(self, references):
        self.references = references
        self.documents = Counter()
        for captions in references:
            self.documents.update({ngram for caption in captions for counts in caption for ngram in counts})

    def _weighted(self, caption):
        """A vector for each order: an n-gram's count times its inverse document frequency."""
        images = len(self.references)
        return [
            {ngram: count * math.log(images / max(1, self.documents[ngram])) for ngram, count in counts.items()}
            for counts in caption
        ]

    def scores(self, place, hypothesis):
        """`(cider, cider_d)`, in 0 to 10, of a caption, as n-grams, of the image at a place."""
        captions = self.references[place]
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
