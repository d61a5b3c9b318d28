"""Metrics of the captions of a split."""

from collections.abc import Iterable, Sequence
from typing import Any

from ...datasets.images import CaptionedImage
from ...datasets.shapes.captions import is_true
from ...datasets.shapes.scene import Scene
from .metrics import CaptionMetrics


class SplitMetrics:
    """Computes the metrics of captions part by part: those of `CaptionMetrics`, and `true` for generated images.

    Args:
        examples: The images of the split with their reference captions.

    Attributes:
        images: The number of captions.
    """

    def __init__(self, examples: Iterable[CaptionedImage]) -> None:
        self.images = 0
        self._true = 0
        self._has_scenes = all(example.scene for example in examples)
        self._metrics = CaptionMetrics(example.captions for example in examples)

    def update(self, examples: Sequence[CaptionedImage], captions: Sequence[str]) -> None:
        """Adds one caption for each of some images."""
        self.images += len(examples)
        self._metrics.update(captions, [example.captions for example in examples])
        self._true += sum(
            is_true(caption, Scene.from_json(example.scene))
            for caption, example in zip(captions, examples, strict=True)
            if example.scene
        )

    def result(self) -> dict[str, Any]:
        """Returns the metrics of all captions. `true` is the fraction of captions that are true of their scene."""
        return {**self._metrics.result(), **({"true": self._true / self.images} if self._has_scenes else {})}
