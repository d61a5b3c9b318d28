import matplotlib.image
import numpy as np
from keras_recurrent.apps.translation.figures import draw_alignment


def test_alignment_shows_its_weights(tmp_path):
    draw_alignment(["ein", "Hund"], ["a", "dog"], np.eye(2), tmp_path / "eye.png")
    draw_alignment(["ein", "Hund"], ["a", "dog"], 1 - np.eye(2), tmp_path / "other.png")
    eye, other = (matplotlib.image.imread(tmp_path / name)[..., 0] for name in ("eye.png", "other.png"))
    assert eye.shape == other.shape
    # All that differs is the map: four cells, which change places.
    differ = np.argwhere(np.abs(eye - other) > 0.5)
    top, left = differ.min(axis=0)
    bottom, right = differ.max(axis=0)
    middle, centre = (top + bottom) // 2, (left + right) // 2
    cells = [
        eye[rows, columns].mean()
        for rows in (slice(top, middle), slice(middle, bottom))
        for columns in (slice(left, centre), slice(centre, right))
    ]
    assert cells[0] < 0.1 and cells[3] < 0.1 and cells[1] > 0.9 and cells[2] > 0.9
