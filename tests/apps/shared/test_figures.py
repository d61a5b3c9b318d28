import matplotlib.image
import numpy as np
import pytest
from keras_recurrent.apps.captioning.figures import draw_caption
from keras_recurrent.apps.shared import figures
from keras_recurrent.apps.shared.errors import UsageError
from keras_recurrent.apps.translation.figures import draw_alignment


def test_history_with_a_measure_of_its_own(tmp_path):
    (tmp_path / "history.csv").write_text(
        "epoch,learning_rate,loss,val_loss,val_bleu\n1,0.1,3.0,2.0,10.5\n2,0.1,2.0,1.5,20.5\n"
    )
    figures.draw_history(tmp_path / "history.csv", tmp_path / "history.png")
    assert matplotlib.image.imread(tmp_path / "history.png").std() > 0.01


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


def test_korean_and_latin_are_legible(tmp_path, recwarn, capsys):
    draw_alignment(
        ["she", "slept", "▁schön", "É"], ["그녀는", "잤어요", "漢字", "かな"], np.ones((4, 4)) / 4, tmp_path / "x.svg"
    )
    assert "missing from" not in " ".join(str(warning.message) for warning in recwarn)
    assert capsys.readouterr().err == ""


def test_tokens_are_no_formulas(tmp_path):
    draw_alignment(["$$", "$x$"], ["$\\frac$", "_^"], np.ones((2, 2)) / 2, tmp_path / "x.png")
    assert (tmp_path / "x.png").exists()


def test_characters_that_no_font_has_are_named(tmp_path, recwarn, capsys):
    draw_alignment(["a"], ["\U0001ec71\ue000"], np.ones((1, 1)), tmp_path / "x.png")
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "no font here has the characters" in message
    assert "\U0001ec71" in message
    assert (tmp_path / "x.png").exists()
    assert not recwarn.list


@pytest.mark.parametrize("name", ["x.xyz", "x"])
def test_picture_of_no_kind(name, tmp_path):
    with pytest.raises(UsageError, match="a picture's name ends in one of"):
        draw_alignment(["a"], ["b"], np.ones((1, 1)), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_caption_shows_where_was_looked(tmp_path):
    pixels = np.full((40, 60, 3), 255, "uint8")
    weights = np.eye(4)[[1, 2]]  # the right cell above, and the left one below
    caption = {"text": "a dog", "tokens": ["a", "dog"], "alignment": weights.tolist()}
    draw_caption(pixels, caption, (2, 2), tmp_path / "looks.png")
    picture = matplotlib.image.imread(tmp_path / "looks.png")[..., 0]
    third = picture.shape[1] // 3
    looks = [picture[:, third : 2 * third], picture[:, 2 * third :]]
    for look, (row, column) in zip(looks, ((0, 1), (1, 0)), strict=True):
        dark = np.argwhere(look < 0.5)
        dark = dark[dark[:, 0] > picture.shape[0] // 3]  # below the texts
        (top, left), (bottom, right) = dark.min(axis=0), dark.max(axis=0)
        means = [
            [
                look[rows, columns].mean()
                for columns in (slice(left, (left + right) // 2), slice((left + right) // 2, right))
            ]
            for rows in (slice(top, (top + bottom) // 2), slice((top + bottom) // 2, bottom))
        ]
        assert np.unravel_index(np.argmax(means), (2, 2)) == (row, column)
    caption["alignment"] = [[], []]
    draw_caption(pixels, caption, (2, 2), tmp_path / "plain.svg")
    assert (tmp_path / "plain.svg").read_text().startswith("<?xml")


def test_gates_and_steps(tmp_path):
    rng = np.random.default_rng(0)
    tokens = ["a", "small", "나무", "$x_", "."]
    gates = {"update": rng.random((5, 7)), "candidate": rng.normal(0, 2, (5, 7))}
    norms = {"gradient": 10.0 ** np.array([-40, -9, -3, np.nan, 0]), "h": np.ones(5), "none": np.zeros(5)}
    figures.draw_gates(tokens, gates, tmp_path / "gates.png")
    figures.draw_steps(tokens, norms, tmp_path / "steps.png")
    for name in ("gates", "steps"):
        pixels = matplotlib.image.imread(tmp_path / f"{name}.png")
        assert pixels[..., :3].min() < 0.2 and pixels.shape[1] > 300
    with pytest.raises(ValueError, match="h has 5 numbers for 3 tokens"):
        figures.draw_steps(tokens[:3], {"h": np.ones(5)}, tmp_path / "steps.png")
