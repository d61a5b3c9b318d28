import json

import pytest
from keras_recurrent.apps import folders, load


def test_whole_folder_appears_at_the_end(tmp_path):
    target = tmp_path / "models" / "a"
    with folders.whole(target) as partial:
        (partial / "file").write_text("x")
        assert not target.exists()
    assert (target / "file").read_text() == "x"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_a_failure(tmp_path, error):
    with pytest.raises(error), folders.whole(tmp_path / "a") as partial:
        (partial / "file").write_text("x")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_the_folder_that_was_there(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("old")
    with pytest.raises(ValueError), folders.whole(tmp_path / "a"):
        raise ValueError
    assert (tmp_path / "a" / "old").read_text() == "old"
    with folders.whole(tmp_path / "a") as partial:
        (partial / "new").write_text("new")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["new"]


def test_check_new(tmp_path):
    folders.check_new(tmp_path / "a", False, "config.yaml")
    with pytest.raises(folders.ModelFolderError, match="exists already; --overwrite replaces it"):
        folders.check_new(tmp_path, False, "config.yaml")
    folders.check_new(tmp_path, True, "config.yaml")
    (tmp_path / "file").write_text("")
    with pytest.raises(folders.ModelFolderError, match="holds something else"):
        folders.check_new(tmp_path, True, "config.yaml")
    (tmp_path / "config.yaml").write_text("")
    folders.check_new(tmp_path, True, "config.yaml")
    with pytest.raises(folders.ModelFolderError, match="is a file"):
        folders.check_new(tmp_path / "file", True, "config.yaml")


def test_metrics_of_several_splits_stand_together(tmp_path):
    folders.write_metrics(tmp_path, "val", {"bleu": 1.0})
    folders.write_metrics(tmp_path, "test", {"bleu": 2.0})
    folders.write_metrics(tmp_path, "val", {"bleu": 3.0})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"val": {"bleu": 3.0}, "test": {"bleu": 2.0}}
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "not a complete model; missing: config.yaml"),
        ("{", "not a YAML file"),
        ("- 1", "names no app"),
        ("app: cooking", "unknown app: 'cooking'"),
        ("app: translation", "not a complete model; missing: model.keras, source.vocabulary.txt"),
    ],
)
def test_incomplete_folder(tmp_path, config, message):
    if config is not None:
        (tmp_path / "config.yaml").write_text(config)
    with pytest.raises(folders.ModelFolderError, match=message):
        load(tmp_path)


def test_no_folder(tmp_path):
    with pytest.raises(folders.ModelFolderError, match="no such model folder"):
        load(tmp_path / "a")
