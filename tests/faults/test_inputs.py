"""Malformed input of every kind: one clear line, exit status 2, nothing written, within 10 seconds and 2 GB."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from keras_recurrent.apps import cli

from .conftest import MEGABYTES, command, fork, options

# Progress bars, and a note of each training on so few texts.
PROGRESS = "━|-:--:--|fewer than vocabulary_size"


def rows(name):
    """The rows of a table: the expected line, the command, its preparation, and why it still fails, if it does.

    A quarter of the arguments is in the default selection.
    """
    lines = (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if line and not line.startswith("#"):
            expected, arguments, preparation, reason = [*line.split("\t"), "", "", ""][:4]
            marks = [] if name == "arguments.tsv" and number % 4 == 0 else [pytest.mark.faults]
            marks += [pytest.mark.xfail(strict=True, reason=reason)] if reason else []
            yield pytest.param(expected, arguments, preparation, marks=marks, id=f"{arguments} ; {preparation}"[:100])


def check(expected, status, out, err):
    """Checks the outcome of a command. `expected` has a regular expression for each line, separated by `\\n`."""
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if not re.search(PROGRESS, line)]
    assert status == 2, (status, err)
    patterns = expected.split(r"\n")
    assert len(lines) == len(patterns), err
    for line, pattern in zip(lines, patterns, strict=True):
        assert line.startswith("keras-recurrent: ")
        assert re.search(pattern, line), line
    assert out == ""


@pytest.mark.parametrize(("expected", "arguments", "preparation"), [*rows("arguments.tsv")])
def test_arguments(expected, arguments, preparation, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(expected, cli.main(shlex.split(arguments)), *capsys.readouterr())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("expected", "arguments", "preparation"), [*rows("inputs.tsv")])
def test_inputs(expected, arguments, preparation, template, tmp_path):
    folder = tmp_path / "work"
    shutil.copytree(template, folder)
    subprocess.run(["bash", "-ec", preparation], cwd=folder, check=True)
    # `{app}` stands for the options of a tiny training, and `< file` for the standard input.
    arguments, _, stdin = re.sub(r"\{(\w+)\}", lambda match: shlex.join(options(match[1])), arguments).partition(" < ")
    content = (folder / stdin.strip()).read_bytes() if stdin else b""
    result = fork(command(*shlex.split(arguments)), folder, stdin=content)
    check(expected, result.status, result.out, result.err)
    assert not result.changed
    assert result.megabytes < MEGABYTES
