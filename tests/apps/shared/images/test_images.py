"""Pixels from Pillow and from the graph are alike, whatever is in the file."""

import contextlib
import functools
import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import tensorflow as tf
from keras_recurrent.apps.shared.images.pixels import ImageError, check, decode, decode_batch, pixel_reader
from keras_recurrent.apps.shared.saved_model.images import decode_in_graph, resize
from keras_recurrent.datasets.encoded import Image as EncodedImage
from PIL import Image

HEIGHT, WIDTH = 37, 53


def photograph(channels):
    """Smooth colours with some noise, as JPEG likes them."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    planes = [128 + 90 * np.sin(x / (7 + 3 * k)) * np.cos(y / (5 + k)) for k in range(channels)]
    return np.clip(np.stack(planes, axis=-1) + rng.normal(0, 6, (HEIGHT, WIDTH, channels)), 0, 255).astype("uint8")


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation, endian="<"):
    data = Image.Exif()
    data.endian = endian
    data[0x0112] = orientation
    data[0x010E] = "a description before it"
    return data.tobytes()


RGB = Image.fromarray(photograph(3))
PICTURES = {
    "jpeg": encoded(RGB, "JPEG", quality=90),
    "jpeg-no-subsampling": encoded(RGB, "JPEG", quality=95, subsampling=0),
    "jpeg-progressive": encoded(RGB, "JPEG", progressive=True),
    "jpeg-grey": encoded(RGB.convert("L"), "JPEG"),
    "png": encoded(RGB, "PNG"),
    "png-grey": encoded(RGB.convert("L"), "PNG"),
    "png-alpha": encoded(Image.fromarray(photograph(4)), "PNG"),
    "png-grey-alpha": encoded(Image.fromarray(photograph(2), "LA"), "PNG"),
    "png-palette": encoded(RGB.quantize(16), "PNG"),
    "png-palette-transparent": encoded(RGB.quantize(16), "PNG", transparency=3),
    "png-grey-transparent": encoded(RGB.convert("L"), "PNG", transparency=100),
    "png-black-white": encoded(RGB.convert("1"), "PNG"),
    "png-16-bits": encoded(Image.fromarray(photograph(1)[:, :, 0].astype("uint16") * 257), "PNG"),
    **{f"jpeg-turned-{n}": encoded(RGB, "JPEG", exif=exif(n)) for n in range(1, 9)},
    "png-turned": encoded(RGB, "PNG", exif=exif(6)),
}


@functools.cache
def decode_of_size(size):
    """`decode_in_graph`, traced once."""
    return tf.function(
        lambda contents: decode_in_graph(contents, size), input_signature=[tf.TensorSpec([None], tf.string)]
    )


def decoded(contents, size):
    """The pixels of images without errors."""
    pixels, error = decode_of_size(size)(tf.constant(contents, tf.string, shape=(len(contents),)))
    assert not any(error.numpy())
    return pixels.numpy()


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("size", [16, 64])
def test_graph_and_pillow_agree(name, size):
    content = PICTURES[name]
    expected = resize(decode(content), size).numpy()
    (found,), (error,) = (value.numpy() for value in decode_of_size(size)(tf.constant([content])))
    assert error == b""
    assert found.dtype == expected.dtype == np.uint8
    assert found.shape == (size, size, 3)
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(orientation):
    """What the numbers mean, by the rows and columns that the standard says are first."""
    pixels = photograph(3)
    upright = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: pixels[::-1].swapaxes(0, 1),
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: pixels[:, ::-1].swapaxes(0, 1),
    }[orientation]
    content = encoded(RGB, "PNG", exif=exif(orientation))
    np.testing.assert_array_equal(decode(content), np.asarray(RGB) if orientation == 1 else upright)
    found = decoded([content], 40)[0]
    np.testing.assert_array_equal(found, resize(upright, 40).numpy())


@pytest.mark.parametrize(("endian", "mark"), [("<", b"II"), (">", b"MM")])
def test_either_byte_order_of_exif(endian, mark):
    data = exif(6, endian)
    assert data[6:8] == mark
    picture = encoded(RGB, "JPEG", exif=data)
    assert decode(picture).shape == (WIDTH, HEIGHT, 3)
    expected = resize(decode(picture), 32).numpy().astype(int)
    assert np.abs(decoded([picture], 32)[0] - expected).max() <= 1


def test_images_of_many_sizes_in_one_batch():
    sizes = [(10, 80), (64, 64), (301, 200), (1, 1)]
    contents = [encoded(RGB.resize(size), "PNG") for size in sizes]
    found = decoded(contents, 48)
    for image, content in zip(found, contents, strict=True):
        np.testing.assert_array_equal(image, resize(decode(content), 48).numpy())
    assert decoded([], 48).shape == (0, 48, 48, 3)


def test_known_pixels():
    picture = Image.new("RGBA", (2, 1))
    picture.putdata([(255, 0, 0, 255), (0, 0, 255, 51)])
    np.testing.assert_array_equal(decode(encoded(picture, "PNG")), [[[255, 0, 0], [204, 204, 255]]])
    deep = Image.fromarray(np.array([[0, 255, 256, 65535]], "uint16"))
    np.testing.assert_array_equal(decode(encoded(deep, "PNG"))[0, :, 0], [0, 0, 1, 255])
    bits = np.kron([[0, 200], [100, 60]], np.ones((8, 8)))
    colours = np.stack([bits] * 3, axis=-1).astype("uint8")
    np.testing.assert_array_equal(resize(colours, 2)[:, :, 0], resize(resize(colours, 16), 2)[:, :, 0])
    # Rows in turn 0 and 100: without antialias a third of them would be taken as they are.
    stripes = np.tile(np.array([0, 100], "uint8")[:, np.newaxis, np.newaxis], (6, 12, 3))
    assert np.abs(resize(stripes, 4).numpy()[1:-1].astype(int) - 50).max() <= 6
    assert resize(np.full((9, 5, 3), 77, "uint8"), 4).numpy().tolist() == np.full((4, 4, 3), 77).tolist()


@pytest.mark.parametrize("size", [1, 7, 64, 224])
def test_an_image_of_the_right_size_stays_as_it_is(size):
    pixels = np.random.default_rng(size).integers(0, 256, (size, size, 3), "uint8")
    in_graph = tf.function(
        resize, input_signature=[tf.TensorSpec((None, None, 3), tf.uint8), tf.TensorSpec((), tf.int32)]
    )
    np.testing.assert_array_equal(resize(pixels, size).numpy(), pixels)
    np.testing.assert_array_equal(in_graph(pixels, size), pixels)  # there the size is not known, and all is computed


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "BMP", "TIFF"])
def test_other_formats_and_animations(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime")]
    options = {"save_all": True, "append_images": frames[1:]} if kind == "GIF" else {}
    options |= {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(decode(encoded(frames[0], kind, **options)), np.full((8, 8, 3), [255, 0, 0]))


@pytest.fixture(scope="module")
def bomb():
    """A PNG of 20,000 x 20,000 pixels in some 50 kB."""
    return encoded(Image.new("1", (20_000, 20_000)), "PNG")


def overwritten(content, start, count):
    """An image with other bytes at `start`, where its pixels are."""
    return content[:start] + bytes(255 - byte for byte in content[start : start + count]) + content[start + count :]


BROKEN = {
    "empty": (b"", "the file is empty", "the image is empty"),
    "text": (b"This is no image.", "not an image", "neither a JPEG nor a PNG image"),
    # Pillow would start Ghostscript.
    "postscript": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n",
        "not an image",
        "neither a JPEG nor a PNG image",
    ),
    "psd": (
        b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x09\0\0\0\x09\0\x08\0\3" + bytes(40),
        "not an image",
        "neither a JPEG nor a PNG image",
    ),
    "cut-jpeg": (PICTURES["jpeg"][:-300], "truncated", "a broken or truncated image"),
    "cut-progressive-jpeg": (PICTURES["jpeg-progressive"][:-300], "truncated", "a broken or truncated image"),
    "start-of-jpeg": (PICTURES["jpeg"][:3], "not an image|truncated", "a broken or truncated image"),
    "jpeg-without-its-tables": (
        PICTURES["jpeg"].replace(b"\xff\xdb", b"\xff\xfe"),
        "broken",
        "a broken or truncated image",
    ),
    "cut-png": (PICTURES["png"][:-300], "truncated", "a broken or truncated image"),
    "cut-header": (PICTURES["png"][:20], "not an image|truncated", "a broken or truncated image"),
    "start-of-png": (PICTURES["png"][:8], "not an image|truncated", "a broken or truncated image"),
    "broken-png": (overwritten(PICTURES["png"], 100, 50), "broken", "a broken or truncated image"),
    "png-of-no-width": (
        PICTURES["png"][:16] + bytes(4) + PICTURES["png"][20:],
        "not an image",
        "a broken or truncated image",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(name):
    content, message, _ = BROKEN[name]
    with pytest.raises(ImageError, match=message):
        decode(content)


@pytest.mark.parametrize("name", PICTURES)
def test_images_are_checked_without_decoding_most(name, tmp_path):
    image = EncodedImage(name, tmp_path / name)
    image.path.write_bytes(PICTURES[name])
    check(image)
    (tmp_path / "part").write_bytes(b"abc" + PICTURES[name] + b"def")
    check(EncodedImage(name, tmp_path / "part", 3, len(PICTURES[name])))


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_found_by_the_check_or_replaced_when_they_are_decoded(name, tmp_path, capsys):
    content, message, _ = BROKEN[name]
    images = [EncodedImage(name, tmp_path / name), EncodedImage("jpeg", tmp_path / "jpeg")]
    images[0].path.write_bytes(content)
    images[1].path.write_bytes(PICTURES["jpeg"])
    if name not in ("broken-png", "jpeg-without-its-tables"):
        with pytest.raises(ImageError, match=message):
            check(images[0])
        return
    check(images[0])
    pixels = pixel_reader(images, 16)
    white, picture = pixels([0, 1])
    assert (white == 255).all() and not (picture == 255).all()
    pixels([0])
    (line,) = capsys.readouterr().err.splitlines()  # reported once
    assert name in line and message in line
    with pytest.raises(ImageError, match=message):
        pixel_reader(images, 16, strict=True)([0, 1])


def test_a_broken_file_does_not_change_the_others():
    contents = [PICTURES["png"]]
    for content, *_ in BROKEN.values():
        contents += [content, PICTURES["jpeg"]]
    pixels, error = (value.numpy() for value in decode_of_size(32)(tf.constant(contents)))
    assert [message.decode() for message in error[1::2]] == [message for *_, message in BROKEN.values()]
    assert not any(error[::2]) and not pixels[1::2].any()
    np.testing.assert_array_equal(pixels[::2], decoded(contents[::2], 32))
    pixels, error = decode_of_size(32)(tf.constant(contents[1::2]))  # no image that can be read
    assert all(error.numpy()) and pixels.shape == (len(BROKEN), 32, 32, 3)


@pytest.mark.parametrize("name", ["jpeg", "jpeg-progressive", "png"])
def test_the_graph_reads_the_damaged_files_that_pillow_reads(name):
    rng, contents = np.random.default_rng(0), []
    for _ in range(60):
        content = np.frombuffer(PICTURES[name], "uint8").copy()
        content[rng.integers(len(content), size=2)] = rng.integers(256, size=2)
        contents.append(content.tobytes()[: len(content) if rng.random() < 0.8 else rng.integers(len(content))])
    pixels, error = (value.numpy() for value in decode_of_size(32)(tf.constant(contents)))
    for content, square, message in zip(contents, pixels, error, strict=True):
        if message:
            with pytest.raises(ImageError):
                decode(content)
        else:
            assert np.abs(square.astype(int) - resize(decode(content), 32).numpy()).max() <= 1
    assert 0 < np.sum(error == b"") < len(contents) or name == "png"  # PNG has checksums


def test_a_decoder_that_raises_anything(monkeypatch):
    monkeypatch.setattr(Image, "open", lambda file, formats: 1 / 0)
    with pytest.raises(ImageError, match="broken or truncated"):
        decode(PICTURES["png"])


def test_numbers_of_32_bits_are_refused():
    for values in (np.array([[0, 100, 70_000]], "int32"), np.array([[0.0, 0.5]], "float32")):
        with pytest.raises(ImageError, match="32 bits per pixel"):
            decode(encoded(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("options", [{}, {"exif": Image.Exif()}], ids=["alone", "beside EXIF"])
def test_only_exif_turns_an_image(options):
    """Pillow would go by XMP, too, which an export does not read."""
    for data in options.values():
        data[0x010E] = "without an orientation"
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    content = encoded(RGB, "JPEG", quality=95, xmp=xmp, **options)
    assert decode(content).shape == (HEIGHT, WIDTH, 3)
    found = decoded([content], 32)[0].astype(int)
    assert np.abs(found - resize(decode(content), 32).numpy()).max() <= 1


def test_exif_behind_much_else():
    start, rest = PICTURES["jpeg-turned-6"][:2], PICTURES["jpeg-turned-6"][2:]
    segment = b"\xff\xe2\xff\xff" + bytes(2**16 - 3)
    content = start + 2 * segment + rest
    assert decode(content).shape == (WIDTH, HEIGHT, 3)
    found = decoded([content], 32)[0].astype(int)
    assert np.abs(found - resize(decode(content), 32).numpy()).max() <= 1


def test_without_a_limit_of_pixels(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    (found,), _ = decode_in_graph(tf.constant([PICTURES["png"]]), 32)
    np.testing.assert_array_equal(found, resize(decode(PICTURES["png"]), 32).numpy())


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_compressed_text_of_a_png_is_bounded(kind):
    packed = zlib.compress(bytes(100_000_000), 9)
    data = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}[kind] + packed
    png = PICTURES["png"]
    content = png[:33] + png_chunk(kind, data) + png[33:]  # after the header
    tracemalloc.start()
    try:
        with contextlib.suppress(ImageError):  # an iCCP is left out
            decode(content)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_a_chunk_that_is_longer_than_its_file():
    png = PICTURES["png"]
    with pytest.raises(ImageError, match="broken or truncated"):
        decode(png[:33] + struct.pack(">I", 2**31 - 1) + b"tEXt" + png[33:])


def test_no_images():
    assert decode_batch([], 8).shape == (0, 8, 8, 3)


def test_bomb(bomb):
    with pytest.raises(ImageError, match="pixels"):
        decode(bomb)
    large = encoded(Image.new("1", (9_600, 9_600)), "PNG")  # above the limit, where Pillow only warns
    with pytest.raises(ImageError, match="pixels"):
        decode(large)
    # The sides are in the header of a JPEG, which is all that is read.
    start = PICTURES["jpeg"].index(b"\xff\xc0") + 5
    wide = PICTURES["jpeg"][:start] + b"\xea\x60\xea\x60" + PICTURES["jpeg"][start + 4 :]
    _, error = decode_of_size(32)(tf.constant([PICTURES["png"], bomb, large, wide]))
    assert error.numpy().tolist() == [b"", *[b"more than 89,478,485 pixels"] * 3]
