"""A trained model with all that belongs to it: saved, loaded and exported alike by every app."""

from pathlib import Path

from ..errors import ModelFolderError
from ..text.tokenizers import TOKENIZERS
from . import folders
from .export import write_saved_model
from .loading import parse_config, read_keras_model, readable


class TrainedModel:
    """Base of the apps' models: a Keras model, its configuration, its tokenizers and its lists of strings.

    A subclass sets the class attributes, writes `signatures`, and takes its tokenizers and lists as constructor
    arguments of the same names.

    Args:
        config: The app's `Config`.
        model: The Keras model.
        **assets: The tokenizers and lists by name.
    """

    config_class = None
    tokenizers = ()  # names of the tokenizers, each saved as NAME.EXTENSION
    lists = ()  # names of the lists of strings, each saved as NAME.txt, one string per line

    def __init__(self, config, model, **assets):
        self.config = config
        self.model = model
        self.assets = assets

    @classmethod
    def tokenizer_class(cls, config):
        """The class of the tokenizers."""
        return TOKENIZERS[config.tokenizer]

    @staticmethod
    def sizes(model, assets):
        """The length that each tokenizer and list must have to fit the Keras model, as a dictionary by name."""
        return {}

    def signatures(self):
        """The signatures of the SavedModel: a dictionary from a name to `(function, input_signature)`."""
        raise NotImplementedError

    def save_assets(self, folder):
        """Writes everything but the weights to a model's folder."""
        folder = Path(folder)
        folders.write_config(folder, self.config)
        for name in self.tokenizers:
            self.assets[name].save(folder / f"{name}.{self.assets[name].file}")
        for name in self.lists:
            folders.write_list(folder, f"{name}.txt", self.assets[name])

    @classmethod
    def load(cls, folder, **options):
        """Loads a trained model from its folder.

        Args:
            folder: The folder that `train` wrote.
            **options: Values of the configuration that replace the saved ones, such as `beam_size=1`; a value of None
                replaces nothing.

        Raises:
            ModelFolderError: If the folder is incomplete, damaged or belongs to another app.
        """
        config = parse_config(folder, cls.config_class, options)
        files = {name: f"{name}.txt" for name in cls.lists}
        if cls.tokenizers:
            tokenizer_class = cls.tokenizer_class(config)
            files |= {name: f"{name}.{tokenizer_class.file}" for name in cls.tokenizers}
        folders.require(folder, "model.keras", *files.values())
        model = read_keras_model(folder)
        assets = {name: folders.read_list(folder, files[name]) for name in cls.lists}
        with readable(folder):
            for name in cls.tokenizers:
                assets[name] = tokenizer_class.load(Path(folder) / files[name], config.lowercase)
        for name, size in cls.sizes(model, assets).items():
            if len(assets[name]) != size:
                raise ModelFolderError(
                    f"{folder}: {files[name]} does not fit the model: it has {len(assets[name])} entries, not {size}"
                )
        return cls(config, model, **assets)

    def export(self, folder):
        """Writes a SavedModel that needs nothing but TensorFlow, with the functions of `signatures`."""
        tracked = [self.model, *(self.assets[name].tracked for name in self.tokenizers)]
        write_saved_model(folder, self.signatures(), tracked)
