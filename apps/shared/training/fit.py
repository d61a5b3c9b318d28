"""Training with `model.fit` that can be interrupted and resumed."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import ops

from ....extras import import_extra
from ..backends import uses_xla
from ..config import TrainingConfig
from ..console import note
from ..errors import NotANumberError, TrainingError
from ..figures import draw_history
from ..keras_internals import AsyncCallbacks, ReadableVariables
from ..models.outputs import STATES
from . import devices
from .batches import EpochBatches
from .checkpoints import History, States
from .optimizers import build_optimizer
from .progress import Progress, measurements

Row: TypeAlias = dict[str, Any]
Weights: TypeAlias = list[np.ndarray]


def fit(
    model: keras.Model,
    loss: keras.losses.Loss,
    train: EpochBatches,
    validation: EpochBatches,
    config: TrainingConfig,
    folder: str | Path,
    *,
    metrics: Sequence[keras.metrics.Metric] = (),
    score: Callable[[], float] | None = None,
    monitor: str = "val_loss",
    begin_epoch: Callable[[int], None] = lambda epoch: None,
    data: int = 0,
    learning_rates: Mapping[int, float] | None = None,
    goal: float | None = None,
) -> dict[str, float]:
    """Trains a model and leaves the best weights in it.

    If `folder` holds the states of an interrupted training, it is resumed and yields identical weights. Writes
    `model.keras`, `history.csv` and `figures/history.png`.

    Args:
        model: A model that is not compiled.
        loss, train, validation, config, folder: The loss, the data, the options, and the folder to write to.
        metrics: Keras metrics to measure on the validation data, each a column `val_NAME` of `history.csv`.
        score: Function that measures the model, higher is better. Its name becomes a column, and `monitor`.
        monitor: The column that decides which epoch is best: the lowest `val_loss`, or the highest of another column.
        begin_epoch: Function that is called with the epoch, counted from 0, before it begins.
        data: A checksum of the training data; see `splits.checksum`. A training is not resumed on other data.
        learning_rates: The learning rates of single variables, by `id`, to which `config.schedule` applies, too.
        goal: The `val_loss` below which training stops.

    Returns:
        Dictionary of the measurements of the final weights.

    Raises:
        NotANumberError: If the loss is not finite in the first epoch.
        TrainingError: If options exclude each other, or the data differs from that of the interrupted training.
    """
    folder = Path(folder)
    if config.accumulate > len(train):
        raise TrainingError(f"--accumulate {config.accumulate} exceeds the {len(train)} batches of an epoch")
    if config.tensorboard:
        import_extra("tensorboard.summary", "tensorboard")  # fails before the training
    optimizer = build_optimizer(config, len(train), learning_rates)
    _compile(model, loss, metrics, optimizer, validation, config)
    devices.check_equal(data, "data")
    states = States(folder / STATES, model, max(2, config.average_last), data)
    history = History(folder / "history.csv", config, monitor if score is None else score.__name__)
    evaluate = functools.partial(_evaluate, model, validation, score)
    progress = Progress(model, train, validation, config)
    try:
        best = _run_epochs(model, train, history, states, evaluate, begin_epoch, goal, progress)
    finally:  # also after Ctrl-C: the folder is deleted if it has no state
        states.wait()
    row, kept = history.best, [int(history.best["epoch"])]
    if config.average_last > 1:
        best, row = _average(model, history, states, evaluate, best)
        if row is not history.best:
            kept = [int(averaged["epoch"]) for averaged in history.rows[-config.average_last :]]
    progress.end(history, row)
    model.set_weights(best)
    if devices.is_chief():
        _write(model, history, kept, folder, config.tensorboard)
    devices.wait_for_all("model.keras")
    return {name: float(value) for name, value in row.items()}


def _compile(model, loss, metrics, optimizer, validation, config):
    """Compiles a model, and creates its weights and those of the optimizer."""
    model.compile(
        optimizer,
        loss,
        weighted_metrics=list(metrics),
        jit_compile=uses_xla(config.jit),
        steps_per_execution=config.steps_per_execution,
    )
    if not model.built:
        inputs, *_ = next(iter(validation))
        model(inputs)
    model.optimizer.build(model.trainable_variables)  # with float16, Keras has wrapped it


def _evaluate(model: keras.Model, validation: EpochBatches, score: Callable[[], float] | None) -> Row:
    """The columns of the history that are measured on the validation data."""
    callbacks = AsyncCallbacks(model=model)
    values = model.evaluate(validation, verbose=0, return_dict=True, callbacks=callbacks)
    row = {f"val_{name}": value for name, value in values.items()}
    return row if score is None else {**row, score.__name__: score()}


def _run_epochs(
    model: keras.Model,
    train: EpochBatches,
    history: History,
    states: States,
    evaluate: Callable[[], Row],
    begin_epoch: Callable[[int], None],
    goal: float | None,
    progress: Progress,
) -> Weights:
    """Trains until `history` says that training ends, and returns the weights of the best epoch."""
    history.rows, best = states.restore()
    if history.rows and devices.is_chief():
        history.write()  # a process may have been killed between the state and the history
        note(f"resuming after epoch {len(history.rows)}")
    while not history.has_ended(goal):
        epoch = len(history.rows)
        begin_epoch(epoch)
        if history.config.schedule == "plateau":
            model.optimizer.learning_rate = history.plateau_rate()
        shapes = len(train.shapes)
        loss, weights = _run_epoch(model, train, epoch, history.config.epochs, progress)
        new = len(train.shapes) - shapes
        if uses_xla(history.config.jit) and new and devices.is_chief():
            note(f"XLA compiled the training step for {new} {'shape' if new == 1 else 'shapes'} of batches")
        learning_rate = float(ops.convert_to_numpy(model.optimizer.learning_rate))
        row = {"epoch": epoch + 1, "learning_rate": learning_rate, "loss": loss, **evaluate()}
        if not np.isfinite([row["loss"], row["val_loss"]]).all():
            note(f"the loss is not finite in epoch {epoch + 1}; training stops")
            break
        is_best = history.is_best(row)
        if best is None or is_best:
            best = model.get_weights()
        model.set_weights(weights)
        history.rows.append(row)
        if devices.is_chief():
            states.save(history.rows, best, history.write)
        progress.end_epoch(row, is_best and history.monitor != "epoch")  # by which each epoch is the best
    if best is None:
        raise NotANumberError("the loss is not finite in the first epoch; try a lower learning rate")
    return best


def _run_epoch(
    model: keras.Model, train: EpochBatches, epoch: int, epochs: int, progress: Progress
) -> tuple[float, Weights]:
    """Trains for one epoch, and returns the training loss and the weights after the last step.

    With `ema`, the model's weights are then replaced with their moving averages.
    """
    train.epoch = epoch
    with progress.epoch(epoch) as steps:
        callbacks = AsyncCallbacks(
            [_StopAtNaN(), _OneEpoch(), steps, *([] if train.prefetch else [ReadableVariables()])],
            add_history=True,
            model=model,
            epochs=epochs,
            steps=len(train),
        )
        # The batches are shuffled already.
        history = model.fit(train, initial_epoch=epoch, epochs=epochs, shuffle=False, callbacks=callbacks).history
    weights = model.get_weights()
    getattr(model.optimizer, "inner_optimizer", model.optimizer).use_averages()
    return history["loss"][-1], weights


class _StopAtNaN(keras.callbacks.Callback):
    """Stops some steps after the loss is not a number.

    Keras's `TerminateOnNaN` waits for the loss of each step before it starts the next one.
    """

    def on_train_batch_end(self, batch, logs=None):
        if not np.isfinite(logs["loss"]):
            self.model.stop_training = True


class _OneEpoch(keras.callbacks.Callback):
    """Stops after one epoch."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True


def _average(
    model: keras.Model, history: History, states: States, evaluate: Callable[[], Row], best: Weights
) -> tuple[Weights, Row]:
    """The weights and measurements of the average of the last epochs, or of the best epoch if that is better."""
    model.set_weights(states.average(len(history.rows)))
    row = evaluate()
    is_better = history.quality(row) > history.quality(history.best)
    comparison = f"{'' if is_better else 'not '}better than epoch {history.best['epoch']}"
    note(f"average of the last epochs: {measurements(row)}, {comparison}")
    return (model.get_weights(), row) if is_better else (best, history.best)


def _write(model: keras.Model, history: History, kept: Sequence[int], folder: Path, tensorboard: bool) -> None:
    """Writes the model, the figure of the history, and the logs for TensorBoard."""
    path = folder / "model.keras"
    with devices.alone():  # saving and loading create variables
        model.save(path)
        # Loading and saving it again leaves out the optimizer and the loss.
        keras.models.load_model(path, compile=False).save(path)
    (folder / "figures").mkdir(exist_ok=True)
    draw_history(history.path, folder / "figures" / "history.png", kept)
    if tensorboard:
        writer = import_extra("tensorboard.summary", "tensorboard").Writer(str(folder / "tensorboard"))
        for row in history.rows:
            for name in row.keys() - {"epoch"}:
                writer.add_scalar(name, float(row[name]), int(row["epoch"]))
        writer.close()
