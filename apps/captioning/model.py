"""The captioner: a Keras model with its tokenizer, and its training."""

import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from ...datasets.images import CaptionedImage, Image
from ...layers import ConditionalLM, Decoder, ImageEncoder
from ...layers.types import Tensor
from ..shared.errors import TrainingError
from ..shared.images.backbones import Backbone, configured_backbone
from ..shared.images.features import image_readers
from ..shared.images.image_model import ImageModel, copy_without_backbone
from ..shared.images.pixels import THREADS, Reader, decode_batch, pixel_reader, spec_of
from ..shared.memory import in_halves
from ..shared.models import folders
from ..shared.models.compiled import compiled
from ..shared.models.runner import hypotheses
from ..shared.text.tokenizers import Tokenizer, fit_tokenizer
from ..shared.text.writing import Writer
from ..shared.training import devices
from ..shared.training.batches import slices, threaded_map
from ..shared.training.fit import fit
from ..shared.training.losses import TokenCrossentropy
from ..shared.training.optimizers import build_optimizer
from ..shared.training.splits import checksum, training_splits
from . import data, risk
from .config import Config
from .metrics import caption_metrics


class Caption(NamedTuple):
    """A caption.

    Attributes:
        text: The caption.
        score: Its log-probability divided by the length penalty. It is negative; higher is better.
    """

    text: str
    score: float


def build(config: Config, vocabulary_size: int, backbone: keras.Model | None = None) -> ConditionalLM:
    """Builds the Keras model of a configuration.

    Args:
        config: The options of the captioner.
        vocabulary_size: Positive integer, the number of token ids.
        backbone: The backbone; None if the model reads its features.

    Raises:
        TrainingError: If options exclude each other.
    """
    has_attention = config.conditioning == "attention"
    input_feeding = config.input_feeding
    if input_feeding is None:
        input_feeding = has_attention and config.query == "after_step"
    try:
        encoder = ImageEncoder(config.image_units, backbone, dropout=config.dropout, dtype=config.precision)
        decoder = Decoder(
            vocabulary_size,
            config.embedding_dim,
            config.decoder_units,
            conditioning="init" if has_attention else config.conditioning,
            score=config.score if has_attention else "none",
            query=config.query,
            attention_penalty=config.attention_penalty,
            input_feeding=input_feeding,
            tie_softmax=config.tie_softmax,
            dtype=config.precision,
            **config.recurrent_arguments,
        )
        return ConditionalLM(encoder, decoder, dtype=config.precision)
    except ValueError as error:
        raise TrainingError(str(error)) from error


class Captioner(ImageModel):
    """Captions images.

    Args:
        config: The options of the captioner.
        model: The `ConditionalLM` from pixels to captions.
        captions: The tokenizer of the captions.

    Example:

    >>> from keras_recurrent.apps import load
    >>> captioner = load("saved_models/flickr8k")  # doctest: +SKIP
    >>> captioner.caption([open("dog.jpg", "rb").read()])  # doctest: +SKIP
    [Caption(text='a dog runs through the grass .', score=-0.52)]
    """

    config_class = Config
    tokenizers = ("captions",)

    def __init__(self, config: Config, model: ConditionalLM, captions: Tokenizer):
        super().__init__(config, model, captions=captions)
        self.writer = Writer(config, captions, model)
        self._compiled_best = compiled(self.writer.best, model, [self.squares])
        self._compiled_core = compiled(self.core, model, [self.squares])

    @staticmethod
    def sizes(model: ConditionalLM, assets: Any) -> dict[str, int]:
        return {"captions": model.decoder.vocabulary_size}

    @property
    def encoder(self) -> ImageEncoder:
        return self.model.encoder

    def runner_options(self) -> dict[str, Any]:
        return {"image_size": self.config.image_size}

    @property
    def core_inputs(self) -> Sequence[keras.InputSpec]:
        return [self.squares]

    def core(self, pixels: Tensor) -> dict[str, Tensor]:
        """Computes the hypotheses of the search for uint8 images `(batch, size, size, 3)`, as `Writer.numbers` does."""
        return self.writer.numbers(self.writer.search(pixels, alignments=True))

    def caption(self, contents: Sequence[bytes]) -> list[Caption]:
        """Captions images.

        Args:
            contents: The contents of the images' files: JPEG, PNG, GIF, BMP, WebP, TIFF or PPM.

        Returns:
            One `Caption` per image.

        Raises:
            ImageError: If an image cannot be read.
        """
        return self.caption_pixels(decode_batch(contents, self.config.image_size))

    def caption_pixels(self, pixels: np.ndarray) -> list[Caption]:
        """Captions images from their pixels, uint8 `(batch, size, size, 3)`."""
        if not len(pixels):
            return []
        best = self._compiled_best(pixels)
        return [
            Caption(self.writer.tokenizer.decode(tokens), float(score))
            for tokens, score in zip(best["tokens"], best["scores"], strict=True)
        ]

    def pixel_batches(self, images: Iterable[Image], batch_size: int = 64) -> Iterator[np.ndarray]:
        """Yields the pixels of many images, uint8 `(batch, size, size, 3)`. Batches are read ahead, in threads."""

        def read(part: list[Image]) -> np.ndarray:
            return pixel_reader(part, self.config.image_size)(range(len(part)))

        remaining = iter(images)
        parts = iter(lambda: [*itertools.islice(remaining, batch_size)], [])
        return threaded_map(read, parts, THREADS)

    def caption_many(self, images: Iterable[Image], batch_size: int = 64) -> Iterator[Caption]:
        """Captions many images in batches, and yields one `Caption` per image."""
        for pixels in self.pixel_batches(images, batch_size):
            yield from in_halves(self.caption_pixels, pixels)

    def explain(self, contents: Sequence[bytes]) -> list[list[dict[str, Any]]]:
        """Captions images, with all captions that the search finds and their attention.

        Args:
            contents: The contents of the images' files.

        Returns:
            For each image a list of dictionaries as `runner.hypotheses` returns them. An `alignment` has one number per
            cell of the feature map, row by row.

        Raises:
            ImageError: If an image cannot be read.
        """
        return self.explain_pixels(decode_batch(contents, self.config.image_size))

    def explain_pixels(self, pixels: np.ndarray) -> list[list[dict[str, Any]]]:
        """Captions images from their pixels, uint8 `(batch, size, size, 3)`, as `explain` does."""
        if not len(pixels):
            return []
        outputs = self._compiled_core(pixels)
        return [hypotheses(self.writer.tokenizer, outputs, row) for row in range(len(pixels))]


def train(config: Config, folder: str | Path) -> Captioner:
    """Trains a captioner and writes it to a folder; resumes an interrupted training in that folder.

    Raises:
        DataError: If the data cannot be read or has no usable image.
        TrainingError: If options exclude each other, or the loss is not finite.
    """
    keras.utils.set_random_seed(config.seed)
    # Options that exclude each other raise errors here, before any work.
    backbone = configured_backbone(config)
    build(config, config.vocabulary_size)
    build_optimizer(config, steps=1)

    folder = Path(folder)
    examples = training_splits(data.read, config)
    captions = [caption for example in examples["train"] for caption in example.captions]
    tokenizer = fit_tokenizer(captions, config, "the captions have")
    images = {split: data.images_of(examples[split], config, split) for split in examples}
    readers, checksum_of_images = image_readers(images, backbone.model, config)
    model = build(config, len(tokenizer), backbone.model if config.cache is None else None)
    batches = {
        split: data.batches(
            examples[split], readers[split], tokenizer, config, split, by_length=not backbone.first_epoch
        )
        for split in examples
    }
    Captioner(config, model, tokenizer).save_assets(folder)
    rows = ((example.image.name, example.captions) for split in examples for example in examples[split])
    val_cider_d = _validation_score(Writer(config, tokenizer, model), examples["validation"], readers["validation"])
    options: dict[str, Any] = {"data": checksum(rows, checksum_of_images), "learning_rates": backbone.learning_rates}
    best = fit(
        model,
        TokenCrossentropy(config.label_smoothing),
        batches["train"],
        batches["validation"],
        config,
        folder,
        score=val_cider_d if config.monitor == "cider" else None,
        begin_epoch=backbone.unfreezer(model),
        **options,
    )
    if config.risk_epochs:
        # The backbone is trained if it was trained in the best epoch.
        backbone.model.trainable = 0 < backbone.first_epoch <= best.get("epoch", backbone.first_epoch)
        risk.train_on_risk(
            model,
            examples["train"],
            readers["train"],
            batches["validation"],
            tokenizer,
            config,
            folder,
            val_cider_d,
            **options,
        )
    if config.cache is not None:
        model = _with_backbone(model, config, backbone)
        if devices.is_chief():
            with devices.alone():
                model.save(folder / "model.keras")
    shutil.rmtree(folder / risk.FOLDER / folders.STATES, ignore_errors=True)
    return Captioner(config, model, tokenizer)


def _validation_score(writer: Writer, examples: Sequence[CaptionedImage], read_images: Reader) -> Callable[[], float]:
    """Returns a function that computes the CIDEr-D of the captions that the search finds for images."""
    search = compiled(writer.best, writer.model, [spec_of(read_images)])

    def val_cider_d():
        parts = slices(np.arange(len(examples)), 64)
        batches = threaded_map(read_images, parts, THREADS)
        texts = [writer.tokenizer.decode(row) for images in batches for row in search(images)["tokens"]]
        return caption_metrics(texts, [example.captions for example in examples])["cider_d"]

    return val_cider_d


def _with_backbone(reader: ConditionalLM, config: Config, backbone: Backbone) -> ConditionalLM:
    """Builds the model that reads pixels, with the weights of a trained one that reads features."""
    model = build(config, reader.decoder.vocabulary_size, backbone.model)
    model.build(((None, *backbone.model.input_shape[1:]), (None, None)))
    copy_without_backbone(reader, model)
    return model
