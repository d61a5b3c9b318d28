"""The options of a forecaster."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..shared.config import (
    Cell,
    Length,
    NonNegativeFloat,
    NonNegativeInt,
    OpenUnitInterval,
    PositiveFloat,
    PositiveInt,
    PositiveSamples,
    Rate,
    RecurrentConfig,
    TrainingConfig,
    Units,
)


@dataclass(frozen=True, kw_only=True)
class Config(RecurrentConfig, TrainingConfig):
    """Trains a forecaster of time series.

    The command

        keras-recurrent forecasting train --output saved_models/shops

    trains on the generated data set `sales` in minutes. Then

        keras-recurrent forecasting evaluate saved_models/shops

    prints its errors beside those of simple methods.

    Args:
        app: The app that this configuration belongs to.
        data: CSV file (or .gz) in the long form, with a row for each value and the columns of `id`, `time` and
            `target`, or in the wide form, with a row for each series; or a folder with train.csv and test.csv, which
            continues the series; or sales, which is generated. A folder of this name is ./sales.
        target: Columns to forecast. Each is forecast as a separate series.
        id: Column with the name of the series. Without such a column, the file is one series.
        time: Column with the timestamps, or with integers.
        static: Columns that are constant for each series, such as the kind of a shop. By default there are none; for
            generated data, all of its columns are used.
        past: Columns that are known up to the present, such as the weather.
        known: Columns that are known ahead, such as promotions. They must extend beyond the last value by `horizon`.
        frequency: Distance of the timestamps, an alias of pandas such as h, D, W-SUN or MS. The default is inferred.
        calendar: Also read the hour, the day of the week and the day of the year from the timestamps.
        horizon: Number of steps to forecast.
        context: Number of steps before the present that the model reads.
        short: What becomes of a series that is shorter than `context` and `horizon` together: it is left out of the
            training, or its start is padded.
        validation_size: Number of steps before those of the test to validate on. The default is `horizon`.
        train_on_validation: Train on the validation part, too, so that the model learns the latest values. Choose the
            other options without it.
        test_size: Number of steps at the end to hold out for `evaluate`. The default is `horizon`, or the steps in
            test.csv.
        distribution: Distribution of a forecast, or the quantiles of `levels` (quantiles). Counts suit
            negative_binomial, data with outliers student_t.
        levels: Levels of the quantiles to forecast, ascending. The one at 0.5, the median, is the forecast.
        relative_loss: Weight of relative errors, as in sMAPE, beside those in units of the scale. For quantiles only.
        scaling: How each window is scaled: divided by its mean magnitude (mean), by its mean and standard deviation
            (standard), by its last value and standard deviation (last), by the mean and the mean change of its first
            season (seasonal), by exponential smoothing of its level and of all `seasons`, whose coefficients are
            trained (smoothing), or not at all (none).
        network: An encoder of the past with a decoder that computes all steps of the horizon at once (encoder_decoder);
            the same with forecasts relative to a weighted mean of past seasons, whose weights the decoder computes
            (copying); or one network that reads the values before each segment and forecasts by drawing samples
            (autoregressive).
        members: Number of networks that are trained side by side from different initial weights. The mean of their
            quantiles is the forecast.
        samples: Number of samples that an autoregressive network draws for a forecast.
        seasons: Lengths of the seasons in steps. The decoder reads the values one season before.
        season_lags: For each season, the number of past seasons whose values the decoder reads.
        encoder_units: Units of each recurrent layer of the encoder, per direction.
        decoder_units: Units of each recurrent layer of the decoder, or of the autoregressive network.
        dilations: For each layer of the encoder the distance of the steps that it connects, such as [1, 4, 16]. The
            default is 1.
        residual: Add the input of a layer of the encoder to its output, from the second layer on.
        bidirectional: Run the encoder in both directions.
        segment: Number of consecutive steps that one recurrent step reads and forecasts; it must divide `horizon` and
            `context`. A longer segment is faster.
        attention: Let the decoder attend to the encoder's outputs.
        windows_per_epoch: Number of windows that are drawn per epoch. By default each step is forecast four times on
            average, and there are at least 100 batches.
        batch_size: Windows per batch.
    """

    common_options = (
        "data",
        "target",
        "known",
        "horizon",
        "context",
        "segment",
        "seasons",
        "distribution",
        "cell",
        "epochs",
        "batch_size",
    )  # of `train --help`

    app: Literal["forecasting"] = "forecasting"
    data: str = "sales"
    target: tuple[str, ...] = ("y",)
    id: str = "unique_id"
    time: str = "ds"
    static: tuple[str, ...] | None = None
    past: tuple[str, ...] | None = None
    known: tuple[str, ...] | None = None
    frequency: str | None = None
    calendar: bool = True
    horizon: Length = 28
    context: Length = 112
    short: Literal["leave_out", "pad"] = "leave_out"
    validation_size: PositiveInt | None = None
    train_on_validation: bool = False
    test_size: NonNegativeInt | None = None
    distribution: Literal["quantiles", "gaussian", "student_t", "negative_binomial"] = "quantiles"
    levels: tuple[OpenUnitInterval, ...] = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
    relative_loss: NonNegativeFloat = 0.0
    scaling: Literal["mean", "standard", "last", "seasonal", "smoothing", "none"] = "mean"
    network: Literal["encoder_decoder", "copying", "autoregressive"] = "encoder_decoder"
    members: PositiveInt = 1
    samples: PositiveSamples = 100
    seasons: tuple[PositiveInt, ...] = (7,)
    season_lags: PositiveInt = 4
    cell: Cell = "gru"
    encoder_units: Units = 64
    decoder_units: Units = 64
    dilations: tuple[PositiveInt, ...] | None = None
    residual: bool = False
    bidirectional: bool = False
    segment: PositiveInt = 7
    attention: bool = False
    dropout: Rate = 0.1
    windows_per_epoch: PositiveInt | None = None
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 0.002
    epochs: PositiveInt = 10

    def contradictions(self) -> Iterator[str]:
        if self.horizon % self.segment or self.context % self.segment:
            yield f"--horizon {self.horizon} and --context {self.context} must be multiples of --segment {self.segment}"
        if list(self.levels) != sorted(set(self.levels)) or 0.5 not in self.levels:
            yield f"--levels must ascend and contain 0.5, not {list(self.levels)}"
        if self.dilations is not None and len(self.dilations) != self.num_layers:
            yield f"--dilations {list(self.dilations)} must have one number for each of the {self.num_layers} layers"
        if self.relative_loss and self.distribution != "quantiles":
            yield f"--relative-loss requires --distribution quantiles, not {self.distribution}"
        if self.network == "copying" and not (self.seasons and self.season < self.context):
            yield "--network copying requires --seasons, the first of which is shorter than --context"
        longest = {"seasonal": self.season, "smoothing": max(self.seasons, default=1)}.get(self.scaling, 0)
        if longest >= self.context:
            yield f"--scaling {self.scaling} requires --seasons that are shorter than --context, not {longest}"
        for name, size in (("validation", self.validation_size), ("test", self.test_size or None)):
            if size is not None and size < self.horizon:
                yield f"--{name}-size {size} must be at least --horizon {self.horizon}"
        for name in self.known or ():
            if name in self.target:
                yield f"--known {name} is what is to forecast, so that it is not known ahead"
        if self.network == "autoregressive":
            yield from self._autoregressive_contradictions()

    def _autoregressive_contradictions(self) -> Iterator[str]:
        """Yields a message for each option that an autoregressive network does not have."""
        if self.distribution == "quantiles":
            yield (
                "--network autoregressive draws samples: choose --distribution gaussian, student_t or negative_binomial"
            )
        for name in ("dilations", "residual", "bidirectional", "attention"):
            if getattr(self, name):
                yield f"--{name} requires --network encoder_decoder or copying"
        if self.members > 1:
            yield "--members requires --network encoder_decoder or copying"

    @property
    def season(self) -> int:
        """The first of the seasons, 1 if there are none."""
        return self.seasons[0] if self.seasons else 1

    @property
    def example(self) -> tuple[str, ...]:
        """The verb and the inputs of a prediction, which `train` suggests."""
        return "predict", "--figure", "forecasts.png"
