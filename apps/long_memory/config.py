"""The options of an experiment with long-term dependencies."""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from ..shared.config import Cell, PositiveFloat, PositiveInt, Schedule, TrainingConfig, Units
from ..shared.options import Limits

Lag: TypeAlias = Annotated[int, Limits("an integer from 4 to 100,000", 4, 100_000)]


@dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Trains a recurrent layer on a task with a long-term dependency.

    The command

        keras-recurrent long_memory train --cell lstm --bias chrono --lag 200 --output saved_models/adding

    trains an LSTM on the adding problem until it is solved, for at most `epochs` epochs. Then

        keras-recurrent long_memory evaluate saved_models/adding

    prints its loss on new sequences and the loss of the best constant prediction. `keras-recurrent long_memory report`
    compares all cells at all lags on one page.

    Args:
        app: The app that this configuration belongs to.
        task: Target of the prediction: the sum of the two marked numbers of a sequence (adding), its first three
            symbols after a long blank (copy), or whether its first digit is odd (parity).
        lag: Length of a sequence in steps, or of its blank. Dependencies span up to this number of steps.
        cell: Type of the recurrent layer.
        units: Units of the recurrent layer.
        activation: Activation of the vanilla network, or of the candidate of a gated cell.
        start: Initializer of the recurrent weights: orthogonal or Glorot's for each gate, or the identity matrix.
        scale: Factor of the initial recurrent weights.
        bias: Initial biases: zeros; 1 for the forget gate of an LSTM (forget); or time scales spread up to `lag` steps,
            for an LSTM or GRU (chrono).
        batch_size: Sequences per batch.
        steps_per_epoch: Training steps between two validations. Training ends after the validation that finds the task
            solved.
    """

    common_options = (
        "task",
        "lag",
        "cell",
        "units",
        "activation",
        "start",
        "bias",
        "learning_rate",
        "epochs",
        "seed",
    )  # of `train --help`

    app: Literal["long_memory"] = "long_memory"
    task: Literal["adding", "copy", "parity"] = "adding"
    lag: Lag = 100
    cell: Cell = "lstm"
    units: Units = 64
    activation: Literal["tanh", "relu"] = "tanh"
    start: Literal["orthogonal", "glorot", "identity"] = "orthogonal"
    scale: PositiveFloat = 1.0
    bias: Literal["zeros", "forget", "chrono"] = "zeros"
    batch_size: PositiveInt = 50
    steps_per_epoch: PositiveInt = 100
    schedule: Schedule = "constant"
    epochs: PositiveInt = 30
    patience: PositiveInt = 1000

    @property
    def example(self) -> tuple[str, ...]:
        """The verb and the inputs of a prediction, which `train` suggests."""
        sequences = {"adding": "0.3 0.5* 0.1 0.7*", "copy": "a b c", "parity": "7 1 0 3"}
        return "predict", sequences[self.task]
