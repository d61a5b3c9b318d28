"""A baseline: logistic regression on n-grams."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

from ...extras import import_extra

Ngrams: TypeAlias = Literal["words", "characters"]

# The arguments of scikit-learn's `TfidfVectorizer`. Punctuation marks are words.
ANALYZERS: dict[str, dict[str, Any]] = {
    "words": {"analyzer": "word", "token_pattern": r"\w+|[^\w\s]", "ngram_range": (1, 2)},
    "characters": {"analyzer": "char_wb", "ngram_range": (1, 5)},
}
MAX_FEATURES = 300_000  # the most frequent n-grams


def train_ngram_classifier(
    texts: Sequence[str], labels: Sequence[str], ngrams: Ngrams, lowercase: bool
) -> Callable[[Sequence[str]], list[str]]:
    """Trains a logistic regression on the tf-idf weights of n-grams: up to 2 words, or up to 5 characters of a word.

    Args:
        texts: The training texts.
        labels: Their labels.
        ngrams: The unit of the n-grams.
        lowercase: Whether to convert the texts to lower case.

    Returns:
        A function from texts to their labels.

    Raises:
        MissingExtra: If scikit-learn is not installed.
    """
    text = import_extra("sklearn.feature_extraction.text", "baseline")
    linear_model, pipeline = (import_extra(f"sklearn.{name}", "baseline") for name in ("linear_model", "pipeline"))
    vectorizer = text.TfidfVectorizer(
        **ANALYZERS[ngrams], lowercase=lowercase, sublinear_tf=True, max_features=MAX_FEATURES
    )
    model = pipeline.make_pipeline(vectorizer, linear_model.LogisticRegression(C=10.0, max_iter=1000))
    model.fit(texts, labels)
    return lambda texts: model.predict(texts).tolist()
