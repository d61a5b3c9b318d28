"""The options of an experiment with long dependencies."""

from dataclasses import dataclass
from typing import Literal

from jsonargparse.typing import PositiveFloat, PositiveInt, restricted_number_type

from ..shared.config import Schedule, TrainingConfig

Lag = restricted_number_type("Lag", int, (">=", 4), docstring="Integer of 4 or more")


@dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Trains a recurrent network on a task whose answer depends on what came long before.

    The command

        keras-recurrent long_memory train --cell lstm --bias chrono --lag 200 --output saved_models/adding

    trains an LSTM on the adding problem until it is solved, at most for `epochs`, and

        keras-recurrent long_memory evaluate saved_models/adding

    then prints its error on new sequences beside that of the best constant guess. `keras-recurrent long_memory report`
    compares all cells at all lags on one page.

    Args:
        app: The app that this configuration is for.
        task: What is to be found: the sum of the two marked numbers of a sequence (adding), its first three symbols
            again after a long blank (copy), or whether its first digit is odd (parity).
        lag: The steps of a sequence, or those of its blank.
        cell: The recurrent cell.
        units: Dimension of the recurrent layer.
        activation: The activation of the vanilla network, or of a gated cell's candidate.
        start: The recurrent weights at first: orthogonal, or Glorot's, each gate for itself, or the unit matrix.
        scale: What the recurrent weights are multiplied by at first.
        bias: The biases at first: zeros; with 1 for the forget gate (forget), of an LSTM; or such that the units
            remember for times spread up to `lag` steps (chrono), of an LSTM or GRU.
        batch_size: Sequences of a training step.
        steps_per_epoch: Training steps between two looks at the error on new sequences. Training ends where the task is
            solved.
    """

    app: Literal["long_memory"] = "long_memory"
    task: Literal["adding", "copy", "parity"] = "adding"
    lag: Lag = 100
    cell: Literal["simple_rnn", "lstm", "gru"] = "lstm"
    units: PositiveInt = 64
    activation: Literal["tanh", "relu"] = "tanh"
    start: Literal["orthogonal", "glorot", "identity"] = "orthogonal"
    scale: PositiveFloat = 1.0
    bias: Literal["zeros", "forget", "chrono"] = "zeros"
    batch_size: PositiveInt = 50
    steps_per_epoch: PositiveInt = 100
    schedule: Schedule = "constant"
    epochs: PositiveInt = 30
    patience: PositiveInt = 1000
