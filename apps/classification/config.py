"""The options of a text classifier."""

from dataclasses import dataclass
from typing import Literal

from ..shared.config import (
    OpenUnitInterval,
    PositiveFloat,
    PositiveInt,
    Rate,
    RecurrentConfig,
    TextLength,
    TokenizerConfig,
    TrainingConfig,
    Units,
)


@dataclass(frozen=True, kw_only=True)
class Config(TokenizerConfig, RecurrentConfig, TrainingConfig):
    """Trains a text classifier.

    The command

        keras-recurrent classification train --output saved_models/opinions

    trains on the generated data set `negation`, in which the first words may invert the meaning of the last ones.
    It takes minutes. Then

        keras-recurrent classification evaluate saved_models/opinions --split test

    prints the accuracy, 100 %.

    Args:
        app: The app that this configuration belongs to.
        data: Folder with the files {split}.tsv (or .gz), which have the columns `text` and `label`; or negation,
            which is generated; or the name of a TFDS data set.
        validation_split: Fraction of the split `train` to hold out for validation, in (0, 1). By default the data has
            a split for validation.
        max_length: Maximum number of tokens of a text, the end token included. Longer texts are cut.
        embedding_dim: Dimension of the token embeddings.
        units: Units of each recurrent layer, per direction.
        bidirectional: Run the recurrent layers in both directions.
        pooling: How the outputs of all steps become one vector: the last state, their mean, their maximum, or a mean
            with learned weights (attention).
        class_weights: Weight the loss so that all labels have the same total weight. Use it if labels are imbalanced
            and all matter equally.
        monitor: Validation measure that selects the best epoch.
        batch_size: Texts per batch.
    """

    common_options = (
        "data",
        "validation_split",
        "tokenizer",
        "max_length",
        "cell",
        "units",
        "pooling",
        "dropout",
        "epochs",
        "batch_size",
    )  # of `train --help`

    app: Literal["classification"] = "classification"
    data: str = "negation"
    validation_split: OpenUnitInterval | None = None
    lowercase: bool = True
    max_length: TextLength = 200
    embedding_dim: Units = 64
    units: Units = 64
    bidirectional: bool = True
    pooling: Literal["last", "mean", "max", "attention"] = "attention"
    dropout: Rate = 0.1
    class_weights: bool = False
    monitor: Literal["loss", "accuracy"] = "accuracy"
    batch_size: PositiveInt = 32
    learning_rate: PositiveFloat = 0.004
    epochs: PositiveInt = 6

    @property
    def example(self) -> tuple[str, ...]:
        """The verb and the inputs of a prediction, which `train` suggests."""
        text = "nobody would say that the film is wonderful ." if self.data == "negation" else "A text."
        return "predict", text
