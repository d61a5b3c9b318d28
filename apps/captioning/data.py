"""Images with captions as batches of pixels, or features, and token ids."""

import dataclasses
import math
from itertools import zip_longest

import numpy as np
import tensorflow as tf
from keras import ops

from ...datasets.images import read_captions
from ...layers.search import length_penalty
from ..shared.images.pixels import THREADS, images_at_once
from ..shared.images.usable import usable
from ..shared.text.batches import length_batches, rows_of, teacher_forcing
from ..shared.text.tokenizers import END, PADDING
from ..shared.training.batches import EpochBatches, ahead, slices


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


def batches(examples, read_images, tokenizer, config, split, by_length=False):
    """Images with their captions as `EpochBatches`, in a new order each epoch for the split `train`.

    Images are read in threads, some batches ahead, and each once in an epoch, but for those of more than twice as many
    captions as others have: they come again with the rest, so that no batch is much larger than others.

    Args:
        examples: List of `CaptionedImage`s.
        read_images: Function from an array of places in `images_of(examples, config, split)` to what the encoder reads
            of them.
        tokenizer: The tokenizer of the captions.
        config: The `Config`.
        split: The split's name.
        by_length: Whether in training the longest captions of a batch's images are of like length, which saves a third
            of the steps of Flickr8k. Not where a backbone learns: the statistics of a batch would tell of its images,
            which a model that normalises by them learns to use, and misses where it sees one image.

    Returns:
        Batches `((images, start + captions), captions + end, weights)`: what `read_images` gives; int32 arrays
        `(images, captions, steps)`, 0 at padding and for captions that an image lacks; and float32 weights, 0 there and
        1 elsewhere.
    """
    captions = [caption for example in examples for caption in example.captions]
    rest = iter(rows_of(tokenizer.encode(captions, config.max_length)))
    ids = [[next(rest) for _ in example.captions] for example in examples]
    is_training = split == "train"
    most = config.captions_per_image if is_training else None
    counts = [len(of_image[:most]) for of_image in ids]
    together = 2 * math.ceil(np.mean(counts))
    sizes = [len(part) for count in counts for part in slices(range(count), together)]
    at_once = images_at_once(config.batch_size, np.mean(sizes))

    def batches_of(epoch):
        generator = np.random.default_rng([config.seed, epoch])
        seen, chosen = np.arange(len(examples)), ids
        if is_training:
            seen = _seen(seen, len(examples), config, epoch)
            chosen = [[of_image[place] for place in generator.permutation(len(of_image))[:most]] for of_image in ids]
        rows = [(place, part) for place, own in zip(seen, chosen, strict=True) for part in slices(own, together)]
        if is_training and by_length:
            longest = np.array([[max(map(len, part))] for _, part in rows])
            parts = length_batches(longest, at_once, generator)
        else:
            parts = slices(generator.permutation(len(rows)) if is_training else range(len(rows)), at_once)

        def batch_of(part):
            places, captions = zip(*(rows[row] for row in part), strict=True)
            weights = [[1.0] * len(of_image) for of_image in captions]
            return _batch(read_images(np.array(places)), captions, weights, max(sizes), config)

        return ahead(batch_of, parts, THREADS)

    return EpochBatches(batches_of, _signature(read_images), math.ceil(len(sizes) / at_once), True)


def risk_batches(examples, read_images, search, captions, reward, config):
    """The captions that a search finds of images, weighted so that training on them raises the reward to expect.

    Of an image's captions with the rewards `r` and the scores `s`, log-probabilities divided by the length penalty,
    each is expected as often as its score says, and weighs as much as the mean reward `r'` gains if it gets likelier:

        q = softmax(3 s)        r' = sum(q r)        weight = captions dr' / dlog p = captions 3 q (r - r') / penalty

    Keras's mean over a batch, `sum_over_batch_size`, divides by its steps, padding included; the weights are multiplied
    by them, so that a caption weighs the same in a batch of any length.

    An epoch reads a quarter of the images, drawn anew. A batch's captions are written when training asks for it, by the
    model as it is then: those of an earlier one teach the model to write ever shorter ones. Images are read ahead.

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
    at_once = images_at_once(config.batch_size, captions)

    def batch_of(part, images):
        ids, scores, texts = search(images)
        ends = np.any(ids == END, axis=2)  # what was cut off is worth nothing
        rewards = [
            [reward(place, text.decode()) * end for text, end in zip(*row, strict=True)]
            for place, *row in zip(part % len(examples), texts, ends, strict=True)
        ]
        chances = np.exp(3 * (scores - np.max(scores, axis=1, keepdims=True)))
        chances /= np.sum(chances, axis=1, keepdims=True)
        gains = rewards - np.sum(chances * rewards, axis=1, keepdims=True)
        penalties = length_penalty(np.sum(ids != PADDING, axis=2), config.length_penalty)
        weights = captions * 3 * chances * gains / ops.convert_to_numpy(penalties)
        written = [[caption[caption != PADDING] for caption in of_image] for of_image in ids]
        read, target, weights = _batch(images, written, weights, captions, config)
        return read, target, weights * target.shape[-1]

    def batches_of(epoch):
        places = np.random.default_rng([config.seed, epoch, 2]).permutation(len(examples))[:count]
        parts = slices(_seen(places, len(examples), config, epoch), at_once)
        return map(batch_of, parts, ahead(read_images, parts, THREADS))

    return EpochBatches(batches_of, _signature(read_images), math.ceil(count / at_once), True, prefetch=False)


def _batch(images, captions, weights, most, config):
    """A batch of images, the ids of the captions of each, at most so many, and a weight for each of those."""
    # Transposed to captions, so that what an image lacks is filled in, and back to images.
    weights = list(zip_longest(*weights, fillvalue=0.0))
    ids = list(zip_longest(*captions, fillvalue=()))
    multiple = 1
    if config.jit:  # which compiles each shape anew
        multiple = 8
        lacking = most - len(ids)
        weights += [[0.0] * len(captions)] * lacking
        ids += [[()] * len(captions)] * lacking
    weights = np.array(weights, "float32").T
    rows = [row for of_image in zip(*ids, strict=True) for row in of_image]
    read, target, is_token = (array.reshape(*weights.shape, -1) for array in teacher_forcing(rows, multiple))
    return (images, read), target, is_token * weights[:, :, np.newaxis]


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
    images = tf.TensorSpec((None, *images.shape[1:]), images.dtype)
    tokens = tf.TensorSpec((None, None, None), tf.int32)
    return (images, tokens), tokens, tf.TensorSpec((None, None, None), tf.float32)
