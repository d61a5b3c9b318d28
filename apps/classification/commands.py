"""Says which of some labels a text has."""

import sys
from json import dumps

from ..shared.console import Stopwatch, note, progress, show_weights
from ..shared.verbs import figure_path, input_batches, report


def evaluate(model: str, *, data: str | None = None, split: str = "test"):
    """Counts a model's right labels of the texts of a split.

    Ends with one line of JSON: accuracy, f1 (the mean over the labels), f1 of each label, accuracy of the commonest
    label alone, texts, and the speed. Which labels are taken for which is drawn into the model's folder.

    Args:
        model: The model's folder.
        data: A folder or a TFDS name; the default is what the model was trained on.
        split: The split to read.
    """
    from ..shared.figures import draw_confusion
    from ..shared.training.splits import evaluated_split
    from .data import label_of, labels_known, read
    from .metrics import classification_metrics
    from .model import Classifier

    classifier = Classifier.load(model)
    examples = evaluated_split(read, classifier.config, split, data, kind=label_of)
    labels_known(examples, classifier.labels, split)
    texts, right = zip(*examples, strict=True)
    classifier.classify(texts[:1])  # builds the graph
    with Stopwatch() as watch:
        found = dict(progress(classifier.classify_sorted(texts), len(texts), "reading"))
    given = [found[index].label for index in range(len(texts))]
    metrics, table = classification_metrics(right, given, classifier.labels)
    figure = figure_path(model, "confusion", split, data)
    draw_confusion(classifier.labels, table, figure)
    note(f"which labels are taken for which is drawn in {figure}")
    speed = {"texts": len(texts), "texts_per_second": round(len(texts) / watch.seconds, 1)}
    report(model, split, {**metrics, **speed}, data)


def predict(model: str, *texts: str, json: bool = False):
    """Prints the label of each text and its probability, and on a terminal the words that it was told from.

    Args:
        model: The model's folder.
        *texts: The texts; without any, the lines of standard input.
        json: Print a line of JSON for a text: its `label`, the `probabilities` of all labels, its `tokens`, and with
            attention their `weights`.
    """
    from .model import Classifier

    classifier = Classifier.load(model)
    for batch in input_batches(texts):
        for text, told in zip(batch, classifier.explain(batch), strict=True):
            label = told["label"]
            plain = f"{label}\t{told['probabilities'][label]:.3f}\t{text}"
            print(dumps({"text": text, **told}, ensure_ascii=False) if json else plain, flush=True)
            if told["weights"] and not json and sys.stdout.isatty():
                pieces, weights = told["tokens"][:-1], told["weights"][:-1]  # without the end
                show_weights(classifier.tokenizer.spelled(pieces), weights)


VERBS = (evaluate, predict)
