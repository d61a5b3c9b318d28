"""Translates sentences with an encoder, attention and a decoder."""

import dataclasses
import sys

from jsonargparse.typing import PositiveInt

from ...datasets.sources import decode_lines
from .. import cli
from ..folders import read_config
from .config import Config


def evaluate(
    model: str,
    *,
    data: str | None = None,
    split: str = "test",
    lowercase: bool = False,
    beam_size: PositiveInt | None = None,
):
    """Scores a model's translations of a split against its references.

    Ends with one line of JSON: bleu, chrf, sacrebleu's signature, sentences, and the speed of the search.

    Args:
        model: The model's folder.
        data: A folder or a TFDS name; the default is what the model was trained on.
        split: The split to translate.
        lowercase: Score without regard to upper and lower case.
        beam_size: Hypotheses that the search keeps; 1 is greedy. The default is what the model was trained with.
    """
    read_config(model, Config.app)
    from ..metrics import translation_metrics
    from .data import read
    from .model import load

    translator = load(model, beam_size=beam_size)
    config = translator.config if data is None else dataclasses.replace(translator.config, data=data, pairs=None)
    sources, references = read(config, split)
    translator.translate(sources[:1])  # builds the graph
    answers = [""] * len(sources)
    with cli.Stopwatch() as watch:
        for index, translation in cli.progress(translator.translate_sorted(sources), len(sources), "translating"):
            answers[index] = translation.text
    tokens = int(translator.target.encode(answers).row_lengths().numpy().sum())
    cli.report(
        model,
        split,
        {
            **translation_metrics(answers, references, lowercase),
            "sentences": len(answers),
            "sentences_per_second": round(len(answers) / watch.seconds, 1),
            "tokens_per_second": round(tokens / watch.seconds, 1),
        },
    )


def predict(model: str, *texts: str, beam_size: PositiveInt | None = None):
    """Translates sentences, a line each.

    Args:
        model: The model's folder.
        *texts: The sentences; without any, the lines of standard input.
        beam_size: Hypotheses that the search keeps; 1 is greedy. The default is what the model was trained with.
    """
    read_config(model, Config.app)
    from .model import load

    translator = load(model, beam_size=beam_size)
    if not texts and sys.stdin.isatty():
        batches = ([line.rstrip("\n")] for line in sys.stdin)  # a person waits for each answer
    else:
        lines = texts or decode_lines(sys.stdin.buffer.read(), "standard input")
        batches = (lines[first : first + 64] for first in range(0, len(lines), 64))
    for batch in batches:
        for translation in translator.translate(batch):
            print(translation.text, flush=True)


if __name__ == "__main__":
    sys.exit(cli.main(["translation", *sys.argv[1:]]))
