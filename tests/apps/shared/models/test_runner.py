"""The program of an export resizes pictures as a SavedModel does."""

import io

import numpy as np
import pytest
<<<<<<< HEAD
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_recurrent.apps.shared.images.pixels import decode, resize
from keras_recurrent.apps.shared.models import runner
from keras_recurrent.apps.shared.models.runtimes import KINDS
from keras_recurrent.apps.shared.text.tokenizers import TOKENIZERS, LiteralCharacterTokenizer, strings
from PIL import Image, PngImagePlugin

# Newer characters may be no punctuation yet for an older version of Python.
AGES = st.characters(codec="utf-8", categories=("L", "M", "N", "P", "S", "Z", "Cc"), max_codepoint=0x1F5FF)
PIECES = st.sampled_from([*"aéßİςﬁ½각 ￭▁,.", "e\u0301", "Σς", "\u1100\u1161", "\u202f"])
TEXTS = st.lists(st.text(AGES, max_size=8) | st.lists(PIECES, max_size=12).map("".join), max_size=12)


@pytest.fixture(scope="module", params=[*TOKENIZERS.values(), LiteralCharacterTokenizer])
def tokenizers(request, tmp_path_factory):
    """A tokenizer of the training and that of the runner, with and without lower case."""
    texts = [text.encode() for text in ["Straße, (né) ½ ﬁ! 각 Σς", "a-b e.f İx ▁", "aa ab ßß éé"] * 3]
    pairs = []
    for lowercase in (False, True):
        tokenizer = request.param.fit(texts, 60, lowercase)
        path = tmp_path_factory.mktemp("tokenizer") / f"text.{tokenizer.file}"
        tokenizer.save(path)
        pairs.append((tokenizer, runner.TOKENIZERS[KINDS[request.param]](path, lowercase)))
    return pairs


@settings(deadline=None, max_examples=40, derandomize=True)
@given(texts=TEXTS)
def test_ids_and_texts_are_those_of_the_training(tokenizers, texts):
    for tokenizer, ours in tokenizers:
        ids = tokenizer.ids_of(strings(texts)).to_list()
        assert [ours.encode(text) for text in texts] == ids
        decoded = [text.decode() for text in tokenizer.decode(tf.ragged.constant(ids, tf.int32, 1).to_tensor()).numpy()]
        assert [ours.decode(row) for row in ids] == decoded
=======
from keras_recurrent.apps.shared.models import runner
from keras_recurrent.apps.shared.saved_model.images import resize
>>>>>>> aec47dc (Tests of the tokenizers of training, of the runner and of the graph)


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
