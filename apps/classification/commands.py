"""Assigns labels to texts with a recurrent encoder."""

import sys
from json import dumps

from ..shared.console import Stopwatch, colored_weights, note
from ..shared.verbs import Streaming, figure_path, report, results_of, stream


def evaluate(model: str, *, data: str | None = None, split: str = "test", output: str | None = None) -> None:
    """Computes the accuracy and F1 score of a model on a split.

    The last line of the output is JSON: accuracy, macro F1, F1 of each label, the accuracy of always predicting the
    most frequent label, the number of texts, and the speed. The confusion matrix is drawn into the model's folder.

    Args:
        model: Folder of the model.
        data: Folder or name of a TFDS data set. The default is the data set that the model was trained on.
        split: Split to classify.
        output: File for the predicted labels. The same command resumes an interrupted one.
    """
    from ..shared.figures import draw_confusion
    from ..shared.training.splits import evaluated_split
    from .data import check_labels, label_of, read
    from .metrics import classification_metrics
    from .model import Classifier

    classifier = Classifier.load(model)
    examples = evaluated_split(read, classifier.config, split, data, kind=label_of)
    check_labels(examples, classifier.labels, split)
    texts, targets = zip(*examples, strict=True)
    classifier.classify(texts[:1])  # builds the graph

    def classify(batch: list[str]) -> list[str]:
        return [classification.label for classification in classifier.classify(batch)]

    with Stopwatch() as watch:
        predictions, computed = results_of(classify, texts, output, model, {}, "classifying")
    metrics, confusion = classification_metrics(targets, predictions, classifier.labels)
    speed = {"texts": len(texts), "texts_per_second": round(computed / watch.seconds, 1)}
    report(model, split, {**metrics, **speed}, data)
    figure = figure_path(model, "confusion", split, data)
    draw_confusion(classifier.labels, confusion, figure)
    note(f"the confusion matrix is in {figure}")


def predict(model: str, *texts: str, json: bool = False, streaming: Streaming) -> None:
    """Prints the label of each text, its probability and the text, separated by tabs.

    A model with the pooling attention also prints the text with the attention weights as colors, if the output is a
    terminal.

    Args:
        model: Folder of the model.
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
