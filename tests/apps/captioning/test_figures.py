import matplotlib.image
import numpy as np
from keras_recurrent.apps.captioning.figures import draw_caption


def test_caption_shows_the_attention_of_each_token(tmp_path):
    pixels = np.full((40, 60, 3), 255, "uint8")
    weights = np.eye(4)[[1, 2]]  # the right cell above, and the left one below
    caption = {"text": "a dog", "tokens": ["a", "dog"], "alignment": weights.tolist()}
    draw_caption(pixels, caption, (2, 2), tmp_path / "attention.png")
    picture = matplotlib.image.imread(tmp_path / "attention.png")[..., 0]
    third = picture.shape[1] // 3
    panels = [picture[:, third : 2 * third], picture[:, 2 * third :]]
    for panel, (row, column) in zip(panels, ((0, 1), (1, 0)), strict=True):
        dark = np.argwhere(panel < 0.5)
        dark = dark[dark[:, 0] > picture.shape[0] // 3]  # below the texts
        (top, left), (bottom, right) = dark.min(axis=0), dark.max(axis=0)
        means = [
            [
                panel[rows, columns].mean()
                for columns in (slice(left, (left + right) // 2), slice((left + right) // 2, right))
            ]
            for rows in (slice(top, (top + bottom) // 2), slice((top + bottom) // 2, bottom))
        ]
        assert np.unravel_index(np.argmax(means), (2, 2)) == (row, column)
    caption["alignment"] = [[], []]
    draw_caption(pixels, caption, (2, 2), tmp_path / "plain.svg")
    assert (tmp_path / "plain.svg").read_text().startswith("<?xml")
