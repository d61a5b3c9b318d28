"""A trained model's folder: written whole or not at all, and read back by the app that wrote it."""

import contextlib
import dataclasses
import importlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import jsonargparse
import yaml


class ModelFolderError(ValueError):
    """A model's folder is not what it should be; the message says how, in one line."""


class TrainingError(ValueError):
    """A training failed for a reason that its user can mend; the message says which, in one line."""


def load(folder):
    """Reads a trained model.

    Args:
        folder: What `train` wrote, such as `saved_models/de-en`.

    Returns:
        The app's model: a `Translator` with `translate`, for one.

    Raises:
        ModelFolderError: If the folder is missing or incomplete.

    Example:

    >>> from keras_recurrent.apps import load
    >>> load("saved_models/de-en").translate(["ein mann schläft ."])  # doctest: +SKIP
    [Translation(text='a man is sleeping.', score=-0.31)]
    """
    app = read_config(folder).get("app")
    try:
        model = importlib.import_module(f".{app}.model", __package__)
    except ModuleNotFoundError as error:
        if not str(error.name).startswith(f"{__package__}.{app}"):
            raise
        raise ModelFolderError(f"{folder}: its config.yaml names an unknown app: {app!r}") from error
    return model.load(folder)


def read_config(folder, app=None):
    """The `config.yaml` of a model's folder, as a dictionary; of the app `app` if that is given.

    Raises:
        ModelFolderError: If it is missing or no such file, or of another app.
    """
    path = Path(folder) / "config.yaml"
    require(folder, "config.yaml")
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelFolderError(f"{path}: not a YAML file ({str(error).splitlines()[0]})") from error
    if not isinstance(config, dict) or "app" not in config:
        raise ModelFolderError(f"{path}: names no app")
    if app not in (None, config["app"]):
        raise ModelFolderError(f"{folder} holds a model of the app '{config['app']}', not of '{app}'")
    return config


def plain(value):
    """A number as a plain `int` or `float`: jsonargparse gives instances of restricted types such as `PositiveInt`."""
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value


def parse_config(folder, config_type):
    """The `config.yaml` of a model's folder as an instance of its app's configuration, a dataclass.

    Raises:
        ModelFolderError: If it is missing, of another app, or holds an unknown option or a value out of range.
    """
    saved = read_config(folder, config_type.app)
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(config_type)
    try:
        values = vars(parser.parse_object(saved))
    except jsonargparse.ArgumentError as error:
        raise ModelFolderError(f"{Path(folder) / 'config.yaml'}: {error}") from error
    return config_type(**{name: plain(value) for name, value in values.items()})


def require(folder, *names):
    """Raises a `ModelFolderError` unless `folder` exists and holds the files `names`."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelFolderError(f"{folder}: no such model folder")
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise ModelFolderError(f"{folder}: not a complete model; missing: {', '.join(missing)}")


def write_config(folder, config):
    """Writes a configuration, a dataclass, as `config.yaml`, which `train --config` reads."""
    text = yaml.safe_dump(dataclasses.asdict(config), sort_keys=False, allow_unicode=True)
    (Path(folder) / "config.yaml").write_text(text, encoding="utf-8")


def write_metrics(folder, name, metrics):
    """Adds `metrics` under `name`, a split's name, to the `metrics.json` of a model's folder."""
    path = Path(folder) / "metrics.json"
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise ModelFolderError(f"{path}: not a JSON file; remove it ({error})") from error
    partial = path.with_name(".metrics.json.partial")
    partial.write_text(json.dumps({**known, name: metrics}, indent=2, ensure_ascii=False), encoding="utf-8")
    os.replace(partial, path)


def check_new(folder, overwrite, mark):
    """Raises a `ModelFolderError` where `folder` exists already and is not to be overwritten, or holds something else.

    Only what bears its mark is replaced, a file's name that such a folder holds, so that no mistyped folder is lost.
    """
    folder = Path(folder)
    if folder.exists() and not overwrite:
        raise ModelFolderError(f"{folder} exists already; --overwrite replaces it")
    if folder.exists() and not folder.is_dir():
        raise ModelFolderError(f"{folder} is a file, not a folder")
    if folder.exists() and any(folder.iterdir()) and not (folder / mark).exists():
        raise ModelFolderError(f"{folder} holds something else (there is no {mark} in it); it is not replaced")


@contextlib.contextmanager
def whole(folder):
    """Yields an empty folder that becomes `folder` when the block ends, and vanishes if the block fails.

    A `folder` that exists is replaced at the end, and kept if the block fails.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
    partial.chmod(0o755)  # mkdtemp's folders are their owner's alone
    try:
        yield partial
        old = partial.with_name(f"{partial.name}-old")
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
