"""Options that several apps share, as bases of their configurations, and the types of options."""

import math
import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from .options import Limits

if TYPE_CHECKING:
    Cell: TypeAlias = str
    from ...layers.family import rename_attention
else:
    # The names of the recurrent layers, from a file that is run by itself: `layers/__init__.py` imports Keras.
    _FAMILY = runpy.run_path(str(Path(__file__).parents[2] / "layers" / "family.py"))
    Cell = Literal[tuple(_FAMILY["SEQUENCE_LAYERS"])]
    rename_attention = _FAMILY["rename_attention"]

_MAX_INT = 2**31 - 1  # of TensorFlow's int32

NonNegativeInt: TypeAlias = Annotated[int, Limits("a non-negative integer", 0, _MAX_INT)]
PositiveInt: TypeAlias = Annotated[int, Limits("a positive integer", 1, _MAX_INT)]
Seed: TypeAlias = Annotated[int, Limits("an integer from 0 to 4,294,967,295", 0, 2**32 - 1)]
TwoOrMore: TypeAlias = Annotated[int, Limits("an integer of 2 or more", 2, _MAX_INT)]
# Four ids are reserved: padding, unknown, start and end.
VocabularySize: TypeAlias = Annotated[int, Limits("an integer of 5 or more", 5, _MAX_INT)]
# Memory grows with these. A text has at least one token and the end token.
TextLength: TypeAlias = Annotated[int, Limits("an integer from 2 to 100,000", 2, 100_000)]
Length: TypeAlias = Annotated[int, Limits("a positive integer up to 100,000", 1, 100_000)]
Units: TypeAlias = Annotated[int, Limits("a positive integer up to 65,536", 1, 65_536)]
Depth: TypeAlias = Annotated[int, Limits("a positive integer up to 100", 1, 100)]
ImageSize: TypeAlias = Annotated[int, Limits("a positive integer up to 4,096", 1, 4096)]
Samples: TypeAlias = Annotated[int, Limits("an integer from 0 to 10,000", 0, 10_000)]
PositiveSamples: TypeAlias = Annotated[int, Limits("an integer from 1 to 10,000", 1, 10_000)]
BeamSize: TypeAlias = Annotated[int, Limits("a positive integer up to 1,000", 1, 1000)]
NonNegativeFloat: TypeAlias = Annotated[float, Limits("a non-negative number", 0)]
PositiveFloat: TypeAlias = Annotated[float, Limits("a positive number", 0, excluded=(0,))]
PositiveOrInfinite: TypeAlias = Annotated[float, Limits("a positive number or inf", 0, math.inf, (0,))]
OpenUnitInterval: TypeAlias = Annotated[float, Limits("a number above 0 and below 1", 0, 1, (0, 1))]
Rate: TypeAlias = Annotated[float, Limits("a number of at least 0 and below 1", 0, 1, (1,))]
Share: TypeAlias = Annotated[float, Limits("a number above 0 and of at most 1", 0, 1, (0,))]

MAX_BEAM_TOKENS = 1_000_000  # of the hypotheses of a text

# The keys of `text.tokenizers.TOKENIZERS`, which imports TensorFlow.
TokenizerName: TypeAlias = Literal["words", "characters", "subwords"]
Schedule: TypeAlias = Literal["constant", "cosine", "inverse_sqrt", "plateau"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Training.

    Args:
        label_smoothing: Fraction of the target probability to spread evenly over all classes, in [0, 1). 0.1 often
            helps against overconfident models.
        learning_rate: Step size of Adam; with a warm-up, its peak. Lower it if the loss diverges.
        schedule: Keep the learning rate constant, lower it along a cosine to 0 at the last epoch, lower it with the
            inverse square root of the step, or halve it after each epoch without improvement (plateau).
        warmup_steps: Steps over which the learning rate rises linearly from 0, for the schedules cosine and
            inverse_sqrt.
        clip_norm: Maximum norm of the gradient over all weights. Lower it if the loss has spikes; inf disables it.
        weight_decay: Decoupled weight decay (AdamW). Each step subtracts this fraction of a weight times the learning
            rate.
        accumulate: Number of batches whose gradients are averaged into one step. Raise it if a larger batch does not
            fit into memory.
        ema: Decay per step of an exponential moving average of the weights, such as 0.999. The average is what is
            validated and saved. 0 disables it.
        average_last: Number of epochs at the end whose weights are averaged. The average is kept if it is better than
            the best epoch. 1 disables it.
        epochs: Maximum number of passes over the training data.
        patience: Number of epochs without improvement after which training stops.
        precision: Data type of the computation. The mixed types are faster on most GPUs.
        jit: Compile with XLA. Texts are then padded to few lengths, because every new shape is compiled. The default is
            to do so on a GPU. JAX always does.
        steps_per_execution: Number of batches per call of the compiled function. Raise it if the steps of a small model
            take less time than the calls; the progress bar moves in such steps.
        tensorboard: Write TensorBoard logs to the model's folder. Requires the extra `tensorboard`.
        seed: Seed of all random numbers.
    """

    label_smoothing: Rate = 0.0
    learning_rate: PositiveFloat = 0.002
    schedule: Schedule = "cosine"
    warmup_steps: NonNegativeInt = 0
    clip_norm: PositiveOrInfinite = 1.0
    weight_decay: NonNegativeFloat = 0.0
    accumulate: PositiveInt = 1
    ema: Rate = 0.0
    average_last: PositiveInt = 1
    epochs: PositiveInt = 5
    patience: PositiveInt = 3
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    jit: bool | None = None
    steps_per_execution: PositiveInt = 1
    tensorboard: bool = False
    seed: Seed = 0

    def contradictions(self) -> Iterator[str]:
        """Yields a message for each pair of options that exclude each other. Earlier versions trained with some."""
        yield from ()


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig:
    """Recurrent layers.

    Args:
        cell: Type of the recurrent layers.
        num_layers: Number of stacked recurrent layers, in the encoder and in the decoder each.
        dropout: Fraction of the embeddings, image features and layer outputs to drop in training, in [0, 1). Raise it
            if the training loss falls while the validation loss rises.
        recurrent_dropout: Fraction of the states to drop in training before the recurrent product, in [0, 1). All
            steps of a sequence share one mask.
    """

    cell: Cell = "lstm"
    num_layers: Depth = 1
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0

    @property
    def recurrent_arguments(self) -> dict[str, Any]:
        """These options as arguments of `TextEncoder`, `Decoder` and `LanguageModel`."""
        return {
            "cell": self.cell,
            "num_layers": self.num_layers,
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
        }


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """Tokens.

    Args:
        tokenizer: Unit that texts are split into. Subwords suit languages with many word forms.
        lowercase: Convert all text to lower case.
        vocabulary_size: Maximum number of distinct tokens, the 4 special ones included. Rarer tokens are unknown.
    """

    tokenizer: TokenizerName = "words"
    lowercase: bool = False
    vocabulary_size: VocabularySize = 8000


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """Images.

    Args:
        strict: Stop at the first image that is missing, broken or without text, instead of skipping it.
        validation_split: Fraction of the split `train` to hold out for validation, in (0, 1). By default the data has
            a split for validation.
        image_size: Side in pixels of the square that each image is resized to.
        backbone: Network that computes the feature map: "tiny" or "small", trained from scratch; a model of
            keras.applications by its name, such as EfficientNetB0; or a .keras file with a model from images in 0 to
            255 to a feature map. A model from a file keeps its precision and is rebuilt for the image size if
            necessary.
        backbone_weights: Weights of a model of keras.applications: "imagenet", which Keras downloads, or a file.
        backbone_epoch: First epoch, counted from 1, in which the backbone is trained. Before it, and always with 0,
            the backbone is frozen. The default is 0 for a .keras file or a model with weights, and 1 otherwise.
        backbone_rate: Learning rate of the backbone. The default is the learning rate of the other layers.
        cache: Folder for the features of a backbone that is never trained, so that they are computed only once.
        image_units: Dimension of the vector of each cell of the feature map.
    """

    strict: bool = False
    validation_split: OpenUnitInterval | None = None
    image_size: ImageSize = 64
    backbone: str = "small"
    backbone_weights: str | None = None
    backbone_epoch: NonNegativeInt | None = None
    backbone_rate: PositiveFloat | None = None
    cache: str | None = None
    image_units: Units = 256


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Search.

    Args:
        max_length: Maximum number of tokens of a text, the end token included. The search stops there.
        beam_size: Number of hypotheses that the beam search keeps. 1 is greedy search, the fastest.
        length_penalty: Exponent of the length penalty, which divides the log-probability. 0 disables it; higher values
            favor longer texts.
        coverage_penalty: Weight of the penalty for source positions that received little attention. 0 disables it.
        min_ratio: Minimum number of output tokens per source token, or per cell of the feature map.
        max_ratio: Maximum number of output tokens per source token or cell. By default only `max_length` limits them.
        no_repeat_ngram: Length of the n-grams that may occur only once in an output. 0 allows all repetitions.
    """

    max_length: TextLength = 60
    beam_size: BeamSize = 5
    length_penalty: NonNegativeFloat = 1.0
    coverage_penalty: NonNegativeFloat = 0.0
    min_ratio: NonNegativeFloat = 0.0
    max_ratio: PositiveFloat | None = None
    no_repeat_ngram: NonNegativeInt = 0

    def search_contradictions(self) -> Iterator[str]:
        """Yields a message for each pair of options of the search that exclude each other."""
        if self.max_ratio is not None and self.min_ratio > self.max_ratio:
            yield f"--min-ratio {self.min_ratio:g} exceeds --max-ratio {self.max_ratio:g}"
        if self.beam_size * self.max_length > MAX_BEAM_TOKENS:
            yield f"--beam-size {self.beam_size} times --max-length {self.max_length} exceeds {MAX_BEAM_TOKENS:,}"
