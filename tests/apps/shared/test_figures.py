from itertools import pairwise

import numpy as np
import pytest
from keras_recurrent.apps.shared import figures
from keras_recurrent.apps.shared.errors import UsageError
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def write_history(path, epochs):
    rows = [f"{epoch},0.1,{3 / epoch},{2 / epoch},{10 * epoch}" for epoch in range(1, epochs + 1)]
    path.write_text("\n".join(["epoch,learning_rate,loss,val_loss,val_bleu", *rows]) + "\n")
    return path


@pytest.mark.parametrize("epochs", [1, 4])
def test_history_marks_the_kept_epoch(epochs, drawn, tmp_path):
    history = write_history(tmp_path / "history.csv", epochs)
    figures.draw_history(history, tmp_path / "history.png", [min(3, epochs)])
    (figure,) = drawn
    losses, bleu = figure.axes
    assert (losses.get_ylabel(), bleu.get_ylabel(), bleu.get_xlabel()) == ("loss", "validation bleu", "epoch")
    assert figure.get_suptitle() == ("Training history, 4 epochs" if epochs == 4 else "Training history, 1 epoch")
    for axes, curves in ((losses, 2), (bleu, 1)):
        *lines, mark = axes.lines
        assert len(lines) == curves and set(mark.get_xdata()) == {min(3, epochs)}
    np.testing.assert_allclose(losses.lines[1].get_ydata(), 2 / np.arange(1, epochs + 1))
    texts = [text.get_text() for text in losses.get_legend().get_texts()]
    assert texts == ["training", "validation", f"kept: epoch {min(3, epochs)}"]
    low, high = bleu.get_xlim()
    assert all(tick == round(tick) for tick in bleu.get_xticks() if low <= tick <= high)


def test_history_marks_the_averaged_epochs(drawn, tmp_path):
    figures.draw_history(write_history(tmp_path / "history.csv", 5), tmp_path / "history.svg", [3, 4, 5])
    for axes in drawn[0].axes:
        (patch,) = axes.patches
        assert (patch.get_x(), patch.get_width()) == (3, 2)
        assert patch.get_label() == "kept: average of epochs 3 to 5"


def labels_of(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_confusion_shows_counts_and_the_shares_of_each_gold_label(drawn, tmp_path):
    figures.draw_confusion(["yes", "no"], np.array([[6, 2], [1, 0]]), tmp_path / "confusion.png")
    axes, bar = drawn[0].axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted label", "gold label")
    assert bar.get_ylabel() == "share of the gold label"
    assert labels_of(axes.xaxis) == labels_of(axes.yaxis) == ["yes", "no"]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "6", (1, 0): "2", (0, 1): "1", (1, 1): "0"}  # (column, row)
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0.75, 0.25], [1, 0]])
    assert drawn[0].get_suptitle() == "Confusion matrix of 9 predictions"


def test_confusion_of_many_labels_adds_up_the_rare_ones(drawn, tmp_path):
    table = np.full((200, 200), 1)
    frequent = np.arange(5, 197, 8)  # 24 labels
    table[frequent, frequent] = 1000
    labels = [f"label {index} with a long name that nobody reads" for index in range(200)]
    figures.draw_confusion(labels, table, tmp_path / "confusion.png")
    axes = drawn[0].axes[0]
    names = labels_of(axes.yaxis)
    assert [name.split()[1] for name in names[:-1]] == [*map(str, frequent)] and names[-1] == "(other)"
    assert labels_of(axes.xaxis) == names and all(len(name) <= figures.LONGEST_LABEL for name in names)
    counts = np.reshape([int(text.get_text()) for text in axes.texts], (25, 25))
    assert counts.sum() == table.sum() and counts[-1, -1] == 176**2 and (counts[:-1, -1] == 176).all()
    assert "24 most frequent of 200 labels" in drawn[0].get_suptitle()


def test_confusion_without_examples_or_with_one_label(drawn, tmp_path):
    figures.draw_confusion(["only"], np.array([[0]]), tmp_path / "confusion.png")
    assert drawn[0].get_suptitle() == "Confusion matrix of 0 predictions"


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


def test_gates_have_a_unit_axis_and_a_step_axis(drawn, tmp_path):
    rng = np.random.default_rng(0)
    gates = {"update": rng.random((5, 7)), "candidate": rng.normal(0, 2, (5, 7))}
    tokens = ["a", "small", "나무", "$x_", "."]
    figures.draw_gates(tokens, gates, tmp_path / "gates.png")
    update, candidate, *bars = drawn[0].axes
    assert [update.get_title("left"), candidate.get_title("left")] == ["update gate", "candidate"]
    assert [update.get_ylabel(), candidate.get_ylabel(), candidate.get_xlabel()] == [
        "unit",
        "unit",
        "token read at the step",
    ]
    assert [bar.get_ylabel() for bar in bars] == ["0 closed, 1 open", "value"]
    assert labels_of(candidate.xaxis) == tokens and labels_of(update.xaxis) == []
    for axes, name in ((update, "update"), (candidate, "candidate")):
        np.testing.assert_array_equal(axes.images[0].get_array(), gates[name].T)
    assert update.images[0].get_clim() == (0, 1)
    low, high = candidate.images[0].get_clim()
    assert high == -low == np.abs(gates["candidate"]).max()


def test_steps(drawn, tmp_path):
    tokens = ["a", "small", "나무", "$x_", "."]
    norms = {"gradient": 10.0 ** np.array([-40, -9, -3, np.nan, 0]), "h": np.ones(5), "none": np.zeros(5)}
    figures.draw_steps(tokens, norms, tmp_path / "steps.png")
    axes, bar = drawn[0].axes
    assert axes.get_xlabel() == "token read at the step" and bar.get_xlabel() == "share of the largest"
    assert labels_of(axes.xaxis) == tokens and labels_of(axes.yaxis) == ["gradient", "h", "none"]
    np.testing.assert_array_equal(axes.images[0].get_array()[1:], [[1] * 5, [0] * 5])
    assert axes.patch.get_hatch()
    with pytest.raises(ValueError, match="h has 5 numbers for 3 tokens"):
        figures.draw_steps(tokens[:3], {"h": np.ones(5)}, tmp_path / "steps.png")


@pytest.mark.parametrize("count", [1, 100, pytest.param(400, marks=pytest.mark.rest)])
def test_labels_of_few_and_many_tokens_are_legible(count, drawn, tmp_path):
    tokens = [["a", "token", "Donaudampfschifffahrtsgesellschaft"][index % 3] for index in range(count)]
    figures.draw_steps(tokens, {"h": np.ones(count)}, tmp_path / "steps.png")
    axis = drawn[0].axes[0].xaxis
    assert labels_of(axis) == [*map(figures.cut, tokens[:: 1 if count < 400 else 4])]
    boxes = [label.get_window_extent() for label in axis.get_ticklabels()]
    assert all(left.x1 <= right.x0 + 1 for left, right in pairwise(boxes))
    assert all(label.get_fontsize() >= figures.SMALLEST_FONT for label in axis.get_ticklabels())


@pytest.mark.parametrize("brightness", [0, 10, 250, 255])
def test_attention_is_legible_over_dark_and_light_images(brightness):
    pixels = np.full((30, 40, 3), brightness, "uint8")
    figure = Figure(figsize=(4, 2))
    panels = figure.subplots(1, 2)
    figures.draw_overlays(panels, pixels, [np.array([[0.1, 0.0], [0.0, 0.0]])])
    FigureCanvasAgg(figure).draw()
    rendered = np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255

    def color(x, y):
        column, row = panels[1].transData.transform((x, y))
        return rendered[len(rendered) - 1 - int(row), int(column)]

    attended, other = color(5, 5), color(35, 25)
    assert np.abs(attended - other).max() > 0.25 and attended[0] > attended[1:].max() + 0.3  # red
    assert np.ptp(other) < 0.01 and other[0] > 0.3  # pale grey


def test_title_is_broken_into_lines():
    assert figures.wrapped("a few words", 5) == "a few words"
    lines = figures.wrapped("word " * 200, 5).split("\n")
    assert len(lines) == 6 and max(map(len, lines)) <= 45 and lines[-1].endswith("…")
    assert max(map(len, figures.wrapped("그녀는 " * 20, 5).split("\n"))) <= 30
