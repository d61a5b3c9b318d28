import collections
import re

import pytest
import yaml
from keras_recurrent.apps import APPS, cli, recipes

RECIPES = recipes.recipes()
IDS = [f"{recipe.app} {recipe.name}" for recipe in RECIPES]


def options_of(recipe, *arguments):
    """The options of the recipe's verb with `--recipe`."""
    output = ["--output", "x"] if recipe.verb == "train" else ["x"]
    parsed = cli._parse([recipe.app, recipe.verb, *output, "--recipe", recipe.name, *arguments])
    return parsed.keywords


def test_every_app_has_a_recipe_and_names_are_unique_in_an_app():
    assert {recipe.app for recipe in RECIPES} == set(APPS)
    assert max(collections.Counter(IDS).values()) == 1


@pytest.mark.parametrize("recipe", RECIPES, ids=IDS)
def test_a_recipe_sets_its_options_from_any_folder(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = yaml.safe_load(recipe.path.read_text(encoding="utf-8"))
    options = options_of(recipe)
    assert values
    expected = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    assert {name: options[name] for name in values} == expected


@pytest.mark.parametrize("recipe", RECIPES, ids=IDS)
def test_a_recipe_begins_with_its_command_its_result_and_its_duration(recipe):
    command, result, duration, *options = recipe.path.read_text(encoding="utf-8").splitlines()
    assert command.startswith(f"# keras-recurrent {recipe.app} {recipe.verb} ")
    assert f" --recipe {recipe.name} " in f"{command} "
    assert re.search(r"\d", result)
    assert re.fullmatch(r"# \d+ minutes? on (one core|two cores)( with AVX-512)?\.", duration)
    assert not any(line.startswith("#") for line in options)


def test_an_option_overrides_the_recipe_wherever_it_stands():
    recipe = next(recipe for recipe in RECIPES if recipe.name == "sst2")
    assert options_of(recipe)["epochs"] == 6
    assert options_of(recipe, "--epochs", "2")["epochs"] == 2
    before = ["classification", "train", "--epochs", "2", "--output", "x", "--recipe", "sst2"]
    assert cli._parse(before).keywords["epochs"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vqa", "train", "--recipe", "sst2"], "vqa train has no recipe 'sst2'; it belongs to classification train"),
        (["vqa", "train", "--recipe", "daqar"], "vqa train has no recipe 'daqar'; did you mean daquar?"),
        (["translation", "train", "--recipe", "../x"], "has no recipe '../x'; choose multi30k"),
        (["vqa", "train", "--recipe"], "--recipe takes a value"),
        (["vqa", "predict", "x", "--recipe", "daquar"], "unknown option --recipe"),
        (["recipes", "vqa"], "unexpected argument: vqa"),
    ],
)
def test_a_mistake_gives_one_clear_line(arguments, message, capsys):
    assert cli.main([*arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err and captured.err.count("\n") == 1


def test_the_list_has_every_recipe_with_its_data_duration_result_and_command(capsys):
    assert cli.main(["recipes"]) == 0
    blocks = capsys.readouterr().out.rstrip().split("\n\n")
    assert len(blocks) == len(RECIPES)
    for block, recipe in zip(blocks, RECIPES, strict=True):
        for text in (recipe.app, recipe.name, recipe.data, recipe.duration, recipe.result, recipe.command):
            assert text and text in block
    texts = dict(zip(IDS, blocks, strict=True))
    assert "shapes, generated" in texts["vqa shapes-full"]
    assert "your copy of multi30k" in texts["translation multi30k"]


def test_the_help_names_the_recipes(capsys):
    for arguments, text in ((["recipes"], "usage: keras-recurrent recipes"), (["vqa", "train"], "easy-vqa")):
        with pytest.raises(SystemExit, match="0"):
            cli.main([*arguments, "--help"])
        assert text in capsys.readouterr().out
