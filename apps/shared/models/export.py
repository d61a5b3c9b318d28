"""Export of models as SavedModels, which require only TensorFlow."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from .outputs import whole


def write_saved_model(
    folder: str | Path,
    signatures: Mapping[str, tuple[Callable, list[Any]]],
    tracked: Iterable[Any],
    overwrite: bool = True,
) -> None:
    """Writes a SavedModel. The folder appears complete or not at all.

    Args:
        folder: The folder to write.
        signatures: From the name of each signature to `(function, input_signature)`. One is `"serving_default"`.
        tracked: The layers whose weights and lookup tables the functions use.
        overwrite: Whether an existing folder is replaced.

    Raises:
        ModelFolderError: If another process writes the folder.
        OSError: If the folder cannot be written, as on a full disk.
    """
    archive = keras.export.ExportArchive()
    for layer in tracked:
        archive.track(layer)
    for name, (function, input_signature) in signatures.items():
        archive.add_endpoint(name, function, input_signature=input_signature)
    with whole(folder, overwrite) as partial:
        try:
            archive.write_out(partial, verbose=False)
        except tf.errors.OpError as error:  # such as a full disk
            raise OSError(error.message) from error
