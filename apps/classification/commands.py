"""Assigns labels to texts or time series with a recurrent encoder."""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from json import dumps
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from ..shared.console import Stopwatch, colored_weights, duration, note
from ..shared.errors import UsageError
from ..shared.evaluation import EvaluationOptions, evaluate_examples, figure_path, predict_by_length, report
from ..shared.remarks import collect_remarks
from ..shared.verbs import Streaming, map_usable, stream
from .baseline import Ngrams, train_ngram_classifier
from .config import Config

if TYPE_CHECKING:
    from .model import TextClassifier
    from .series import SeriesClassifier

NOUNS = {"text": "texts", "series": "series"}  # what the options `inputs` counts, among the metrics
BASELINES = {"words": "word_ngrams", "characters": "character_ngrams"}  # their names among the metrics


def evaluate(
    model: str,
    *,
    data: str | None = None,
    split: str = "test",
    baseline: Ngrams | None = None,
    evaluation: EvaluationOptions,
) -> None:
    """Computes the accuracy and F1 score of a model on a split.

    Prints a table on standard error and one line of JSON on standard output: accuracy, macro F1, F1 of each label, the
    accuracy of always predicting the most frequent label, the number of texts or series, and the speed. The confusion
    matrix is drawn into the model's folder. Each line of --output is a label.

    Args:
        model: Folder or name of the model.
        data: Folder or name of a TFDS data set. The default is the data set that the model was trained on.
        split: Split to classify.
        baseline: Also train a logistic regression on n-grams of words or characters on the training data of the model,
            and print its accuracy. For texts; requires the extra `baseline`.
        evaluation: Options of large splits.
    """
    from ..shared.figures import draw_confusion
    from ..shared.training.splits import Rereadable, evaluated_split
    from .data import label_of, with_known_labels
    from .metrics import ClassificationMetrics
    from .model import SOURCES, Classifier

    classifier: Any = Classifier.load(model)
    source, nouns = SOURCES[classifier.config.inputs], NOUNS[classifier.config.inputs]
    if baseline is not None and source is not SOURCES["text"]:
        raise UsageError("--baseline is for texts; this model classifies time series")
    if split == "validation" and data in (None, classifier.config.data) and classifier.config.train_on_validation:
        note("the model was trained on the validation data")
    rows = evaluated_split(source.read, classifier.config, split, data, source.iterate, kind=label_of)
    examples = Rereadable(lambda: with_known_labels(rows, classifier.labels, split))
    metrics = ClassificationMetrics(classifier.labels)
    ngram_metrics = ClassificationMetrics(classifier.labels)
    classify_ngrams = None if baseline is None else _train_baseline(classifier.config, baseline)
    if evaluation.predictions is None:
        classifier.classify([inputs for inputs, _ in islice(examples, 1)])  # builds the graph

    def classify(batch: list[Any]) -> list[str]:
        return [classification.label for classification in classifier.classify(batch)]

    def update(batch: Sequence[tuple[Any, str]], predictions: Sequence[str]) -> None:
        inputs, labels = zip(*batch, strict=True)
        metrics.update(labels, predictions)
        if classify_ngrams is not None:
            ngram_metrics.update(labels, classify_ngrams(inputs))

    predict = predict_by_length(classify, itemgetter(0))
    evaluated = evaluate_examples(predict, examples, source.item_of, update, evaluation, model, {}, "classifying")
    results = metrics.result()
    baselines = {"commonest_label": results["commonest_label"]}
    if baseline is not None:
        baselines[BASELINES[baseline]] = ngram_metrics.result()["accuracy"]
    counts = {nouns: metrics.examples, **evaluated.rates(**{f"{nouns}_per_second": evaluated.computed})}
    report(model, split, {**results, **baselines, **counts}, data, evaluation, {"accuracy": baselines})
    if evaluation.shard is None:
        figure = figure_path(model, "confusion", split, data)
        draw_confusion(classifier.labels, metrics.confusion, figure)
        note(f"the confusion matrix is in {figure}")


def _train_baseline(config: Config, ngrams: Ngrams) -> Callable[[Sequence[str]], list[str]]:
    """Trains an n-gram classifier on the training data of a model."""
    from .data import read, training_examples

    examples = training_examples(read, config)["train"]
    note(f"training a logistic regression on n-grams of {ngrams} from {len(examples):,} texts")
    with Stopwatch() as watch:
        texts, labels = zip(*examples, strict=True)
        classify = train_ngram_classifier(texts, labels, ngrams, config.lowercase)
    note(f"trained it in {duration(watch.seconds)}")
    return classify


def predict(model: str, *inputs: str, json: bool = False, streaming: Streaming) -> None:
    """Prints the label of each input, its probability and the input, separated by tabs.

    A model with the pooling attention also prints a text with the attention weights as colors, if the output is a
    terminal. A series is written as its numbers, separated by commas, with ? for a missing number and a colon between
    channels.

    Args:
        model: Folder or name of the model.
        *inputs: Texts or series to classify. Without any, the lines of --input or of standard input. For a model of
            series, --input is a .ts, .tsv or .csv file, whose labels are ignored.
        json: Print one line of JSON per input instead: its `label`, the `probabilities` of all labels, the `tokens` of
            a text, and the attention `weights`, if any.
        streaming: Options of many inputs.
    """
    from .model import Classifier

    classifier: Any = Classifier.load(model)
    run = _predict_series if classifier.config.inputs == "series" else _predict_texts
    run(classifier, model, inputs, json, streaming)


def _line(explanation: dict[str, Any], text: str) -> str:
    label = explanation["label"]
    return f"{label}\t{explanation['probabilities'][label]:.3f}\t{text}"


def _predict_texts(
    classifier: "TextClassifier", model: str, texts: Sequence[str], json: bool, streaming: Streaming
) -> None:
    is_colored = not json and streaming.output is None and sys.stdout.isatty()

    def classify(batch: list[str], index: int) -> list[str]:
        lines, explanations = [], classifier.explain(batch)
        remarks.read(batch)
        for text, explanation in zip(batch, explanations, strict=True):
            line = _line(explanation, text)
            if explanation["weights"] and is_colored:
                pieces, weights = explanation["tokens"][:-1], explanation["weights"][:-1]  # without the end token
                line += "\n" + colored_weights(classifier.tokenizer.surface_forms(pieces), weights)
            lines.append(dumps({"text": text, **explanation}, ensure_ascii=False) if json else line)
        return lines

    with collect_remarks(streaming, classifier.tokenizer) as remarks:
        stream(classify, texts, streaming, model, {"json": json})


def _predict_series(
    classifier: "SeriesClassifier", model: str, texts: Sequence[str], json: bool, streaming: Streaming
) -> None:
    from ...datasets.labelled_series import iter_series_file
    from .series_data import item_of

    def classify(series: Sequence[Any], names: Sequence[str]) -> list[str]:
        return [
            dumps({"series": name, **explanation}, ensure_ascii=False) if json else _line(explanation, name)
            for name, explanation in zip(names, classifier.explain(series), strict=True)
        ]

    if streaming.input is None:
        stream(
            lambda batch, _: map_usable(classify, [*map(classifier.read, batch)], batch),
            texts,
            streaming,
            model,
            {"json": json},
        )
        return
    if texts:
        raise UsageError("give the inputs as arguments or in the file --input, not both")
    rows = [*iter_series_file(streaming.input)]
    items = [f"{row.origin} {item_of((row.values, ''))}" for row in rows]  # another content is another input

    def classify_rows(batch: list[str], index: int) -> list[str]:
        own = rows[index : index + len(batch)]
        return classify([row.values for row in own], [row.origin for row in own])

    stream(classify_rows, items, dataclasses.replace(streaming, input=None), model, {"json": json}, by_length=False)


VERBS = (evaluate, predict)
