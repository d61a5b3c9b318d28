import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from keras_recurrent.apps import load
from keras_recurrent.apps.shared.errors import ModelFolderError
from keras_recurrent.apps.shared.models import folders, outputs


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
        ("- 1", "must have one `option: value` per line"),
        ("epochs: 1", "has no value for 'app'"),
        ("app: cooking", "unknown app: 'cooking'"),
        ("app: translation", "not a complete model; missing: model.keras, source.vocabulary.txt"),
    ],
)
def test_incomplete_folder(tmp_path, config, message):
    if config is not None:
        (tmp_path / "config.yaml").write_text(config)
    with pytest.raises(ModelFolderError, match=message):
        load(tmp_path)


def test_broken_metrics_are_moved_aside(tmp_path, capsys):
    for content in ("{", "[1]", ""):
        (tmp_path / "metrics.json").write_text(content)
        folders.write_metrics(tmp_path, "val", {"bleu": 1.0})
        assert json.loads((tmp_path / "metrics.json").read_text()) == {"val": {"bleu": 1.0}}
        assert (tmp_path / "metrics.broken.json").read_text() == content
        assert "is renamed to metrics.broken.json" in capsys.readouterr().err


def test_no_folder(tmp_path):
    with pytest.raises(ModelFolderError, match="no such model folder"):
        load(tmp_path / "a")


@dataclasses.dataclass(frozen=True)
class Options:
    app: str = "translation"
    dropout: float = 0.1


class Killed(BaseException):
    pass


def begin(folder, resume=False, overwrite=False, config=None):
    return folders.resumable(folder, config or Options(), resume, overwrite)


def interrupt(folder, with_state=True):
    with pytest.raises(Killed), begin(folder) as partial:
        if with_state:
            (partial / folders.STATES).mkdir()
            (partial / folders.STATES / "epoch-1").write_text("state")
        raise Killed


def test_a_training_that_ends_is_the_folder(tmp_path):
    with begin(tmp_path / "model") as partial:
        (partial / "weights").write_text("1")
        assert not (tmp_path / "model").exists()
    assert (tmp_path / "model" / "weights").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_training_that_fails_before_its_first_epoch_leaves_nothing(tmp_path):
    interrupt(tmp_path / "model", with_state=False)
    assert not list(tmp_path.iterdir())


def test_a_training_that_was_interrupted_is_resumed(tmp_path):
    interrupt(tmp_path / "model")
    with begin(tmp_path / "model", resume=True) as partial:
        assert (partial / folders.STATES / "epoch-1").read_text() == "state"
        (partial / "weights").write_text("1")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert not (tmp_path / "model" / folders.STATES).exists()


def test_a_training_whose_last_rename_fails_is_kept(tmp_path, monkeypatch):
    def failing(*arguments):
        raise OSError("busy")

    with monkeypatch.context() as context, pytest.raises(OSError, match="busy"), begin(tmp_path / "model") as partial:
        (partial / folders.STATES).mkdir()
        (partial / folders.STATES / "epoch-1").write_text("state")
        (partial / "model.keras").write_text("model")
        context.setattr(folders.Path, "rename", failing)
    with begin(tmp_path / "model", resume=True) as partial:
        assert (partial / "model.keras").read_text() == "model"


def test_resuming_a_finished_training_changes_nothing(tmp_path):
    with begin(tmp_path / "model") as partial:
        (partial / "weights").write_text("1")
    with pytest.raises(folders.FinishedError, match="has finished"), begin(tmp_path / "model", resume=True):
        pass
    other = Options(dropout=0.2)
    with pytest.raises(ModelFolderError, match="was trained with dropout"):  # noqa: SIM117
        with begin(tmp_path / "model", resume=True, config=other):
            pass
    assert (tmp_path / "model" / "weights").read_text() == "1"


def test_a_former_training_comes_back_unless_there_is_a_newer_state(tmp_path):
    """A process may be killed after it put an unfinished training aside."""
    interrupt(tmp_path / "model")
    unfinished = folders.unfinished_folder(tmp_path / "model")
    unfinished.rename(unfinished.with_name(f"{unfinished.name}-former"))
    unfinished.mkdir()
    with begin(tmp_path / "model", resume=True) as partial:
        assert (partial / folders.STATES / "epoch-1").read_text() == "state"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_is_to_be_overwritten_stays_until_there_is_something_new(tmp_path):
    interrupt(tmp_path / "model")
    with pytest.raises(Killed), begin(tmp_path / "model", overwrite=True):
        raise Killed
    with begin(tmp_path / "model", resume=True) as partial:
        assert (partial / folders.STATES / "epoch-1").read_text() == "state"


def test_folders_above_vanish_with_what_failed(tmp_path):
    interrupt(tmp_path / "a" / "b" / "model", with_state=False)
    assert not list(tmp_path.iterdir())


def test_an_unfinished_training_is_not_lost_by_mistake(tmp_path):
    interrupt(tmp_path / "model")
    with (
        pytest.raises(ModelFolderError, match="--resume continues it, --overwrite discards it"),
        begin(tmp_path / "model"),
    ):
        pass
    other = Options(dropout=0.2)
    with pytest.raises(ModelFolderError, match=r"was trained with dropout 0\.1, not 0\.2"):  # noqa: SIM117
        with begin(tmp_path / "model", resume=True, config=other):
            pass
    assert (folders.unfinished_folder(tmp_path / "model") / folders.STATES / "epoch-1").exists()
    with begin(tmp_path / "model", overwrite=True, config=other) as partial:
        assert [path.name for path in partial.iterdir()] == ["config.yaml"]


def test_resuming_nothing_begins(tmp_path):
    with begin(tmp_path / "model", resume=True) as partial:
        assert [path.name for path in partial.iterdir()] == ["config.yaml"]


def test_a_training_that_was_discarded_does_not_come_back(tmp_path, monkeypatch):
    """A process is killed just after the new model is in place."""
    interrupt(tmp_path / "model")
    put_into_place = outputs.replace

    def killed_after(*arguments):
        put_into_place(*arguments)
        assert [path.name for path in tmp_path.iterdir() if path.name != ".model.lock"] == ["model"]
        raise Killed

    monkeypatch.setattr(outputs, "replace", killed_after)
    new = Options(dropout=0.2)
    with pytest.raises(Killed), begin(tmp_path / "model", overwrite=True, config=new) as partial:
        (partial / folders.STATES).mkdir()
        (partial / folders.STATES / "epoch-1").write_text("new")
    with pytest.raises(folders.FinishedError), begin(tmp_path / "model", resume=True, config=new):
        pass


def test_metrics_written_at_once_are_all_there(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: folders.write_metrics(tmp_path, str(number), {"bleu": number}), range(20)))
    assert len(json.loads((tmp_path / "metrics.json").read_text())) == 20
