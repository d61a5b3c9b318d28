"""The options of a question answerer."""

from dataclasses import dataclass
from typing import Literal

from ..shared.config import (
    Cell,
    ImageConfig,
    PositiveInt,
    RecurrentConfig,
    TokenizerConfig,
    TrainingConfig,
    TwoOrMore,
)


@dataclass(frozen=True, kw_only=True)
class Config(ImageConfig, TokenizerConfig, RecurrentConfig, TrainingConfig):
    """Trains a model that answers questions about images.

    The command

        keras-recurrent vqa train --output saved_models/answers

    trains on the generated pictures `shapes`, and

        keras-recurrent vqa evaluate saved_models/answers --split test

    then prints how many answers are right (98 of 100), beside what is right without a look at the picture.

    Args:
        app: The app that this configuration is for.
        data: A folder with {split}.tsv (or .gz), which has the columns `image`, `question` and `answer` (and `type`, if
            questions have types), several rows of one image and question being several annotators, and the images in
            images/; or a TFDS name, whose images are copied into $TMPDIR as long as they are used; or easy_vqa, which
            needs the extra `easy-vqa`.
        modality: What the model may use: both, or for a baseline the question or the image alone.
        fusion: How image and question become one.
        hops: For the fusion stacked_attention, how often the image is asked.
        rank: For the fusion mutan, the terms of its sum.
        blocks: For the fusion film, its blocks.
        max_length: The most tokens of a question, which is cut there.
        answers: The most answers that the model chooses from; the rarest are left out.
        embedding_dim: Dimension of a token's embedding.
        question_units: Dimension of the recurrent layers, in one direction.
        bidirectional: Let the question be read in both directions.
        fusion_units: Dimension of what the fusion gives.
        classifier_units: Dimension of the hidden layer between fusion and answers.
        monitor: What decides which epoch is the best: the loss or the accuracy on the validation split.
        batch_size: Questions of a batch, on average: those of one image stay together.
    """

    app: Literal["vqa"] = "vqa"
    data: str = "shapes"
    modality: Literal["both", "question", "image"] = "both"
    fusion: Literal[
        "add", "multiply", "concatenate", "gated", "mlb", "mutan", "film", "stacked_attention", "co_attention"
    ] = "film"
    hops: PositiveInt = 2
    rank: PositiveInt = 5
    blocks: PositiveInt = 4
    lowercase: bool = True
    max_length: TwoOrMore = 60
    answers: PositiveInt = 1000
    cell: Cell = "gru"
    embedding_dim: PositiveInt = 128
    question_units: PositiveInt = 128
    bidirectional: bool = True
    fusion_units: PositiveInt = 96
    classifier_units: PositiveInt = 256
    monitor: Literal["loss", "accuracy"] = "accuracy"
    batch_size: PositiveInt = 256
