"""A training that is killed at any moment is resumed and ends with the weights of an uninterrupted one."""

import filecmp
import io
import os
import random
import shutil
import signal
import sys
import zipfile
from pathlib import Path

import h5py
import pytest
from keras_recurrent.apps import APPS, load

from ..apps.data.write import OPTIONS
from .conftest import command, fork, options

pytestmark = pytest.mark.faults

CHANGES = {"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate"}
SECONDS = 60  # of a training


@pytest.fixture
def work(template, tmp_path):
    folder = tmp_path / "work"
    shutil.copytree(template / "data", folder / "data", symlinks=True)
    shutil.copy(template / "backbone.keras", folder)
    (folder / "out").mkdir()
    return folder


def train(app, *flags, seed=0):
    """A tiny training of two epochs in `out/m`; with a frozen backbone, its features are in `out/cache`."""
    cache = {"cache": "out/cache"} if "backbone" in OPTIONS[app] else {}
    return command(app, "train", *options(app, epochs=2, seed=seed, **cache), *flags)


def weights(folder):
    """The weights of a model's folder, by name."""
    arrays = {}
    with zipfile.ZipFile(folder / "model.keras") as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()].tobytes()} if hasattr(item, "shape") else {}))
    return arrays


def names(folder):
    """The names of all files and folders below a folder, without the unlocked lock file of a complete cache."""
    paths = [path.relative_to(folder) for path in folder.rglob("*")]
    return sorted(str(path) for path in paths if not path.match("cache/*.lock"))


def recorded(function, states):
    """Wraps a function: before each change of a file, the folder `out` is copied to `states`, as a kill would leave it.

    A second copy has half of the file that was opened before, as if the process were killed while it writes it.
    """

    def run():
        is_copying, count, last = False, 0, None

        def copy(event, arguments):
            nonlocal is_copying, count, last
            if is_copying or not _changes_a_file(event, arguments):
                return
            is_copying = True
            shutil.copytree("out", states / f"{count:03}")
            if last and last.exists() and last.stat().st_size > 1:
                shutil.copytree("out", states / f"{count:03}-half")
                half = states / f"{count:03}-half" / last.relative_to(Path("out").absolute())
                os.truncate(half, half.stat().st_size // 2)
            last = Path(arguments[0]).absolute() if event == "open" else None
            count += 1
            is_copying = False

        sys.addaudithook(copy)
        return function()

    return run


def _changes_a_file(event, arguments):
    """Whether an event of Python's audit, raised before an operation, is a change below `out`."""
    if event == "open":
        path, _, flags = arguments
        is_change = isinstance(path, (str, bytes)) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return is_change and os.path.abspath(os.fsdecode(path)).startswith(os.path.abspath("out") + os.sep)
    # `shutil.rmtree` gives names in an open folder.
    return event in CHANGES and (not os.path.isabs(arguments[0]) or str(arguments[0]).startswith(os.getcwd()))


def distinct(states):
    """The recorded folders without those that equal the one before."""
    kept = []
    for state in sorted(states.iterdir()):
        if not kept or not _are_equal(kept[-1], state):
            kept.append(state)
    return kept


def _are_equal(first, second):
    if names(first) != names(second):
        return False
    files = [name for name in names(first) if (first / name).is_file()]
    return filecmp.cmpfiles(first, second, files, shallow=False)[0] == files


def check_resumed(app, work, expected, *flags):
    """Resumes the training in `out`, and returns what differs from the uninterrupted training."""
    result = fork(train(app, "--resume", *flags), work, seconds=SECONDS)
    if result.status:
        return f"status {result.status}: {result.err}"
    if names(work / "out") != names(expected):
        return f"files: {set(names(work / 'out')) ^ set(names(expected))}"
    if weights(work / "out" / "m") != weights(expected / "m"):
        return f"other weights: {result.err}"
    if (work / "out/m/history.csv").read_bytes() != (expected / "m/history.csv").read_bytes():
        return f"another history: {result.err}"
    return None


def put(state, work):
    shutil.rmtree(work / "out")
    shutil.copytree(state, work / "out")


@pytest.mark.parametrize("app", APPS)
def test_before_each_change_of_a_file(app, work, tmp_path, record_property):
    (tmp_path / "states").mkdir()
    result = fork(recorded(train(app), tmp_path / "states"), work, seconds=SECONDS)
    assert result.status == 0, result.err
    expected = shutil.copytree(work / "out", tmp_path / "expected")
    failures, states = {}, distinct(tmp_path / "states")
    for state in states:
        put(state, work)
        if failure := check_resumed(app, work, expected):
            failures[state.name] = failure
    record_property("kills", len(states))
    assert len(states) > 20
    assert not failures


@pytest.mark.parametrize("app", APPS)
def test_while_a_model_is_replaced(app, work, tmp_path, record_property):
    assert fork(train(app, seed=9), work, seconds=SECONDS).status == 0
    old = shutil.copytree(work / "out", tmp_path / "old")
    (tmp_path / "states").mkdir()
    result = fork(recorded(train(app, "--overwrite"), tmp_path / "states"), work, seconds=SECONDS)
    assert result.status == 0, result.err
    expected = shutil.copytree(work / "out", tmp_path / "expected")
    versions = [weights(old / "m"), weights(expected / "m")]
    assert versions[0] != versions[1]
    failures, states = {}, distinct(tmp_path / "states")
    for state in states:
        put(state, work)
        result = fork(lambda: load("out/m") and 0, work, seconds=SECONDS)
        if result.status or weights(work / "out" / "m") not in versions:
            failures[state.name] = f"not readable: {result.err}"
    record_property("kills", len(states))
    for state in states[:: max(1, len(states) // 5)]:
        put(state, work)
        if failure := check_resumed(app, work, expected, "--overwrite"):
            failures[state.name] = failure
    assert not failures


@pytest.mark.parametrize("app", APPS)
def test_at_random_moments(app, work, tmp_path, record_property):
    start = fork(train(app), work, seconds=SECONDS)
    assert start.status == 0, start.err
    expected = shutil.copytree(work / "out", tmp_path / "expected")
    (tmp_path / "empty").mkdir()
    put(tmp_path / "empty", work)
    generator = random.Random(app)
    kills = 5  # of one training
    record_property("kills", kills)
    for _ in range(kills):
        result = fork(train(app, "--resume"), work, seconds=generator.uniform(0.2, 1) * start.seconds)
        assert result.status in (0, -signal.SIGALRM), result.err
    failure = check_resumed(app, work, expected)
    assert not failure


def test_while_an_export_is_replaced(work, template, tmp_path, record_property):
    """All apps write their exports with the same function."""
    shutil.copytree(template / "models" / "classification", work / "out" / "m")
    export = command("classification", "export", "out/m", "--overwrite", eagerly=False)
    assert fork(export, work, seconds=SECONDS).status == 0
    (tmp_path / "states").mkdir()
    result = fork(recorded(export, tmp_path / "states"), work, seconds=SECONDS)
    assert result.status == 0, result.err
    expected, states = names(work / "out"), distinct(tmp_path / "states")
    record_property("kills", len(states))
    for state in states:
        put(state, work)
        result = fork(export, work, seconds=SECONDS)
        assert (state.name, result.status, result.err.count("\n")) == (state.name, 0, 1), result.err
        assert names(work / "out") == expected
