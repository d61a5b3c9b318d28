"""What the trained models that read images share."""

from typing import Any

import keras

from ....layers import ImageEncoder
from ..models.trained_model import TrainedModel
from .backbones import feature_grid


class ImageModel(TrainedModel):
    """Base of the trained models that read images. A subclass defines `encoder`."""

    def __init__(self, config: Any, model: keras.Model, **assets: Any) -> None:
        super().__init__(config, model, **assets)
        backbone = self.encoder.backbone
        side = backbone.input_shape[1] if backbone is not None else None
        if side not in (None, config.image_size):
            raise ValueError(f"image_size is {config.image_size}, but the model reads images of {side} pixels")

    @property
    def encoder(self) -> ImageEncoder:
        """The image encoder of the Keras model."""
        raise NotImplementedError

    @property
    def squares(self) -> keras.InputSpec:
        """The specification of the pixels that the model reads."""
        size = self.config.image_size
        return keras.InputSpec(dtype="uint8", shape=(None, size, size, 3), name="pixels")

    @property
    def grid(self) -> tuple[int, int]:
        """The rows and columns of the feature map."""
        return feature_grid(self.encoder.backbone, self.config.image_size)


def copy_without_backbone(source: keras.Model, target: keras.Model) -> None:
    """Copies the weights of a model that reads features to one of the same architecture that has a backbone.

    Args:
        source: A model whose `ImageEncoder` has no backbone.
        target: A built model whose `ImageEncoder` has a backbone, which keeps its weights.
    """
    for source_layer, target_layer in zip(source.layers, target.layers, strict=True):
        if isinstance(target_layer, ImageEncoder):
            target_layer.copy_reading(source_layer)
        else:
            target_layer.set_weights(source_layer.get_weights())
