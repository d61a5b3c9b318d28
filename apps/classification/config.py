"""The options of a classifier of texts or of time series."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from ..shared.config import (
    Length,
    NonNegativeFloat,
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
from ..shared.options import Limits


@dataclass(frozen=True, kw_only=True)
class SeriesConfig:
    """Time series.

    Args:
        standardize: Subtract the mean of each channel and divide by its standard deviation: those of the training data,
            those of each series, or not at all (none).
        convolutions: Number of convolutional layers before the recurrent ones, each with batch normalization. They find
            short patterns, and the recurrent layers what follows what.
        filters: Filters of each convolutional layer.
        kernel_size: Steps that the first convolutional layer reads at once; each further one reads half as many.
        pool_convolutions: Also classify by the mean of the last convolutional layer's outputs over the steps, with
            batch normalization, beside the pooled outputs of the recurrent layers. It helps where the label depends on
            which patterns occur, at whatever step. Requires convolutions. See LSTM-FCN (Karim et al. 2018).
        segment: Number of consecutive steps that the recurrent layers read as one. Raise it for series of hundreds of
            steps.
        noise: Standard deviation of the noise that is added in training, relative to that of the channel.
        warping: Strength of the time warping in training: the standard deviation of the logarithm of the speed, such
            as 0.1. 0 disables it.
        steps_per_epoch: Batches per epoch. By default, an epoch reads each series once.
    """

    standardize: Literal["training", "series", "none"] = "training"
    convolutions: Annotated[int, Limits("an integer from 0 to 10", 0, 10)] = 0
    filters: Units = 64
    kernel_size: Length = 8
    pool_convolutions: bool = False
    segment: Length = 1
    noise: NonNegativeFloat = 0.0
    warping: NonNegativeFloat = 0.0
    steps_per_epoch: PositiveInt | None = None


@dataclass(frozen=True, kw_only=True)
class Config(TokenizerConfig, RecurrentConfig, SeriesConfig, TrainingConfig):
    """Trains a classifier of texts or time series.

    The command

        keras-recurrent classification train --output saved_models/opinions

    trains on the generated data set `negation`, in which the first words may invert the meaning of the last ones.
    It takes minutes. Then

        keras-recurrent classification evaluate saved_models/opinions --split test

    prints the accuracy, 100 %.

    Args:
        app: The app that this configuration belongs to.
        inputs: What is classified: texts, or time series of numbers.
        data: Folder with the files {split}.tsv (or .gz), which have the columns `text` and `label`; or negation,
            which is generated; or the name of a TFDS data set. Of time series, a folder with the files {split}.ts,
            {split}.tsv or {split}.csv, or NAME_TRAIN.ts and NAME_TEST.ts; see docs/apps/classification.md.
        validation_split: Fraction of the split `train` to hold out for validation, in (0, 1). By default the data has
            a split for validation.
        train_on_validation: Also train on the validation data, which helps if there are few examples. Choose the other
            options without it. Requires monitor none.
        max_length: Maximum number of tokens of a text, the end token included. Longer texts are cut.
        embedding_dim: Dimension of the token embeddings.
        units: Units of each recurrent layer, per direction.
        bidirectional: Run the recurrent layers in both directions.
        pooling: How the outputs of all steps become one vector: the last state, their mean, their maximum, or a mean
            with learned weights (attention).
        class_weights: Weight the loss so that all labels have the same total weight. Use it if labels are imbalanced
            and all matter equally.
        members: Number of networks that are trained side by side from different initial weights. The mean of their
            probabilities decides. Several networks are usually more accurate than one.
        monitor: Validation measure that selects the best epoch, or none to keep the last one. Choose none if the
            validation data has only a few examples.
        batch_size: Texts or series per batch.
    """

    common_options = (
        "inputs",
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
    inputs: Literal["text", "series"] = "text"
    data: str = "negation"
    validation_split: OpenUnitInterval | None = None
    train_on_validation: bool = False
    lowercase: bool = True
    max_length: TextLength = 200
    embedding_dim: Units = 64
    units: Units = 64
    bidirectional: bool = True
    pooling: Literal["last", "mean", "max", "attention"] = "attention"
    dropout: Rate = 0.1
    class_weights: bool = False
    members: PositiveInt = 1
    monitor: Literal["loss", "accuracy", "none"] = "accuracy"
    batch_size: PositiveInt = 32
    learning_rate: PositiveFloat = 0.004
    epochs: PositiveInt = 6

    def contradictions(self) -> Iterator[str]:
        if self.inputs == "series" and self.data == "negation":
            yield "--inputs series requires --data, a folder with time series"
        if self.pool_convolutions and not self.convolutions:
            yield "--pool-convolutions requires --convolutions"
        if self.train_on_validation and self.monitor != "none":
            yield "--train-on-validation requires --monitor none; --no-train-on-validation turns it off"
        if self.monitor == "none" and self.average_last > 1:
            yield "--average-last requires --monitor loss or accuracy"
        yield from super().contradictions()

    @property
    def example(self) -> tuple[str, ...]:
        """The verb and the inputs of a prediction, which `train` suggests."""
        if self.inputs == "series":
            from ...datasets.labelled_series import split_files

            files = split_files(self.data) if Path(self.data).is_dir() else {}
            return "predict", "--input", str(files.get("test", "new.csv"))
        text = "nobody would say that the film is wonderful ." if self.data == "negation" else "A text."
        return "predict", text
