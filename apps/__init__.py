"""The applications: each trains, evaluates, predicts and exports models built from the layers."""

import importlib
from typing import NamedTuple

from .shared.errors import ModelFolderError
from .shared.models.folders import read_config

__all__ = ["APPS", "load"]


class App(NamedTuple):
    """An app: a folder beside this file.

    Attributes:
        model: The name of the class of its trained models, in its `model.py`.
        summary: What goes in and what comes out, for the help of the command.
    """

    model: str
    summary: str


APPS = {
    "translation": App("Translator", "sentences of one language in, sentences of another out"),
    "captioning": App("Captioner", "pictures in, sentences about them out"),
    "vqa": App("Answerer", "pictures and questions in, answers out"),
    "classification": App("Classifier", "texts in, labels out"),
    "generation": App("Generator", "characters in, characters that may follow out"),
    "long_memory": App("Experiment", "how far back recurrent networks can learn from, and why"),
}


def load(folder, **options):
    """Loads a trained model of any app.

    Args:
        folder: The folder that `train` wrote, such as `saved_models/de-en`.
        **options: Values of its configuration that replace the saved ones, such as `beam_size=1`.

    Returns:
        The app's model, for example a `Translator` with the method `translate`.

    Raises:
        ModelFolderError: If the folder is missing, incomplete, damaged, or of an unknown app.

    Example:

    >>> from keras_recurrent.apps import load
    >>> load("saved_models/de-en").translate(["ein mann schläft ."])  # doctest: +SKIP
    [Translation(text='a man is sleeping.', score=-0.31)]
    """
    name = read_config(folder)["app"]
    if name not in APPS:
        raise ModelFolderError(f"{folder}: its config.yaml names an unknown app: {name!r}")
    module = importlib.import_module(f".{name}.model", __package__)
    return getattr(module, APPS[name].model).load(folder, **options)
