"""What `make demo` shows of a translator of the generated sentences: its export, its score and its attention."""

import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import sacrebleu

from ...datasets import read_pairs
from ..shared.backends import choose_backend, import_backend
from ..shared.models.folders import read_config
from .figures import draw_explanation

SENTENCES = 5
COMPARED = 200  # sentences of the baseline, which is slow


def main(folder: str) -> None:
    """Prints what a translator that was exported to `export/` in its folder does, and draws an alignment."""
    choose_backend("tensorflow")
    import_backend()
    config = read_config(folder, "translation")
    splits = {name: read_pairs(config["data"], name, config["source"], config["target"]) for name in ("train", "test")}
    with open(Path(folder) / "metrics.json", encoding="utf-8") as file:
        score = json.load(file)["test"]["bleu"]
    baseline = _bleu_of_nearest(splits["train"], splits["test"])
    print(f"\n{len(splits['train']):,} generated sentences trained a {config['cell'].upper()} encoder and decoder.")
    print(f"BLEU on {len(splits['test']):,} sentences with unseen combinations of words: {score:.1f}")
    print(f"BLEU of the translation of the most similar training sentence: {baseline:.1f}")
    print(f"\nThe SavedModel {folder}/export, loaded with TensorFlow alone:")
    _translate(Path(folder), splits["test"][:SENTENCES])
    print(f"\nThe attention of the first sentence is in {_draw(Path(folder), splits['test'][0][0])}. Next:")
    print(f'  keras-recurrent translation predict {folder} "{splits["test"][0][0]}"')
    print("  keras-recurrent demo                        # models of all applications on a page")
    print("  keras-recurrent translation train --help    # with your own sentences")


def _bleu_of_nearest(train: Sequence[tuple[str, str]], test: Sequence[tuple[str, str]]) -> float:
    """Returns the BLEU of the translations of those training sentences that share most words with the sources."""
    words = [(set(source.split()), target) for source, target in train]

    def nearest(source: str) -> str:
        own = set(source.split())
        return max(words, key=lambda pair: len(own & pair[0]) / len(own | pair[0]))[1]

    compared = random.Random(0).sample(list(test), min(COMPARED, len(test)))
    return sacrebleu.corpus_bleu(
        [nearest(source) for source, _ in compared], [[target for _, target in compared]]
    ).score


def _translate(folder: Path, pairs: Sequence[tuple[str, str]]) -> None:
    """Prints sentences with their translations by the SavedModel and the references."""
    import tensorflow as tf

    model = tf.saved_model.load(folder / "export")
    translations = model.signatures["serving_default"](text=tf.constant([source for source, _ in pairs]))["text"]
    for (source, reference), text in zip(pairs, translations.numpy(), strict=True):
        print(f"\n  {source}\n  translation  {text.decode()}\n  reference    {reference}")


def _draw(folder: Path, sentence: str) -> Path:
    """Draws the attention of a sentence and returns the file."""
    from .model import Translator

    path = folder / "figures" / "alignment.png"
    draw_explanation(Translator.load(folder).explain([sentence])[0], path)
    return path


if __name__ == "__main__":
    main(sys.argv[1])
