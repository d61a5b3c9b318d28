"""How answers that people gave are learned from and counted right, as Keras's loss and metrics.

In all of these, `y_true` `(batch, answers + 2)` counts the annotators of each answer that the model knows; then those
of the commonest that it does not know, and last those of all others that it does not know. `y_pred` `(batch, answers)`
are logits.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_recurrent")
class AnswerCrossentropy(keras.losses.Loss):
    """Cross-entropy with the annotators' answers as soft targets; a question whose answers are unknown counts 0.

    Args:
        label_smoothing: Float in [0, 1), the share of the target to spread over all answers.

    Example:

    >>> loss = AnswerCrossentropy()
    >>> float(loss(ops.array([[3.0, 1.0, 2.0]]), ops.zeros((1, 2))))  # log 2
    0.6931471824645996
    """

    def __init__(self, label_smoothing=0.0, name="answer_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        known = y_true[:, :-2]
        total = ops.sum(known, axis=-1, keepdims=True)
        targets = known / ops.maximum(total, 1)
        smoothed = (1 - self.label_smoothing) * targets + self.label_smoothing / known.shape[-1]
        return ops.where(
            total[:, 0] > 0, -ops.sum(smoothed * ops.log_softmax(ops.cast(y_pred, "float32")), axis=-1), 0.0
        )

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


def accuracy(y_true, y_pred):
    """1 where the likeliest answer is the annotators' commonest, or one of several that are as common; `(batch,)`."""
    of_best = _counts_of(y_true, ops.argmax(y_pred, axis=-1))
    return ops.cast(ops.logical_and(of_best > 0, of_best == ops.max(y_true[:, :-1], axis=-1)), "float32")


def vqa_accuracy(y_true, y_pred):
    """The likeliest answer's min(n / 3, 1), for the n annotators who gave it; `(batch,)`.

    As the official script does, that is averaged over all sets of all annotators but one: of `c` who gave the answer
    among `N`, `c` sets have `c - 1` and `N - c` have `c`. Of a single annotator it is whether the answer is theirs.

    Reference:
        Antol et al. 2015, VQA: Visual question answering, section 5.
    """
    c, total = _counts_of(y_true, ops.argmax(y_pred, axis=-1)), ops.sum(y_true, axis=-1)
    several = (c * ops.minimum((c - 1) / 3, 1) + (total - c) * ops.minimum(c / 3, 1)) / ops.maximum(total, 1)
    return ops.where(total > 1, several, c)


def top_5_accuracy(y_true, y_pred):
    """1 where an answer that is the annotators' commonest is among the five likeliest; `(batch,)`."""
    _, best = ops.top_k(y_pred, min(5, y_pred.shape[-1]))
    of_best = ops.max(ops.take_along_axis(y_true, best, axis=-1), axis=-1)
    return ops.cast(ops.logical_and(of_best > 0, of_best == ops.max(y_true[:, :-1], axis=-1)), "float32")


MEASURES = (accuracy, vqa_accuracy, top_5_accuracy)


def metrics():
    """Means of these over all questions, for `compile`."""
    return [keras.metrics.MeanMetricWrapper(measure, name=measure.__name__) for measure in MEASURES]


def _counts_of(y_true, answers):
    return ops.squeeze(ops.take_along_axis(y_true, ops.expand_dims(answers, -1), axis=-1), -1)
