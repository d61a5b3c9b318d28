"""A trained model's folder, which appears complete or not at all."""

import contextlib
import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from ..config import rename_attention
from ..errors import ModelFolderError

# The subfolder with the checkpoints of a training that is running or was interrupted.
STATES = "training"


def read_config(folder: str | Path, app: str | None = None) -> dict[str, Any]:
    """Reads the `config.yaml` of a model's folder. Former names of options are replaced by the present ones.

    Args:
        folder: The model's folder.
        app: The app that the model must belong to. None accepts all.

    Raises:
        ModelFolderError: If the file is missing, invalid, or belongs to another app.
    """
    path = Path(folder) / "config.yaml"
    require(folder, "config.yaml")
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelFolderError(f"{path}: not a YAML file ({str(error).splitlines()[0]})") from error
    if not isinstance(config, dict) or "app" not in config:
        raise ModelFolderError(f"{path}: has no value for 'app'")
    if app not in (None, config["app"]):
        raise ModelFolderError(f"{folder} contains a model of the app '{config['app']}', not of '{app}'")
    return rename_attention(config)


def require(folder: str | Path, *names: str) -> None:
    """Raises a `ModelFolderError` unless the folder exists and contains the files `names`."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelFolderError(f"{folder}: no such model folder")
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise ModelFolderError(f"{folder}: not a complete model; missing: {', '.join(missing)}")


def write_list(folder: str | Path, name: str, lines: Sequence[str]) -> None:
    """Writes strings without line breaks to a file of a model's folder, one per line."""
    (Path(folder) / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_list(folder: str | Path, name: str) -> list[str]:
    """Reads a file that `write_list` wrote.

    Raises:
        ModelFolderError: If the file is missing.
    """
    require(folder, name)
    return (Path(folder) / name).read_text(encoding="utf-8").split("\n")[:-1]


def write_config(folder: str | Path, config: Any) -> None:
    """Writes a configuration, a dataclass, to `config.yaml`, which `train --config` reads."""
    text = yaml.safe_dump(dataclasses.asdict(config), sort_keys=False, allow_unicode=True)
    with whole_file(Path(folder) / "config.yaml") as partial:
        partial.write_text(text, encoding="utf-8")


def write_metrics(folder: str | Path, name: str, metrics: dict[str, Any]) -> None:
    """Adds metrics to the `metrics.json` of a model's folder.

    Args:
        folder: The model's folder.
        name: The key, such as the split that was evaluated.
        metrics: The metrics by name.
    """
    path = Path(folder) / "metrics.json"
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise ModelFolderError(f"{path}: not a JSON file; remove it ({error})") from error
    with whole_file(path) as partial:
        partial.write_text(json.dumps({**known, name: metrics}, indent=2, ensure_ascii=False), encoding="utf-8")


def check_new(folder: str | Path, overwrite: bool, mark: str) -> None:
    """Checks that a folder may be written.

    Args:
        folder: The folder.
        overwrite: Whether it may be replaced if it exists.
        mark: Name of a file that a folder of this kind contains. A folder without it is never replaced, so that a typo
            deletes nothing else.

    Raises:
        ModelFolderError: If the folder exists and must not be replaced.
    """
    folder = Path(folder).absolute()
    if folder.exists() and not overwrite:
        raise ModelFolderError(f"{folder} exists already; --overwrite replaces it")
    if folder.exists() and not folder.is_dir():
        raise ModelFolderError(f"{folder} is a file, not a folder")
    if folder.exists() and any(folder.iterdir()) and not (folder / mark).exists():
        raise ModelFolderError(f"{folder} is not replaced, because it does not contain {mark}")


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields the path of a temporary file that becomes `path` when the block ends and is deleted if it fails."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def whole(folder: str | Path) -> Iterator[Path]:
    """Yields a temporary folder that becomes `folder` when the block ends and is deleted if the block fails.

    An existing `folder` is replaced at the end, and kept if the block fails.
    """
    folder = Path(folder).absolute()
    with _parent(folder):
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
        partial.chmod(0o755)  # mkdtemp gives access to the owner only
        try:
            yield partial
            _replace(folder, partial)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def resumable(folder: str | Path, config: Any, resume: bool, overwrite: bool) -> Iterator[Path]:
    """Yields a working folder for a training, which becomes `folder` when the block ends.

    If the block fails, the working folder is kept if it contains checkpoints (a folder `STATES` that is not empty), and
    is deleted otherwise. A killed process leaves everything. `resume` yields such a folder again.

    Args:
        folder: The folder that the training writes.
        config: The configuration of the training, a dataclass. It must equal that of a resumed training.
        resume: Whether to continue in an unfinished working folder, if there is one.
        overwrite: Whether to discard an unfinished working folder as soon as there is a new checkpoint.

    Raises:
        ModelFolderError: If there is an unfinished working folder and neither `resume` nor `overwrite` is set, or if it
            has another configuration.
    """
    folder = Path(folder).absolute()
    unfinished = unfinished_folder(folder)
    former = unfinished.with_name(f"{unfinished.name}-former")
    if unfinished.exists() and not resume:
        if not overwrite:
            raise ModelFolderError(
                f"{unfinished} is an unfinished training; --resume continues it, --overwrite discards it"
            )
        shutil.rmtree(former, ignore_errors=True)
        unfinished.rename(former)
    _check_same_config(unfinished, config)
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


def _check_same_config(unfinished: Path, config: Any) -> None:
    """Raises a `ModelFolderError` if an unfinished training has another configuration."""
    if not (unfinished / "config.yaml").exists():
        return
    before, now = read_config(unfinished), dataclasses.asdict(config)
    for name in {**now, **before}:
        if before.get(name) != now.get(name):
            raise ModelFolderError(
                f"{unfinished} was trained with {name} {before.get(name)!r}, not {now.get(name)!r}; --resume needs the "
                "same options, and --overwrite without --resume starts over"
            )


def unfinished_folder(folder: str | Path) -> Path:
    """Returns the working folder of the training that writes `folder`."""
    folder = Path(folder).absolute()
    return folder.with_name(f".{folder.name}.unfinished")


@contextlib.contextmanager
def _parent(folder: Path) -> Iterator[None]:
    """Creates the parent folders, and deletes those that it created and that are empty if the block fails."""
    missing = [parent for parent in folder.parents if not parent.exists()]  # the innermost first
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for parent in missing:
            with contextlib.suppress(OSError):  # not empty
                parent.rmdir()
        raise


def _replace(folder: Path, partial: Path) -> None:
    """Renames `partial` to `folder`, and restores an existing `folder` if that fails."""
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
