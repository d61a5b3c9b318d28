"""Images with captions as batches of pixels, or features, and token ids."""

import dataclasses
import math

import numpy as np
import tensorflow as tf
from keras import ops

from ...datasets.images import read_captions
from ...layers.search import length_penalty
from ..console import progress
from ..images import THREADS, usable
from ..text import PADDING, length_batches, rows_of, teacher_forcing
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
        read_images: Function from an array of places in `images_of(examples, config, split)` to what the encoder reads
            of them.
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

    def batches_of(epoch):
        seen = _seen(places, len(examples), config, epoch) if is_training else places
        return _batches(order(epoch), ids, seen, np.ones(len(ids), "float32"), read_images, config)

    return EpochBatches(batches_of, _signature(read_images), len(order(0)), True)


def risk_batches(examples, read_images, search, captions, reward, config):
    """The captions that a search finds of images, weighted so that training on them raises the reward to expect.

    Of an image's captions with the rewards `r` and the scores `s`, log-probabilities divided by the length penalty,
    each is expected as often as its score says, and weighs as much as the mean reward `r'` gains if it gets likelier:

        q = softmax(3 s)        r' = sum(q r)        weight = captions dr' / dlog p = captions 3 q (r - r') / penalty

    Keras's mean over a batch, `sum_over_batch_size`, divides by its steps, padding included; the weights are multiplied
    by them, so that a caption weighs the same in a batch of any length.

    An epoch reads a quarter of the images, drawn anew. All its captions are written before its first step, by the model
    as it is then: with all images in an epoch they would soon not be the model's own any more, which makes it write
    ever shorter ones.

    Args:
        examples: List of `CaptionedImage`s.
        read_images: As in `batches`, for the split `train`.
        search: Function from what `read_images` gives to arrays of an image's captions: their ids `(batch, captions,
            steps)`, 0 at padding, their scores and their texts `(batch, captions)`.
        captions: Positive integer, how many captions of an image those are.
        reward: Function from a place in `examples` and a caption's text to a number.
        config: The `Config`.

    Returns:
        `EpochBatches` as those of `batches`, but for the weights, of which some are below 0.

    Reference:
        Shen et al. 2016, Minimum risk training for neural machine translation, equations 8 to 11.
    """
    count = math.ceil(len(examples) / 4)

    def written(epoch):
        """Of each caption its ids, the place of its picture, and its weight."""
        places = np.random.default_rng([config.seed, epoch, 2]).permutation(len(examples))[:count]
        seen = _seen(places, len(examples), config, epoch)
        parts = [seen[first : first + config.batch_size] for first in range(0, len(seen), config.batch_size)]
        found = progress(map(search, ahead(read_images, parts, THREADS)), len(parts), "writing captions")
        for part, (ids, scores, texts) in zip(parts, found, strict=True):
            images = part % len(examples)
            rewards = [[reward(image, text.decode()) for text in row] for image, row in zip(images, texts, strict=True)]
            chances = np.exp(3 * (scores - np.max(scores, axis=1, keepdims=True)))
            chances /= np.sum(chances, axis=1, keepdims=True)
            gains = rewards - np.sum(chances * rewards, axis=1, keepdims=True)
            penalties = length_penalty(np.sum(ids != PADDING, axis=2), config.length_penalty)
            weights = captions * 3 * chances * gains / ops.convert_to_numpy(penalties)
            ids, places = ids.reshape(-1, ids.shape[2]), np.repeat(part, captions)
            yield from zip((row[row != PADDING] for row in ids), places, weights.flat, strict=True)

    def batches_of(epoch):
        ids, places, weights = zip(*written(epoch), strict=True)
        generator = np.random.default_rng([config.seed, epoch])
        order = length_batches(np.array([[len(row)] for row in ids]), config.batch_size, generator)
        found = _batches(order, ids, np.array(places), np.array(weights, "float32"), read_images, config)
        return ((read, target, weights * target.shape[1]) for read, target, weights in found)

    batch_count = math.ceil(captions * count / config.batch_size)
    return EpochBatches(batches_of, _signature(read_images), batch_count, True)


def _batches(order, ids, places, weights, read_images, config):
    """Batches of captions, given by their ids, the places of their pictures and a weight each."""

    def batch_of(rows):
        read, target, is_token = teacher_forcing([ids[row] for row in rows], 8 if config.jit else 1)
        return (read_images(places[rows]), read), target, is_token * weights[rows, np.newaxis]

    return ahead(batch_of, order, THREADS)


def images_of(examples, config, split):
    """The `Image`s of a split that a model sees; with `config.mirror` in training, each mirrored follows them all."""
    images = [example.image for example in examples]
    if split == "train" and config.mirror:
        images += [dataclasses.replace(image, mirrored=True) for image in images]
    return images


def _seen(places, count, config, epoch):
    """Places among so many pictures, with `config.mirror` half of them those of their mirror images, by `images_of`."""
    if not config.mirror:
        return places
    return places + count * np.random.default_rng([config.seed, epoch, 1]).integers(2, size=len(places))


def _signature(read_images):
    images = read_images(np.array([0]))
    tokens = tf.TensorSpec((None, None), tf.int32)
    images = tf.TensorSpec((None, *images.shape[1:]), images.dtype)
    return (images, tokens), tokens, tf.TensorSpec((None, None), tf.float32)
