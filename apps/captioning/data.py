"""Images with captions as batches of pixels, or features, and token ids."""

import numpy as np
import tensorflow as tf

from ...datasets.images import read_captions
from ..images import THREADS, usable
from ..text import length_batches, rows_of, teacher_forcing
from ..training import EpochBatches, ahead


def read(config, split):
    """The usable images of a split of a configuration's data set, with their captions.

    An image that is missing, broken or without a caption is left out, named and counted on standard error.

    Returns:
        List of `CaptionedImage`s.

    Raises:
        DataError: If the split cannot be read, no image of it is usable, or with `config.strict` one is not.
    """
    examples = read_captions(config.data, split)
    return usable(examples, split, config.strict, lambda example: None if example.captions else "no caption")


def batches(examples, read_images, tokenizer, config, split):
    """Captions with their images as `EpochBatches`, in a new order each epoch for the split `train`.

    Images are read in threads, some batches ahead.

    Args:
        examples: List of `CaptionedImage`s.
        read_images: Function from an array of places in `examples` to what the encoder reads of them.
        tokenizer: The tokenizer of the captions.
        config: The `Config`.
        split: The split's name.

    Returns:
        Batches of like length, each `((images, start + caption), caption + end, weights)`: what `read_images` gives,
        int32 arrays `(batch, steps)`, 0 at padding, and float32 weights, 0 there and 1 elsewhere.
    """
    counts = np.array([len(example.captions) for example in examples])
    places = np.repeat(np.arange(len(examples)), counts)  # the image of each caption
    captions = [caption for example in examples for caption in example.captions]
    ids = rows_of(tokenizer.encode(captions, config.max_length))
    lengths = np.array([[len(row)] for row in ids])
    is_training = split == "train"

    def order(epoch):
        if not is_training:
            return length_batches(lengths, config.batch_size)
        generator = np.random.default_rng([config.seed, epoch])
        chosen = np.arange(len(ids))
        if config.captions_per_image is not None:
            ranks = np.lexsort((generator.random(len(ids)), places))  # the captions of each image, in a random order
            rank_of = np.arange(len(ids)) - np.repeat(np.cumsum(counts) - counts, counts)
            chosen = np.sort(ranks[rank_of < config.captions_per_image])
        return [chosen[batch] for batch in length_batches(lengths[chosen], config.batch_size, generator)]

    multiple = 8 if config.jit else 1

    def batch_of(rows):
        read, target, weights = teacher_forcing([ids[row] for row in rows], multiple)
        return (read_images(places[rows]), read), target, weights

    images = read_images(places[:1])
    tokens = tf.TensorSpec((None, None), tf.int32)
    images = tf.TensorSpec((None, *images.shape[1:]), images.dtype)
    signature = (images, tokens), tokens, tf.TensorSpec((None, None), tf.float32)
    return EpochBatches(lambda epoch: ahead(batch_of, order(epoch), THREADS), signature, len(order(0)), True)
