"""JPEG and PNG images decoded inside a TensorFlow graph, to the same pixels as `images.pixels.decode`."""

from collections.abc import Callable

import tensorflow as tf
from PIL import Image

from ....layers.types import Tensor
from ..images.pixels import blend_with_white
from .rows import first_error

PARALLEL_IMAGES = 8  # of a batch that are decoded at the same time; each may have Pillow's limit of pixels


def image_signatures(
    size: int, answer: Callable[..., dict[str, Tensor]], *inputs: tf.TensorSpec
) -> dict[str, tuple[Callable, list[tf.TensorSpec]]]:
    """Returns two signatures of a model that reads images.

    `serving_default` takes `image_bytes` `(batch,)`, the contents of JPEG or PNG files of any sizes; `pixels` takes
    uint8 images `(batch, height, width, 3)`.

    Args:
        size: Positive integer, the side of the squares that the model reads.
        answer: Function from uint8 squares `(batch, size, size, 3)`, their errors `(batch,)`, empty where an image can
            be read, and further inputs to the outputs.
        *inputs: The specifications of the further inputs, which both signatures take, too, one row per image.
    """
    squares = tf.TensorSpec([None, size, size, 3], tf.uint8)
    # One traced function, which an export stores once for both signatures.
    answer = tf.function(answer, input_signature=[squares, tf.TensorSpec([None], tf.string), *inputs], autograph=False)

    def of_bytes(image_bytes: Tensor, *others: Tensor) -> dict[str, Tensor]:
        return answer(*decode_in_graph(image_bytes, size), *others)

    def of_pixels(pixels: Tensor, *others: Tensor) -> dict[str, Tensor]:
        shape = tf.shape(pixels)
        is_empty = tf.reduce_prod(shape[1:]) == 0  # of height or width 0, as all images of the batch then are
        blanks = tf.cast(is_empty, tf.int32)
        pixels = tf.pad(pixels, [[0, 0], [0, blanks], [0, blanks], [0, 0]])  # there is nothing to resize
        error = tf.fill(shape[:1], tf.where(is_empty, "the image is empty", ""))
        return answer(resize_in_graph(pixels, size), error, *others)

    image_bytes = tf.TensorSpec([None], tf.string, name="image_bytes")
    pixels = tf.TensorSpec([None, None, None, 3], tf.uint8, name="pixels")
    return {"serving_default": (of_bytes, [image_bytes, *inputs]), "pixels": (of_pixels, [pixels, *inputs])}


def not_empty(function: Callable[..., dict[str, Tensor]]) -> Callable[..., dict[str, Tensor]]:
    """Makes a function of images `(batch, ...)` that requires a batch with rows one that also takes an empty batch."""

    def call(pixels: Tensor, *inputs: Tensor) -> dict[str, Tensor]:
        outputs = function(pad_empty_batch(pixels), *inputs)
        return {name: value[: tf.shape(pixels)[0]] for name, value in outputs.items()}

    return call


def resize(pixels: Tensor, size: int) -> Tensor:
    """Resizes an image `(height, width, 3)` to a uint8 square, as `runner.resize` does."""
    if pixels.dtype == "uint8" and pixels.shape[:2] == (size, size):
        return tf.convert_to_tensor(pixels)
    resized = tf.image.resize(pixels, (size, size), antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)


def resize_in_graph(pixels: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes a batch of images `(batch, height, width, 3)` to uint8 squares `(batch, size, size, 3)`."""
    squares = tf.map_fn(lambda image: resize(image, size), pixels, fn_output_signature=tf.uint8)
    return tf.reshape(squares, (-1, size, size, 3))  # sets the shape of an empty batch, too


def pad_empty_batch(pixels: tf.Tensor) -> tf.Tensor:
    """Replaces an empty batch of images by one with a black image; returns other batches unchanged.

    oneDNN's convolutions with batch normalisation fail on an empty batch.
    """
    blanks = tf.cast(tf.shape(pixels)[0] == 0, tf.int32)
    return tf.pad(pixels, [[0, blanks], [0, 0], [0, 0], [0, 0]])


def decode_in_graph(image_bytes: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes JPEG and PNG images and resizes each to a square, inside a graph.

    The pixels are those of `images.pixels.decode` and `resize`, except for PNG files with an EXIF orientation after
    the first 64 KiB, which is not read, or with one transparent colour of 16 bits per channel. A PNG without its last
    bytes cannot be read here. Damage inside the compressed data of a JPEG may go unnoticed, as with Pillow: the format
    has no checksum.

    Args:
        image_bytes: String tensor `(batch,)`, the contents of the files.
        size: Positive integer, the side of the squares.

    Returns:
        `(pixels, error)`: uint8 tensor `(batch, size, size, 3)`, and string tensor `(batch,)`, why an image cannot be
        read. The error of an image that can be read is empty. The pixels of the others are black.
    """
    count = tf.size(image_bytes)
    black = tf.zeros((size, size, 3), tf.uint8)

    def decode_square(index, content):
        is_png = tf.strings.substr(content, 0, 8) == b"\x89PNG\r\n\x1a\n"
        is_jpeg = tf.strings.substr(content, 0, 3) == b"\xff\xd8\xff"
        sides = tf.case(
            [(is_png, lambda: _png_size(content)), (is_jpeg, lambda: _jpeg_size(content))],
            default=lambda: tf.zeros(2, tf.int64),
        )
        max_pixels = Image.MAX_IMAGE_PIXELS or tf.int64.max
        error = first_error(
            (tf.strings.length(content) == 0, "the image is empty"),
            (~(is_png | is_jpeg), "neither a JPEG nor a PNG image"),
            (tf.reduce_prod(sides) > max_pixels, f"more than {max_pixels:,} pixels"),
        )

        def decode():
            pixels = tf.cond(is_png, lambda: _decode_png(content), lambda: _decode_jpeg(content))
            return resize(_rotated(pixels, _orientation(content, is_png)), size)

        return index, tf.cond(error == "", decode, lambda: black), error

    # TensorFlow's decoders raise errors. Of a data set, the elements that raise one can be left out.
    images = tf.data.Dataset.from_tensor_slices((tf.range(count), image_bytes))
    images = images.map(decode_square, num_parallel_calls=PARALLEL_IMAGES).ignore_errors()
    end = tf.data.Dataset.from_tensors((count, black, ""))  # a data set without elements has no batch
    batch = images.concatenate(end).batch(tf.cast(count, tf.int64) + 1).get_single_element()
    indices, squares, errors = (value[:-1] for value in batch)
    indices = indices[:, tf.newaxis]
    pixels = tf.scatter_nd(indices, squares, (count, size, size, 3))
    return pixels, tf.tensor_scatter_nd_update(tf.fill([count], "a broken or truncated image"), indices, errors)


def _png_size(content):
    """The height and width of a PNG by its header, which has the width in bytes 16 to 20 and the height in 20 to 24."""
    octets = tf.io.decode_raw(tf.strings.substr(content, 16, 8), tf.uint8, fixed_length=8)
    return tf.reduce_sum(tf.reshape(tf.cast(octets, tf.int64), (2, 4)) * [2**24, 2**16, 2**8, 1], axis=1)[::-1]


def _jpeg_size(content):
    return tf.cast(tf.io.extract_jpeg_shape(content), tf.int64)[:2]


def _decode_png(content):
    depth = tf.io.decode_raw(tf.strings.substr(content, 24, 1), tf.uint8)[0]  # bits per channel
    pixels = tf.cond(depth < 8, lambda: _decode_low_depth_png(content), lambda: tf.io.decode_png(content, channels=4))
    return tf.cast(blend_with_white(tf.cast(pixels, tf.int32)), tf.uint8)


def _decode_jpeg(content):
    return tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")


def _decode_low_depth_png(content):
    """Decodes a PNG of less than 8 bits per channel to RGBA.

    TensorFlow's own conversion to RGBA sets the opacity of opaque pixels to 15 or less.
    """
    pixels = tf.io.decode_png(content)  # grey, RGB or RGBA
    channels = tf.shape(pixels)[2]
    colour = tf.cond(channels == 1, lambda: tf.tile(pixels, (1, 1, 3)), lambda: pixels[:, :, :3])
    opacity = tf.cond(channels == 4, lambda: pixels[:, :, 3:], lambda: 255 * tf.ones_like(colour[:, :, :1]))
    return tf.concat([colour, opacity], axis=2)


def _orientation(content, is_png):
    """The EXIF orientation of an encoded image, 1 to 8; 1 if there is none.

    EXIF has the format of a TIFF file: the byte order ("II" is little endian), in bytes 4 to 8 the offset of the first
    directory, and there a number of entries of 12 bytes: tag, type, count, value. The orientation's tag is 0x0112.
    """
    # The marker of a PNG is so short that it may occur in the pixels by chance, so only the first 64 KiB are searched.
    marker = tf.where(is_png, "eXIf", "Exif\0\0")
    head = tf.where(is_png, tf.strings.substr(content, 0, 2**16), content)
    parts = tf.strings.split(head, marker, maxsplit=1)
    tiff = tf.cond(tf.size(parts) > 1, lambda: parts[1], lambda: tf.constant(""))
    size = 2**14
    octets = tf.cast(tf.io.decode_raw(tf.strings.substr(tiff, 0, size), tf.uint8, fixed_length=size), tf.int32)
    is_little_endian = octets[0] == ord("I")

    def number(offset, count=2):
        """The integers of `count` bytes, 2 or 4, at one or more offsets."""
        steps = tf.range(count)
        powers = tf.bitwise.left_shift(1, 8 * tf.where(is_little_endian, steps, count - 1 - steps))
        indices = tf.clip_by_value(tf.expand_dims(offset, -1) + steps, 0, size - 1)
        return tf.reduce_sum(tf.gather(octets, indices) * powers, axis=-1)

    directory = number(tf.constant(4), 4)
    entries = directory + 2 + 12 * tf.range(number(directory))
    values = tf.where(number(entries) == 0x0112, number(entries + 8), 1)
    orientation = tf.reduce_max(tf.concat([[1], values], axis=0))
    return tf.where(orientation <= 8, orientation, 1)


def _rotated(pixels, orientation):
    """Rotates and mirrors an image `(height, width, 3)` by its EXIF orientation."""
    pixels = tf.cond(orientation >= 5, lambda: tf.transpose(pixels, (1, 0, 2)), lambda: pixels)
    for axis, orientations in ((1, (2, 3, 6, 7)), (0, (3, 4, 7, 8))):
        is_mirrored = tf.reduce_any(orientation == orientations)
        pixels = tf.cond(is_mirrored, lambda axis=axis, pixels=pixels: tf.reverse(pixels, [axis]), lambda p=pixels: p)
    return pixels
