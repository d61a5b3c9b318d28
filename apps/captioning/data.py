"""Images with captions as batches of pixels or features, and token ids."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import keras
import numpy as np

from ...datasets.images import CaptionedImage, Image, read_captions
from ...layers.types import Nest
from ..shared.backends import uses_xla
from ..shared.images.pixels import THREADS, Reader, images_per_batch, spec_of
from ..shared.images.usable import usable_examples
from ..shared.text.batches import encode_texts, length_batches, teacher_forcing
from ..shared.text.ragged import Ragged
from ..shared.text.tokenizers import Tokenizer
from ..shared.training.batches import EpochBatches, order_of_epochs, slices, threaded_map
from ..shared.training.devices import share
from .config import Config


def read(config: Config, split: str) -> list[CaptionedImage]:
    """Reads the images of a split, with their captions.

    An image that is missing, broken or without a caption is left out, and reported on standard error.

    Raises:
        DataError: If the split cannot be read or has no usable image, or with `config.strict` if an image is not
            usable.
    """
    examples = read_captions(config.data, split)
    return usable_examples(examples, split, config.strict, lambda example: None if example.captions else "no caption")


class _Row(NamedTuple):
    """One image of a batch, with the token ids of some of its captions."""

    image: int  # its index
    captions: list[np.ndarray]


def batches(
    examples: Sequence[CaptionedImage],
    read_images: Reader,
    tokenizer: Tokenizer,
    config: Config,
    split: str,
    by_length: bool = False,
) -> EpochBatches:
    """Batches of images with their captions; reshuffled in each epoch for the split `train`.

    Images are read ahead, in threads. Each image occurs once per epoch. An image with more than twice the mean number
    of captions occurs several times, each with a part of them, so that batches are of similar size.

    Args:
        examples: The images with their captions.
        read_images: Function from indices of `images_of(examples, config, split)` to what the encoder reads.
        tokenizer: The tokenizer of the captions.
        config: The options of the captioner.
        split: The split's name.
        by_length: Whether images are batched by the length of their longest caption in training, which saves a third of
            the steps on Flickr8k. Use it with a frozen backbone only: the statistics of such a batch tell about its
            captions, which a backbone with batch normalisation learns to exploit.

    Returns:
        Batches `((images, tokens), targets, weights)`: the output of `read_images`; int32 arrays `(images, captions,
        steps)`, 0 at padding and for missing captions, where `tokens` begin with the start token and `targets` end with
        the end token; and float32 weights of the same shape, 0 at padding and 1 elsewhere.
    """
    ids, own = _encode(examples, tokenizer, config.max_length), share()
    is_training = split == "train"
    captions_per_image = config.captions_per_image if is_training else None
    counts = [len(captions[:captions_per_image]) for captions in ids]
    captions_per_row = 2 * math.ceil(np.mean(counts))
    sizes = [len(part) for count in counts for part in slices(range(count), captions_per_row)]
    batch_size = images_per_batch(config.batch_size, float(np.mean(sizes)))

    def order(epoch):
        generator = np.random.default_rng([config.seed, epoch])
        images, captions = np.arange(len(examples)), ids
        if is_training:
            images = with_mirrored(images, len(examples), config, epoch)
            captions = [[own[i] for i in generator.permutation(len(own))[:captions_per_image]] for own in ids]
        rows = [
            _Row(i, part) for i, own in zip(images, captions, strict=True) for part in slices(own, captions_per_row)
        ]
        parts = _parts(rows, batch_size, generator if is_training else None, by_length)
        return [[rows[index] for index in part] for part in parts]

    def batch(rows):
        rows = rows + [_Row(rows[0].image, [])] * (own.rounded(len(rows)) - len(rows))
        weights = [[1.0] * len(row.captions) for row in rows]
        images = read_images(own.of(np.array([row.image for row in rows])))
        return caption_batch(images, [row.captions for row in rows], weights, max(sizes), config)

    order_of = order_of_epochs(order, split)
    return EpochBatches(
        lambda epoch: threaded_map(batch, order_of(epoch), THREADS),
        batch_signature(read_images),
        lambda epoch: math.ceil(len(sizes) / batch_size),
        contents=f"{len(examples):,} images with {sum(counts):,} captions",
    )


def _encode(examples: Sequence[CaptionedImage], tokenizer: Tokenizer, max_length: int) -> list[list[np.ndarray]]:
    """The token ids of the captions of each image."""
    captions = [caption for example in examples for caption in example.captions]
    ids = encode_texts(tokenizer, captions, max_length)
    indices = iter(range(len(captions)))
    return [[ids[next(indices)] for _ in example.captions] for example in examples]


def _parts(rows: list[_Row], batch_size: int, generator: np.random.Generator | None, by_length: bool) -> list[Any]:
    """Indices of the rows of each batch: in order, or with a generator shuffled."""
    if generator is None:
        return slices(range(len(rows)), batch_size)
    if not by_length:
        return slices(generator.permutation(len(rows)), batch_size)
    longest = np.array([[max(map(len, row.captions))] for row in rows])
    return length_batches(longest, batch_size, generator)


def caption_batch(
    images: np.ndarray,
    captions: Iterable[Sequence[np.ndarray]],
    weights: Iterable[Sequence[float]],
    max_captions: int,
    config: Config,
) -> Nest:
    """Builds a batch as `batches` returns it.

    Args:
        images: What the encoder reads of the images, with several hosts of those of this one.
        captions: The token ids of each image's captions.
        weights: The weight of each caption.
        max_captions: The maximum number of captions of an image. With XLA all batches have as many.
        config: The options of the captioner.
    """
    own = share()
    # Transposed to one list per caption, so that missing captions are filled in, and then back.
    weight_columns = list(zip_longest(*weights, fillvalue=0.0))
    caption_columns = list(zip_longest(*captions, fillvalue=()))
    if uses_xla(config.jit):  # every new shape is compiled
        missing = max_captions - len(caption_columns)
        weight_columns += [(0.0,) * own.count * len(images)] * missing
        caption_columns += [((),) * own.count * len(images)] * missing
    caption_weights = np.array(weight_columns, "float32").T
    rows = [caption for own in zip(*caption_columns, strict=True) for caption in own]
    ids = Ragged.of(rows)
    padded = ids.padded(np.arange(len(ids)), config.jit)
    tokens, targets, is_token = (array.reshape(*caption_weights.shape, -1) for array in teacher_forcing(padded))
    tokens, targets, weights = own.of_batch((tokens, targets, is_token * caption_weights[:, :, np.newaxis]))
    return (images, tokens), targets, weights


def images_of(examples: Sequence[CaptionedImage], config: Config, split: str) -> list[Image]:
    """The images of a split; with `config.mirror`, those of `train` are followed by their mirror images."""
    images = [example.image for example in examples]
    if split == "train" and config.mirror:
        images += [dataclasses.replace(image, mirrored=True) for image in images]
    return images


def with_mirrored(indices: np.ndarray, count: int, config: Config, epoch: int) -> np.ndarray:
    """Replaces, with `config.mirror`, a random half of the indices of `count` images by those of their mirror images.

    The indices are those of `images_of`.
    """
    if not config.mirror:
        return indices
    return indices + count * np.random.default_rng([config.seed, epoch, 1]).integers(2, size=len(indices))


def batch_signature(read_images: Reader) -> Nest:
    """The signature of the batches whose images come from `read_images`."""
    tokens = keras.InputSpec(dtype="int32", shape=(None, None, None))
    return (
        (spec_of(read_images), tokens),
        tokens,
        keras.InputSpec(dtype="float32", shape=(None, None, None)),
    )
