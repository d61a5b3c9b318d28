"""The examples of the documentation run, and its commands and the recipes have options that exist."""

import importlib
import re
import shlex
from pathlib import Path

import pytest
import yaml
from keras_recurrent.apps import cli
from keras_recurrent.apps.shared.errors import UsageError

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "layers/README.md", "saved_models/README.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
RECIPES = sorted((ROOT / "apps").rglob("*.yaml"))
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
    for command in re.findall(r"(?:^\s*|`)(?:\.venv/bin/)?(keras-recurrent [^`\n]*)", text, flags=re.MULTILINE):
        yield pytest.param(command, id=f"{name_of(path)}: {command}")


def parse(command):
    """The verb and the options of a command as a string; files and folders that it names need not exist."""
    app, *arguments = (PLACEHOLDERS.get(word, word) for word in shlex.split(command, comments=True)[1:])
    app_commands, app_config = (
        importlib.import_module(f"keras_recurrent.apps.{app}.{m}") for m in ("commands", "config")
    )
    return cli._parse_verb(app, app_commands, app_config.Config, arguments)


SNIPPETS = [snippet for path in PAGES for snippet in snippets(path)]
COMMANDS = [command for path in [*PAGES, ROOT / "Makefile"] for command in commands(path)]


def test_there_are_snippets_commands_and_recipes():
    assert len(SNIPPETS) > 2
    assert len(COMMANDS) > 30
    assert len(RECIPES) > 5


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippet_runs(snippet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "README.md", "exec"), {})


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_parsed(command, monkeypatch):
    monkeypatch.chdir(ROOT)  # recipes are named from there
    if "--help" in command:
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


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_recipe_is_parsed(recipe):
    verb, options = parse(f"keras-recurrent {recipe.parent.name} train --config {shlex.quote(str(recipe))} --output x")
    text = recipe.read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    assert verb == "train" and values
    assert {name: options[name] for name in values} == values


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_a_recipe_begins_with_its_command_its_result_and_the_minutes(recipe, monkeypatch):
    command, result, minutes, *options = recipe.read_text(encoding="utf-8").splitlines()
    monkeypatch.chdir(ROOT)
    verb, _ = parse(command.removeprefix("# "))
    assert verb == "train" and f"--config {name_of(recipe)} " in command
    assert result.startswith("# ") and re.fullmatch(r"# \d+ minutes? on (one core|two cores)\.", minutes)
    assert not any(line.startswith("#") for line in options)
