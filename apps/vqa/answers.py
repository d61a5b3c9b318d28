"""The loss and the metrics of answers by several annotators.

In every function, `y_true` `(batch, answers + 2)` counts the annotators who gave each answer of the vocabulary, then
those who gave the most common answer outside the vocabulary, then those who gave any other answer outside it. `y_pred`
`(batch, answers)` holds logits.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from ...layers.types import Tensor


@keras.saving.register_keras_serializable(package="keras_recurrent")
class AnswerCrossentropy(keras.losses.Loss):
    """Cross-entropy with the distribution of the annotators' answers as soft target.

    A question without an answer of the vocabulary has a loss of 0.

    Args:
        label_smoothing: Float in [0, 1), the fraction of the target to spread evenly over all answers.

    Call arguments:
        y_true: Tensor `(batch, answers + 2)`, counts of annotators.
        y_pred: Tensor `(batch, answers)`, logits.

    Raises:
        ValueError: If `y_true` does not have two columns more than `y_pred`.

    Example:

    >>> from keras_recurrent.apps.vqa.answers import AnswerCrossentropy
    >>> loss = AnswerCrossentropy()
    >>> counts = ops.array([[3.0, 1.0, 2.0, 0.0]])  # two answers and the two columns outside
    >>> round(float(loss(counts, ops.zeros((1, 2)))), 4)  # log 2
    0.6931
    """

    def __init__(self, label_smoothing: float = 0.0, name: str = "answer_crossentropy", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        _check_widths(y_true, y_pred)
        known = y_true[:, :-2]
        total = ops.sum(known, axis=-1, keepdims=True)
        targets = known / ops.maximum(total, 1)
        smoothed = (1 - self.label_smoothing) * targets + self.label_smoothing / known.shape[-1]
        losses = -ops.sum(smoothed * ops.log_softmax(ops.cast(y_pred, "float32")), axis=-1)
        return ops.where(total[:, 0] > 0, losses, 0.0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


def accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Returns 1 where the most probable answer is a most common answer of the annotators, else 0; float `(batch,)`."""
    counts = _counts_of(y_true, y_pred)
    return ops.cast(ops.logical_and(counts > 0, counts == ops.max(y_true[:, :-1], axis=-1)), "float32")


def vqa_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Returns min(n / 3, 1) for the most probable answer, given by n annotators; float `(batch,)`.

    As in the official script, it is averaged over all subsets that leave out one of the N annotators: if `c` of them
    gave the answer, it counts `c - 1` in `c` subsets and `c` in the other `N - c`. With a single annotator it is 1 for
    their answer and 0 for any other.

    Reference:
        Antol et al. 2015, VQA: Visual question answering, section 5.
    """
    c, total = _counts_of(y_true, y_pred), ops.sum(y_true, axis=-1)
    several = (c * ops.minimum((c - 1) / 3, 1) + (total - c) * ops.minimum(c / 3, 1)) / ops.maximum(total, 1)
    return ops.where(total > 1, several, c)


def top_5_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Returns 1 where one of the most common answers is among the five most probable ones, else 0; float `(batch,)`."""
    _check_widths(y_true, y_pred)
    _, best = ops.top_k(y_pred, min(5, y_pred.shape[-1]))
    counts = ops.max(ops.take_along_axis(y_true, best, axis=-1), axis=-1)
    return ops.cast(ops.logical_and(counts > 0, counts == ops.max(y_true[:, :-1], axis=-1)), "float32")


MEASURES: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (accuracy, vqa_accuracy, top_5_accuracy)


def metrics() -> list[keras.metrics.Metric]:
    """Returns Keras metrics of the means of the measures over all questions."""
    return [keras.metrics.MeanMetricWrapper(measure, name=measure.__name__) for measure in MEASURES]


def _counts_of(y_true, y_pred):
    """The number of annotators who gave the most probable answer."""
    _check_widths(y_true, y_pred)
    best = ops.argmax(y_pred, axis=-1)
    return ops.squeeze(ops.take_along_axis(y_true, ops.expand_dims(best, -1), axis=-1), -1)


def _check_widths(y_true, y_pred):
    # Without this check a missing column would be broadcast to all answers.
    if y_true.shape[-1] is not None and y_true.shape[-1] != y_pred.shape[-1] + 2:
        raise ValueError(
            "Argument `y_true` must have two columns more than `y_pred`. "
            f"Received: y_true.shape={tuple(y_true.shape)}, y_pred.shape={tuple(y_pred.shape)}"
        )
