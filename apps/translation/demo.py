"""Translates ten sentences of the test split with an exported translator, using TensorFlow alone."""

import sys
from pathlib import Path

from ...datasets import read_pairs
from ..shared.backends import choose_backend, import_backend
from ..shared.models.folders import read_config


def main(folder: str) -> None:
    """Prints ten translations of a translator that was exported to `export/` in its folder."""
    choose_backend("tensorflow")
    import_backend()
    import tensorflow as tf

    config = read_config(folder, "translation")
    pairs = read_pairs(config["data"], "test", config["source"], config["target"])[:10]
    sources, references = zip(*pairs, strict=True)

    model = tf.saved_model.load(Path(folder) / "export")
    translations = model.signatures["serving_default"](text=tf.constant(sources))

    print(f"Translations by the SavedModel {folder}/export, loaded with TensorFlow alone:")
    for source, text, reference in zip(sources, translations["text"].numpy(), references, strict=True):
        print(f"\nsentence     {source}\ntranslation  {text.decode()}\nreference    {reference}")


if __name__ == "__main__":
    main(sys.argv[1])
