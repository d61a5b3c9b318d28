"""Convolutional networks from images to feature maps, by name or from a file."""

import contextlib
import json
import sys
import zipfile
from pathlib import Path

import keras
from keras import layers

from ..errors import TrainingError

SMALL = "small"


def backbone(name, size, weights=None):
    """A network that an `ImageEncoder` looks with.

    Args:
        name: `"small"`, four convolutions; the name of a class of `keras.applications`, such as `"EfficientNetB0"`; or
            a `.keras` file with a model from images in 0 to 255 to a feature map, which is rebuilt with its weights if
            it was made for images of another size.
        size: Positive integer, the side of the square images.
        weights: For a name of `keras.applications`: None for random weights, `"imagenet"`, which Keras downloads, or a
            weights file of the model without its top.

    Returns:
        A Keras model from float images `(batch, size, size, 3)` in 0 to 255 to `(batch, rows, columns, features)`.

    Raises:
        TrainingError: If there is no such network, its weights cannot be read, or it does not take images of that size.
    """
    path = Path(name).expanduser()
    if path.suffix == ".keras" or name == SMALL:
        if weights is not None:
            raise TrainingError(f"backbone_weights are for the networks of keras.applications, not for '{name}'")
        model = _small(size) if name == SMALL else _for_images(_from_file(path), size)
    else:
        model = _from_applications(name, size, weights)
    taken = model.input_shape if model.built else None
    if taken is None or taken[1:] not in ((size, size, 3), (None, None, 3)):
        raise TrainingError(f"the backbone '{name}' takes {taken and taken[1:]}; images are of {(size, size, 3)}")
    try:
        given = model.compute_output_shape((None, size, size, 3))
    except ValueError as error:
        reason = str(error).strip().splitlines()[0]
        raise TrainingError(f"the backbone '{name}' cannot look at images of {(size, size, 3)}: {reason}") from error
    if not isinstance(given, tuple) or len(given) != 4 or not all(isinstance(side, int) for side in given[1:]):
        raise TrainingError(f"the backbone '{name}' gives {given}, not a feature map of four dimensions")
    return model


def configured(config):
    """The backbone of a configuration, and the epoch, counted from 1, from which on it is trained; 0 is never.

    It computes in `config.precision`, but for one from a file, which computes as it was made.

    Raises:
        TrainingError: As `backbone` does, or if features are to be kept of a backbone that is trained.
    """
    with _made_for(config.precision):
        network = backbone(config.backbone, config.image_size, config.backbone_weights)
    begins = config.backbone_epoch
    if begins is None:  # what has learned nothing yet must be trained
        begins = int(not config.backbone.endswith(".keras") and config.backbone_weights is None)
    if begins > config.epochs:
        raise TrainingError(f"backbone_epoch {begins} never comes, for training has {config.epochs} epochs")
    if config.backbone_rate is not None and not begins:
        raise TrainingError("backbone_rate is of a backbone that is trained; backbone_epoch says from when on")
    if config.cache is not None and begins:
        raise TrainingError("a cache keeps the features of a backbone that is never trained (backbone_epoch 0)")
    network.trainable = begins > 0
    return network, begins


@contextlib.contextmanager
def _made_for(precision):
    """Lets the layers that are made meanwhile compute in that precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def rates(config, network):
    """The learning rates of a backbone's own that `training.fit` takes."""
    return {id(weight): config.backbone_rate for weight in network.weights} if config.backbone_rate else {}


def grid(network, size):
    """Rows and columns of the feature map of square images."""
    return tuple(network.compute_output_shape((None, size, size, 3))[1:3])


def unfreezer(model, network, begins):
    """What `training.fit` calls before an epoch, so that the backbone of a model is trained from `begins` on."""

    def begin_epoch(epoch):
        trains = 0 < begins <= epoch + 1
        if trains != network.trainable:
            network.trainable = trains
            model.make_train_function(force=True)

    return begin_epoch


def _small(size):
    """Three halvings and a look around; the images and what each convolution finds are normalised over the batch.

    Of images that are not centred, a convolution's mean moves with each step, and its moving average is always behind:
    validation then looks at other features than training.
    """
    images = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = layers.BatchNormalization(momentum=0.9, center=False, scale=False)(x)
    for filters, strides in ((32, 2), (64, 2), (128, 2), (128, 1)):
        x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("relu")(x)
    return keras.Model(images, x, name=SMALL)


def _from_file(path):
    if not path.is_file():
        raise TrainingError(f"{path}: no such file with a backbone")
    try:
        return keras.models.load_model(path, compile=False)
    except (TypeError, KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path}: not a Keras model: {str(error).splitlines()[0]}") from error


def _for_images(network, size):
    """A network for images of this size, with the weights of one that takes those of another fixed size."""
    taken = network.input_shape if network.built else None
    if not isinstance(taken, tuple) or len(taken) != 4 or None in taken[1:3] or taken[1:3] == (size, size):
        return network
    before, after = (json.dumps([None, *shape]) for shape in (taken[1:], (size, size, taken[3])))
    try:
        rebuilt = keras.models.model_from_json(network.to_json().replace(before, after))  # in networks within it, too
        rebuilt.set_weights(network.get_weights())
    except (TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise TrainingError(f"the backbone is for images of {taken[1:]}, and for no other size: {reason}") from error
    return rebuilt


def _from_applications(name, size, weights):
    builder = getattr(keras.applications, name, None)
    if not callable(builder):
        names = ", ".join(name for name in dir(keras.applications) if name[0].isupper())
        raise TrainingError(f"no backbone '{name}'; there are {SMALL}, a .keras file, and {names}")
    try:
        network = builder(include_top=False, weights=weights, input_shape=(size, size, 3))
    except Exception as error:  # a missing file, another model's weights, no network, ...
        raise TrainingError(f"the backbone '{name}' cannot be made: {str(error).strip().splitlines()[0]}") from error
    images = keras.Input((size, size, 3))
    # Each network's own scaling is in the module that it comes from.
    scaled = sys.modules[builder.__module__].preprocess_input(images)
    return keras.Model(images, network(scaled), name=name.lower())
