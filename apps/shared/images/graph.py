"""JPEG and PNG images decoded inside a TensorFlow graph, to the same pixels as `pixels.decode`."""

import tensorflow as tf
from PIL import Image

from .pixels import on_white, resize


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
    return tf.cast(on_white(tf.cast(pixels, tf.int32)), tf.uint8)


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
