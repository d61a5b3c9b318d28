"""Loads an exported translator with TensorFlow alone and translates ten sentences of its test split."""

import sys
from pathlib import Path

import tensorflow as tf

from ..datasets import read_pairs
from .folders import read_config


def main(folder):
    config = read_config(folder, "translation")
    pairs = read_pairs(config["data"], "test", config["source"], config["target"])[:10]
    sources, references = zip(*pairs, strict=True)

    model = tf.saved_model.load(Path(folder) / "export")
    answers = model.signatures["serving_default"](text=tf.constant(sources))

    print(f"{folder}/export, loaded with TensorFlow alone:")
    for source, text, reference in zip(sources, answers["text"].numpy(), references, strict=True):
        print(f"\nsentence     {source}\ntranslation  {text.decode()}\nreference    {reference}")


if __name__ == "__main__":
    main(sys.argv[1])
