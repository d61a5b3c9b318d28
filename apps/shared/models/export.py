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
    tables: Iterable[Any],
    overwrite: bool = True,
) -> None:
    """Writes a SavedModel. The folder appears complete or not at all.

    Args:
        folder: The folder to write.
        signatures: From the name of each signature to `(function, input_signature)`. One is `"serving_default"`.
            The variables that the functions use are found and stored.
        tables: The lookup tables that the functions use, or layers that have them. A layer with weights would store
            these a second time.
        overwrite: Whether an existing folder is replaced.

    Raises:
        ModelFolderError: If another process writes the folder.
        OSError: If the folder cannot be written, as on a full disk.
    """
    archive = keras.export.ExportArchive()
    for table in tables:
        archive.track(table)
    for name, (function, input_signature) in signatures.items():
        archive.add_endpoint(name, function, input_signature=input_signature)
    with whole(folder, overwrite) as partial:
        try:
            archive.write_out(partial, verbose=False)
        except tf.errors.OpError as error:  # such as a full disk
            raise OSError(error.message) from error
