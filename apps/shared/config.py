"""The options that the apps' trainings and searches share, as bases of their configurations."""

from dataclasses import dataclass
from typing import Literal

from jsonargparse.typing import (
    NonNegativeFloat,
    NonNegativeInt,
    OpenUnitInterval,
    PositiveFloat,
    PositiveInt,
    restricted_number_type,
)

Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)], docstring="Integer in [0, 2**32)")
Share = restricted_number_type("Share", float, [(">", 0), ("<=", 1)], docstring="Float in (0, 1]")
# Of a text, one token and the end.
TwoOrMore = restricted_number_type("TwoOrMore", int, (">=", 2), docstring="Integer of 2 or more")
# Four ids are taken: padding, unknown, start and end.
VocabularySize = restricted_number_type("VocabularySize", int, (">=", 5), docstring="Integer of 5 or more")
Schedule = Literal["constant", "cosine", "inverse_sqrt", "plateau"]
Rate = restricted_number_type("Rate", float, [(">=", 0), ("<", 1)], docstring="Float in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How training goes.

    Args:
        label_smoothing: Share of the target's probability to spread over all classes.
        learning_rate: Adam's step size; with a warm-up, what it rises to.
        schedule: Keep the learning rate, lower it along a cosine to 0 at the last epoch, lower it with the inverse
            square root of the steps, or halve it after each epoch without a better result (plateau).
        warmup_steps: Steps in which the learning rate rises from 0; for the schedules cosine and inverse_sqrt.
        clip_norm: The norm to which the gradient of all weights together is cut.
        weight_decay: What share of each weight a step takes away, times the learning rate (AdamW).
        accumulate: Batches whose gradients make one step together.
        ema: Keep the moving average of the weights of all steps, in which a step's share fades by this factor a step,
            such as 0.999; 0 keeps the last step's weights.
        average_last: At the end, average the weights of the last so many epochs, and keep them if they are better than
            the best epoch's; 1 averages none.
        epochs: The most passes over the training data.
        patience: Epochs without a better result before training stops.
        precision: The numbers to compute with; mixed ones are quicker on many GPUs.
        jit: Compile with XLA; lengths are then padded to multiples of 8, for each shape is compiled anew.
        tensorboard: Write logs for TensorBoard into the model's folder; needs the extra `tensorboard`.
        seed: Seed of all that is random.
    """

    label_smoothing: Rate = 0.0
    learning_rate: PositiveFloat = 0.002
    schedule: Schedule = "cosine"
    warmup_steps: NonNegativeInt = 0
    clip_norm: PositiveFloat = 1.0
    weight_decay: NonNegativeFloat = 0.0
    accumulate: PositiveInt = 1
    ema: Rate = 0.0
    average_last: PositiveInt = 1
    epochs: PositiveInt = 5
    patience: PositiveInt = 3
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    jit: bool = False
    tensorboard: bool = False
    seed: Seed = 0


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """How images are looked at.

    Args:
        strict: Stop at the first image that is missing, broken or of no use, instead of leaving it out.
        validation_split: The share of the split `train` to validate with; the default is that the data has a split for
            it.
        image_size: The side of the squares that images are stretched to.
        backbone: The network that looks: "small", which is trained from scratch; the name of a network of
            keras.applications, such as EfficientNetB0; or a .keras file with a model from images in 0 to 255 to a
            feature map, which computes in the precision that it was made for, and is rebuilt where that was for images
            of another size.
        backbone_weights: For a network of keras.applications: "imagenet", which Keras downloads, or a weights file.
        backbone_epoch: The epoch, counted from 1, from which on the backbone is trained, too; before, and with 0
            always, it stays as it is. The default is 0 for a .keras file or a network with weights, and 1 for others.
        backbone_rate: The backbone's learning rate; the default is that of the rest.
        cache: A folder to keep the features of a backbone in that is never trained, so that they are computed once.
        image_units: Dimension of the vector of each part of the picture.
    """

    strict: bool = False
    validation_split: OpenUnitInterval | None = None
    image_size: PositiveInt = 64
    backbone: str = "small"
    backbone_weights: str | None = None
    backbone_epoch: NonNegativeInt | None = None
    backbone_rate: PositiveFloat | None = None
    cache: str | None = None
    image_units: PositiveInt = 256


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How answers are searched for.

    Args:
        max_length: The most tokens of a text. Answers are cut there.
        beam_size: Hypotheses that the search keeps; 1 is greedy.
        length_penalty: Exponent of the penalty that evens out short and long hypotheses; 0 is none.
        coverage_penalty: Weight of the penalty for what the attention never looked at; 0 is none.
        min_ratio: The fewest tokens of an answer for each token, or cell of the feature map, of its source.
        max_ratio: The most tokens of an answer for each of those; the default is only `max_length`.
        no_repeat_ngram: Length of the token sequences of which none may come twice in an answer; 0 allows all.
    """

    max_length: TwoOrMore = 60
    beam_size: PositiveInt = 5
    length_penalty: NonNegativeFloat = 1.0
    coverage_penalty: NonNegativeFloat = 0.0
    min_ratio: NonNegativeFloat = 0.0
    max_ratio: PositiveFloat | None = None
    no_repeat_ngram: NonNegativeInt = 0


def plain(value):
    """A number as a plain `int` or `float`, where jsonargparse returns a restricted type such as `PositiveInt`."""
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value
