"""What `make demo` shows of a translator of the generated sentences: its export, its score and its attention."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ...datasets import read_pairs
from ..shared.backends import choose_backend, import_backend
from ..shared.models.folders import read_config
from .figures import draw_explanation

SENTENCES = 5


def main(folder: str) -> None:
    """Prints what a translator does that was evaluated with its baseline and exported, and draws an alignment."""
    choose_backend("tensorflow")
    import_backend()
    config = read_config(folder, "translation")
    splits = {name: read_pairs(config["data"], name, config["source"], config["target"]) for name in ("train", "test")}
    with open(Path(folder) / "metrics.json", encoding="utf-8") as file:
        metrics = json.load(file)["test"]
    print(f"\n{len(splits['train']):,} generated sentences trained a {config['cell'].upper()} encoder and decoder.")
    print(f"BLEU on {len(splits['test']):,} sentences with unseen combinations of words: {metrics['bleu']:.1f}")
    baseline = metrics["baselines"]["bleu"]["nearest_sentence"]
    print(f"BLEU of the translation of the most similar training sentence: {baseline:.1f}")
    print(f"\nThe SavedModel {folder}/export, loaded with TensorFlow alone:")
    _translate(Path(folder), splits["test"][:SENTENCES])
    print(f"\nThe attention of the first sentence is in {_draw(Path(folder), splits['test'][0][0])}. Next:")
    print(f'  keras-recurrent translation predict {folder} "{splits["test"][0][0]}"')
    print("  keras-recurrent demo                        # models of all applications on a page")
    print("  keras-recurrent translation train --help    # with your own sentences")


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
