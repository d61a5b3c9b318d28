"""Minimum risk training: the captioner learns from captions that its own search finds.

Reference:
    Shen et al. 2016, Minimum risk training for neural machine translation.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from ...datasets.images import CaptionedImage
from ...layers import Hypotheses
from ...layers.search import length_penalty
from ...layers.types import Tensor
from ..shared.console import note
from ..shared.errors import NotANumberError
from ..shared.images.pixels import THREADS, Reader, images_per_batch, spec_of
from ..shared.models.compiled import compiled
from ..shared.text.tokenizers import END, PADDING, Tokenizer
from ..shared.text.writing import Writer
from ..shared.training.batches import EpochBatches, slices, threaded_map
from ..shared.training.fit import fit
from ..shared.training.losses import TokenCrossentropy
from .config import Config
from .data import batch_signature, caption_batch, with_mirrored
from .metrics import caption_reward

FOLDER = "risk"  # of the history of this training, in the model's folder


def train_on_risk(
    model: keras.Model,
    examples: Sequence[CaptionedImage],
    read_images: Reader,
    validation: EpochBatches,
    tokenizer: Tokenizer,
    config: Config,
    folder: Path,
    score: Callable[[], float],
    **options: Any,
) -> None:
    """Trains a captioner for `config.risk_epochs` epochs, and keeps the new weights if they score higher.

    Args:
        model: A trained `ConditionalLM`.
        examples: The images of the split `train`.
        read_images: Function from indices of `images_of(examples, config, "train")` to what the encoder reads.
        validation: The batches of the split `validation`.
        tokenizer: The tokenizer of the captions.
        config: The options of the captioner.
        folder: The model's folder, in which `model.keras` is replaced if the weights are.
        score: Function that measures the model, higher is better.
        **options: Arguments of `training.fit`.
    """
    count = min(config.risk_captions, len(tokenizer))
    writer = Writer(dataclasses.replace(config, beam_size=count), tokenizer, model)
    search = compiled(writer.search, model, [spec_of(read_images)])
    batches = risk_batches(
        examples,
        read_images,
        search,
        tokenizer,
        count,
        caption_reward([example.captions for example in examples]),
        config,
    )
    stage: dict[str, Any] = {
        "epochs": config.risk_epochs,
        "learning_rate": config.risk_rate,
        "schedule": "cosine",
        "warmup_steps": 0,
        "accumulate": min(config.accumulate, len(batches)),
    }
    before, weights = score(), model.get_weights()
    # The default reduction divides by the sum of the weights, some of which are negative.
    loss = TokenCrossentropy(reduction="sum_over_batch_size")
    config = dataclasses.replace(config, **stage)
    try:
        best = fit(model, loss, batches, validation, config, folder / FOLDER, score=score, **options)
        after = best[score.__name__]
    except NotANumberError:
        after = -math.inf
    if after > before:
        (folder / FOLDER / "model.keras").replace(folder / "model.keras")
    else:
        note(f"the risk epochs did not raise {score.__name__} above {before:.4g}; the earlier weights are kept")
        model.set_weights(weights)
        (folder / FOLDER / "model.keras").unlink(missing_ok=True)


def risk_batches(
    examples: Sequence[CaptionedImage],
    read_images: Reader,
    search: Callable[[np.ndarray], Hypotheses],
    tokenizer: Tokenizer,
    captions: int,
    reward: Callable[[int, str], float],
    config: Config,
) -> EpochBatches:
    """Batches of captions that a search finds, weighted so that training on them raises the expected reward.

    An epoch reads a random quarter of the images. The captions of a batch are searched with the current weights, just
    before the step that reads it: with captions of earlier weights the model learns to write ever shorter ones. Images
    are read ahead.

    Args:
        examples: The images of the split `train`.
        read_images: Function from indices of `images_of(examples, config, "train")` to what the encoder reads.
        search: Function from the output of `read_images` to the captions of each image.
        tokenizer: The tokenizer of the captions.
        captions: Positive integer, the number of captions per image that `search` returns.
        reward: Function from an index of `examples` and a caption to its reward.
        config: The options of the captioner.

    Returns:
        Batches as those of `data.batches`, but with positive and negative weights.
    """
    count = math.ceil(len(examples) / 4)
    batch_size = images_per_batch(config.batch_size, captions)

    def risk_batch(indices, images):
        ids, _, scores = search(images)
        is_complete = np.any(ids == END, axis=2)  # a caption that was cut off has no reward
        rewards = [
            [reward(index, tokenizer.decode(caption)) * complete for caption, complete in zip(*row, strict=True)]
            for index, *row in zip(indices % len(examples), ids, is_complete, strict=True)
        ]
        weights = risk_weights(ids, scores, np.array(rewards), config.length_penalty)
        tokens = [[caption[caption != PADDING] for caption in own] for own in ids]
        inputs, targets, token_weights = caption_batch(images, tokens, weights, captions, config)
        # The loss divides by the number of steps, padding included, so that batches of any length weigh the same.
        return inputs, targets, token_weights * targets.shape[-1]

    def epoch_batches(epoch):
        indices = np.random.default_rng([config.seed, epoch, 2]).permutation(len(examples))[:count]
        parts = slices(with_mirrored(indices, len(examples), config, epoch), batch_size)
        return map(risk_batch, parts, threaded_map(read_images, parts, THREADS))

    signature = batch_signature(read_images)
    return EpochBatches(
        epoch_batches, signature, lambda epoch: math.ceil(count / batch_size), False, f"{count:,} images"
    )


def risk_weights(ids: np.ndarray, scores: np.ndarray, rewards: np.ndarray, alpha: float) -> Tensor:
    """The derivatives of the expected reward by the log-probabilities of the captions, times the number of captions.

    A caption of an image has a reward `r` and a score `s`, its log-probability `log p` divided by the length penalty.
    The expected reward `r'` is that of a distribution `q` over the captions of the image:

        q = softmax(3 s)    r' = sum(q r)    weight = captions dr' / dlog p = captions 3 q (r - r') / penalty

    Args:
        ids: Integer array `(images, captions, steps)`, 0 at padding.
        scores: Array `(images, captions)`.
        rewards: Array `(images, captions)`.
        alpha: The exponent of the length penalty.

    Returns:
        Array `(images, captions)`.

    Reference:
        Shen et al. 2016, Minimum risk training for neural machine translation, equations 8 to 11.
    """
    probabilities = np.exp(3 * (scores - np.max(scores, axis=1, keepdims=True)))
    probabilities /= np.sum(probabilities, axis=1, keepdims=True)
    gains = rewards - np.sum(probabilities * rewards, axis=1, keepdims=True)
    penalties = ops.convert_to_numpy(length_penalty(np.sum(ids != PADDING, axis=2), alpha))
    return ids.shape[1] * 3 * probabilities * gains / penalties
