"""Assigns labels to texts with a recurrent encoder."""

import sys
from collections.abc import Callable, Sequence
from itertools import islice
from json import dumps
from operator import itemgetter

from ..shared.console import Stopwatch, colored_weights, duration, note
from ..shared.evaluation import EvaluationOptions, evaluate_examples, figure_path, predict_by_length, report
from ..shared.remarks import collect_remarks
from ..shared.verbs import Streaming, stream
from .baseline import Ngrams, train_ngram_classifier
from .config import Config

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
    accuracy of always predicting the most frequent label, the number of texts, and the speed. The confusion matrix is
    drawn into the model's folder. Each line of --output is a label.

    Args:
        model: Folder or name of the model.
        data: Folder or name of a TFDS data set. The default is the data set that the model was trained on.
        split: Split to classify.
        baseline: Also train a logistic regression on n-grams of words or characters on the training data of the model,
            and print its accuracy. Requires the extra `baseline`.
        evaluation: Options of large splits.
    """
    from ..shared.figures import draw_confusion
    from ..shared.training.splits import Rereadable, evaluated_split
    from .data import iterate, label_of, read, with_known_labels
    from .metrics import ClassificationMetrics
    from .model import Classifier

    classifier = Classifier.load(model)
    rows = evaluated_split(read, classifier.config, split, data, iterate, kind=label_of)
    examples = Rereadable(lambda: with_known_labels(rows, classifier.labels, split))
    metrics = ClassificationMetrics(classifier.labels)
    ngram_metrics = ClassificationMetrics(classifier.labels)
    classify_ngrams = None if baseline is None else _train_baseline(classifier.config, baseline)
    if evaluation.predictions is None:
        classifier.classify([text for text, _ in islice(examples, 1)])  # builds the graph

    def classify(batch: list[str]) -> list[str]:
        return [classification.label for classification in classifier.classify(batch)]

    def update(batch: Sequence[tuple[str, str]], predictions: Sequence[str]) -> None:
        texts, labels = zip(*batch, strict=True)
        metrics.update(labels, predictions)
        if classify_ngrams is not None:
            ngram_metrics.update(labels, classify_ngrams(texts))

    predict = predict_by_length(classify, itemgetter(0))
    evaluated = evaluate_examples(predict, examples, itemgetter(0), update, evaluation, model, {}, "classifying")
    results = metrics.result()
    baselines = {"commonest_label": results["commonest_label"]}
    if baseline is not None:
        baselines[BASELINES[baseline]] = ngram_metrics.result()["accuracy"]
    counts = {"texts": metrics.texts, **evaluated.rates(texts_per_second=evaluated.computed)}
    report(model, split, {**results, **baselines, **counts}, data, evaluation, {"accuracy": baselines})
    if evaluation.shard is None:
        figure = figure_path(model, "confusion", split, data)
        draw_confusion(classifier.labels, metrics.confusion, figure)
        note(f"the confusion matrix is in {figure}")


def _train_baseline(config: Config, ngrams: Ngrams) -> Callable[[Sequence[str]], list[str]]:
    """Trains an n-gram classifier on the training data of a model."""
    from ..shared.training.splits import training_splits
    from .data import label_of, read

    examples = training_splits(read, config, kind=label_of)["train"]
    note(f"training a logistic regression on n-grams of {ngrams} from {len(examples):,} texts")
    with Stopwatch() as watch:
        texts, labels = zip(*examples, strict=True)
        classify = train_ngram_classifier(texts, labels, ngrams, config.lowercase)
    note(f"trained it in {duration(watch.seconds)}")
    return classify


def predict(model: str, *texts: str, json: bool = False, streaming: Streaming) -> None:
    """Prints the label of each text, its probability and the text, separated by tabs.

    A model with the pooling attention also prints the text with the attention weights as colors, if the output is a
    terminal.

    Args:
        model: Folder or name of the model.
        *texts: Texts to classify. Without any, the lines of --input or of standard input.
        json: Print one line of JSON per text instead: its `label`, the `probabilities` of all labels, its `tokens`,
            and their attention `weights`, if any.
        streaming: Options of many inputs.
    """
    from .model import Classifier

    classifier = Classifier.load(model)
    is_colored = not json and streaming.output is None and sys.stdout.isatty()

    def classify(batch: list[str], index: int) -> list[str]:
        lines, explanations = [], classifier.explain(batch)
        remarks.read(batch)
        for text, explanation in zip(batch, explanations, strict=True):
            label = explanation["label"]
            line = f"{label}\t{explanation['probabilities'][label]:.3f}\t{text}"
            if explanation["weights"] and is_colored:
                pieces, weights = explanation["tokens"][:-1], explanation["weights"][:-1]  # without the end token
                line += "\n" + colored_weights(classifier.tokenizer.surface_forms(pieces), weights)
            lines.append(dumps({"text": text, **explanation}, ensure_ascii=False) if json else line)
        return lines

    with collect_remarks(streaming, classifier.tokenizer) as remarks:
        stream(classify, texts, streaming, model, {"json": json})


VERBS = (evaluate, predict)
