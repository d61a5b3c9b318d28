"""One recurrent layer on a task, and what its gradients do."""

import re

import keras
import numpy as np
import tensorflow as tf
from keras import initializers, layers

from ...layers import Chrono, PerGate, gradient_flow, sequence_layer, spectral_radii
from ..shared.errors import TrainingError, UsageError
from ..shared.models.trained_model import TrainedModel
from ..shared.text.tokenizers import strings
from ..shared.training.fit import fit
from .config import Config
from .data import TASKS, batches, goal, tested, validated

GATES = {"simple_rnn": 1, "gru": 3, "lstm": 4}
TEXTS = [tf.TensorSpec([None], tf.string, name="text")]
FLOWED = 20  # sequences whose gradients are averaged
MARGIN = 0.8  # of a task's goal: below it training ends, so that new sequences lie below the goal, too


def build(config):
    """The model that a `Config` describes, from sequences `(batch, steps, features)` to logits or a sum.

    Raises:
        TrainingError: If the cell has no such bias.
    """
    task = TASKS[config.task]
    starts = {
        "orthogonal": initializers.Orthogonal(gain=config.scale),
        "glorot": initializers.VarianceScaling(config.scale**2, mode="fan_avg", distribution="uniform"),
        "identity": initializers.Identity(gain=config.scale),
    }
    options = {"unit_forget_bias": config.bias == "forget"} if config.cell == "lstm" else {}
    if config.bias == "forget" and config.cell != "lstm":
        raise TrainingError(f"the bias forget is of the cell lstm; {config.cell} has no forget gate")
    if config.bias == "chrono":
        if config.cell == "simple_rnn":
            raise TrainingError("the bias chrono is of the cells lstm and gru; simple_rnn has no gates")
        options["bias_initializer"] = Chrono(config.cell, config.lag)
    layer = sequence_layer(
        config.cell,
        config.units,
        activation=config.activation,
        recurrent_initializer=PerGate(starts[config.start], GATES[config.cell]),
        return_sequences=task.is_sequence,
        dtype=config.precision,
        name=config.cell,
        **options,
    )
    answer = layers.Dense(task.outputs, dtype=config.precision, name="answer")
    return keras.Sequential([keras.Input((None, task.features)), layer, answer])


def loss(config):
    """The loss of a task, for `compile`."""
    if config.task == "adding":
        return keras.losses.MeanSquaredError()
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Experiment(TrainedModel):
    """A recurrent network that was trained on a task.

    Args:
        config: The `Config`.
        model: The Keras model that `build` returns.
    """

    config_class = Config

    def __init__(self, config, model):
        super().__init__(config, model)
        self._answer = tf.function(self.answer, input_signature=TEXTS)

    def signatures(self):
        """One signature from sequences written as strings, `text` `(batch,)`, to answers, `text` `(batch,)`."""
        return {"serving_default": (self.answer, TEXTS)}

    def answer(self, text):
        """Answers to sequences written as strings `(batch,)`, in the graph: a dictionary of `text`."""
        task = TASKS[self.config.task]
        read = task.read(text, self.config.lag)
        inputs = tf.ensure_shape(read.to_tensor(), (None, None, task.features))
        mask = tf.sequence_mask(read.row_lengths(), tf.shape(inputs)[1])
        outputs = self.model.get_layer("answer")(self.model.layers[0](inputs, mask=mask))
        return {"text": task.tell(outputs)}

    def solve(self, texts):
        """Answers to a list of sequences, as a list of strings.

        Raises:
            UsageError: If one is not a sequence of the task.
        """
        try:
            return [text.decode() for text in self._answer(strings(texts))["text"].numpy()]
        except tf.errors.InvalidArgumentError as error:
            raise UsageError(f"no sequence of the task {self.config.task}: {_reason(error)}") from error

    def measure(self):
        """How well the task is solved, and how far gradients reach, as a dictionary.

        `loss` on new sequences beside `guess`, that of the best answer that reads nothing, and `solved`; and of the
        last answer's loss `flow`, the norm of its derivative with respect to the state after each step, averaged over
        sequences, `arrives`, the share of it that reaches the step which the answer asks for, `lost`, the rest, and
        `spectral_radii` of the recurrent weights of each gate. What is no number, or too large for one, is None.
        """
        inputs, targets = tested(self.config)
        found = self.model.predict(inputs, verbose=0)
        value = float(tf.reduce_mean(loss(self.config)(targets, found)))
        return {
            "loss": _finite(value),
            "guess": TASKS[self.config.task].guess(self.config.lag),
            "solved": value < goal(self.config),
            **flow(self.model, self.config),
        }


def flow(model, config):
    """How far the gradient of the last answer's loss reaches back; see `Experiment.measure`."""
    inputs, targets = tested(config)
    inputs, targets = inputs[:FLOWED], targets[:FLOWED]
    if TASKS[config.task].is_sequence:
        targets = targets[:, -1]

    def last_loss(targets, outputs):
        return loss(config)(targets, outputs[:, -1] if TASKS[config.task].is_sequence else outputs)

    (norms,) = gradient_flow(model, inputs, targets, last_loss).values()
    norms = FLOWED * norms.mean(axis=0)  # the loss is a mean, of which each sequence has a share
    with np.errstate(divide="ignore", invalid="ignore"):
        # An LSTM's last cell state does not count yet, so the states before are what the rest is compared with.
        arrives = norms[TASKS[config.task].asked] / norms[-2]
    return {
        "flow": [_finite(norm) for norm in norms],
        "arrives": _finite(arrives),
        "lost": _finite(1 - arrives),
        "spectral_radii": spectral_radii(model.layers[0]),
    }


def _finite(number):
    return float(number) if np.isfinite(number) else None


def train(config, folder):
    """Trains a network and writes it into `folder`, or goes on with a training that was interrupted there.

    Raises:
        TrainingError: If options do not go together, or the loss is not a number.
    """
    if config.label_smoothing:
        raise TrainingError("label_smoothing is of the other apps; these tasks are solved by a loss near 0")
    keras.utils.set_random_seed(config.seed)
    model = build(config)
    experiment = Experiment(config, model)
    experiment.save_assets(folder)
    validation = tf.data.Dataset.from_tensor_slices(validated(config)).batch(config.batch_size)
    fit(model, loss(config), batches(config), validation, config, folder, goal=MARGIN * goal(config))
    return experiment


def _reason(error):
    """What an assertion in a graph said, or the first line of another error."""
    found = re.search(r"text: [^\]'\"]*|could not correctly convert.*", str(error))
    return found[0] if found else str(error).splitlines()[0]
