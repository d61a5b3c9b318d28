"""One recurrent layer on a task, and how far its gradients reach."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import initializers, layers

from ...layers import Chrono, PerGate, gradient_flow, spectral_radii
from ...layers.family import sequence_layer_class
from ...layers.types import Tensor
from ..shared.errors import TrainingError, UsageError
from ..shared.models.compiled import compiled
from ..shared.models.trained_model import TrainedModel
from ..shared.training.fit import fit
from .config import Config
from .data import TASKS, batches, goal, test_sequences, validation_batches

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
        inputs = keras.InputSpec(dtype="float32", shape=(None, None, TASKS[config.task].features))
        mask = keras.InputSpec(dtype="bool", shape=(None, None))
        self._compiled_outputs = compiled(self.outputs, model, [inputs, mask])

    def outputs(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Computes the outputs for sequences `(batch, steps, features)` with a mask `(batch, steps)`."""
        return self.output_layer(self.layer(inputs, mask=mask))

    def solve(self, texts: Sequence[str]) -> list[str]:
        """Answers a list of sequences.

        Raises:
            UsageError: If a text is not a sequence of the task.
        """
        task = TASKS[self.config.task]
        answers = []
        for text in texts:
            inputs = task.parse(text, self.config.lag)
            if inputs is None:
                raise UsageError(f"not a sequence of the task {self.config.task}: a sequence is {task.form}")
            (outputs,) = self._compiled_outputs(inputs[np.newaxis], np.ones((1, len(inputs)), bool))
            answers.append(task.format(outputs))
        return answers

    def measure(self) -> dict[str, Any]:
        """Measures the loss on new sequences, and how far gradients reach.

        Returns:
            Dictionary of `loss`; `guess`, the loss of the best prediction that ignores the inputs; `solved`; and the
            results of `measure_flow`. What is not finite is None.
        """
        inputs, targets = test_sequences(self.config)
        outputs = self.model.predict(inputs, verbose=0)
        value = float(loss(self.config)(targets, outputs))
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
    fit(model, loss(config), batches(config), validation_batches(config), config, folder, goal=MARGIN * goal(config))
    return experiment
