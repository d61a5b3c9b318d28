"""Runs commands in forked processes: TensorFlow is loaded once, and each command has its own folder and limits.

The parent process runs no operation of TensorFlow, whose threads a fork would not copy.
"""

import importlib
import os
import resource
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import pytest
from keras_recurrent.apps import APPS, cli

from ..apps.data import write
from ..apps.data.write import OPTIONS

SECONDS = 10
MEGABYTES = 2000


@dataclass
class Result:
    """What a command did. `status` is negative if a signal ended the process."""

    status: int
    out: str
    err: str
    changed: list[str]
    seconds: float
    megabytes: float


@pytest.hookimpl(trylast=True)  # of the tests that are not deselected
def pytest_collection_modifyitems(items):
    """Imports what the commands import, so that their processes do not have to."""
    if any(item.get_closest_marker("faults") for item in items if Path(__file__).parent in item.path.parents):
        for app in APPS:
            importlib.import_module(f"keras_recurrent.apps.{app}.model")
        for module in ("matplotlib.pyplot", "PIL.PngImagePlugin", "sacrebleu", "tensorflow_datasets", "rich.progress"):
            importlib.import_module(module)


def pytest_terminal_summary(terminalreporter):
    """Counts the kills of all tests."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    kills = sum(value for report in reports for name, value in report.user_properties if name == "kills")
    terminalreporter.write_line(f"kills: {kills}")


def fork(function, folder, *, stdin=b"", output=None, seconds=SECONDS):
    """Calls a function in a forked process with a working folder, and returns its `Result`.

    Args:
        function: Function without arguments that returns an exit status.
        folder: The working folder.
        stdin: The standard input.
        output: Folder for the standard output and error. The default is the folder above `folder`.
        seconds: After this time, a signal ends the process.
    """
    before = listing(folder)
    output = Path(folder).parent if output is None else output
    names = [output / name for name in ("stdin", "stdout", "stderr")]
    names[0].write_bytes(stdin)
    start = time.monotonic()
    sys.stdout.flush()
    sys.stderr.flush()
    if not (process := os.fork()):
        status = 99
        try:
            os.chdir(folder)
            resource.setrlimit(resource.RLIMIT_DATA, (3 * MEGABYTES * 10**6,) * 2)  # spares the machine
            signal.setitimer(signal.ITIMER_REAL, seconds)
            for number, name in enumerate(names):
                os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | (os.O_TRUNC if number else 0)), number)
            sys.stdin, sys.stdout, sys.stderr = map(os.fdopen, range(3), "rww")
            status = function()
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 98
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status or 0)
    _, code, usage = os.wait4(process, 0)
    after = listing(folder)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    out, err = (name.read_text(errors="replace") for name in names[1:])
    megabytes = usage.ru_maxrss / 1000
    return Result(os.waitstatus_to_exitcode(code), out, err, changed, time.monotonic() - start, megabytes)


def listing(folder):
    """What identifies each file and folder below a folder, by name: its size, time and inode if it is a file."""
    files = {}
    for path, folders, names in os.walk(folder):
        for name in (*folders, *names):
            entry = os.path.join(path, name)
            status = os.lstat(entry)
            is_folder = name in folders
            files[os.path.relpath(entry, folder)] = is_folder or (status.st_size, status.st_mtime_ns, status.st_ino)
    return files


def command(*arguments, eagerly=True):
    """A function that runs a command, for `fork`."""

    def run():
        import tensorflow as tf

        tf.config.run_functions_eagerly(eagerly)
        return cli.main(list(map(str, arguments)))

    return run


def options(app, **changes):
    """The options of a tiny training of an app that writes `out/m`; `changes` replace some."""
    values = {**OPTIONS[app], "output": "out/m", **({} if app == "long_memory" else {"data": f"data/{app}"}), **changes}
    names = {name: f"--{name.replace('_', '-')}" for name in values}
    return [names[name] if value is True else f"{names[name]}={value}" for name, value in values.items()]


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A folder with a data set for each app in `data/`, a backbone, and a trained model of each app in `models/`."""
    folder = tmp_path_factory.mktemp("template") / "work"
    folder.mkdir()
    result = fork(lambda: write.write_data(folder / "data"), folder)
    assert result.status == 0, result.err
    models = Path(write.__file__).parent
    (folder / "models").mkdir()
    for model in models.glob("*/model.keras"):
        (folder / "models" / model.parent.name).symlink_to(model.parent)
    return folder
