"""Models as SavedModels that need nothing but TensorFlow."""

import keras

from .folders import whole


def export(folder, signatures, tracked):
    """Writes a SavedModel.

    Args:
        folder: Where to; it appears whole or not at all.
        signatures: Dictionary from a signature's name to `(function, input signature)`, `serving_default` among them.
        tracked: The layers whose weights and tables the functions use.
    """
    archive = keras.export.ExportArchive()
    for layer in tracked:
        archive.track(layer)
    for name, (function, inputs) in signatures.items():
        archive.add_endpoint(name, function, input_signature=inputs)
    with whole(folder) as partial:
        archive.write_out(partial, verbose=False)
