"""Models as SavedModels that need nothing but TensorFlow."""

import keras

from .folders import whole


def write_saved_model(folder, signatures, tracked):
    """Writes a SavedModel.

    Args:
        folder: The folder to write; it appears whole or not at all.
        signatures: Dictionary from a signature's name to `(function, input_signature)`; one is `serving_default`.
        tracked: The layers whose weights and lookup tables the functions use.
    """
    archive = keras.export.ExportArchive()
    for layer in tracked:
        archive.track(layer)
    for name, (function, input_signature) in signatures.items():
        archive.add_endpoint(name, function, input_signature=input_signature)
    with whole(folder) as partial:
        archive.write_out(partial, verbose=False)
