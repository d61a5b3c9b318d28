"""What the trained models that read images share: signatures for encoded images and pixels, and their backbone."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from ....layers import ImageEncoder
from ....layers.types import Tensor
from ..models.rows import answer_usable
from ..models.trained_model import TrainedModel
from .backbones import feature_grid
from .graph import decode_in_graph, pad_empty_batch, resize_in_graph

IMAGE_BYTES = tf.TensorSpec([None], tf.string, name="image_bytes")
ERROR = tf.TensorSpec([None], tf.string, name="error")
PIXELS = tf.TensorSpec([None, None, None, 3], tf.uint8, name="pixels")


class ImageModel(TrainedModel):
    """Base of the trained models that read images.

    A subclass defines `encoder`, `best` and, if it reads more than images, `further_inputs`.
    """

    further_inputs: tuple[tf.TensorSpec, ...] = ()  # of the signatures, one row per image

    def __init__(self, config: Any, model: keras.Model, **assets: Any) -> None:
        super().__init__(config, model, **assets)
        backbone = self.encoder.backbone
        side = backbone.input_shape[1] if backbone is not None else None
        if side not in (None, config.image_size):
            raise ValueError(f"image_size is {config.image_size}, but the model reads images of {side} pixels")
        # One traced function, which an export stores once for both signatures.
        self._predict_usable = tf.function(
            self.predict_usable, input_signature=[self.squares, ERROR, *self.further_inputs], autograph=False
        )

    @property
    def encoder(self) -> ImageEncoder:
        """The image encoder of the Keras model."""
        raise NotImplementedError

    def best(self, pixels: Tensor, *inputs: Tensor) -> dict[str, Tensor]:
        """Computes the best outputs for uint8 images `(batch, size, size, 3)`, in the graph; one row per image.

        The batch is not empty.
        """
        raise NotImplementedError

    @property
    def squares(self) -> tf.TensorSpec:
        """The signature of the pixels that the model reads."""
        return tf.TensorSpec([None, self.config.image_size, self.config.image_size, 3], tf.uint8, name="pixels")

    @property
    def core_inputs(self) -> list[tf.TensorSpec]:
        return [self.squares]

    @property
    def grid(self) -> tuple[int, int]:
        """The rows and columns of the feature map."""
        return feature_grid(self.encoder.backbone, self.config.image_size)

    def signatures(self) -> dict[str, tuple[Callable, list[tf.TensorSpec]]]:
        """Two signatures with the outputs of `best`.

        `serving_default` takes `image_bytes` `(batch,)`, the contents of JPEG or PNG files of any sizes; `pixels` takes
        uint8 images `(batch, height, width, 3)`. Both take `further_inputs`, too. Both also return `error` `(batch,)`,
        what is wrong with a row, empty if nothing is. The other outputs of a row that cannot be used are zeros and
        empty strings.
        """
        return {
            "serving_default": (self.predict_bytes, [IMAGE_BYTES, *self.further_inputs]),
            "pixels": (self.predict_pixels, [PIXELS, *self.further_inputs]),
        }

    def predict_bytes(self, image_bytes: Tensor, *inputs: Tensor) -> dict[str, Tensor]:
        """Computes the best outputs for the contents of JPEG and PNG files `(batch,)`, in the graph."""
        return self._predict_usable(*decode_in_graph(image_bytes, self.config.image_size), *inputs)

    def predict_pixels(self, pixels: Tensor, *inputs: Tensor) -> dict[str, Tensor]:
        """Computes the best outputs for images `(batch, height, width, 3)` in 0 to 255, in the graph."""
        shape = tf.shape(pixels)
        is_empty = tf.reduce_prod(shape[1:]) == 0  # of height or width 0, as all images of the batch then are
        blanks = tf.cast(is_empty, tf.int32)
        pixels = tf.pad(pixels, [[0, 0], [0, blanks], [0, blanks], [0, 0]])  # there is nothing to resize
        error = tf.fill(shape[:1], tf.where(is_empty, "the image is empty", ""))
        return self._predict_usable(resize_in_graph(pixels, self.config.image_size), error, *inputs)

    def predict_usable(self, pixels: Tensor, error: Tensor, *inputs: Tensor) -> dict[str, Tensor]:
        """Computes the best outputs for the images `(batch, size, size, 3)` without an error `(batch,)`."""
        return answer_usable(self.predict_squares, error, error == "", pixels, *inputs)

    def predict_squares(self, pixels: Tensor, *inputs: Tensor) -> dict[str, Tensor]:
        """Computes `best`; also of an empty batch."""
        outputs = self.best(pad_empty_batch(pixels), *inputs)
        return {name: value[: tf.shape(pixels)[0]] for name, value in outputs.items()}


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
