"""The captioner: a backbone and a tokenizer around a conditional language model."""

import dataclasses
import math
import shutil
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ...layers import ConditionalLM, Decoder, ImageEncoder
from ..shared.console import note
from ..shared.errors import NotANumberError, TrainingError
from ..shared.images.backbones import configured, grid, rates, unfreezer
from ..shared.images.features import image_readers
from ..shared.images.graph import at_least_one, decode_in_graph, resize_in_graph
from ..shared.images.pixels import THREADS, look, pixel_reader
from ..shared.models import folders
from ..shared.models.trained_model import TrainedModel
from ..shared.text.tokenizers import fit_tokenizer
from ..shared.text.writing import Writer, unpack
from ..shared.training.batches import ahead, slices
from ..shared.training.fit import fit
from ..shared.training.losses import TokenCrossentropy
from ..shared.training.optimizers import build_optimizer
from ..shared.training.splits import training_splits
from . import data
from .config import Config
from .metrics import caption_metrics, caption_reward

# The signatures of functions of images: encoded, and as pixels.
BYTES = [tf.TensorSpec([None], tf.string, name="image_bytes")]
PIXELS = [tf.TensorSpec([None, None, None, 3], tf.uint8, name="pixels")]


class Caption(NamedTuple):
    """A caption.

    Attributes:
        text: What the model says of the image.
        score: Its log-probability divided by the length penalty; below 0, and the higher the surer.
    """

    text: str
    score: float


def build(config, size, eyes=None):
    """The model that a `Config` describes, for so many token ids.

    Args:
        config: The `Config`.
        size: Positive integer, the vocabulary's size.
        eyes: The backbone; None where the model reads its features.

    Raises:
        TrainingError: If options do not go together.
    """
    attends = config.conditioning == "attention"
    feeds = config.input_feeding
    if feeds is None:
        feeds = attends and config.query == "after_step"
    # What differs from the default was asked for, but for input feeding that is asked not to be.
    for option in ("score", "query", "input_feeding", "attention_penalty", "coverage_penalty"):
        if not attends and getattr(config, option) not in (getattr(Config, option), False):
            raise TrainingError(f"{option} is for the conditioning attention, not for {config.conditioning}")
    try:
        encoder = ImageEncoder(config.image_units, eyes, dropout=config.dropout, dtype=config.precision)
        decoder = Decoder(
            size,
            config.embedding_dim,
            config.decoder_units,
            cell=config.cell,
            num_layers=config.num_layers,
            conditioning="init" if attends else config.conditioning,
            score=config.score if attends else "none",
            query=config.query,
            attention_penalty=config.attention_penalty,
            input_feeding=feeds,
            tie_softmax=config.tie_softmax,
            dropout=config.dropout,
            recurrent_dropout=config.recurrent_dropout,
            dtype=config.precision,
        )
        return ConditionalLM(encoder, decoder, dtype=config.precision)
    except ValueError as error:
        raise TrainingError(str(error)) from error


class Captioner(TrainedModel):
    """Captions images.

    Args:
        config: The `Config`.
        model: The `ConditionalLM` from pixels to captions.
        captions: The tokenizer of the captions.
    """

    config_class = Config
    tokenizers = ("captions",)

    def __init__(self, config, model, captions):
        super().__init__(config, model, captions=captions)
        self.writer = Writer(config, captions, model)
        squares = [tf.TensorSpec([None, config.image_size, config.image_size, 3], tf.uint8)]
        self._best = tf.function(self.best, input_signature=squares)
        self._nbest = tf.function(self.nbest, input_signature=squares)

    @staticmethod
    def sizes(model, assets):
        return {"captions": model.decoder.vocabulary_size}

    def signatures(self):
        """Two signatures that return `text` and `score`, strings and floats `(batch,)`.

        `serving_default` takes `image_bytes` `(batch,)`, JPEG or PNG files of any sizes; `pixels` takes uint8 images
        `(batch, height, width, 3)`.
        """
        return {"serving_default": (self.answer, BYTES), "pixels": (self.answer_pixels, PIXELS)}

    def best(self, pixels):
        """The best captions of uint8 images `(batch, size, size, 3)`, in the graph: `text` and `score` `(batch,)`."""
        outputs = self.writer.best(at_least_one(pixels))
        return {name: value[: tf.shape(pixels)[0]] for name, value in outputs.items()}

    def nbest(self, pixels):
        """The captions of uint8 images `(batch, size, size, 3)`, in the graph, as `Writer.describe` returns them."""
        return self.writer.describe(pixels, self.writer.search(pixels))

    def answer(self, image_bytes):
        """The best captions of encoded JPEG and PNG images `(batch,)`, in the graph: `text` and `score`."""
        return self.best(decode_in_graph(image_bytes, self.config.image_size))

    def answer_pixels(self, pixels):
        """The best captions of images `(batch, height, width, 3)` in 0 to 255, in the graph: `text` and `score`."""
        return self.best(resize_in_graph(pixels, self.config.image_size))

    def caption(self, contents):
        """Captions a list of images.

        Args:
            contents: List of bytes, the images as they are in their files.

        Returns:
            List of `Caption`s.

        Raises:
            ImageError: If one cannot be read.
        """
        return self.caption_pixels(look(contents, self.config.image_size))

    def caption_pixels(self, pixels):
        """`caption` of what `images.look` returned."""
        answers = self._best(pixels)
        texts = (text.decode() for text in answers["text"].numpy())
        return [Caption(text, float(score)) for text, score in zip(texts, answers["score"].numpy(), strict=True)]

    def caption_many(self, images, batch_size=64):
        """Captions many `Image`s in batches, read in threads beside the search, and yields a `Caption` of each."""
        parts = slices(range(len(images)), batch_size)
        for pixels in ahead(pixel_reader(images, self.config.image_size), parts, THREADS):
            yield from self.caption_pixels(pixels)

    def explain(self, contents):
        """Several captions of each of a list of encoded images: lists of dictionaries as `writing.unpack` returns them.

        An `alignment` has a number for each cell of the feature map, row by row.

        Raises:
            ImageError: If an image cannot be read.
        """
        if not contents:
            return []
        return unpack(self._nbest(look(contents, self.config.image_size)))

    @property
    def grid(self):
        """Rows and columns of the feature map."""
        return grid(self.model.encoder.backbone, self.config.image_size)


def train(config, folder):
    """Trains a captioner and writes it into `folder`, or goes on with a training that was interrupted there.

    Raises:
        DataError: If the data cannot be read or has no usable image.
        TrainingError: If options do not go together, or the loss is not a number.
    """
    keras.utils.set_random_seed(config.seed)
    # Options that do not go together are told before there is any work.
    eyes, begins = configured(config)
    build(config, config.vocabulary_size)
    build_optimizer(config, steps=1)

    folder = Path(folder)
    examples = training_splits(data.read, config)
    captions = [caption for example in examples["train"] for caption in example.captions]
    tokenizer = fit_tokenizer(captions, config, "the captions have")
    images = {split: data.images_of(examples[split], config, split) for split in examples}
    rows = {split: [(example.image.name, example.captions) for example in examples[split]] for split in examples}
    readers, checksum = image_readers(images, eyes, config)
    model = build(config, len(tokenizer), eyes if config.cache is None else None)
    batches = {
        split: data.batches(examples[split], readers[split], tokenizer, config, split, by_length=not begins)
        for split in examples
    }
    Captioner(config, model, tokenizer).save_assets(folder)

    captions_of = tf.function(Writer(config, tokenizer, model).best)

    def val_cider_d():
        parts = slices(np.arange(len(examples["validation"])), 64)
        found = (captions_of(source)["text"].numpy() for source in ahead(readers["validation"], parts, THREADS))
        texts = [text.decode() for part in found for text in part]
        return caption_metrics(texts, [example.captions for example in examples["validation"]])["cider_d"]

    best = fit(
        model,
        TokenCrossentropy(config.label_smoothing),
        batches["train"],
        batches["validation"].dataset,
        config,
        folder,
        score=val_cider_d if config.monitor == "cider" else None,
        begin_epoch=unfreezer(model, eyes, begins),
        data=(rows, checksum),
        learning_rates=rates(config, eyes),
    )
    if config.risk_epochs:
        eyes.trainable = 0 < begins <= best.get("epoch", begins)  # as it was when the weights were found
        count = min(config.risk_captions, len(tokenizer))
        reward = caption_reward([example.captions for example in examples["train"]])
        write = tf.function(Writer(dataclasses.replace(config, beam_size=count), tokenizer, model).candidates)
        of_risk = data.risk_batches(
            examples["train"],
            readers["train"],
            lambda source: [found.numpy() for found in write(source)],
            count,
            reward,
            config,
        )
        _lower_risk(model, of_risk, batches["validation"], val_cider_d, config, folder, (rows, checksum), eyes)
    if config.cache is not None:
        model = _with_eyes(model, config, eyes)
        model.save(folder / "model.keras")
    shutil.rmtree(folder / "risk" / folders.STATES, ignore_errors=True)
    return Captioner(config, model, tokenizer)


def _lower_risk(model, of_risk, validation, score, config, folder, read, eyes):
    """Trains a model on captions that it writes itself, and keeps what it learned if they get better.

    Args:
        model: The trained `ConditionalLM`.
        of_risk: What `data.risk_batches` returns.
        validation: `EpochBatches` of the validation split.
        score: Function that measures the model, the higher the better.
        config: The `Config`.
        folder: The model's folder.
        read: What tells the training data from others.
        eyes: The backbone.
    """
    stage = {"epochs": config.risk_epochs, "learning_rate": config.risk_rate, "schedule": "cosine", "warmup_steps": 0}
    config = dataclasses.replace(config, **stage)
    begun, weights = score(), model.get_weights()
    # Not divided by the sum of the weights, of which some are below 0.
    loss = TokenCrossentropy(reduction="sum_over_batch_size")
    try:
        best = fit(
            model,
            loss,
            of_risk,
            validation.dataset,
            config,
            folder / "risk",
            score=score,
            data=read,
            learning_rates=rates(config, eyes),
        )
        reached = best[score.__name__]
    except NotANumberError:
        reached = -math.inf
    if reached > begun:
        (folder / "risk" / "model.keras").replace(folder / "model.keras")
    else:
        note(f"the risk epochs did not raise {score.__name__} above {begun:.4g}, so the model is that from before them")
        model.set_weights(weights)
        (folder / "risk" / "model.keras").unlink(missing_ok=True)


def _with_eyes(reader, config, eyes):
    """The model from pixels, of a trained one from features and their backbone."""
    model = build(config, reader.decoder.vocabulary_size, eyes)
    model.build(((None, *eyes.input_shape[1:]), (None, None)))
    model.encoder.copy_reading(reader.encoder)
    model.decoder.set_weights(reader.decoder.get_weights())
    return model
