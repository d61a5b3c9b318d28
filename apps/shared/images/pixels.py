"""Images as pixels, decoded by Pillow."""

import contextlib
import io
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, TypeAlias

import keras
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ....datasets import images
from ....layers.types import Tensor
from ..console import note
from ..models.runner import resize

# A function from indices of images, a list or an array, to their pixels or features, one row per index.
Reader: TypeAlias = Callable[[Any], np.ndarray]

THREADS = min(os.cpu_count() or 1, 16)  # each thread holds batches of pixels in memory

# The formats that Pillow may open. Its reader of JPEG opens MPO, too. Others are rarely used, and EPS runs Ghostscript.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
FORMAT_NAMES = "JPEG, PNG, GIF, BMP, WebP, TIFF or PPM"

_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xae\x42\x60\x82", "GIF": b";"}  # of complete files

# Where Pillow reads an orientation if EXIF has none. `saved_model.images.decode_in_graph` reads EXIF alone.
_OTHER_ORIENTATIONS = ("xmp", "xml:com.adobe.xmp", "raw profile type exif")

# Pillow warns above its limit of pixels and raises above twice that limit. Here every image above the limit is refused.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class ImageError(ValueError):
    """An image cannot be read. The message gives the reason in one line."""


def decode(content: bytes) -> np.ndarray:
    """Decodes an image in one of `FORMATS`; of an animation, the first frame.

    The image is rotated as its EXIF orientation says, transparency is blended with white, and 16 bits per channel are
    reduced to the higher 8.

    Args:
        content: The content of the image's file.

    Returns:
        uint8 array `(height, width, 3)`, RGB.

    Raises:
        ImageError: If the content is not an image in one of `FORMATS`, is truncated, or has more pixels than
            `PIL.Image.MAX_IMAGE_PIXELS`, Pillow's limit against decompression bombs.
    """
    with _pillow_errors():
        image = _open(io.BytesIO(content))
        image.load()
        if image.mode in ("I", "F") and not _has_16_bits(image):
            raise ValueError("32 bits per pixel, with no defined black and white")
        if image.format in ("JPEG", "MPO", "PNG"):
            for name in [name for name in image.info if str(name).lower() in _OTHER_ORIENTATIONS]:
                del image.info[name]
            image = image.copy()  # the copy forgets the orientation that Pillow has already read from those
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion clips all values above 255
            return np.repeat((np.asarray(image).astype("uint32") >> 8).astype("uint8")[:, :, np.newaxis], 3, axis=2)
        if not image.has_transparency_data:
            return np.asarray(image.convert("RGB"))
        pixels = np.asarray(image.convert("RGBA")).astype("uint32")
        return blend_with_white(pixels).astype("uint8")


def check(image: images.Image) -> None:
    """Checks that an image can be read, from the header and the end of its file.

    Only a file with an unusual header or end is decoded. Damage in the middle of others is found when they are decoded.

    Raises:
        ImageError: As `decode` does.
        OSError, DataError: As `image.read` does.
    """
    with image.open() as file, _pillow_errors():
        header = _open(file)
        end = _ENDS.get(header.format or "", b"")
        file.seek(-len(end), os.SEEK_END)
        is_usual = end and file.read() == end and header.mode not in ("I", "F")
    if not is_usual:
        decode(image.read())


def _open(file: BinaryIO) -> Image.Image:
    """Reads the header of an image."""
    if not file.read(1):
        raise ImageError("the file is empty")
    file.seek(0)
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf):
        raise Image.DecompressionBombError
    return image


def _has_16_bits(image: Image.Image) -> bool:
    """Whether an image of mode "I", 32-bit integers, holds 16-bit values, as Pillow opens some formats."""
    if image.mode != "I" or image.format not in ("PNG", "PPM"):
        return False
    _, highest = image.getextrema()
    return highest < 2**16  # type: ignore[operator]  # a tuple only for images of several channels


@contextlib.contextmanager
def _pillow_errors() -> Iterator[None]:
    """Converts the many exceptions of Pillow to `ImageError`."""
    try:
        yield
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"not an image ({FORMAT_NAMES})") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"more than {Image.MAX_IMAGE_PIXELS:,} pixels, possibly a decompression bomb") from error
    except Exception as error:  # Pillow's decoders do not document what they raise
        raise ImageError(f"broken or truncated ({error})") from error


def blend_with_white(pixels: Tensor) -> Tensor:
    """Blends integer RGBA pixels `(..., 4)`, an array or a tensor, with a white background: `(..., 3)`."""
    colour, opacity = pixels[..., :3], pixels[..., 3:]
    return (colour * opacity + 255 * (255 - opacity) + 127) // 255


def decode_batch(contents: Sequence[bytes], size: int) -> np.ndarray:
    """Decodes images and resizes each to a square; the aspect ratio is not kept.

    Args:
        contents: The contents of the images' files.
        size: Positive integer, the side of the squares.

    Returns:
        uint8 array `(images, size, size, 3)`.

    Raises:
        ImageError: If an image cannot be read.
    """
    squares = [resize(decode(content), size) for content in contents]
    return np.stack(squares) if squares else np.zeros((0, size, size, 3), "uint8")


def spec_of(read: Reader) -> keras.InputSpec:
    """Returns the specification of what a reader returns, with any number of rows."""
    images = read(np.arange(1))
    return keras.InputSpec(dtype=images.dtype.name, shape=(None, *images.shape[1:]))


def pixel_reader(examples: Sequence[images.Image], size: int, strict: bool = False) -> Reader:
    """Returns a function from indices of images to their pixels, uint8 `(indices, size, size, 3)`.

    An image that cannot be decoded is reported on standard error and is white, or with `strict` an `ImageError`.
    """
    reported = set()

    def square(image):
        try:
            return resize(decode(image.read()), size)
        except ImageError as error:
            if strict:
                raise
            if image.name not in reported:
                reported.add(image.name)
                note(f"{image.name}: {error}; a white image replaces it")
            return np.full((size, size, 3), 255, "uint8")

    def pixels(indices):
        squares = np.stack([square(examples[index]) for index in indices])
        mirrored = np.array([examples[index].mirrored for index in indices], bool)
        squares[mirrored] = squares[mirrored, :, ::-1]
        return squares

    return pixels


def images_per_batch(batch_size: int, texts_per_image: float) -> int:
    """The number of images whose texts make a batch of about `batch_size` texts."""
    return max(1, round(batch_size / texts_per_image))
