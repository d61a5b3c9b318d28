"""The program of an export reads pictures as training and a SavedModel do."""

import io

import numpy as np
import pytest
from keras_recurrent.apps.shared.images.pixels import decode
from keras_recurrent.apps.shared.models import runner
from keras_recurrent.apps.shared.saved_model.images import resize
from PIL import Image, PngImagePlugin


@pytest.mark.parametrize("shape", [(30, 20), (7, 50), (16, 16), (1, 3)])
def test_pictures_are_resized_as_in_training(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), "uint8")
    difference = runner.resize(pixels, 16).astype(int) - resize(pixels, 16).numpy()
    # A value just between two integers may be rounded to the other one.
    assert np.abs(difference).max() <= 1 and np.mean(difference != 0) < 0.005


XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def exif(orientation):
    data = Image.Exif()
    data[0x0112] = orientation
    return data


def png_text(key, value):
    """Options of a PNG with a text."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt(key, value)
    return {"pnginfo": info}


@pytest.mark.parametrize(
    ("kind", "options", "is_rotated"),
    [
        ("JPEG", {}, False),
        ("JPEG", {"exif": exif(6)}, True),
        ("JPEG", {"xmp": XMP.encode()}, False),
        ("PNG", {"exif": exif(6)}, True),
        ("PNG", png_text("XML:com.adobe.xmp", XMP), False),
        (
            "PNG",
            png_text("Raw profile type exif", f"\nexif\n{len(exif(6).tobytes())}\n{exif(6).tobytes().hex()}"),
            False,
        ),
        ("WEBP", {"lossless": True, "xmp": XMP.encode()}, True),
    ],
)
def test_pictures_are_rotated_as_in_training(kind, options, is_rotated, tmp_path):
    pixels = np.zeros((16, 16, 3), "uint8")
    pixels[:8] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    (tmp_path / "image").write_bytes(file.getvalue())
    actual = runner.read_image(tmp_path / "image", 16)
    np.testing.assert_array_equal(actual, decode(file.getvalue()))
    assert (actual[0, -1] > 200).all() and (actual[0, 0] > 200).all() != is_rotated
