"""Backbones: convolutional networks from images to feature maps, by name or from a file."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
from keras import layers

from ..errors import TrainingError, first_line
from ..models.keras_files import check_weights, load_keras_file

# The filters of the convolutions of networks that are trained from scratch.
FILTERS = {"small": (32, 64, 128, 128), "tiny": (16, 32, 64, 64)}


class Backbone(NamedTuple):
    """A backbone, and how a training treats it.

    Attributes:
        model: Keras model from float images `(batch, size, size, 3)` in 0 to 255 to a feature map `(batch, rows,
            columns, features)`.
        first_epoch: The first epoch, counted from 1, in which it is trained; 0 if it is always frozen.
        learning_rate: Its own learning rate; None is that of the other layers.
    """

    model: keras.Model
    first_epoch: int
    learning_rate: float | None

    def unfreezer(self, model: keras.Model) -> Callable[[int], None]:
        """Returns the argument `begin_epoch` of `training.fit` for a model that contains the backbone."""

        def begin_epoch(epoch):
            is_trained = 0 < self.first_epoch <= epoch + 1
            if is_trained != self.model.trainable:
                self.model.trainable = is_trained
                model.make_train_function(force=True)

        return begin_epoch

    @property
    def learning_rates(self) -> dict[int, float]:
        """The argument `learning_rates` of `training.fit`."""
        if not self.learning_rate:
            return {}
        return {id(weight): self.learning_rate for weight in self.model.weights}


def configured_backbone(config: Any) -> Backbone:
    """Builds or loads the backbone of a configuration.

    It computes in `config.precision`; one from a file keeps its own precision.

    Args:
        config: A configuration with the options of `ImageConfig` and `TrainingConfig`.

    Raises:
        TrainingError: As `load_backbone`, or if options exclude each other.
    """
    with _dtype_policy(config.precision):
        backbone = load_backbone(config.backbone, config.image_size, config.backbone_weights)
    first_epoch = config.backbone_epoch
    if first_epoch is None:  # random weights must be trained
        first_epoch = int(not config.backbone.endswith(".keras") and config.backbone_weights is None)
    if first_epoch > config.epochs:
        raise TrainingError(f"backbone_epoch is {first_epoch}, but training has only {config.epochs} epochs")
    if config.backbone_rate is not None and not first_epoch:
        raise TrainingError("backbone_rate needs a backbone that is trained; set backbone_epoch")
    if config.cache is not None and first_epoch:
        raise TrainingError("cache needs a backbone that is never trained; set backbone_epoch to 0")
    backbone.trainable = first_epoch > 0
    return Backbone(backbone, first_epoch, config.backbone_rate)


@contextlib.contextmanager
def _dtype_policy(precision: str) -> Iterator[None]:
    """Sets Keras's default dtype policy inside the block."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def load_backbone(name: str, size: int, weights: str | None = None) -> keras.Model:
    """Builds or loads a model that computes feature maps.

    Args:
        name: `"small"`, four convolutions; `"tiny"`, the same with half as many filters; the name of a model of
            `keras.applications`, such as `"EfficientNetB0"`; or a `.keras` file with a model from images in 0 to 255 to
            a feature map. A model for images of another size is rebuilt with its weights.
        size: Positive integer, the side of the square images.
        weights: For a model of `keras.applications`: None for random weights, `"imagenet"`, which Keras downloads, or
            a file with the weights of the model without its top.

    Returns:
        A Keras model from float images `(batch, size, size, 3)` in 0 to 255 to `(batch, rows, columns, features)`.

    Raises:
        TrainingError: If there is no such backbone, its weights cannot be read, or it does not fit the images.

    Example:

    >>> from keras_recurrent.apps.shared.images.backbones import load_backbone
    >>> load_backbone("small", 64).output_shape
    (None, 8, 8, 128)
    """
    path = Path(name).expanduser()
    if path.suffix == ".keras" or name in FILTERS:
        if weights is not None:
            raise TrainingError(f"backbone_weights are for models of keras.applications, not for '{name}'")
        backbone = _from_scratch(name, size) if name in FILTERS else _rebuild(_from_file(path), size)
    else:
        backbone = _from_applications(name, size, weights)
    input_shape = _input_shape(backbone)
    if input_shape is None or input_shape[1:] not in ((size, size, 3), (None, None, 3)):
        shape = input_shape and input_shape[1:]
        raise TrainingError(f"the backbone '{name}' takes inputs of shape {shape}; images have {(size, size, 3)}")
    try:
        output_shape = backbone.compute_output_shape((None, size, size, 3))
    except ValueError as error:
        reason = first_line(error)
        raise TrainingError(f"the backbone '{name}' cannot read images of shape {(size, size, 3)}: {reason}") from error
    is_map = isinstance(output_shape, tuple) and len(output_shape) == 4
    if not is_map or not all(isinstance(side, int) for side in output_shape[1:]):
        raise TrainingError(f"the backbone '{name}' outputs {output_shape}, not a feature map of four dimensions")
    return backbone


def feature_grid(backbone: keras.Model, size: int) -> tuple[int, int]:
    """The rows and columns of a backbone's feature map of square images."""
    _, rows, columns, _ = backbone.compute_output_shape((None, size, size, 3))
    return rows, columns


def _from_scratch(name: str, size: int) -> keras.Model:
    """Builds four convolutions, three of them with strides.

    The images and each convolution are normalised over the batch.
    Without a normalisation of the images, the mean of a convolution moves with each step if the images are not
    centred. Its moving average then lags behind, and validation computes other features than training.
    """
    images = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = layers.BatchNormalization(momentum=0.9, center=False, scale=False)(x)
    for filters, strides in zip(FILTERS[name], (2, 2, 2, 1), strict=True):
        x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("relu")(x)
    return keras.Model(images, x, name=name)


def _from_file(path: Path) -> keras.Model:
    if not path.is_file():
        raise TrainingError(f"{path}: {'not a regular' if path.exists() else 'no such backbone'} file")
    try:
        return load_keras_file(path)
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: not a Keras model: {first_line(error)}") from error


def _input_shape(backbone: keras.Model) -> Any:
    """The shape of a model's inputs; None if it is not built or is a subclassed model, which has none."""
    return getattr(backbone, "input_shape", None) if backbone.built else None


def _rebuild(backbone: keras.Model, size: int) -> keras.Model:
    """Rebuilds a backbone for images of this size, with the same weights, if it takes images of another fixed size."""
    shape = _input_shape(backbone)
    if not isinstance(shape, tuple) or len(shape) != 4 or None in shape[1:3] or shape[1:3] == (size, size):
        return backbone
    before, after = (json.dumps([None, *sides]) for sides in (shape[1:], (size, size, shape[3])))
    try:
        rebuilt = keras.models.model_from_json(backbone.to_json().replace(before, after))  # in nested networks, too
        rebuilt.set_weights(backbone.get_weights())
    except (TypeError, ValueError) as error:
        raise TrainingError(
            f"the backbone takes images of shape {shape[1:]} and cannot be rebuilt for another size: "
            f"{first_line(error)}"
        ) from error
    return rebuilt


def _from_applications(name: str, size: int, weights: str | None) -> keras.Model:
    builder = getattr(keras.applications, name, None)
    if not callable(builder):
        names = ", ".join(name for name in dir(keras.applications) if name[0].isupper())
        raise TrainingError(f"no backbone '{name}'; choose {', '.join(FILTERS)}, a .keras file, or one of {names}")
    try:
        if weights is not None and Path(weights).is_file():
            check_weights(weights, Path(weights).stat().st_size)
        backbone = builder(include_top=False, weights=weights, input_shape=(size, size, 3))
    except Exception as error:  # a missing file, weights of another model, no connection, ...
        raise TrainingError(f"the backbone '{name}' cannot be built: {first_line(error)}") from error
    images = keras.Input((size, size, 3))
    # The model's own scaling of pixels stands in the module that defines it.
    scaled = sys.modules[builder.__module__].preprocess_input(images)
    return keras.Model(images, backbone(scaled), name=name.lower())
