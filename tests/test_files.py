import pytest
from keras_recurrent.files import atomic_file, atomic_folder


class Killed(BaseException):
    pass


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(Killed), atomic_file(path) as partial:
        partial.write_text("half")
        raise Killed
    assert not list(tmp_path.iterdir())
    with atomic_file(path) as partial:
        partial.write_text("whole")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["whole"]


def test_a_folder_is_whole_or_not_there(tmp_path):
    path = tmp_path / "folder"
    with pytest.raises(Killed), atomic_folder(path) as partial:
        (partial / "file").write_text("half")
        raise Killed
    assert not list(tmp_path.iterdir())
    with atomic_folder(path) as partial:
        (partial / "file").write_text("whole")
    assert (path / "file").read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_or_kept(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(Killed), atomic_folder(path):
        raise Killed
    assert (path / "old").read_text() == "old"
    with atomic_folder(path) as partial:
        (partial / "new").write_text("new")
    assert [file.name for file in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]
