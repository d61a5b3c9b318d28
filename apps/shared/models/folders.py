"""A trained model's folder, written whole or not at all."""

import contextlib
import dataclasses
import json
import os
import shutil
import tempfile
from pathlib import Path

import yaml

from ..config import rename_attention
from ..errors import ModelFolderError

# In the folder of a training that runs, or was interrupted: what it goes on from.
STATES = "training"


def read_config(folder, app=None):
    """The `config.yaml` of a model's folder, as a dictionary; of the app `app` if that is given.

    Options that older versions named differently have their present names.

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
    return rename_attention(config)


def require(folder, *names):
    """Raises a `ModelFolderError` unless `folder` exists and holds the files `names`."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelFolderError(f"{folder}: no such model folder")
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise ModelFolderError(f"{folder}: not a complete model; missing: {', '.join(missing)}")


def write_list(folder, name, lines):
    """Writes strings without line breaks as a file of a model's folder, a line each."""
    (Path(folder) / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_list(folder, name, size=None):
    """Reads what `write_list` wrote; with `size`, there must be so many strings, for so many the model knows.

    Raises:
        ModelFolderError: If the file is missing or does not fit the model.
    """
    require(folder, name)
    lines = (Path(folder) / name).read_text(encoding="utf-8").split("\n")[:-1]
    if size is not None and len(lines) != size:
        raise ModelFolderError(f"{folder}: {name} does not fit the model: {len(lines)} lines instead of {size}")
    return lines


def write_config(folder, config):
    """Writes a configuration, a dataclass, as `config.yaml`, which `train --config` reads."""
    text = yaml.safe_dump(dataclasses.asdict(config), sort_keys=False, allow_unicode=True)
    with whole_file(Path(folder) / "config.yaml") as partial:
        partial.write_text(text, encoding="utf-8")


def write_metrics(folder, name, metrics):
    """Adds `metrics` under `name`, what they were measured on, to the `metrics.json` of a model's folder."""
    path = Path(folder) / "metrics.json"
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise ModelFolderError(f"{path}: not a JSON file; remove it ({error})") from error
    with whole_file(path) as partial:
        partial.write_text(json.dumps({**known, name: metrics}, indent=2, ensure_ascii=False), encoding="utf-8")


def check_new(folder, overwrite, mark):
    """Raises a `ModelFolderError` where `folder` exists already and is not to be overwritten, or holds something else.

    Only what bears its mark is replaced, a file's name that such a folder holds, so that no mistyped folder is lost.
    """
    folder = Path(folder).absolute()
    if folder.exists() and not overwrite:
        raise ModelFolderError(f"{folder} exists already; --overwrite replaces it")
    if folder.exists() and not folder.is_dir():
        raise ModelFolderError(f"{folder} is a file, not a folder")
    if folder.exists() and any(folder.iterdir()) and not (folder / mark).exists():
        raise ModelFolderError(f"{folder} holds something else (there is no {mark} in it); it is not replaced")


@contextlib.contextmanager
def whole_file(path):
    """Yields the path of a file that becomes `path` when the block ends, and vanishes if the block fails."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def whole(folder):
    """Yields an empty folder that becomes `folder` when the block ends, and vanishes if the block fails.

    A `folder` that exists is replaced at the end, and kept if the block fails.
    """
    folder = Path(folder).absolute()
    with _parent(folder):
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
        partial.chmod(0o755)  # mkdtemp's folders are their owner's alone
        try:
            yield partial
            _replace(folder, partial)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def resumable(folder, config, resume, overwrite):
    """Yields a folder for a training, which becomes `folder` when the block ends.

    If the block fails, what it wrote vanishes, unless there is a state of the training to go on from (a folder `STATES`
    that is not empty). A killed process leaves everything. Either is then what `resume` yields.

    Args:
        folder: What `train` is to write.
        config: The training's configuration, a dataclass. Only the same one can be resumed.
        resume: Whether to go on in the unfinished folder, if there is one.
        overwrite: Whether to throw it away, once there is a new state.

    Raises:
        ModelFolderError: If there is an unfinished folder and it is neither to be resumed nor to be overwritten, or if
            it is of another configuration.
    """
    folder = Path(folder).absolute()
    unfinished = unfinished_folder(folder)
    former = unfinished.with_name(f"{unfinished.name}-former")
    if unfinished.exists() and not resume:
        if not overwrite:
            raise ModelFolderError(f"{unfinished} is an unfinished training; --resume goes on, --overwrite begins anew")
        shutil.rmtree(former, ignore_errors=True)
        unfinished.rename(former)
    if (unfinished / "config.yaml").exists():
        before, now = read_config(unfinished), dataclasses.asdict(config)
        for name in {**now, **before}:
            if before.get(name) != now.get(name):
                raise ModelFolderError(
                    f"{unfinished} was trained with {name} {before.get(name)!r}, not {now.get(name)!r}; --resume needs "
                    "the same options, and --overwrite without it begins anew"
                )
    with _parent(folder):
        unfinished.mkdir(exist_ok=True)
        try:
            write_config(unfinished, config)
            yield unfinished
            _replace(folder, unfinished)
            shutil.rmtree(folder / STATES, ignore_errors=True)
        finally:
            states = unfinished / STATES
            if unfinished.exists() and not (states.is_dir() and any(states.iterdir())):
                shutil.rmtree(unfinished)
                if former.exists():
                    former.rename(unfinished)
            shutil.rmtree(former, ignore_errors=True)


def unfinished_folder(folder):
    """Where the training that is to write `folder` is, as long as it runs or can be resumed."""
    folder = Path(folder).absolute()
    return folder.with_name(f".{folder.name}.unfinished")


@contextlib.contextmanager
def _parent(folder):
    """Makes the folders above `folder`; those it made vanish if the block fails and leaves nothing in them."""
    missing = [parent for parent in folder.parents if not parent.exists()]  # the deepest first
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for parent in missing:
            with contextlib.suppress(OSError):  # it is not empty
                parent.rmdir()
        raise


def _replace(folder, partial):
    """Puts `partial` in the place of `folder`, which stays if that fails."""
    if not folder.exists():
        partial.rename(folder)
        return
    old = partial.with_name(f"{partial.name}-old")
    folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
