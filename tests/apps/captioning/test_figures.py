import numpy as np
import pytest
from keras_recurrent.apps.captioning.figures import draw_caption

PIXELS = np.full((40, 60, 3), 255, "uint8")


def test_caption_shows_the_attention_of_each_token(drawn, tmp_path):
    weights = np.array([[0.1, 0.4, 0.3, 0.2], [0, 0, 0.8, 0.2], [1, 0, 0, 0]])  # the last one is of the end token
    caption = {"text": "a dog", "tokens": ["a", "dog"], "alignment": weights.tolist()}
    draw_caption(PIXELS, caption, (2, 2), tmp_path / "attention.png")
    picture, *panels, bar = drawn[0].axes
    assert drawn[0].get_suptitle() == "a dog"
    np.testing.assert_array_equal(picture.images[0].get_array(), PIXELS)
    assert [panel.get_title() for panel in panels] == ["a (0.40)", "dog (0.80)"]
    for panel, row in zip(panels, weights, strict=False):
        np.testing.assert_allclose(panel.images[1].get_array(), row.reshape(2, 2) / row.max())
    assert bar.get_xlabel().startswith("attention, relative to the peak")


@pytest.mark.parametrize(
    ("text", "alignment", "title"),
    [("", [[0.25] * 4], "(empty caption)"), ("a dog", [[], []], "a dog"), ("", [], "(empty caption)")],
)
def test_captions_without_attention_to_show(text, alignment, title, drawn, tmp_path):
    caption = {"text": text, "tokens": text.split(), "alignment": alignment}
    draw_caption(PIXELS, caption, (2, 2), tmp_path / "plain.svg")
    (axes,) = drawn[0].axes
    assert drawn[0].get_suptitle() == title and axes.get_subplotspec().get_gridspec().get_geometry() == (1, 1)


@pytest.mark.rest
@pytest.mark.parametrize(("shape", "count"), [((40, 60, 3), 40), ((600, 60, 3), 40), ((30, 900, 3), 7)])
def test_sizes_of_captions(shape, count, drawn, tmp_path):
    caption = {"text": "word " * count, "tokens": ["word"] * count, "alignment": [[0.25] * 4] * count}
    draw_caption(np.zeros(shape, "uint8"), caption, (2, 2), tmp_path / "caption.png")
    assert len(drawn[0].axes) == count + 2  # `drawn` checks the size
