"""A baseline: the translation of the most similar training sentence."""

import re
from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np


def nearest_sentence(
    sources: Sequence[str], targets: Sequence[str], lowercase: bool = False
) -> Callable[[Sequence[str]], list[str]]:
    """Returns a translator that looks up the most similar training sentence.

    The similarity is the number of words that two sentences share, divided by the number of words in either of them
    (the Jaccard index of their sets of words). Punctuation marks are words.

    Args:
        sources: The sources of the training pairs.
        targets: Their targets.
        lowercase: Whether to ignore case.

    Returns:
        A function from sentences to the target of the most similar source of each; of equally similar ones, the first.

    Example:

    >>> from keras_recurrent.apps.translation.baseline import nearest_sentence
    >>> translate = nearest_sentence(["ein Hund schläft .", "eine Katze isst ."], ["a dog sleeps .", "a cat eats ."])
    >>> translate(["eine Katze schläft ."])
    ['a cat eats .']

    Reference:
        Jaccard 1912, The distribution of the flora in the alpine zone.
    """

    def words_of(sentence: str) -> set[str]:
        return set(re.findall(r"\w+|[^\w\s]", sentence.lower() if lowercase else sentence))

    indices_of: defaultdict[str, array[int]] = defaultdict(lambda: array("i"))  # of the sources with a word
    sizes = np.zeros(len(sources), "int32")
    for index, source in enumerate(sources):
        words = words_of(source)
        sizes[index] = len(words)
        for word in words:
            indices_of[word].append(index)

    def translate(sentence: str) -> str:
        words = words_of(sentence)
        shared = np.zeros(len(sizes), "int32")
        for word in words & indices_of.keys():
            shared[np.frombuffer(indices_of[word], "int32")] += 1
        return targets[int(np.argmax(shared / np.maximum(len(words) + sizes - shared, 1)))]

    return lambda sentences: [*map(translate, sentences)]
