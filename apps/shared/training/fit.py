"""A `model.fit` that can be interrupted and resumed."""

import sys
import zlib
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ..console import note
from ..errors import NotANumberError
from ..extras import needed
from ..figures import draw_history
from ..models.folders import STATES
from .checkpoints import History, States
from .optimizers import build_optimizer


def fit(
    model,
    loss,
    train,
    validation,
    config,
    folder,
    score=None,
    metrics=(),
    monitor="val_loss",
    begin_epoch=lambda epoch: None,
    data=None,
    rates=None,
    goal=None,
):
    """Trains a model, and leaves in it the weights of its best epoch, or better ones.

    What it needs to go on after an interruption it keeps in `folder`, in the folder `STATES`, and a call with the same
    folder goes on there: with the same order of the data, the same dropout, and at its end the same weights. At the end
    there are `model.keras`, `history.csv` and `figures/history.png`, too.

    Args:
        model: A Keras model that is not compiled.
        loss: Its loss.
        train: `EpochBatches`.
        validation: `tf.data.Dataset`.
        config: A `TrainingConfig`.
        folder: A folder.
        score: Function that measures the model, the higher the better, and whose name is that of a column of
            `history.csv`. The best epoch has the best score; without it, `monitor` decides.
        metrics: Keras's metrics, whose means over the validation data are columns of `history.csv`, too.
        monitor: The column in which the best epoch has the highest number, or the lowest loss.
        begin_epoch: Function of the epoch, counted from 0, that is called before it.
        data: What the training reads, or what tells it from other data, with a `repr` that says all of it; with other
            data nothing can be resumed.
        rates: Dictionary from the `id` of a variable to its own learning rate, to which `config.schedule` applies.
        goal: The `val_loss` below which training ends; None is none.

    Returns:
        Dictionary of what was measured of the weights that are left.

    Raises:
        NotANumberError: If the loss is not a number in the first epoch.
        TrainingError: If options do not go together, or the data is not what an interrupted training began with.
    """
    if config.tensorboard:
        needed("tensorboard", "tensorboard")
    folder = Path(folder)
    model.compile(build_optimizer(config, train.count, rates), loss, metrics=list(metrics), jit_compile=config.jit)
    if not model.built:
        inputs, *_ = next(iter(validation))
        model(inputs)  # creates the weights
    model.optimizer.build(model.trainable_variables)

    def measured(row):
        found = model.evaluate(validation, verbose=0, return_dict=True)
        row = {**row, **{f"val_{name}": value for name, value in found.items()}}
        return row if score is None else {**row, score.__name__: score()}

    states = States(folder / STATES, model, max(2, config.average_last), zlib.crc32(repr(data).encode()))
    measure = monitor if score is None else score.__name__
    history = History(folder / "history.csv", config, None if measure == "val_loss" else measure)
    begun = len(history.rows)
    epoch, best = states.restore(begun)
    history.rows = history.rows[:epoch]
    if begun:
        note(f"goes on after epoch {epoch}" if epoch else "begins anew")
    while epoch < config.epochs and not history.has_ended(goal):
        train.epoch = epoch
        begin_epoch(epoch)
        if config.schedule == "plateau":
            model.optimizer.learning_rate = history.plateau_rate()
        one_epoch = _OneEpoch()
        logs = model.fit(
            train.dataset,
            initial_epoch=epoch,
            epochs=config.epochs,
            shuffle=False,  # the batches come shuffled
            verbose=1 if sys.stdout.isatty() else 2,
            callbacks=[keras.callbacks.TerminateOnNaN(), one_epoch],
        ).history
        rate = float(ops.convert_to_numpy(model.optimizer.learning_rate))
        # With a moving average, the model now has that.
        row = measured({"epoch": epoch + 1, "learning_rate": rate, "loss": logs["loss"][-1]})
        if not np.isfinite([row["loss"], row["val_loss"]]).all():
            note(f"the loss is not a number in epoch {epoch + 1}, so training ends")
            break
        if history.is_best(row):
            best = model.get_weights()
        model.set_weights(one_epoch.weights)
        epoch += 1
        states.save(epoch, best)
        history.add(row)
        note(", ".join(f"{name} {value:.4g}" for name, value in row.items()))
    if best is None:
        raise NotANumberError("the loss is not a number in the first epoch; a lower learning rate may help")

    left = history.best
    if config.average_last > 1:
        model.set_weights(states.average(epoch))
        row = measured({})
        is_better = history.quality(row) > history.quality(left)
        values = ", ".join(f"{name} {value:.4g}" for name, value in row.items())
        note(f"the average of the last epochs has {values}: {'' if is_better else 'not '}better than the best epoch")
        if is_better:
            best, left = model.get_weights(), row
    model.set_weights(best)
    # Without the optimizer and the loss, which only a further training would need.
    model.save(folder / "model.keras")
    keras.models.load_model(folder / "model.keras", compile=False).save(folder / "model.keras")
    (folder / "figures").mkdir(exist_ok=True)
    draw_history(history.path, folder / "figures" / "history.png")
    if config.tensorboard:
        _write_tensorboard(history.rows, folder / "tensorboard")
    return {name: float(value) for name, value in left.items()}


class _OneEpoch(keras.callbacks.Callback):
    """Stops after an epoch, and holds the weights after its last step: Keras then puts their moving average there."""

    def on_epoch_end(self, epoch, logs=None):
        self.weights = self.model.get_weights()
        self.model.stop_training = True


def _write_tensorboard(rows, folder):
    with tf.summary.create_file_writer(str(folder)).as_default():
        for row in rows:
            for name in row.keys() - {"epoch"}:
                tf.summary.scalar(name, float(row[name]), step=int(row["epoch"]))
