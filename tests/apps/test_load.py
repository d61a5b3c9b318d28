"""Models that earlier code wrote are loaded, and predict what they predicted."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from keras import tree
from keras_recurrent.apps import load
from keras_recurrent.apps.shared.errors import ModelFolderError, UsageError

from .data.write import predictions

FOLDER = Path(__file__).parent / "data"
EXPECTED = json.loads((FOLDER / "predictions.json").read_text(encoding="utf-8"))


def check_predictions(app):
    """Checks that the saved model of an app predicts what it predicted, on any backend."""
    results = predictions(app, load(FOLDER / app))
    leaves = zip(tree.flatten_with_path(results), tree.flatten_with_path(EXPECTED[app]), strict=True)
    for (path, actual), (expected_path, expected) in leaves:
        assert path == expected_path
        if isinstance(expected, float):
            np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)
        else:
            assert actual == expected


@pytest.mark.parametrize("app", EXPECTED)
def test_a_model_that_earlier_code_wrote_predicts_the_same(app, eagerly):
    check_predictions(app)


@pytest.fixture
def copy(tmp_path):
    """`copy(app)`: a copy of the app's folder."""
    return lambda app: Path(shutil.copytree(FOLDER / app, tmp_path / app))


@pytest.mark.parametrize(("app", "other"), [(app, other) for app in EXPECTED for other in EXPECTED if app != other])
def test_a_model_of_another_app(app, other, copy):
    folder = copy(app)
    shutil.copy(FOLDER / other / "model.keras", folder)
    with pytest.raises(ModelFolderError):
        load(folder)


def test_a_model_for_images_of_another_size(copy):
    folder = copy("vqa")
    config = (folder / "config.yaml").read_text()
    size = int(config.split("image_size: ")[1].split()[0])
    (folder / "config.yaml").write_text(config.replace(f"image_size: {size}", f"image_size: {size + 1}"))
    with pytest.raises(
        ModelFolderError, match=f"image_size is {size + 1}, but the model reads images of {size} pixels"
    ):
        load(folder)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("beam_size: null", "beam_size takes a positive integer up to 1,000, not null"),
        ("max_length: 1000000000", "max_length takes an integer from 2 to 100,000, not 1000000000"),
        ("cell: lstn", "cell takes simple_rnn, lstm or gru, not 'lstn'"),
        ("cell: !!python/object/apply:os.system [exit]", "not a YAML file"),
        ("cell: &a [*a, *a]", "not a YAML file"),
        ("epoch: 3", "unknown option 'epoch'; did you mean epochs"),
    ],
)
def test_a_configuration_that_was_changed(line, message, copy):
    folder = copy("translation")
    with open(folder / "config.yaml", "a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ModelFolderError, match=f"config.yaml: .*{message}"):
        load(folder)


@pytest.mark.parametrize("name", ["config.yaml", "model.keras"])
def test_a_file_that_is_a_fifo_or_a_device(name, copy):
    folder = copy("translation")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(ModelFolderError, match="not a regular file"):
        load(folder)
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    with pytest.raises(ModelFolderError, match="not a regular file"):
        load(folder)


def test_values_that_options_no_longer_take_still_load(copy):
    folder = copy("translation")
    with open(folder / "config.yaml", "a") as file:
        file.write("swap: true\nscore: none\nmin_ratio: 3.0\nmax_ratio: .inf\nclip_norm: .inf\n")
    config = load(folder).config
    assert (config.swap, config.score, config.min_ratio, config.max_ratio) == (True, "none", 3.0, float("inf"))
    assert load(folder, beam_size=2).config.beam_size == 2
    with pytest.raises(UsageError, match="--coverage-penalty needs attention"):
        load(folder, coverage_penalty=1.0)


def test_options_of_a_search_that_contradict_the_saved_ones():
    with pytest.raises(UsageError, match="--min-ratio 2 exceeds --max-ratio 1"):
        load(FOLDER / "translation", min_ratio=2.0, max_ratio=1.0)
