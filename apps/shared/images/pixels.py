"""Images as pixels, decoded by Pillow."""

import contextlib
import io
import math
import os
import warnings

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps, UnidentifiedImageError

THREADS = min(os.cpu_count() or 1, 16)  # each holds batches of pixels that wait

# Where Pillow finds an orientation, too, if EXIF has none, and a graph does not look.
_OTHER_ORIENTATIONS = ("xmp", "xml:com.adobe.xmp", "raw profile type exif")

# Pillow warns above its limit of pixels, and raises above twice that; here all that is above it is refused.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class ImageError(ValueError):
    """An image cannot be read; the message says why, in one line."""


def decode(content):
    """The pixels of an encoded image of any format that Pillow reads, and of an animation the first picture.

    The picture is turned as its EXIF orientation says, what is transparent lies on white, and of 16 bits a channel the
    higher 8 count.

    Args:
        content: Bytes.

    Returns:
        uint8 array `(height, width, 3)`, RGB.

    Raises:
        ImageError: If that is no image, is cut short, or has more pixels than Pillow's limit against decompression
            bombs, `PIL.Image.MAX_IMAGE_PIXELS`.
    """
    if not content:
        raise ImageError("the file is empty")
    with _pillows_errors():
        image = Image.open(io.BytesIO(content))
        if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf):
            raise Image.DecompressionBombError
        image.load()
        if image.mode in ("I", "F") and not _has_16_bits(image):
            raise ValueError("numbers of 32 bits, of which nobody says what is black and what is white")
        if image.format in ("JPEG", "MPO", "PNG"):
            for name in [name for name in image.info if name.lower() in _OTHER_ORIENTATIONS]:
                del image.info[name]
            image = image.copy()  # which does not know what Pillow has already read of those
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion would cut all above 255
            return np.repeat((np.asarray(image).astype("uint32") >> 8).astype("uint8")[:, :, np.newaxis], 3, axis=2)
        if not image.has_transparency_data:
            return np.asarray(image.convert("RGB"))
        pixels = np.asarray(image.convert("RGBA")).astype("uint32")
        return on_white(pixels).astype("uint8")


def _has_16_bits(image):
    """Whether an image of 32-bit integers is one of 16 bits, as Pillow opens some."""
    return image.mode == "I" and image.format in ("PNG", "PPM") and image.getextrema()[1] < 2**16


@contextlib.contextmanager
def _pillows_errors():
    """Pillow's errors, of which there are many kinds, as `ImageError`."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise ImageError("no image") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"more than {Image.MAX_IMAGE_PIXELS:,} pixels, which may be an attack") from error
    except Exception as error:  # its decoders raise whatever they meet
        raise ImageError(f"broken or cut short ({error})") from error


def on_white(pixels):
    """RGBA in integers `(..., 4)`, arrays or tensors, laid on white: `(..., 3)`."""
    colour, opacity = pixels[..., :3], pixels[..., 3:]
    return (colour * opacity + 255 * (255 - opacity) + 127) // 255


def resize(pixels, size):
    """An image `(height, width, 3)` of numbers in 0 to 255 as uint8 `(size, size, 3)`, stretched to a square.

    Each new pixel averages the old ones it covers (`antialias` of `tf.image.resize`, bilinear). In training and in an
    export this is the same operation, which changes nothing in an image of that size and is left out where it is known.
    """
    if pixels.dtype == "uint8" and pixels.shape[:2] == (size, size):
        return tf.convert_to_tensor(pixels)
    resized = tf.image.resize(pixels, (size, size), antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)


def look(contents, size):
    """What a model sees of a list of encoded images, uint8 `(images, size, size, 3)`.

    Raises:
        ImageError: If one cannot be read.
    """
    squares = [resize(decode(content), size) for content in contents]
    return np.stack(squares) if squares else np.zeros((0, size, size, 3), "uint8")


def pixel_reader(images, size):
    """A function from an array of places in a list of `datasets.images.Image`s to pixels `(places, size, size, 3)`."""

    def pixels(places):
        squares = look([images[place].read() for place in places], size)
        mirrored = np.array([images[place].mirrored for place in places], bool)
        squares[mirrored] = squares[mirrored, :, ::-1]
        return squares

    return pixels


def images_at_once(batch_size, texts):
    """How many images a batch of about so many texts has, where each image has so many of them on average."""
    return max(1, round(batch_size / texts))
