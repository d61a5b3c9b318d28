"""The examples of the documentation run, and its commands and those of the recipes have options that exist."""

import importlib
import re
import shlex
from pathlib import Path

import pytest
from keras_recurrent.apps import cli, parsers
from keras_recurrent.apps.shared.errors import UsageError

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "README.ko.md", "CONTRIBUTING.md", "saved_models/README.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
PLACEHOLDERS = {"APP": "translation", "VERB": "train"}


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def snippets(path):
    text = path.read_text(encoding="utf-8")
    for number, snippet in enumerate(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)):
        # One that names a model's folder needs a model that takes minutes to train; the apps' tests run its like.
        if "saved_models/" not in snippet:
            marks = [pytest.mark.deploy] if path.name == "edge.md" else []  # exports take seconds
            yield pytest.param(snippet, id=f"{name_of(path)}-{number}", marks=marks)


def commands(path):
    """The commands of a page, in code blocks and in the text, or those of a Makefile."""
    text = path.read_text(encoding="utf-8").replace("$(BIN)/", "").replace("$(DEMO)", "saved_models/NAME")
    for command in re.findall(r"(?:^#?\s*|`)(?:\.venv/bin/)?(keras-recurrent [^`\n]*)", text, flags=re.MULTILINE):
        yield pytest.param(command, id=f"{name_of(path)}: {command}")
    for cell in re.findall(r"\| `(\w+ train [^`\n]*)` \|", text):  # a table names neither data nor folder
        command = f"keras-recurrent {cell} --data DIR --output saved_models/NAME"
        yield pytest.param(command, id=f"{name_of(path)}: {cell}")


def parse(command):
    """The verb and the options of a command as a string; files and folders that it names need not exist."""
    app, *arguments = (PLACEHOLDERS.get(word, word) for word in shlex.split(command, comments=True)[1:])
    app_commands, app_config = (
        importlib.import_module(f"keras_recurrent.apps.{app}.{m}") for m in ("commands", "config")
    )
    return cli._parse_verb(app, app_commands, app_config.Config, arguments)


SNIPPETS = [snippet for path in PAGES for snippet in snippets(path)]
FILES_WITH_COMMANDS = [*PAGES, ROOT / "Makefile", *sorted((ROOT / "apps").rglob("*.yaml"))]
COMMANDS = [command for path in FILES_WITH_COMMANDS for command in commands(path)]


def test_there_are_snippets_and_commands():
    assert len(SNIPPETS) > 2
    assert len(COMMANDS) > 30


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippet_runs(snippet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "README.md", "exec"), {})


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_parsed(command):
    if (name := command.split()[1]) in cli.COMMANDS:
        parsers.function_parser(cli.COMMANDS[name]).parse_args(shlex.split(command, comments=True)[2:])
    elif "--help" in command:
        with pytest.raises(SystemExit, match="0"):
            parse(command)
    else:
        verb, options = parse(command)
        assert f" {verb} " in command
        assert options


@pytest.mark.parametrize(
    "command", ["translation train --output x --colour red", "vqa predict", "generation train --output x --cell hmm"]
)
def test_a_wrong_command_is_noticed(command):
    with pytest.raises(UsageError):
        parse(f"keras-recurrent {command}")


def test_the_readme_is_short():
    for path in (ROOT / "README.md", ROOT / "README.ko.md"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 150, path.name
        assert max(map(len, lines)) <= 120, path.name


def test_the_translated_readme_has_the_same_commands_links_and_figures():
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md")]
    for pattern in (
        r"keras-recurrent [a-z_]+ [^`#\n]*",
        r"```python\n.*?```",
        r"pip install [^#\n]*",
        r"\]\((docs[^)]*)\)",
        r"(?<!`)`[^`\n]+`(?!`)",
        r"(?<!## )\b\d+(?:[.,]\d+)*",
    ):
        found = [sorted(match.strip() for match in re.findall(pattern, text, flags=re.DOTALL)) for text in texts]
        assert found[0] and found[0] == found[1]
