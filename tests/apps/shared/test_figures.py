import matplotlib.image
import numpy as np
import pytest
from keras_recurrent.apps.shared import figures
from keras_recurrent.apps.shared.errors import UsageError


def test_history_with_another_measure(tmp_path):
    (tmp_path / "history.csv").write_text(
        "epoch,learning_rate,loss,val_loss,val_bleu\n1,0.1,3.0,2.0,10.5\n2,0.1,2.0,1.5,20.5\n"
    )
    figures.draw_history(tmp_path / "history.csv", tmp_path / "history.png")
    assert matplotlib.image.imread(tmp_path / "history.png").std() > 0.01


def test_confusion_shows_the_shares_of_each_target(tmp_path):
    pictures = []
    for name, table in (("right", [[8, 0], [0, 2]]), ("same", [[4, 0], [0, 1]]), ("wrong", [[0, 8], [2, 0]])):
        figures.draw_confusion(["yes", "no"], np.array(table), tmp_path / f"{name}.png")
        pictures.append(matplotlib.image.imread(tmp_path / f"{name}.png")[..., 0])
    right, same, wrong = pictures
    np.testing.assert_array_equal(right, same)
    # Only the four cells differ: black on the diagonal if all predictions are right.
    differ = np.argwhere(np.abs(right - wrong) > 0.5)
    (top, left), (bottom, right_end) = differ.min(axis=0), differ.max(axis=0)
    quarter = right[top : (top + bottom) // 2, left : (left + right_end) // 2]
    assert quarter.mean() < 0.1


def test_korean_and_latin_are_legible(tmp_path, recwarn, capsys):
    labels = ["she", "▁schön", "É", "그녀는", "漢字", "かな"]
    figures.draw_confusion(labels, np.eye(6, dtype=int), tmp_path / "x.svg")
    assert "missing from" not in " ".join(str(warning.message) for warning in recwarn)
    assert capsys.readouterr().err == ""


def test_tokens_are_no_formulas(tmp_path):
    figures.draw_confusion(["$$", "$x$", "$\\frac$", "_^"], np.eye(4, dtype=int), tmp_path / "x.png")
    assert (tmp_path / "x.png").exists()


def test_characters_that_no_font_has_are_named(tmp_path, recwarn, capsys):
    figures.draw_confusion(["a", "\U0001ec71\ue000"], np.eye(2, dtype=int), tmp_path / "x.png")
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "no installed font has the characters" in message
    assert "\U0001ec71" in message
    assert (tmp_path / "x.png").exists()
    assert not recwarn.list


@pytest.mark.parametrize("name", ["x.xyz", "x"])
def test_unsupported_file_formats(name, tmp_path):
    with pytest.raises(UsageError, match="the name of a figure ends in one of"):
        figures.draw_confusion(["a"], np.eye(1, dtype=int), tmp_path / name)
    assert not list(tmp_path.iterdir())


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
