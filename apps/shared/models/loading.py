"""Reads the configuration and the Keras model of a trained model's folder."""

import contextlib
import dataclasses
import zipfile
from pathlib import Path

import jsonargparse
import keras

from ..config import plain
from ..errors import ModelFolderError
from . import folders


def parse_config(folder, config_class, options):
    """Reads the `config.yaml` of a model's folder as an instance of its app's configuration.

    Args:
        folder: The model's folder.
        config_class: The app's `Config`, a dataclass.
        options: Dictionary of values that replace the saved ones; a value of None replaces nothing.

    Raises:
        ModelFolderError: If the file is missing, belongs to another app, or holds an unknown option or a value out of
            range.
    """
    saved = folders.read_config(folder, config_class.app)
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(config_class)
    try:
        values = vars(parser.parse_object(saved))
    except jsonargparse.ArgumentError as error:
        raise ModelFolderError(f"{Path(folder) / 'config.yaml'}: {error}") from error
    config = config_class(**{name: plain(value) for name, value in values.items()})
    return dataclasses.replace(config, **{name: value for name, value in options.items() if value is not None})


def read_keras_model(folder):
    """Reads the `model.keras` of a model's folder, without its optimizer and loss.

    Raises:
        ModelFolderError: If the file is missing or cannot be read.
    """
    folders.require(folder, "model.keras")
    with readable(folder):
        return keras.models.load_model(Path(folder) / "model.keras", compile=False)


@contextlib.contextmanager
def readable(folder):
    """Turns the errors of a broken file into a `ModelFolderError` that names the folder."""
    try:
        yield
    except (TypeError, KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise ModelFolderError(f"{folder}: cannot be read: {str(error).splitlines()[0]}") from error
