"""What the apps' trainings share: the loss, and `model.fit` with its callbacks."""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import ops

from .figures import draw_history
from .folders import TrainingError


@keras.saving.register_keras_serializable(package="keras_recurrent")
class TokenCrossentropy(keras.losses.Loss):
    """Cross-entropy of the next token, averaged over the tokens that are not padding.

    With the probability `p` of the right token among `V`, and label smoothing `e` (Szegedy et al. 2016):

        loss = -(1 - e) log p - e / V * (sum of the log-probabilities of all tokens)

    Args:
        label_smoothing: Float in [0, 1), `e`.

    Call arguments:
        y_true: Integer tensor `(batch, steps)`, the right tokens.
        y_pred: Tensor `(batch, steps, V)`, logits.
        sample_weight: Tensor `(batch, steps)`, 0 at padding.

    Example:

    >>> loss = TokenCrossentropy()
    >>> float(loss(ops.array([[3, 0]]), ops.zeros((1, 2, 4)), sample_weight=ops.array([[1.0, 0.0]])))  # log 4
    1.3862943649291992
    """

    def __init__(self, label_smoothing=0.0, name="token_crossentropy", reduction="mean_with_sample_weight", **kwargs):
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        log_total = ops.logsumexp(y_pred, axis=-1)
        right = ops.take_along_axis(y_pred, ops.expand_dims(ops.cast(y_true, "int32"), -1), axis=-1)
        loss = log_total - ops.squeeze(right, -1)
        if self.label_smoothing:
            uniform = log_total - ops.mean(y_pred, axis=-1)
            loss = (1 - self.label_smoothing) * loss + self.label_smoothing * uniform
        return loss

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


def fit(model, train, validation, *, epochs, patience, folder):
    """Trains a compiled model and leaves the weights of its best epoch, by validation loss, in it.

    Writes `model.keras` (the best so far, whenever there is a better one), `history.csv` and `figures/history.png`
    into `folder`. Stops after `patience` epochs without a better validation loss.
    """
    folder = Path(folder)
    checkpoint = folder / "model.keras"
    history = model.fit(
        train,
        validation_data=validation,
        epochs=epochs,
        shuffle=False,  # the batches come shuffled
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=[
            keras.callbacks.TerminateOnNaN(),
            keras.callbacks.ModelCheckpoint(checkpoint, save_best_only=True),
            keras.callbacks.EarlyStopping(patience=patience),
            keras.callbacks.CSVLogger(folder / "history.csv"),
        ],
    )
    if not np.isfinite(history.history.get("val_loss", np.nan)).any():
        raise TrainingError("the loss is not a number after the first epoch; a lower learning rate may help")
    # Without the optimizer and the loss, which only a further training would need.
    best = keras.models.load_model(checkpoint, compile=False)
    best.save(checkpoint)
    model.set_weights(best.get_weights())
    (folder / "figures").mkdir()
    draw_history(folder / "history.csv", folder / "figures" / "history.png")
