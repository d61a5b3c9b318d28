"""Losses."""

from typing import Any

import keras
from keras import ops

from ....layers.loop import with_gradient


@keras.saving.register_keras_serializable(package="keras_recurrent")
class TokenCrossentropy(keras.losses.Loss):
    """Cross-entropy of the next token, averaged over the tokens that are not padding.

    With the probability `p` of the target token, a vocabulary of `V` tokens and label smoothing `e`:

        loss = -(1 - e) log p - e / V * (sum of the log-probabilities of all tokens)

    The gradient is written by hand. It stores one array of the size of the logits and reads it only a few times.

    Args:
        label_smoothing: Float in [0, 1), `e`.

    Call arguments:
        y_true: Integer tensor `(batch, steps)`, the target tokens. Any number of axes may stand before `steps`, such
            as `(batch, targets, steps)`.
        y_pred: Tensor `(batch, steps, V)`, the logits.
        sample_weight: Tensor `(batch, steps)`, 0 at padding.

    Example:

    >>> from keras_recurrent.apps.shared.training.losses import TokenCrossentropy
    >>> loss = TokenCrossentropy()
    >>> float(loss(ops.array([[3, 0]]), ops.zeros((1, 2, 4)), sample_weight=ops.array([[1.0, 0.0]])))  # log 4
    1.3862943649291992

    Reference:
        Szegedy et al. 2016, Rethinking the inception architecture for computer vision, section 7, for label smoothing.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        name: str = "token_crossentropy",
        reduction: str = "mean_with_sample_weight",
        **kwargs: Any,
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, "int32")
        (loss,) = with_gradient(lambda y_pred: self._forward(y_true, y_pred), self._backward, y_pred)
        return loss

    def _forward(self, y_true, y_pred):
        smoothing = self.label_smoothing
        largest = ops.max(y_pred, axis=-1, keepdims=True)
        exponentials = ops.exp(y_pred - largest)
        total = ops.sum(exponentials, axis=-1, keepdims=True)
        target = ops.take_along_axis(y_pred, ops.expand_dims(y_true, -1), axis=-1)
        loss = largest + ops.log(total) - (1 - smoothing) * target
        if smoothing:
            loss = loss - smoothing * ops.mean(y_pred, axis=-1, keepdims=True)
        return (ops.squeeze(loss, -1),), (y_true, exponentials, total)

    def _backward(self, saved, upstream):
        """With the probabilities `q` and the one-hot target `t`: `dloss / dlogits = q - e / V - (1 - e) t`."""
        y_true, exponentials, total = saved
        upstream = ops.expand_dims(upstream[0], -1)
        size = exponentials.shape[-1]
        gradient = exponentials * (upstream / total)
        if self.label_smoothing:
            gradient = gradient - upstream * (self.label_smoothing / size)
        rows = ops.reshape(gradient, (-1, size))
        tokens = ops.reshape(y_true, (-1, 1))
        target = ops.take_along_axis(rows, tokens, axis=1) - (1 - self.label_smoothing) * ops.reshape(upstream, (-1, 1))
        indices = ops.concatenate([ops.expand_dims(ops.arange(ops.shape(rows)[0]), 1), tokens], axis=1)
        rows = ops.scatter_update(rows, indices, ops.squeeze(target, -1))
        return [ops.reshape(rows, ops.shape(exponentials))]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
