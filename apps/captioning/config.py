"""The options of a captioner."""

from dataclasses import dataclass
from typing import Literal

from ..shared.config import (
    ImageConfig,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Rate,
    RecurrentConfig,
    SearchConfig,
    TokenizerConfig,
    TrainingConfig,
    TwoOrMore,
)


@dataclass(frozen=True, kw_only=True)
class Config(ImageConfig, TokenizerConfig, RecurrentConfig, TrainingConfig, SearchConfig):
    """Trains a captioner on images with captions.

    The command

        keras-recurrent captioning train --dropout 0 --epochs 5 --output saved_models/shapes

    trains on the generated pictures `shapes`, of which there are so many that dropout is not needed, for over an hour
    on one core, and

        keras-recurrent captioning evaluate saved_models/shapes --split test

    then prints how many of its captions are true: 98 of 100.

    Args:
        app: The app that this configuration is for.
        data: A folder with {split}.tsv (or .gz), which has the columns `image` and `caption` and a row a caption, and
            the images in images/; or a TFDS name, whose images are copied into $TMPDIR as long as they are used.
        conditioning: Where the picture enters the language model: as its first state (init), as the first word (pre),
            beside each word (par), behind it (merge), or as init and through attention for each word (attention).
        score: Score function of the attention, with the conditioning attention.
        query: Query of the attention, with the conditioning attention: the decoder's state after a step or before it.
        attention_penalty: Weight of the penalty for an attention that does not look everywhere once.
        embedding_dim: Dimension of a token's embedding.
        decoder_units: Dimension of the recurrent layers.
        input_feeding: Let each step read what was found out in the one before it; needs the query after_step,
            with which it is the default.
        tie_softmax: Let the softmax use the embeddings, which saves its own weights.
        captions_per_image: How many captions of an image an epoch reads, drawn anew each time; the default is all, as
            always in validation.
        mirror: Show each picture mirrored half of the times; not where captions tell left from right.
        risk_epochs: Further epochs, each of a quarter of the images, which read the captions that the search finds: of
            an image's, those become likelier that have a better CIDEr-D and BLEU than the others (minimum risk
            training). Both compare words between spaces. If no such epoch raises the CIDEr-D of the validation split,
            the model stays as it was before them.
        risk_rate: The learning rate of those, which falls along a cosine to 0.
        risk_captions: How many captions of an image the search then finds; a batch has fewer images for it.
        monitor: What decides which epoch is the best: the loss on the validation split, or the CIDEr-D of the captions
            that the search finds for it.
        batch_size: Captions of a batch, on average: those of one image stay together, so that it is looked at once.
    """

    app: Literal["captioning"] = "captioning"
    data: str = "shapes"
    conditioning: Literal["init", "pre", "par", "merge", "attention"] = "attention"
    score: Literal["additive", "multiplicative"] = "multiplicative"
    query: Literal["after_step", "before_step"] = "after_step"
    attention_penalty: NonNegativeFloat = 0.0
    lowercase: bool = True
    embedding_dim: PositiveInt = 128
    decoder_units: PositiveInt = 256
    input_feeding: bool | None = None
    tie_softmax: bool = False
    dropout: Rate = 0.1
    captions_per_image: PositiveInt | None = None
    mirror: bool = False
    risk_epochs: NonNegativeInt = 0
    risk_rate: PositiveFloat = 0.0002
    risk_captions: TwoOrMore = 10
    monitor: Literal["loss", "cider"] = "loss"
    batch_size: PositiveInt = 160
    learning_rate: PositiveFloat = 0.003
    epochs: PositiveInt = 10
    patience: PositiveInt = 10
