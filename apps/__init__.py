"""Applications that train, evaluate, run and export models built from the layers."""

import importlib
from pathlib import Path
from typing import Any, NamedTuple

from .shared.errors import ModelFolderError
from .shared.models import packaged
from .shared.models.folders import read_config

__all__ = ["APPS", "load"]


class App(NamedTuple):
    """An app, which is a subpackage of the same name.

    Attributes:
        model: Name of the class of its trained models, in its `model.py`.
        summary: Its inputs and outputs, for the help of the command.
    """

    model: str
    summary: str


APPS = {
    "translation": App("Translator", "translates sentences"),
    "captioning": App("Captioner", "writes captions for images"),
    "vqa": App("Answerer", "answers questions about images"),
    "classification": App("Classifier", "assigns labels to texts or time series"),
    "forecasting": App("Forecaster", "forecasts time series"),
    "generation": App("Generator", "generates text character by character"),
    "long_memory": App("Experiment", "measures how far back recurrent networks learn from"),
}


def load(folder: str | Path, **options: Any) -> Any:
    """Loads a trained model of any app.

    Args:
        folder: The folder that `train` wrote, such as `saved_models/de-en`, or the name of a model that comes with the
            package, such as `fr-en`.
        **options: Values of its configuration that replace the saved ones, such as `beam_size=1`.

    Returns:
        The app's model, such as a `Translator` with the method `translate`.

    Raises:
        ModelFolderError: If the folder is missing, incomplete, damaged, or belongs to an unknown app.

    Example:

    >>> from keras_recurrent.apps import load
    >>> load("saved_models/de-en").translate(["ein mann schläft ."])  # doctest: +SKIP
    [Translation(text='a man is sleeping.', score=-0.31)]
    """
    folder = packaged.find(folder)
    name = read_config(folder)["app"]
    if name not in APPS:
        raise ModelFolderError(f"{folder}: config.yaml has an unknown app: {name!r}")
    module = importlib.import_module(f".{name}.model", __package__)
    return getattr(module, APPS[name].model).load(folder, **options)
