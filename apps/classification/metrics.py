"""Accuracy and F1 of labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def classification_metrics(
    targets: Sequence[str], predictions: Sequence[str], labels: Sequence[str]
) -> tuple[dict[str, Any], np.ndarray]:
    """Computes accuracy, F1 and the confusion matrix.

    Args:
        targets: List of strings, the gold labels.
        predictions: List of strings, one per target.
        labels: List of strings, all labels.

    Returns:
        `(metrics, confusion)`: a dictionary of `accuracy`; `f1`, the mean over the labels that are targets or
        predictions at least once; `f1_of`, a dictionary with the F1 of each label; and `commonest_label`, the accuracy
        of always predicting the most frequent label. And an integer array `(targets, predictions)` of counts.

    Example:

    >>> from keras_recurrent.apps.classification.metrics import classification_metrics
    >>> metrics, confusion = classification_metrics(["a", "a", "b"], ["a", "b", "b"], ["a", "b"])
    >>> round(metrics["f1"], 3), confusion.tolist()
    (0.667, [[1, 1], [0, 1]])
    """
    index_of = {label: index for index, label in enumerate(labels)}
    confusion = np.zeros((len(labels), len(labels)), int)
    rows, columns = ([index_of[label] for label in side] for side in (targets, predictions))
    np.add.at(confusion, (rows, columns), 1)
    hits = np.diag(confusion)
    counts = confusion.sum(axis=0) + confusion.sum(axis=1)
    f1 = 2 * hits / np.maximum(counts, 1)
    metrics = {
        "accuracy": float(hits.sum() / confusion.sum()),
        "f1": float(f1[counts > 0].mean()),
        "f1_of": dict(zip(labels, f1.astype(float).tolist(), strict=True)),
        "commonest_label": float(confusion.sum(axis=1).max() / confusion.sum()),
    }
    return metrics, confusion
