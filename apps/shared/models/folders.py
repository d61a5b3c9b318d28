"""A trained model's folder, which appears complete or not at all."""

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from ....datasets import DataError
from ....datasets.files import decode_text
from ....files import atomic_file
from ..config import rename_attention
from ..console import note
from ..errors import ModelFolderError, UsageError
from ..locks import locked
from ..options import read_yaml
from . import outputs
from .outputs import STATES


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
        config = read_yaml(path)
    except UsageError as error:
        raise ModelFolderError(str(error)) from error
    if "app" not in config:
        raise ModelFolderError(f"{path}: has no value for 'app'")
    if app not in (None, config["app"]):
        raise ModelFolderError(f"{folder} contains a model of the app '{config['app']}', not of '{app}'")
    return rename_attention(config)


def require(folder: str | Path, *names: str) -> None:
    """Raises a `ModelFolderError` unless the folder exists and contains the files `names`."""
    folder = outputs.find(Path(folder))
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
        ModelFolderError: If the file is missing or not UTF-8.
    """
    require(folder, name)
    path = Path(folder) / name
    try:
        text = decode_text(path.read_bytes(), path)
    except DataError as error:
        raise ModelFolderError(str(error)) from error
    return text.removesuffix("\n").split("\n") if text else []


def write_config(folder: str | Path, config: Any) -> None:
    """Writes a configuration, a dataclass, to `config.yaml`, which `train --config` reads."""
    text = yaml.safe_dump(dataclasses.asdict(config), sort_keys=False, allow_unicode=True)
    with atomic_file(Path(folder) / "config.yaml") as partial:
        partial.write_text(text, encoding="utf-8")


def write_metrics(folder: str | Path, name: str, metrics: dict[str, Any]) -> None:
    """Adds metrics to the `metrics.json` of a model's folder.

    Args:
        folder: The model's folder.
        name: The key, such as the split that was evaluated.
        metrics: The metrics by name.
    """
    path = Path(folder) / "metrics.json"
    path.parent.mkdir(exist_ok=True)
    # Evaluations of several splits may end at the same time.
    with locked(path.with_name(".metrics.json.lock"), wait=True):
        try:
            known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            if not isinstance(known, dict):
                raise ValueError("not an object")
        except (ValueError, RecursionError) as error:
            broken = path.with_name("metrics.broken.json")
            path.replace(broken)
            note(f"{path} is not a JSON file of metrics ({error}); it is renamed to {broken.name}")
            known = {}
        with atomic_file(path) as partial:
            partial.write_text(json.dumps({**known, name: metrics}, indent=2, ensure_ascii=False), encoding="utf-8")


class FinishedError(ModelFolderError):
    """A training is to be resumed that has finished."""


@contextlib.contextmanager
def resumable(folder: str | Path, config: Any, resume: bool, overwrite: bool) -> Iterator[Path]:
    """Yields a working folder for a training, which becomes `folder` when the block ends.

    If the block fails, the working folder is kept if it contains checkpoints (a folder `STATES` that is not empty), and
    is deleted otherwise. A killed process leaves everything. `resume` yields such a folder again.

    Args:
        folder: The folder that the training writes.
        config: The configuration of the training, a dataclass. It must equal that of a resumed training.
        resume: Whether to continue in an unfinished working folder, if there is one.
        overwrite: Whether to replace `folder`, and to discard an unfinished working folder as soon as there is a new
            checkpoint.

    Raises:
        FinishedError: If `resume` is set, `overwrite` is not, and the training has finished.
        ModelFolderError: If another process writes the folder; if it exists, or there is an unfinished working folder,
            and neither `resume` nor `overwrite` is set; or if the training to be resumed has another configuration.
    """
    folder = Path(folder).absolute()
    unfinished, former = unfinished_folder(folder), outputs.sibling(folder, "unfinished-former")
    with outputs.writing(folder):
        _restore_former(unfinished, former)
        _check_resumable(folder, config, resume, overwrite)
        if unfinished.exists() and not resume:
            unfinished.rename(former)
        unfinished.mkdir(exist_ok=True)
        try:
            write_config(unfinished, config)
            yield unfinished
            shutil.rmtree(former, ignore_errors=True)  # first: a kill after the renames must not restore it
            outputs.replace(folder, unfinished)
        finally:
            if unfinished.exists() and not _has_states(unfinished):
                shutil.rmtree(unfinished)
            _restore_former(unfinished, former)


def _check_resumable(folder: Path, config: Any, resume: bool, overwrite: bool) -> None:
    """Raises an error unless the training of `folder` may start or be resumed."""
    unfinished = unfinished_folder(folder)
    resumes = resume and unfinished.exists()
    if resume and not overwrite and not resumes and (folder / "config.yaml").exists():
        _check_same_config(folder, config)
        raise FinishedError(f"the training of {folder} has finished; there is nothing to resume")
    outputs.check_new(folder, overwrite or resumes, "config.yaml")
    if resumes:
        _check_same_config(unfinished, config)
    elif unfinished.exists() and not overwrite:
        raise ModelFolderError(
            f"{unfinished} is an unfinished training; --resume continues it, --overwrite discards it"
        )


def _has_states(unfinished: Path) -> bool:
    states = unfinished / STATES
    return states.is_dir() and any(states.iterdir())


def _restore_former(unfinished: Path, former: Path) -> None:
    """Keeps one of two unfinished trainings: the newer one if it has checkpoints, the former one otherwise."""
    if not former.exists():
        return
    if _has_states(unfinished):
        shutil.rmtree(former, ignore_errors=True)
    else:
        shutil.rmtree(unfinished, ignore_errors=True)
        former.rename(unfinished)


def _check_same_config(folder: Path, config: Any) -> None:
    """Raises a `ModelFolderError` if a training in a folder has another configuration."""
    if not (folder / "config.yaml").exists():
        return
    # Options that an earlier version did not have had their defaults.
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    before, now = _as_read({**defaults, **read_config(folder)}), _as_read(dataclasses.asdict(config))
    for name in {**now, **before}:
        if before.get(name) != now.get(name):
            raise ModelFolderError(
                f"{folder} was trained with {name} {before.get(name)!r}, not {now.get(name)!r}; --resume needs the "
                "same options, and --overwrite without --resume starts over"
            )


def _as_read(values: dict[str, Any]) -> dict[str, Any]:
    """Returns the values of a configuration as they are read from YAML: lists in place of tuples."""
    return {name: [*value] if isinstance(value, tuple) else value for name, value in values.items()}


def unfinished_folder(folder: str | Path) -> Path:
    """Returns the working folder of the training that writes `folder`."""
    return outputs.sibling(Path(folder).absolute(), "unfinished")
