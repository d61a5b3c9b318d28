"""Loading of the configuration and the Keras model from a model's folder."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import ModelFolderError, UsageError, first_line
from ..options import convert_options, option_types
from . import folders
from .keras_files import load_keras_file


def parse_config(folder: str | Path, config_class: Any, options: dict[str, Any]) -> Any:
    """Reads the `config.yaml` of a model's folder as an instance of its app's configuration.

    Args:
        folder: The model's folder.
        config_class: The app's `Config`, a dataclass.
        options: Values that replace the saved ones. A value of None replaces nothing.

    Raises:
        ModelFolderError: If the file is missing, belongs to another app, or contains an unknown option or a value out
            of range.
        UsageError: If `options` contradict each other or saved ones.
    """
    saved = folders.read_config(folder, config_class.app)
    # Infinite numbers, which options no longer take, still load.
    infinite = {name: value for name, value in saved.items() if isinstance(value, float) and math.isinf(value)}
    finite = {name: value for name, value in saved.items() if name not in infinite}
    try:
        config = config_class(**convert_options(finite, option_types(config_class)), **infinite)
    except (UsageError, TypeError) as error:
        raise ModelFolderError(f"{Path(folder) / 'config.yaml'}: {error}") from error
    changed = dataclasses.replace(config, **{name: value for name, value in options.items() if value is not None})
    for contradiction in changed.contradictions():
        if contradiction not in config.contradictions():
            raise UsageError(contradiction)
    return changed


def read_keras_model(folder: str | Path) -> Any:
    """Reads the `model.keras` of a model's folder, without optimizer and loss.

    Raises:
        ModelFolderError: If the file cannot be read.
    """
    path = Path(folder) / "model.keras"
    with readable(path):
        return load_keras_file(path)


@contextlib.contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Turns the errors that a damaged file causes into a `ModelFolderError` with the name of the file or its folder."""
    try:
        yield
    except ModelFolderError:
        raise
    except (TypeError, KeyError, ValueError, RecursionError, OSError) as error:
        raise ModelFolderError(f"{path}: cannot be read: {first_line(error)}") from error
