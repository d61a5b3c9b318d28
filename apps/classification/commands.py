"""Assigns labels to texts with a recurrent encoder."""

import sys
from collections.abc import Sequence
from itertools import islice
from json import dumps
from operator import itemgetter

from ..shared.console import colored_weights, note
from ..shared.evaluation import EvaluationOptions, evaluate_examples, figure_path, predict_by_length, report
from ..shared.verbs import Streaming, stream


def evaluate(model: str, *, data: str | None = None, split: str = "test", evaluation: EvaluationOptions) -> None:
    """Computes the accuracy and F1 score of a model on a split.

    The last line of the output is JSON: accuracy, macro F1, F1 of each label, the accuracy of always predicting the
    most frequent label, the number of texts, and the speed. The confusion matrix is drawn into the model's folder. Each
    line of --output is a label.

    Args:
        model: Folder or name of the model.
        data: Folder or name of a TFDS data set. The default is the data set that the model was trained on.
        split: Split to classify.
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
    if evaluation.predictions is None:
        classifier.classify([text for text, _ in islice(examples, 1)])  # builds the graph

    def classify(batch: list[str]) -> list[str]:
        return [classification.label for classification in classifier.classify(batch)]

    def update(batch: Sequence[tuple[str, str]], predictions: Sequence[str]) -> None:
        metrics.update([label for _, label in batch], predictions)

    predict = predict_by_length(classify, itemgetter(0))
    evaluated = evaluate_examples(predict, examples, itemgetter(0), update, evaluation, model, {}, "classifying")
    counts = {"texts": metrics.texts, **evaluated.rates(texts_per_second=evaluated.computed)}
    report(model, split, {**metrics.result(), **counts}, data, evaluation)
    if evaluation.shard is None:
        figure = figure_path(model, "confusion", split, data)
        draw_confusion(classifier.labels, metrics.confusion, figure)
        note(f"the confusion matrix is in {figure}")


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
        lines = []
        for text, explanation in zip(batch, classifier.explain(batch), strict=True):
            label = explanation["label"]
            line = f"{label}\t{explanation['probabilities'][label]:.3f}\t{text}"
            if explanation["weights"] and is_colored:
                pieces, weights = explanation["tokens"][:-1], explanation["weights"][:-1]  # without the end token
                line += "\n" + colored_weights(classifier.tokenizer.surface_forms(pieces), weights)
            lines.append(dumps({"text": text, **explanation}, ensure_ascii=False) if json else line)
        return lines

    stream(classify, texts, streaming, model, {"json": json})


VERBS = (evaluate, predict)
