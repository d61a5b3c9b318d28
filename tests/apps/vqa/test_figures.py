import matplotlib.image
import numpy as np
import pytest
from keras_recurrent.apps.vqa.figures import draw_answers


@pytest.mark.parametrize("hops", [0, 2])
def test_answers_are_bars_beside_the_attention_of_each_hop(tmp_path, hops):
    pixels = np.full((40, 60, 3), 255, "uint8")
    pictures = []
    for index in (1, 2):  # the cell that all attention is on
        explanation = {
            "answers": [{"text": "yes", "probability": 0.9}, {"text": "no", "probability": 0.1}],
            "looks": [np.eye(4)[index].tolist()] * hops,
        }
        draw_answers(pixels, "Is it?", explanation, (2, 2), tmp_path / f"{index}.png")
        pictures.append(matplotlib.image.imread(tmp_path / f"{index}.png")[..., 0])
    first, second = pictures
    differ = np.flatnonzero(np.abs(first - second).max(axis=0) > 0.2)
    panels = np.split(differ, np.flatnonzero(np.diff(differ) > 5) + 1) if hops else []
    assert len(panels) == hops and bool(len(differ)) == bool(hops)
