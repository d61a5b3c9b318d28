"""The options of a captioner."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..shared.config import (
    ImageConfig,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    RecurrentConfig,
    SearchConfig,
    TokenizerConfig,
    TrainingConfig,
    TwoOrMore,
    Units,
)


@dataclass(frozen=True, kw_only=True)
class Config(ImageConfig, TokenizerConfig, RecurrentConfig, TrainingConfig, SearchConfig):
    """Trains a captioner on images with captions.

    The command

        keras-recurrent captioning train --output saved_models/shapes

    trains on the generated images `shapes/simple` in minutes. Then

        keras-recurrent captioning evaluate saved_models/shapes --split test

    prints how many of the captions are true, 94 of 100.

    Args:
        app: App of this configuration.
        data: Data set: a folder with {split}.tsv (or .tsv.gz), which has the columns `image` and `caption` and one row
            per caption, and the images in images/; or shapes/simple or shapes, which are generated once into
            ~/.cache/keras-recurrent; or the name of a TFDS data set, whose images are copied to $TMPDIR during the
            training.
        conditioning: How the image enters the language model: as its initial state (init), as the first input (pre),
            concatenated to each embedding (par), concatenated to the recurrent output (merge), or as init and with
            attention over the feature map (attention), which gives the best captions.
        score: Score function of the attention, with the conditioning attention. multiplicative is faster.
        query: Query of the attention, with the conditioning attention: the state of the decoder after a step, which
            trains faster, or before it.
        attention_penalty: Weight in the loss of the penalty for cells of the feature map whose attention over all steps
            differs from 1. 0 disables it.
        embedding_dim: Dimension of the token embeddings.
        decoder_units: Dimension of the recurrent layers.
        input_feeding: Feed the readout of each step to the next one. Requires the query after_step, with which it is
            the default. Training is faster without it.
        tie_softmax: Share the weights of the softmax with the embeddings. The model gets smaller.
        captions_per_image: Number of captions of an image in an epoch, drawn at random in each epoch. The default is
            all. Validation always uses all.
        mirror: Mirror a random half of the training images. Do not use it if captions tell left from right.
        risk_epochs: Number of additional epochs of minimum risk training, each on a quarter of the images. They raise
            the probability of those captions of the search whose CIDEr-D and BLEU are above the average of their image.
            Both compare words that are separated by spaces. If no epoch raises the CIDEr-D of the validation split, the
            earlier weights are kept.
        risk_rate: Learning rate of the risk epochs, lowered along a cosine to 0.
        risk_captions: Number of captions per image that the search finds in the risk epochs. Batches then have fewer
            images.
        monitor: Validation measure that selects the best epoch: the loss, or the CIDEr-D of the captions that the
            search finds, which takes longer.
        batch_size: Mean number of captions in a batch. The captions of an image are in one batch, so that it is encoded
            once.
    """

    common_options = (
        "data",
        "validation_split",
        "backbone",
        "backbone_weights",
        "cache",
        "cell",
        "dropout",
        "epochs",
        "batch_size",
    )  # of `train --help`

    app: Literal["captioning"] = "captioning"
    data: str = "shapes/simple"
    backbone: str = "tiny"
    image_units: Units = 128
    conditioning: Literal["init", "pre", "par", "merge", "attention"] = "attention"
    score: Literal["additive", "multiplicative"] = "multiplicative"
    query: Literal["after_step", "before_step"] = "after_step"
    attention_penalty: NonNegativeFloat = 0.0
    lowercase: bool = True
    embedding_dim: Units = 64
    decoder_units: Units = 128
    input_feeding: bool | None = None
    tie_softmax: bool = False
    captions_per_image: PositiveInt | None = None
    mirror: bool = False
    risk_epochs: NonNegativeInt = 0
    risk_rate: PositiveFloat = 0.0002
    risk_captions: TwoOrMore = 10
    monitor: Literal["loss", "cider"] = "loss"
    batch_size: PositiveInt = 120
    learning_rate: PositiveFloat = 0.004
    epochs: PositiveInt = 6

    @property
    def example(self) -> tuple[str, ...]:
        """The verb and the inputs of a prediction, which `train` suggests."""
        return "predict", "picture.jpg"

    def contradictions(self) -> Iterator[str]:
        yield from self.search_contradictions()
        if self.conditioning != "attention":
            # An option that differs from its default was set by the user; `input_feeding: false` is fine everywhere.
            for name in ("score", "query", "input_feeding", "attention_penalty", "coverage_penalty"):
                if getattr(self, name) not in (getattr(Config, name), False):
                    yield f"--{name.replace('_', '-')} needs --conditioning attention, not {self.conditioning}"
