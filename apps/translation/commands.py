"""Translates sentences with an encoder, attention and a decoder."""

import dataclasses
from collections.abc import Sequence
from itertools import islice
from json import dumps
from operator import itemgetter
from typing import Any, Literal

from ..shared.config import NonNegativeFloat, PositiveInt, Samples, Seed, Share
from ..shared.errors import UsageError
from ..shared.evaluation import EvaluationOptions, evaluate_examples, predict_by_length, report
from ..shared.memory import BATCH
from ..shared.remarks import collect_remarks
from ..shared.verbs import Streaming, check_drawing, stream


def evaluate(
    model: str,
    *,
    data: str | None = None,
    split: str = "test",
    lowercase: bool = False,
    baseline: Literal["nearest"] | None = None,
    evaluation: EvaluationOptions,
    **search: Any,
) -> None:
    """Computes BLEU and chrF of a model's translations of a split.

    Prints a table on standard error and one line of JSON on standard output: bleu, chrf, sacrebleu's signature, the
    number of sentences, and the speed of the search. Each line of --output is a translation.

    Args:
        model: Folder or name of the model.
        data: Folder or name of a TFDS data set. The default is the data set that the model was trained on.
        split: Split to translate.
        lowercase: Ignore case in the scores.
        baseline: Also score the translation of the most similar training sentence (nearest), which shares the most
            words.
        evaluation: Options of large splits.
        **search: Options of the search.
    """
    from ..shared.text.batches import encode_texts
    from ..shared.training.splits import Rereadable
    from .baseline import nearest_sentence
    from .data import iterate, read
    from .metrics import TranslationMetrics
    from .model import Translator

    translator = Translator.load(model, **search)
    config = translator.config if data is None else dataclasses.replace(translator.config, data=data, pairs=None)
    pairs = Rereadable(lambda: iterate(config, split))
    metrics, sentences, tokens = TranslationMetrics(lowercase), 0, 0
    nearest_metrics = TranslationMetrics(lowercase)
    nearest = baseline and nearest_sentence(*read(translator.config, "train"), translator.config.lowercase)
    if evaluation.predictions is None:
        translator.translate([source for source, _ in islice(pairs, 1)])  # builds the graph

    def translate(batch: list[str]) -> list[str]:
        nonlocal tokens
        texts = [translation.text for translation in translator.translate(batch)]
        tokens += len(encode_texts(translator.target, texts).values)
        return texts

    def update(batch: Sequence[tuple[str, str]], hypotheses: Sequence[str]) -> None:
        nonlocal sentences
        sentences += len(batch)
        sources, references = zip(*batch, strict=True)
        metrics.update(hypotheses, references)
        if nearest:
            nearest_metrics.update(nearest(sources), references)

    predict = predict_by_length(translate, itemgetter(0), translator.writer.batch_size())
    evaluated = evaluate_examples(predict, pairs, itemgetter(0), update, evaluation, model, search, "translating")
    rates = evaluated.rates(sentences_per_second=evaluated.computed, tokens_per_second=tokens)
    results = {**metrics.result(), "sentences": sentences, **rates}
    if nearest:
        scores = nearest_metrics.result()
        results["baselines"] = {name: {"nearest_sentence": scores[name]} for name in ("bleu", "chrf")}
    report(model, split, results, data, evaluation, results.get("baselines"))


def predict(
    model: str,
    *texts: str,
    json: bool = False,
    alignment: str | None = None,
    prefix: str = "",
    samples: Samples = 0,
    temperature: NonNegativeFloat = 1.0,
    top_k: PositiveInt | None = None,
    top_p: Share = 1.0,
    seed: Seed = 0,
    streaming: Streaming,
    **search: Any,
) -> None:
    """Translates sentences and prints one translation per line.

    Args:
        model: Folder or name of the model.
        *texts: Sentences to translate. Without any, the lines of --input or of standard input.
        json: Print one line of JSON per sentence instead: its `source_tokens` and its `translations`, each with
            `text`, `score`, `tokens` and the attention weights of each token (`alignment`).
        alignment: Image file, such as `alignment.png`, for a heat map of the attention weights of the first sentence.
        prefix: Beginning of every translation.
        samples: Number of random translations to print for each sentence. 0 searches for the best one.
        temperature: Temperature of the samples. Lower values favor probable tokens; 0 takes the most probable one.
        top_k: Number of most probable tokens to sample from. The default is all.
        top_p: Sample from the smallest set of tokens with this total probability, in (0, 1].
        seed: Seed of the samples.
        streaming: Options of many inputs.
        **search: Options of the search.
    """
    from ..shared.text.writing import Sampling
    from .figures import draw_explanation
    from .model import Translator

    if not samples and (temperature, top_k, top_p, seed) != (1.0, None, 1.0, 0):
        raise UsageError("temperature, top_k, top_p and seed require samples; --samples sets their number")
    check_drawing(alignment, streaming)
    translator = Translator.load(model, **search)
    if alignment is not None and translator.config.score == "none":
        raise UsageError(f"{model} has no attention, so there is no alignment")
    drawing = alignment

    def translate(batch: list[str], index: int) -> list[str]:
        nonlocal drawing
        if not (json or drawing or prefix or samples):
            translations = translator.translate(batch)
            remarks.read(batch)
            return [remarks.answer(best.text, source) for source, best in zip(batch, translations, strict=True)]
        sampling = Sampling(samples, temperature, top_k, top_p, (seed, index // BATCH)) if samples else None
        lines = []
        explanations = translator.explain(batch, prefix, sampling)
        remarks.read(batch)
        for source, explanation in zip(batch, explanations, strict=True):
            hypotheses = explanation["translations"]
            if drawing is not None and hypotheses[0]["tokens"]:
                draw_explanation(explanation, drawing)
                drawing = None  # only of the first sentence
            if json:
                lines.append(dumps(explanation, ensure_ascii=False))
                continue
            best = hypotheses if samples else hypotheses[:1]
            lines.append("\n".join(remarks.answer(hypothesis["text"], source) for hypothesis in best))
        return lines

    sampled = {"samples": samples, "temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    options = {"json": json, "prefix": prefix, **sampled, **search}
    # The samples depend on the position in the input, and the drawing is of the first sentence.
    by_length = not samples and alignment is None
    batch_size = translator.writer.batch_size() if by_length else BATCH
    with collect_remarks(streaming, translator.source) as remarks:
        stream(translate, texts, streaming, model, options, by_length, batch_size)
    if drawing is not None:
        raise UsageError(f"there was no sentence to draw into {alignment}")


VERBS = (evaluate, predict)
