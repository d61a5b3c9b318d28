import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from keras_recurrent.apps.shared.errors import ModelFolderError
from keras_recurrent.apps.shared.models import outputs


class Killed(BaseException):
    pass


def test_a_folder_appears_at_the_end(tmp_path):
    target = tmp_path / "models" / "a"
    with outputs.atomic_output(target) as partial:
        (partial / "file").write_text("x")
        assert not target.exists()
    assert (target / "file").read_text() == "x"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_a_failure(tmp_path, error):
    with pytest.raises(error), outputs.atomic_output(tmp_path / "a") as partial:
        (partial / "file").write_text("x")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_the_folder_that_was_there(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("old")
    with pytest.raises(ValueError), outputs.atomic_output(tmp_path / "a"):
        raise ValueError
    assert (tmp_path / "a" / "old").read_text() == "old"
    with outputs.atomic_output(tmp_path / "a") as partial:
        (partial / "new").write_text("new")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["new"]


def test_check_new(tmp_path):
    outputs.check_new(tmp_path / "a", False, "config.yaml")
    with pytest.raises(ModelFolderError, match="exists already; --overwrite replaces it"):
        outputs.check_new(tmp_path, False, "config.yaml")
    outputs.check_new(tmp_path, True, "config.yaml")
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelFolderError, match="is not replaced"):
        outputs.check_new(tmp_path, True, "config.yaml")
    (tmp_path / "config.yaml").write_text("")
    outputs.check_new(tmp_path, True, "config.yaml")


def test_the_old_folder_stays_where_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    old = tmp_path / "model"
    old.mkdir()
    (old / "weights").write_text("old")
    rename = Path.rename

    def failing(self, target):
        if self.name == ".model.finished":
            raise OSError("disk full")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="disk full"), outputs.atomic_output(old) as partial:
        (partial / "weights").write_text("new")
    assert (old / "weights").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def killed_at(operation, folder):
    """Replaces `folder` in a process that is killed before one of its operations on files; False if it has fewer."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    count = iter(range(1000))

    def counted(function):
        def call(*arguments, **options):
            if next(count) == operation:
                os._exit(9)
            return function(*arguments, **options)

        return call

    for owner, name in ((Path, "rename"), (os, "rename"), (os, "unlink"), (os, "rmdir"), (os, "fsync")):
        setattr(owner, name, counted(getattr(owner, name)))
    try:
        with outputs.atomic_output(folder) as partial:
            (partial / "weights").write_text("new")
            (partial / outputs.STATES).mkdir()
            (partial / outputs.STATES / "epoch-1").write_text("state")
    finally:
        os._exit(0)


@pytest.mark.parametrize("exists", [False, True])
def test_after_a_kill_at_any_operation_the_folder_is_the_old_or_the_new_one(tmp_path, exists):
    folder = tmp_path / "a" / "model"
    for operation in range(100):
        shutil.rmtree(tmp_path / "a", ignore_errors=True)
        if exists:
            folder.mkdir(parents=True)
            (folder / "weights").write_text("old")
        killed = killed_at(operation, folder)
        is_there = outputs.find(folder).exists()
        assert is_there or (killed and not exists)
        if is_there:
            assert (folder / "weights").read_text() in ("old", "new")
            assert "old" if exists else "new" in (folder / "weights").read_text()
            assert not (folder / outputs.STATES).exists()
        with outputs.atomic_output(folder) as partial:
            (partial / "weights").write_text("newer")
        assert [path.name for path in folder.parent.iterdir()] == ["model"]
        if not killed:
            break
    assert 5 < operation < 99


HOLDER = """
import sys
from pathlib import Path
from keras_recurrent.apps.shared.models import outputs
with outputs.writing(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_writes_a_folder(tmp_path):
    folder = tmp_path / "model"
    holder = subprocess.Popen(
        [sys.executable, "-P", "-c", HOLDER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "locked\n"
    with (
        pytest.raises(ModelFolderError, match=rf"model is being written by .*{holder.pid}"),
        outputs.atomic_output(folder),
    ):
        pass
    holder.kill()
    holder.communicate()
    with outputs.atomic_output(folder) as partial:
        (partial / "weights").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_output_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "dangling").symlink_to("missing")
    assert outputs.output_folder("~/x") == outputs.output_folder("x") == tmp_path / "x"
    assert outputs.output_folder("link") == tmp_path / "folder"
    assert outputs.output_folder("link/a/b") == tmp_path / "folder" / "a" / "b"
    assert outputs.output_folder("dangling") == tmp_path / "missing"
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "'' cannot be the name"),
        ("  ", "'  ' cannot be the name"),
        ("a\0b", "cannot be the name"),
        ("/", "/ cannot be the name"),
        ("x" * 300, "cannot be the name|too long"),
        ("x/" * 2040 + "x", "cannot be the name"),
        ("file", "file is a file, not a folder"),
        ("file/x/y", "file is a file, not a folder"),
        ("loop", "loop is a symbolic link that leads to itself"),
        ("loop/x", "loop is a symbolic link that leads to itself"),
        ("/proc", "/proc is a mount point"),
    ],
)
def test_no_output_folder(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises((ModelFolderError, OSError), match=message):
        outputs.output_folder(path)


def test_a_link_to_a_folder_is_repaired(tmp_path):
    (tmp_path / "link").symlink_to("model")
    (tmp_path / ".model.finished").mkdir()
    assert outputs.find(tmp_path / "link").is_dir()
    assert (tmp_path / "model").is_dir()


def test_an_existing_folder_is_replaced_only_on_request(tmp_path):
    with outputs.atomic_output(tmp_path / "a", overwrite=False) as partial:
        (partial / "file").write_text("first")
    with (
        pytest.raises(ModelFolderError, match="exists already"),
        outputs.atomic_output(tmp_path / "a", overwrite=False),
    ):
        pass
    assert (tmp_path / "a" / "file").read_text() == "first"


def test_an_unknown_user_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert outputs.output_folder("~no_such_user/x") == tmp_path / "~no_such_user" / "x"
