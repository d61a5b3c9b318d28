"""The options of a question answerer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..shared.config import (
    Cell,
    Depth,
    ImageConfig,
    PositiveFloat,
    PositiveInt,
    RecurrentConfig,
    TextLength,
    TokenizerConfig,
    TrainingConfig,
    Units,
)


@dataclass(frozen=True, kw_only=True)
class Config(ImageConfig, TokenizerConfig, RecurrentConfig, TrainingConfig):
    """Trains a model that answers questions about images.

    The command

        keras-recurrent vqa train --output saved_models/answers

    trains on the generated images `shapes/simple` in minutes. Then

        keras-recurrent vqa evaluate saved_models/answers --split test

    prints the accuracy, 87 of 100, beside that of models that do not see the image.

    Args:
        app: App of this configuration.
        data: Data set: a folder with {split}.tsv (or .tsv.gz), which has the columns `image`, `question`, `answer` and
            optionally `type`, and the images in images/; or shapes/simple or shapes, which are generated once into
            ~/.cache/keras-recurrent; or easy_vqa, which requires the extra `easy-vqa`; or the name of a TFDS data set,
            whose images are copied to $TMPDIR during the training. Several rows of one image and question are
            the answers of several annotators.
        modality: Inputs of the model: both, or for a baseline only the question or only the image.
        fusion: Layer that combines image and question. stacked_attention, co_attention and film use the cells of the
            feature map, the others the mean over the cells.
        hops: Number of attention steps of the fusion stacked_attention.
        rank: Number of terms of the fusion mutan.
        blocks: Number of residual blocks of the fusion film.
        max_length: Maximum number of tokens of a question, the end token included. The rest is cut off.
        answers: Maximum number of answers to choose from. Rarer answers are not learned.
        embedding_dim: Dimension of the token embeddings.
        question_units: Dimension of the recurrent layers, per direction.
        bidirectional: Read questions in both directions. It doubles the recurrent weights.
        fusion_units: Dimension of the output of the fusion.
        classifier_units: Dimension of the hidden layer between the fusion and the answers.
        monitor: Validation measure that selects the best epoch: the loss or the accuracy.
        batch_size: Mean number of questions in a batch. The questions of an image are in one batch, so that it is
            encoded once.
    """

    common_options = (
        "data",
        "validation_split",
        "backbone",
        "backbone_weights",
        "fusion",
        "cell",
        "dropout",
        "epochs",
        "batch_size",
    )  # of `train --help`

    app: Literal["vqa"] = "vqa"
    data: str = "shapes/simple"
    backbone: str = "tiny"
    image_units: Units = 64
    modality: Literal["both", "question", "image"] = "both"
    fusion: Literal[
        "add", "multiply", "concatenate", "gated", "mlb", "mutan", "film", "stacked_attention", "co_attention"
    ] = "film"
    hops: Depth = 2
    rank: Units = 5
    blocks: Depth = 2
    lowercase: bool = True
    max_length: TextLength = 60
    answers: PositiveInt = 1000
    cell: Cell = "gru"
    embedding_dim: Units = 64
    question_units: Units = 64
    bidirectional: bool = False
    fusion_units: Units = 48
    classifier_units: Units = 128
    monitor: Literal["loss", "accuracy"] = "accuracy"
    batch_size: PositiveInt = 128
    learning_rate: PositiveFloat = 0.003

    @property
    def example(self) -> tuple[str, ...]:
        """The verb and the inputs of a prediction, which `train` suggests."""
        return "predict", "picture.jpg", "What is this?"

    def contradictions(self) -> Iterator[str]:
        if self.answers == 1:
            yield "--answers 1 leaves nothing to choose; it takes 2 or more"
