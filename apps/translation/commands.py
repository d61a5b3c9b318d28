"""Translates sentences with an encoder, attention and a decoder."""

import dataclasses
from json import dumps

from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveInt

from ..shared.config import Seed, Share
from ..shared.console import Stopwatch, progress
from ..shared.errors import UsageError
from ..shared.verbs import input_batches, report


def evaluate(
    model: str,
    *,
    data: str | None = None,
    split: str = "test",
    lowercase: bool = False,
    **search,
):
    """Scores a model's translations of a split against its references.

    Ends with one line of JSON: bleu, chrf, sacrebleu's signature, sentences, and the speed of the search.

    Args:
        model: The model's folder.
        data: A folder or a TFDS name; the default is what the model was trained on.
        split: The split to translate.
        lowercase: Score without regard to upper and lower case.
        **search: Options of the search, in place of those that the model was trained with.
    """
    from .data import read
    from .metrics import translation_metrics
    from .model import Translator

    translator = Translator.load(model, **search)
    config = translator.config if data is None else dataclasses.replace(translator.config, data=data, pairs=None)
    sources, references = read(config, split)
    translator.translate(sources[:1])  # builds the graph
    answers = [""] * len(sources)
    with Stopwatch() as watch:
        for index, translation in progress(translator.translate_sorted(sources), len(sources), "translating"):
            answers[index] = translation.text
    tokens = int(translator.target.encode(answers).row_lengths().numpy().sum())
    report(
        model,
        split,
        {
            **translation_metrics(answers, references, lowercase),
            "sentences": len(answers),
            "sentences_per_second": round(len(answers) / watch.seconds, 1),
            "tokens_per_second": round(tokens / watch.seconds, 1),
        },
        data,
    )


def predict(
    model: str,
    *texts: str,
    json: bool = False,
    alignment: str | None = None,
    prefix: str = "",
    samples: NonNegativeInt = 0,
    temperature: NonNegativeFloat = 1.0,
    top_k: PositiveInt | None = None,
    top_p: Share = 1.0,
    seed: Seed = 0,
    **search,
):
    """Translates sentences, a line each.

    Args:
        model: The model's folder.
        *texts: The sentences; without any, the lines of standard input.
        json: Instead of the best translation, print a line of JSON for a sentence: `source_tokens`, and for each of
            its `translations` the `text`, the `score`, its `tokens` and their `alignment` with the source's.
        alignment: A file such as `alignment.png`, to draw into where the attention looked in the first sentence.
        prefix: What each translation begins with.
        samples: Instead of searching, draw so many translations of a sentence at random, and print each.
        temperature: Below 1 the likelier tokens are drawn more often than the model says; 0 draws the likeliest.
        top_k: Draw from so many likeliest tokens; the default is all.
        top_p: Draw from the fewest likeliest tokens that have this probability together.
        seed: Seed of the samples.
        **search: Options of the search, in place of those that the model was trained with.
    """
    from ..shared.figures import check_picture
    from ..shared.text.tokenizers import shown
    from ..shared.text.writing import Sampling
    from .figures import draw_alignment
    from .model import Translator

    if not samples and (temperature, top_k, top_p, seed) != (1.0, None, 1.0, 0):
        raise UsageError("temperature, top_k, top_p and seed are of samples; --samples says how many to draw")
    if alignment is not None:
        check_picture(alignment)
    translator = Translator.load(model, **search)
    if alignment is not None and translator.config.score == "none":
        raise UsageError(f"{model} has no attention, so there is no alignment")
    for number, batch in enumerate(input_batches(texts)):
        sampling = Sampling(samples, temperature, top_k, top_p, (seed, number)) if samples else None
        for explanation in translator.explain(batch, prefix, sampling):
            translations = explanation["translations"]
            if alignment is not None and translations[0]["tokens"]:
                sides = explanation["source_tokens"], translations[0]["tokens"]
                draw_alignment(*([*map(shown, side)] for side in sides), translations[0]["alignment"], alignment)
                alignment = None  # of the first sentence only
            if json:
                print(dumps(explanation, ensure_ascii=False), flush=True)
                continue
            for translation in translations if samples else translations[:1]:
                print(translation["text"], flush=True)
    if alignment is not None:
        raise UsageError(f"there was no sentence to draw into {alignment}")


VERBS = (evaluate, predict)
