"""Accuracy and F1 of labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..shared.errors import UsageError


class ClassificationMetrics:
    """Computes accuracy and F1, part by part, from the confusion matrix.

    Args:
        labels: List of strings, all labels.

    Attributes:
        confusion: Integer array `(targets, predictions)` of counts.

    Example:

    >>> from keras_recurrent.apps.classification.metrics import ClassificationMetrics
    >>> metrics = ClassificationMetrics(["a", "b"])
    >>> metrics.update(["a", "a"], ["a", "b"])
    >>> metrics.update(["b"], ["b"])
    >>> round(metrics.result()["f1"], 3), metrics.confusion.tolist()
    (0.667, [[1, 1], [0, 1]])
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = labels
        self.confusion = np.zeros((len(labels), len(labels)), int)
        self._index_of = {label: index for index, label in enumerate(labels)}

    @property
    def examples(self) -> int:
        """The number of texts or series."""
        return int(self.confusion.sum())

    def update(self, targets: Sequence[str], predictions: Sequence[str]) -> None:
        """Adds gold labels and as many predictions.

        Raises:
            UsageError: If a prediction is not a label.
        """
        if unknown := set(predictions) - self._index_of.keys():
            raise UsageError(f"the prediction {min(unknown)!r} is not a label; the labels are {', '.join(self.labels)}")
        rows, columns = ([self._index_of[label] for label in side] for side in (targets, predictions))
        np.add.at(self.confusion, (rows, columns), 1)

    def result(self) -> dict[str, Any]:
        """Computes the metrics of all texts or series.

        Returns:
            Dictionary of `accuracy`; `f1`, the mean over the labels that are targets or predictions at least once;
            `f1_of`, a dictionary with the F1 of each label; and `commonest_label`, the accuracy of always predicting
            the most frequent label.
        """
        hits = np.diag(self.confusion)
        counts = self.confusion.sum(axis=0) + self.confusion.sum(axis=1)
        f1 = 2 * hits / np.maximum(counts, 1)
        return {
            "accuracy": float(hits.sum() / self.examples),
            "f1": float(f1[counts > 0].mean()),
            "f1_of": dict(zip(self.labels, f1.astype(float).tolist(), strict=True)),
            "commonest_label": float(self.confusion.sum(axis=1).max() / self.examples),
        }
