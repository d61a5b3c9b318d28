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
from .. import export, folders, training
from ..backbones import configured, grid, rates, unfreezer
from ..console import note
from ..features import image_readers
from ..images import THREADS, at_least_one, decode_in_graph, look, pixel_reader, resize_in_graph
from ..metrics import caption_metrics, caption_reward
from ..splits import training_splits
from ..text import fit_tokenizer
from ..training import ahead, slices
from ..writing import Writer, explained, load_parts
from . import data
from .config import Config

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
        feeds = attends and config.attention == "luong"
    # What differs from the default was asked for, but for input feeding that is asked not to be.
    for option in ("attention", "score", "input_feeding", "attention_penalty", "coverage_penalty"):
        if not attends and getattr(config, option) not in (getattr(Config, option), False):
            raise folders.TrainingError(f"{option} is for the conditioning attention, not for {config.conditioning}")
    try:
        encoder = ImageEncoder(config.image_units, eyes, dropout=config.dropout, dtype=config.precision)
        decoder = Decoder(
            size,
            config.embedding_dim,
            config.decoder_units,
            cell=config.cell,
            num_layers=config.num_layers,
            conditioning="init" if attends else config.conditioning,
            attention=config.attention if attends else "none",
            score=config.score,
            attention_penalty=config.attention_penalty,
            input_feeding=feeds,
            tie_softmax=config.tie_softmax,
            dropout=config.dropout,
            recurrent_dropout=config.recurrent_dropout,
            dtype=config.precision,
        )
        return ConditionalLM(encoder, decoder, dtype=config.precision)
    except ValueError as error:
        raise folders.TrainingError(str(error)) from error


class Captioner(Writer):
    """Says what is in images.

    Args:
        config: The `Config`.
        tokenizer: The tokenizer of the captions.
        model: The `ConditionalLM` from pixels to captions.
    """

    def __init__(self, config, tokenizer, model):
        super().__init__(config, tokenizer, model)
        self._best = tf.function(self.best, input_signature=[self._squares])
        self._nbest = tf.function(self.nbest, input_signature=[self._squares])

    @property
    def _squares(self):
        size = self.config.image_size
        return tf.TensorSpec([None, size, size, 3], tf.uint8)

    def best(self, pixels):
        found = super().best(at_least_one(pixels))
        return {name: value[: tf.shape(pixels)[0]] for name, value in found.items()}

    def nbest(self, pixels):
        """The best captions of squares of pixels, in the graph, as `Writer.told` gives them."""
        return self.told(pixels, self.search(pixels))

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
        """Several captions of each of a list of encoded images: lists of dictionaries as `writing.explained` has them.

        An `alignment` has a number for each cell of the feature map, row by row.

        Raises:
            ImageError: If an image cannot be read.
        """
        if not contents:
            return []
        told = {name: value.numpy() for name, value in self._nbest(look(contents, self.config.image_size)).items()}
        return [explained(told, row) for row in range(len(contents))]

    @property
    def grid(self):
        """Rows and columns of the feature map."""
        return grid(self.model.encoder.backbone, self.config.image_size)

    def save_assets(self, folder):
        """Writes all but the weights into a model's folder."""
        folders.write_config(folder, self.config)
        self.target.save(Path(folder) / f"captions.{self.target.file}")

    def export(self, folder):
        """Writes a SavedModel that returns `text` and `score`, as strings and floats `(batch,)`.

        `serving_default` takes `image_bytes` `(batch,)`, JPEG or PNG files of any sizes, `pixels` uint8 images `(batch,
        height, width, 3)`.
        """
        signatures = {"serving_default": (self.answer, BYTES), "pixels": (self.answer_pixels, PIXELS)}
        export.export(folder, signatures, [self.model, self.target.tracked])


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
    training.optimizer(config, steps=1)

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
    Captioner(config, tokenizer, model).save_assets(folder)

    captions_of = tf.function(Writer(config, tokenizer, model).best)

    def val_cider_d():
        parts = slices(np.arange(len(examples["validation"])), 64)
        found = (captions_of(source)["text"].numpy() for source in ahead(readers["validation"], parts, THREADS))
        texts = [text.decode() for part in found for text in part]
        return caption_metrics(texts, [example.captions for example in examples["validation"]])["cider_d"]

    best = training.fit(
        model,
        training.TokenCrossentropy(config.label_smoothing),
        batches["train"],
        batches["validation"].dataset,
        config,
        folder,
        score=val_cider_d if config.monitor == "cider" else None,
        begin_epoch=unfreezer(model, eyes, begins),
        data=(rows, checksum),
        rates=rates(config, eyes),
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
    return Captioner(config, tokenizer, model)


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
    loss = training.TokenCrossentropy(reduction="sum_over_batch_size")
    try:
        best = training.fit(
            model,
            loss,
            of_risk,
            validation.dataset,
            config,
            folder / "risk",
            score=score,
            data=read,
            rates=rates(config, eyes),
        )
        reached = best[score.__name__]
    except training.NotANumberError:
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


def load(folder, **options):
    """Reads a captioner from its folder.

    Args:
        folder: What `train` wrote.
        **options: Values of `Config` that replace the saved ones, such as `beam_size=1`; None replaces none.

    Raises:
        ModelFolderError: If the folder is incomplete or another app's.
    """
    sizes = {"captions": lambda model: model.decoder.vocabulary_size}
    config, (tokenizer,), model = load_parts(folder, Config, sizes, options)
    return Captioner(config, tokenizer, model)
