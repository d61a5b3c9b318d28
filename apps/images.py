"""Images as pixels: from any file by Pillow in training, from JPEG and PNG inside a graph in an export, and alike."""

import contextlib
import io
import math
import os
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps, UnidentifiedImageError

from ..datasets import DataError
from .console import note, progress
from .folders import UsageError

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
        return _on_white(pixels).astype("uint8")


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


def _on_white(pixels):
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


def usable(examples, split, strict, lack):
    """Those of a list of examples that can be used. The others are named and counted on standard error.

    Args:
        examples: List of objects with an `image`, a `datasets.images.Image`.
        split: The split's name, for messages.
        strict: Whether the first that cannot be used is an error.
        lack: Function of an example that says what it lacks besides, None for nothing.

    Raises:
        DataError: If none can be used, or with `strict` one cannot.
    """

    def problem_of(example):
        try:
            decode(example.image.read())
        except (FileNotFoundError, IsADirectoryError):
            return "no such file"
        except (ImageError, OSError, ValueError) as error:  # the last for a name that is none, such as one with a NUL
            return str(error)
        return lack(example)

    kept, problems = [], {}
    with contextlib.ExitStack() as stack:
        pool = ThreadPoolExecutor(THREADS)
        stack.callback(pool.shutdown, cancel_futures=True)  # after the first problem nobody waits for the rest
        found = progress(pool.map(problem_of, examples), len(examples), f"checking images: {split}")
        for example, problem in zip(examples, found, strict=True):
            if problem is None:
                kept.append(example)
                continue
            name = example.image.name or "(no name)"
            if strict:
                raise DataError(f"{split}: {name}: {problem}")
            problems.setdefault(problem.split(" (")[0], []).append(name)
    for problem, names in problems.items():
        note(f"{split}: {len(names)} of {len(examples)} images left out: {problem}: {', '.join(names)}")
    if not kept:
        raise DataError(f"{split}: none of {len(examples)} images can be used")
    return kept


def attempted(function, items, name, failure):
    """Yields each item with what a function makes of it, and goes on where that fails.

    Those items whose image cannot be read are told on standard error by their name, and counted at the end.

    Args:
        function: Function of an item; it fails by an `ImageError`, an `OSError` or a `UsageError`.
        items: List.
        name: Function of an item.
        failure: What to say of the number that failed.

    Raises:
        UsageError: At the end, if one failed.
    """
    failed = 0
    for item in items:
        try:
            found = function(item)
        except (ImageError, UsageError, OSError) as error:
            note(f"{name(item)}: {error.strerror if isinstance(error, OSError) else error}")
            failed += 1
        else:
            yield item, found
    if failed:
        raise UsageError(f"{failed} of {len(items)} {failure}")


def resize_in_graph(pixels, size):
    """`resize` of a batch of images `(batch, height, width, 3)`, inside a graph."""
    squares = tf.map_fn(lambda image: resize(image, size), pixels, fn_output_signature=tf.uint8)
    return tf.reshape(squares, (-1, size, size, 3))  # of no images, too


def at_least_one(pixels):
    """A batch of images, or a blank one in place of none.

    oneDNN's convolutions with batch normalisation fail on an empty batch.
    """
    blanks = tf.cast(tf.shape(pixels)[0] == 0, tf.int32)
    return tf.pad(pixels, [[0, blanks], [0, 0], [0, 0], [0, 0]])


def decode_in_graph(image_bytes, size):
    """What `decode` and `resize` give, for JPEG and PNG inside a graph.

    Args:
        image_bytes: String tensor `(batch,)`.
        size: Positive integer.

    Returns:
        uint8 tensor `(batch, size, size, 3)`. Of a PNG, `decode` gives something else where an EXIF orientation stands
        behind 64 KiB, which is not looked for, and where one colour of 16 bits is transparent; and it takes one that
        lacks its last bytes, which here is broken.

    Raises:
        tf.errors.InvalidArgumentError: When it runs, if one is neither JPEG nor PNG, broken, or above Pillow's limit
            of pixels; the message names `image_bytes`, and where it can, the place in the batch.
    """

    def one(arguments):
        place, content = arguments
        is_png = tf.strings.substr(content, 0, 8) == b"\x89PNG\r\n\x1a\n"
        is_jpeg = tf.strings.substr(content, 0, 3) == b"\xff\xd8\xff"
        known = tf.debugging.Assert(
            is_png | is_jpeg, [tf.strings.format("image_bytes[{}] is neither a JPEG nor a PNG image", place)]
        )
        with tf.control_dependencies([known]):
            pixels = tf.cond(is_png, lambda: _decode_png(place, content), lambda: _decode_jpeg(place, content))
        return resize(_turned(pixels, _orientation(content, is_png)), size)

    with tf.name_scope("image_bytes"):  # which TensorFlow's own errors name, too
        places = tf.range(tf.size(image_bytes))
        pixels = tf.map_fn(one, (places, image_bytes), fn_output_signature=tf.TensorSpec((size, size, 3), tf.uint8))
        return tf.reshape(pixels, (-1, size, size, 3))  # of no images, too


def _decode_png(place, content):
    # A PNG's header has width and height in bytes 16 to 24, big end first, and then the bits of a channel.
    header = tf.cast(tf.io.decode_raw(tf.strings.substr(content, 0, 25), tf.uint8, fixed_length=25), tf.int64)
    width_and_height = tf.reduce_sum(tf.reshape(header[16:24], (2, 4)) * [2**24, 2**16, 2**8, 1], axis=1)
    with tf.control_dependencies([_checked(place, width_and_height)]):
        pixels = tf.cond(
            header[24] < 8, lambda: _decode_coarse_png(content), lambda: tf.io.decode_png(content, channels=4)
        )
    return tf.cast(_on_white(tf.cast(pixels, tf.int32)), tf.uint8)


def _decode_coarse_png(content):
    """RGBA of less than 8 bits a channel, where TensorFlow has 15 or less for what is opaque if asked for RGBA."""
    pixels = tf.io.decode_png(content)  # grey, RGB or RGBA
    channels = tf.shape(pixels)[2]
    colour = tf.cond(channels == 1, lambda: tf.tile(pixels, (1, 1, 3)), lambda: pixels[:, :, :3])
    opacity = tf.cond(channels == 4, lambda: pixels[:, :, 3:], lambda: 255 * tf.ones_like(colour[:, :, :1]))
    return tf.concat([colour, opacity], axis=2)


def _decode_jpeg(place, content):
    with tf.control_dependencies([_checked(place, tf.cast(tf.io.extract_jpeg_shape(content), tf.int64)[:2])]):
        return tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")


def _checked(place, sides):
    message = tf.strings.format("image_bytes[{}] has too many pixels: {}", (place, sides))
    return tf.debugging.Assert(tf.reduce_prod(sides) <= (Image.MAX_IMAGE_PIXELS or tf.int64.max), [message])


def _orientation(content, is_png):
    """The EXIF orientation, 1 to 8, of encoded images; 1 where there is none.

    EXIF is a TIFF: its byte order ("II" is little end first), the place of its first directory in bytes 4 to 8, and
    there a number of entries, each of 12 bytes: tag, type, count, value. The tag of the orientation is 0x0112.
    """
    # The mark of a PNG is short enough to stand in its pixels by chance.
    mark = tf.where(is_png, "eXIf", "Exif\0\0")
    head = tf.where(is_png, tf.strings.substr(content, 0, 2**16), content)
    parts = tf.strings.split(head, mark, maxsplit=1)
    tiff = tf.cond(tf.size(parts) > 1, lambda: parts[1], lambda: tf.constant(""))
    size = 2**14
    octets = tf.cast(tf.io.decode_raw(tf.strings.substr(tiff, 0, size), tf.uint8, fixed_length=size), tf.int32)
    is_little = octets[0] == ord("I")

    def number(place, count=2):
        """The numbers of 2 or 4 bytes at places."""
        offsets = tf.range(count)
        powers = tf.bitwise.left_shift(1, 8 * tf.where(is_little, offsets, count - 1 - offsets))
        places = tf.clip_by_value(tf.expand_dims(place, -1) + offsets, 0, size - 1)
        return tf.reduce_sum(tf.gather(octets, places) * powers, axis=-1)

    directory = number(tf.constant(4), 4)
    entries = directory + 2 + 12 * tf.range(number(directory))
    values = tf.where(number(entries) == 0x0112, number(entries + 8), 1)
    orientation = tf.reduce_max(tf.concat([[1], values], axis=0))
    return tf.where(orientation <= 8, orientation, 1)


def _turned(pixels, orientation):
    """An image `(height, width, 3)` the right way up."""
    pixels = tf.cond(orientation >= 5, lambda: tf.transpose(pixels, (1, 0, 2)), lambda: pixels)
    for axis, orientations in ((1, (2, 3, 6, 7)), (0, (3, 4, 7, 8))):
        is_mirrored = tf.reduce_any(orientation == orientations)
        pixels = tf.cond(is_mirrored, lambda axis=axis, pixels=pixels: tf.reverse(pixels, [axis]), lambda p=pixels: p)
    return pixels
