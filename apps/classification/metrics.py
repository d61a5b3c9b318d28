"""Accuracy and F1 of labels."""

import numpy as np


def classification_metrics(right, given, labels):
    """Accuracy and F1 of labels.

    Args:
        right: List of strings.
        given: List of strings, one a right label.
        labels: List of strings, all labels.

    Returns:
        Dictionary of `accuracy`, `f1`, the mean over the labels that are right or given at least once, `f1_of`, a
        dictionary from each label to its own, and `commonest_label`, the accuracy of always answering that; and how
        often each label was given for each, an integer array `(right, given)`.

    Example:

    >>> metrics, table = classification_metrics(["a", "a", "b"], ["a", "b", "b"], ["a", "b"])
    >>> round(metrics["f1"], 3), table.tolist()
    (0.667, [[1, 1], [0, 1]])
    """
    places = {label: place for place, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)), int)
    np.add.at(table, ([places[label] for label in right], [places[label] for label in given]), 1)
    hits = np.diag(table)
    counts = table.sum(axis=0) + table.sum(axis=1)
    f1 = 2 * hits / np.maximum(counts, 1)
    metrics = {
        "accuracy": float(hits.sum() / table.sum()),
        "f1": float(f1[counts > 0].mean()),
        "f1_of": dict(zip(labels, f1.astype(float).tolist(), strict=True)),
        "commonest_label": float(table.sum(axis=1).max() / table.sum()),
    }
    return metrics, table
