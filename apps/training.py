"""What the apps' trainings share: the loss, the learning rate, and a `model.fit` that can be interrupted."""

import collections
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ..layers.loop import with_gradient
from .checkpoints import History, States
from .console import note
from .extras import needed
from .figures import draw_history
from .folders import STATES, TrainingError


class NotANumberError(TrainingError):
    """The loss is not a number in the first epoch."""


@keras.saving.register_keras_serializable(package="keras_recurrent")
class TokenCrossentropy(keras.losses.Loss):
    """Cross-entropy of the next token, averaged over the tokens that are not padding.

    With the probability `p` of the right token among `V`, and label smoothing `e` (Szegedy et al. 2016):

        loss = -(1 - e) log p - e / V * (sum of the log-probabilities of all tokens)

    Its derivative is written by hand: it keeps one array of the logits' size, and passes over it a few times.

    Args:
        label_smoothing: Float in [0, 1), `e`.

    Call arguments:
        y_true: Integer tensor `(batch, steps)`, the right tokens; or `(batch, targets, steps)`, as in all that follows.
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
        y_true = ops.cast(y_true, "int32")
        (loss,) = with_gradient(lambda y_pred: self._forward(y_true, y_pred), self._backward, y_pred)
        return loss

    def _forward(self, y_true, y_pred):
        smoothing = self.label_smoothing
        largest = ops.max(y_pred, axis=-1, keepdims=True)
        exponentials = ops.exp(y_pred - largest)
        total = ops.sum(exponentials, axis=-1, keepdims=True)
        right = ops.take_along_axis(y_pred, ops.expand_dims(y_true, -1), axis=-1)
        loss = largest + ops.log(total) - (1 - smoothing) * right
        if smoothing:
            loss = loss - smoothing * ops.mean(y_pred, axis=-1, keepdims=True)
        return (ops.squeeze(loss, -1),), (y_true, exponentials, total)

    def _backward(self, saved, upstream):
        """With the probabilities `q` of all tokens: `dloss / dlogits = q - e / V - (1 - e) [the right token]`."""
        y_true, exponentials, total = saved
        upstream = ops.expand_dims(upstream[0], -1)
        size = exponentials.shape[-1]
        gradient = exponentials * (upstream / total)
        if self.label_smoothing:
            gradient = gradient - upstream * (self.label_smoothing / size)
        rows = ops.reshape(gradient, (-1, size))
        tokens = ops.reshape(y_true, (-1, 1))
        right = ops.take_along_axis(rows, tokens, axis=1) - (1 - self.label_smoothing) * ops.reshape(upstream, (-1, 1))
        indices = ops.concatenate([ops.expand_dims(ops.arange(ops.shape(rows)[0]), 1), tokens], axis=1)
        rows = ops.scatter_update(rows, indices, ops.squeeze(right, -1))
        return [ops.reshape(rows, ops.shape(exponentials))]

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="keras_recurrent")
class InverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises in a line, and then falls with the inverse square root of the steps.

        rate = learning_rate * min(step / warmup_steps, sqrt(warmup_steps / step))

    Args:
        learning_rate: Float, the highest rate.
        warmup_steps: Positive integer, the step that has it.

    Example:

    >>> [round(float(InverseSquareRoot(0.1, 4)(step)), 3) for step in (0, 2, 4, 16)]
    [0.0, 0.05, 0.1, 0.05]

    Reference:
        Vaswani et al. 2017, Attention is all you need, equation 3.
    """

    def __init__(self, learning_rate, warmup_steps):
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        step = ops.cast(step, "float32") / self.warmup_steps
        return self.learning_rate * ops.minimum(step, ops.rsqrt(ops.maximum(step, 1e-9)))

    def get_config(self):
        return {"learning_rate": self.learning_rate, "warmup_steps": self.warmup_steps}


class EpochBatches:
    """Batches that depend on nothing but the epoch, so that a resumed training reads what it would have.

    Args:
        batches: Function of the epoch, counted from 0, that yields its batches.
        signature: What `tf.data.Dataset.from_generator` takes for them.
        count: How many the first epoch has.
        is_fixed: Whether each epoch has as many.
        prefetch: Whether a batch may be made before the step that takes it. Not if it depends on the weights, too,
            which are then those that the step before left.

    Attributes:
        dataset: The `tf.data.Dataset` of the batches of `epoch`.
        epoch: Integer, to be set before an epoch begins.
    """

    def __init__(self, batches, signature, count, is_fixed, prefetch=True):
        self.epoch = 0
        self.count = count
        dataset = tf.data.Dataset.from_generator(lambda: batches(self.epoch), output_signature=signature)
        if is_fixed:  # then progress can be shown in the first epoch, too
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
        if prefetch:
            dataset = dataset.prefetch(tf.data.AUTOTUNE)
        else:
            options = tf.data.Options()
            options.experimental_optimization.inject_prefetch = False  # which TensorFlow does by itself
            dataset = dataset.with_options(options)
        self.dataset = dataset


def slices(items, size):
    """Parts of a list or array of so many items each, in order; the last may have fewer."""
    return [items[first : first + size] for first in range(0, len(items), size)]


def ahead(function, items, threads):
    """`map(function, items)`, computed in threads some items before they are asked for."""
    with ThreadPoolExecutor(threads) as pool:
        waiting = collections.deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


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
    model.compile(optimizer(config, train.count, rates), loss, metrics=list(metrics), jit_compile=config.jit)
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


class AdamWithRates(keras.optimizers.Adam):
    """Adam with another learning rate for some variables: `factors` has by the `id` of each how many times larger.

    A step takes away from each variable `decay` times its own learning rate; Keras's `weight_decay` knows but one rate.
    """

    def __init__(self, *args, factors, decay=0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.factors = factors
        self.decay = decay

    def build(self, variables):
        super().build(variables)
        self.factor_of = [self.factors.get(id(variable), 1.0) for variable in variables]

    def finalize_variable_values(self, var_list):
        # Keras pairs averages and variables by their order, and `var_list` lacks those that are not trained yet.
        super().finalize_variable_values(self._trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        # On TensorFlow, `variable` is what Keras's variable holds, so it goes by its place.
        rate = learning_rate * self.factor_of[self._get_variable_index(variable)]
        if self.decay:
            self.assign_sub(variable, variable * ops.cast(self.decay * rate, variable.dtype))
        super().update_step(gradient, variable, rate)


def optimizer(config, steps, rates=None):
    """The optimizer of a `TrainingConfig`, for epochs of so many batches; `rates` are those of `fit`.

    Raises:
        TrainingError: If options do not go together.
    """
    rate = config.learning_rate
    if config.warmup_steps and config.schedule not in ("cosine", "inverse_sqrt"):
        raise TrainingError(f"the schedule {config.schedule} has no warmup_steps; cosine and inverse_sqrt have")
    warmup = config.warmup_steps * config.accumulate  # Keras's schedules count batches
    if config.schedule == "cosine":
        arguments = {"warmup_target": rate, "warmup_steps": warmup} if warmup else {}
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate, max(1, config.epochs * steps - warmup), **arguments
        )
    elif config.schedule == "inverse_sqrt":
        rate = InverseSquareRoot(rate, max(1, warmup))
    return AdamWithRates(
        rate,
        factors={key: own / config.learning_rate for key, own in (rates or {}).items()},
        decay=config.weight_decay,
        global_clipnorm=config.clip_norm,
        gradient_accumulation_steps=config.accumulate if config.accumulate > 1 else None,
        use_ema=config.ema > 0,
        ema_momentum=config.ema ** (1 / config.accumulate),  # and so does its moving average
    )


def _write_tensorboard(rows, folder):
    with tf.summary.create_file_writer(str(folder)).as_default():
        for row in rows:
            for name in row.keys() - {"epoch"}:
                tf.summary.scalar(name, float(row[name]), step=int(row["epoch"]))
