"""Translates ten sentences of the test split with an exported translator, by TensorFlow's own loader."""

import sys
from pathlib import Path

import tensorflow as tf

from ..datasets import read_pairs
from ..shared.models.folders import read_config


def main(folder):
    config = read_config(folder, "translation")
    pairs = read_pairs(config["data"], "test", config["source"], config["target"])[:10]
    sources, references = zip(*pairs, strict=True)

    model = tf.saved_model.load(Path(folder) / "export")
    answers = model.signatures["serving_default"](text=tf.constant(sources))

    print(f"{folder}/export, as any program with TensorFlow would use it:")
    for source, text, reference in zip(sources, answers["text"].numpy(), references, strict=True):
        print(f"\nsentence     {source}\ntranslation  {text.decode()}\nreference    {reference}")


if __name__ == "__main__":
    main(sys.argv[1])
