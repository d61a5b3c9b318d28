"""A trained model with its configuration and tokenizers, which all apps save, load and export in the same way."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import keras

from ....layers.types import Tensor
from ..backends import require_tensorflow
from ..errors import ModelFolderError, UsageError, first_line
from ..text.tokenizers import TOKENIZERS
from ..training.devices import is_chief
from . import folders, outputs
from .loading import parse_config, read_keras_model, readable

IDS = keras.InputSpec(dtype="int32", shape=(None, None), name="ids")  # of tokens `(batch, steps)`, padded with 0


class TrainedModel:
    """Base of the apps' models.

    A subclass sets the class attributes, and takes its tokenizers and lists as positional
    arguments of its constructor, in the order of the class attributes.

    Args:
        config: The app's `Config`.
        model: The Keras model.
        **assets: The tokenizers and lists by the names of their files.
    """

    config_class: ClassVar[type]
    tokenizers: ClassVar[tuple[str, ...]] = ()  # names of the tokenizers, each saved as NAME.EXTENSION
    lists: ClassVar[tuple[str, ...]] = ()  # names of the lists of strings, each saved as NAME.txt, one string per line
    later_lists: ClassVar[tuple[str, ...]] = ()  # further lists, which are empty in folders of earlier versions

    def __init__(self, config: Any, model: Any, **assets: Any) -> None:
        self.config = config
        self.model = model
        self.assets = assets

    @classmethod
    def tokenizer_class(cls, config: Any) -> type[Any]:
        """Returns the class of the tokenizers."""
        return TOKENIZERS[config.tokenizer]

    @classmethod
    def tokenizer_files(cls, config: Any) -> dict[str, str]:
        """Returns the file of each tokenizer. Tokenizers with a shared vocabulary have one file, that of the first."""
        is_shared = getattr(config, "shared_vocabulary", False)
        return {
            name: f"{cls.tokenizers[0] if is_shared else name}.{cls.tokenizer_class(config).file}"
            for name in cls.tokenizers
        }

    @staticmethod
    def sizes(model: Any, assets: dict[str, Any]) -> dict[str, int]:
        """Returns the lengths that the tokenizers and lists must have to fit the Keras model, by name.

        A model of another app may raise an `AttributeError` or a `ValueError`.
        """
        return {}

    @property
    def core_inputs(self) -> Sequence[keras.InputSpec]:
        """The specifications of the arguments of `core`."""
        raise NotImplementedError

    def core(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Computes the outputs from numbers, with `keras.ops`. Exports for other runtimes consist of it."""
        raise NotImplementedError

    def runner_options(self) -> dict[str, Any]:
        """Returns what `runner.py` needs beside the tokenizers: its `config.json`.

        Raises:
            UsageError: If the model cannot be exported for other runtimes.
        """
        raise UsageError(f"models of the app {self.config.app} are exported as saved_model only")

    def signatures(self) -> tuple[dict[str, tuple[Callable, list[Any]]], list[Any]]:
        """Returns what a SavedModel consists of: what `signatures.py` in the folder of the app returns for the model.

        That module requires TensorFlow.

        Returns:
            `(functions, tables)`: from the name of each signature to `(function, input_signature)`, and the lookup
            tables of the functions.

        Each function returns a dictionary with an entry `error` `(batch,)`, strings that say what is wrong with each
        row of the inputs, empty where nothing is. See `rows.answer_usable`.
        """
        module = importlib.import_module(".signatures", type(self).__module__.rpartition(".")[0])
        return module.signatures(self)

    def save_assets(self, folder: str | Path) -> None:
        """Writes the configuration, the tokenizers and the lists to a model's folder, on the first host."""
        if not is_chief():
            return
        folder = Path(folder)
        folders.write_config(folder, self.config)
        for name, file in self.tokenizer_files(self.config).items():
            self.assets[name].save(folder / file)
        for name in (*self.lists, *self.later_lists):
            folders.write_list(folder, f"{name}.txt", self.assets[name])

    @classmethod
    def load(cls, folder: str | Path, **options: Any) -> Self:
        """Loads a trained model from its folder.

        Args:
            folder: The folder that `train` wrote.
            **options: Values of the configuration that replace the saved ones, such as `beam_size=1`. A value of None
                replaces nothing.

        Raises:
            ModelFolderError: If the folder is incomplete, damaged or belongs to another app.
        """
        config = parse_config(folder, cls.config_class, options)
        files = {name: f"{name}.txt" for name in cls.lists}
        files |= cls.tokenizer_files(config)
        folders.require(folder, "model.keras", *files.values())
        for file in files.values():  # the others are checked where they are read
            if not (Path(folder) / file).is_file():
                raise ModelFolderError(f"{Path(folder) / file}: not a regular file")
        model = read_keras_model(folder)
        assets: dict[str, Any] = {}
        with readable(folder):
            for name in cls.tokenizers:
                assets[name] = cls.tokenizer_class(config).load(Path(folder) / files[name], config.lowercase)
        for name in cls.lists:
            assets[name] = folders.read_list(folder, files[name])
        for name in cls.later_lists:
            file = f"{name}.txt"
            assets[name] = folders.read_list(folder, file) if (Path(folder) / file).is_file() else []
        try:
            for name, size in cls.sizes(model, assets).items():
                if (length := len(assets[name])) != size:
                    raise ModelFolderError(
                        f"{folder}: {files[name]} does not fit the model: it has {length} entries, not {size}"
                    )
            return cls(config, model, *assets.values())
        except ModelFolderError:
            raise
        except AttributeError as error:
            raise ModelFolderError(f"{folder}: model.keras is not a model of the app {config.app}") from error
        except (IndexError, KeyError, TypeError, ValueError) as error:
            reason = first_line(error)
            raise ModelFolderError(f"{folder}: model.keras is not the model of config.yaml: {reason}") from error

    def export(self, folder: str | Path, overwrite: bool = True) -> None:
        """Writes a SavedModel with the functions of `signatures`, which requires only TensorFlow.

        Args:
            folder: The folder to write. It appears complete or not at all.
            overwrite: Whether an existing folder is replaced.

        Raises:
            ModelFolderError: If another process writes the folder.
            OSError: If the folder cannot be written, as on a full disk.
            UsageError: If the backend is not TensorFlow.
        """
        require_tensorflow()
        from ....export.formats import write_saved_model

        signatures, tables = self.signatures()
        with outputs.atomic_output(folder, overwrite) as partial:
            write_saved_model(partial, signatures, tables)
