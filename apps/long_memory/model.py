"""One recurrent layer on a task, and how far its gradients reach."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import initializers, layers

from ...layers import Chrono, PerGate, gradient_flow, spectral_radii
from ...layers.family import sequence_layer_class
from ...layers.types import Tensor
from ..shared.errors import TrainingError, UsageError
from ..shared.models.rows import answer_usable, first_error
from ..shared.models.trained_model import TrainedModel
from ..shared.text.tokenizers import strings
from ..shared.training.fit import fit
from .config import Config
from .data import TASKS, batches, goal, test_sequences, validation_sequences

TEXTS = [tf.TensorSpec([None], tf.string, name="text")]
FLOW_SEQUENCES = 20  # sequences over which the gradient norms are averaged
MARGIN = 0.8  # training ends below this fraction of the goal, so that the loss on new sequences is below the goal, too


def build(config: Config) -> keras.Sequential:
    """Builds the Keras model of a configuration, from sequences `(batch, steps, features)` to logits or a sum.

    Raises:
        TrainingError: If the cell does not support the initial biases.
    """
    task = TASKS[config.task]
    layer_class = sequence_layer_class(config.cell)
    layer = layer_class(
        config.units,
        activation=config.activation,
        recurrent_initializer=PerGate(_initializer(config), layer_class.cell_class.gates),
        return_sequences=task.is_sequence,
        dtype=config.precision,
        name=config.cell,
        **_bias_arguments(config, layer_class.cell_class),
    )
    answer = layers.Dense(task.outputs, dtype=config.precision, name="answer")
    return keras.Sequential([keras.Input((None, task.features)), layer, answer])


def _initializer(config: Config) -> initializers.Initializer:
    """Returns the initializer of the recurrent weights of a gate."""
    if config.start == "orthogonal":
        return initializers.Orthogonal(gain=config.scale)
    if config.start == "glorot":
        return initializers.VarianceScaling(config.scale**2, mode="fan_avg", distribution="uniform")
    return initializers.Identity(gain=config.scale)


def _bias_arguments(config: Config, cell_class: Any) -> dict[str, Any]:
    """Returns the arguments of the layer that set its initial biases."""
    has_forget_bias = "unit_forget_bias" in cell_class.argument_names()
    if config.bias == "forget" and not has_forget_bias:
        raise TrainingError(f"{config.cell} has no forget bias, which the bias forget requires; lstm has one")
    arguments: dict[str, Any] = {"unit_forget_bias": config.bias == "forget"} if has_forget_bias else {}
    if config.bias == "chrono":
        if not cell_class.chrono_signs:
            raise TrainingError(f"{config.cell} has no gates, which the bias chrono requires; lstm and gru have them")
        arguments["bias_initializer"] = Chrono(config.cell, config.lag)
    return arguments


def loss(config: Config) -> keras.losses.Loss:
    """Returns the loss of the task."""
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

    def __init__(self, config: Config, model: keras.Sequential) -> None:
        super().__init__(config, model)
        self.layer, self.output_layer = model.layers[0], model.get_layer("answer")
        self._answer = tf.function(self.answer, input_signature=TEXTS)

    def signatures(self) -> dict[str, Any]:
        """Returns one signature from sequences written as strings, `text` `(batch,)`, to the outputs of `answer`."""
        return {"serving_default": (self.answer, TEXTS)}

    def answer(self, text: Tensor) -> dict[str, Tensor]:
        """Answers sequences written as strings `(batch,)`, in the graph.

        Returns:
            Dictionary of the answers, `text` `(batch,)`, and `error` `(batch,)`, which is empty for a sequence of the
            task. The answer to any other string is empty.
        """
        task = TASKS[self.config.task]
        inputs, is_valid = task.parse(text, self.config.lag)
        message = f"not a sequence of the task {self.config.task}: a sequence is {task.form}"
        error = first_error((~is_valid, message))
        return answer_usable(self._answer_inputs, error, is_valid, inputs)

    def _answer_inputs(self, inputs: Tensor) -> dict[str, Tensor]:
        task = TASKS[self.config.task]
        padded = tf.ensure_shape(inputs.to_tensor(), (None, None, task.features))
        padded = tf.pad(padded, [[0, 0], [0, tf.maximum(0, 1 - tf.shape(padded)[1])], [0, 0]])  # a batch without rows
        mask = tf.sequence_mask(inputs.row_lengths(), tf.shape(padded)[1])
        return {"text": task.format(self.output_layer(self.layer(padded, mask=mask)))}

    def solve(self, texts: Sequence[str]) -> list[str]:
        """Answers a list of sequences.

        Raises:
            UsageError: If a text is not a sequence of the task.
        """
        outputs = self._answer(strings(texts))
        for error in filter(None, outputs["error"].numpy()):
            raise UsageError(error.decode())
        return [text.decode() for text in outputs["text"].numpy()]

    def measure(self) -> dict[str, Any]:
        """Measures the loss on new sequences, and how far gradients reach.

        Returns:
            Dictionary of `loss`; `guess`, the loss of the best prediction that ignores the inputs; `solved`; and the
            results of `measure_flow`. What is not finite is None.
        """
        inputs, targets = test_sequences(self.config)
        outputs = self.model.predict(inputs, verbose=0)
        value = float(tf.reduce_mean(loss(self.config)(targets, outputs)))
        return {
            "loss": _finite(value),
            "guess": TASKS[self.config.task].guess(self.config.lag),
            "solved": value < goal(self.config),
            **measure_flow(self.model, self.config),
        }


def measure_flow(model: keras.Sequential, config: Config) -> dict[str, Any]:
    """Measures how far the gradient of the last output's loss reaches back.

    Returns:
        Dictionary of `flow`, the norm of the gradient with respect to the state after each step, averaged over
        sequences; `arrives`, the fraction that reaches the step which the output depends on; `lost`, the rest; and
        `spectral_radii` of the recurrent weights of each gate. What is not finite is None.
    """
    task = TASKS[config.task]
    inputs, targets = test_sequences(config)
    inputs, targets = inputs[:FLOW_SEQUENCES], targets[:FLOW_SEQUENCES]
    if task.is_sequence:
        targets = targets[:, -1]

    def last_loss(targets: Tensor, outputs: Tensor) -> Tensor:
        return loss(config)(targets, outputs[:, -1] if task.is_sequence else outputs)

    (norms,) = gradient_flow(model, inputs, targets, last_loss).values()
    norms = FLOW_SEQUENCES * norms.mean(axis=0)  # the loss is a mean over the sequences
    with np.errstate(divide="ignore", invalid="ignore"):
        # Relative to the last but one step, because the last cell state of an LSTM does not affect the loss.
        arrives = norms[task.needed_step] / norms[-2]
    return {
        "flow": [_finite(norm) for norm in norms],
        "arrives": _finite(arrives),
        "lost": _finite(1 - arrives),
        "spectral_radii": spectral_radii(model.layers[0]),
    }


def _finite(number: Any) -> float | None:
    return float(number) if np.isfinite(number) else None


def train(config: Config, folder: str | Path) -> Experiment:
    """Trains a network and writes it to a folder, or resumes an interrupted training there.

    Args:
        config: The `Config`.
        folder: The model's folder.

    Raises:
        TrainingError: If options do not fit together, or the loss is not a number.
    """
    if config.label_smoothing:
        raise TrainingError("label_smoothing must be 0, because these tasks are solved by a loss near 0")
    keras.utils.set_random_seed(config.seed)
    model = build(config)
    experiment = Experiment(config, model)
    experiment.save_assets(folder)
    validation = tf.data.Dataset.from_tensor_slices(validation_sequences(config)).batch(config.batch_size)
    fit(model, loss(config), batches(config), validation, config, folder, goal=MARGIN * goal(config))
    return experiment
