"""Baselines: captions of the training images."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np
from keras import ops

from ...datasets.images import CaptionedImage, Image
from ..shared.console import progress
from ..shared.memory import in_halves
from ..shared.models.compiled import compiled
from ..shared.training.splits import training_splits
from .data import read
from .model import Captioner

Baseline: TypeAlias = Callable[[Sequence[Image]], list[str]]  # from images to one caption each

NAMES = {"commonest": "commonest_caption", "nearest": "nearest_image"}  # in the metrics


def baseline_of(captioner: Captioner, baseline: str) -> Baseline:
    """Returns the baseline of an option from the images that a captioner was trained on."""
    examples = training_splits(read, captioner.config)["train"]
    return commonest_caption(examples) if baseline == "commonest" else nearest_image(captioner, examples)


def commonest_caption(examples: Sequence[CaptionedImage]) -> Baseline:
    """Returns a baseline that gives every image the most common caption of the training images.

    Args:
        examples: The training images with their captions.
    """
    caption, _ = Counter(caption for example in examples for caption in example.captions).most_common(1)[0]
    return lambda images: [caption] * len(images)


def nearest_image(captioner: Captioner, examples: Sequence[CaptionedImage]) -> Baseline:
    """Returns a baseline that gives an image the first caption of the most similar training image.

    The similarity of two images is the cosine of their features: the means over the cells of the backbone's feature
    map.

    Args:
        captioner: The captioner whose backbone computes the features.
        examples: The training images with their captions.

    Reference:
        Devlin et al. 2015, Exploring nearest neighbor approaches for image captioning.
    """

    def mean_features(pixels):
        return ops.mean(ops.cast(captioner.encoder.features(pixels), "float32"), axis=(1, 2))

    run = compiled(mean_features, captioner.model, [captioner.squares])

    def directions(images: Iterable[Image]) -> np.ndarray:
        rows = np.array([row for pixels in captioner.pixel_batches(images) for row in in_halves(run, pixels)])
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    images = [example.image for example in examples]
    known = directions(progress(images, len(images), "computing features of the training images"))
    return lambda images: [examples[index].captions[0] for index in (directions(images) @ known.T).argmax(axis=1)]
