import numpy as np
import pytest
from keras_recurrent.apps.vqa.figures import draw_answers

PIXELS = np.full((40, 60, 3), 255, "uint8")


@pytest.mark.parametrize("hops", [0, 2, pytest.param(6, marks=pytest.mark.rest)])
def test_answers_are_bars_beside_the_attention_of_each_hop(hops, drawn, tmp_path):
    answers = [{"text": "yes", "probability": 0.9}, {"text": "no", "probability": 0.1}]
    weights = [[0.1, 0.4, 0.3, 0.2]] * hops
    draw_answers(PIXELS, "Is it? " * 12, {"answers": answers, "looks": weights}, (2, 2), tmp_path / "answer.png")
    assert " ".join(drawn[0].get_suptitle().split()) == "Is it? " * 12 + "– yes"
    picture, *panels = drawn[0].axes[: hops + 1]
    bars = drawn[0].axes[hops + 1]
    np.testing.assert_array_equal(picture.images[0].get_array(), PIXELS)
    assert [panel.get_title() for panel in panels] == [f"hop {hop} (0.40)" for hop in range(1, hops + 1)]
    for panel in panels:
        np.testing.assert_allclose(panel.images[1].get_array(), [[0.25, 1], [0.75, 0.5]])
    assert [bar.get_width() for bar in bars.patches] == [0.9, 0.1]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["yes", "no"]
    assert bars.get_xlabel() == "probability" and [text.get_text() for text in bars.texts] == ["0.90", "0.10"]
    assert len(drawn[0].axes) == hops + 2 + bool(hops)  # the colour bar
