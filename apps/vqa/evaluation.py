"""Accuracy by type of question and answer, and baselines that do not see the image or the question."""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from ...datasets.encoded import Image
from ...datasets.images import ImageWithQuestions, Question
from ..shared.console import note
from ..shared.errors import UsageError
from ..shared.evaluation import Predict
from ..shared.images.pixels import pixel_reader
from ..shared.models.compiled import compiled
from ..shared.models.loading import readable
from ..shared.training.splits import Rereadable
from ..shared.verbs import WINDOW
from . import data
from .answers import MEASURES
from .model import COMMONEST, TOP, Answerer


class ImageQuestion(NamedTuple):
    """A question about an image.

    Attributes:
        image: The image.
        question: The question.
    """

    image: Image
    question: Question

    @property
    def item(self) -> str:
        """The name of the image and the question, separated by a tab."""
        return f"{self.image.name}\t{' '.join(self.question.text.split())}"


def questions_of(examples: Sequence[ImageWithQuestions]) -> Iterable[ImageQuestion]:
    """Returns an iterable over the questions about images."""
    return Rereadable(lambda: (ImageQuestion(item.image, question) for item in examples for question in item.questions))


def predictor(answerer: Answerer) -> Predict:
    """Returns the argument `predict` of `evaluate_examples`.

    A prediction are the most probable answers, at most five, separated by tabs. Each image is encoded once, or twice
    where a window of questions ends.
    """
    config = answerer.config
    squares, ids = answerer.core_inputs
    signature = (squares, keras.InputSpec(dtype="int32", shape=(None,)), ids)
    forward = compiled(lambda *inputs: answerer.model(list(inputs)), answerer.model, signature)

    def predict(
        questions: Iterator[ImageQuestion], advance: Callable[[int], None]
    ) -> Iterator[tuple[list[ImageQuestion], list[str]]]:
        while window := [*itertools.islice(questions, WINDOW)]:
            examples = [
                ImageWithQuestions(image, [item.question for item in items])
                for image, items in itertools.groupby(window, lambda item: item.image)
            ]
            reader = pixel_reader([example.image for example in examples], config.image_size)
            batches = data.batches(examples, reader, answerer.tokenizer, answerer.answers, config, "test")
            remaining = iter(window)
            for inputs, _, weights in batches:
                order = np.argsort(-forward(*inputs)[weights > 0], axis=-1, kind="stable")[:, :TOP]
                advance(len(order))
                lines = ["\t".join(answerer.answers[index] for index in row) for row in order]
                yield [*itertools.islice(remaining, len(lines))], lines

    return predict


class AnswerMetrics:
    """Computes the accuracy of answers, part by part, in total and by type of question and answer.

    Args:
        answers: The answers of the vocabulary.
        config: The options of the question answerer.

    Attributes:
        images: The number of images, if the questions about an image follow each other.
        pairs: How often each pair of a target and the most probable answer occurs.
    """

    def __init__(self, answers: Sequence[str], config: Any) -> None:
        self.config = config
        self.answers = answers
        self.images = 0
        self.pairs: Counter[tuple[str, str]] = Counter()
        self._index_of = {answer: index for index, answer in enumerate(answers)}
        self._last: Image | None = None
        self._totals = _Means()
        self._groups: dict[str, dict[str, _Means]] = {"by_question_type": {}, "by_answer_type": {}}

    def update(self, questions: Sequence[ImageQuestion], predictions: Sequence[str]) -> None:
        """Adds questions, and for each one the most probable answers, separated by tabs.

        Raises:
            UsageError: If an answer is not in the vocabulary, or there are too few.
        """
        targets = [data.answer_counts(item.question, self.config) for item in questions]
        counts = np.stack([data.target_counts(target, self._index_of) for target in targets])
        # Logits of the same order: the measures depend on nothing else.
        logits = np.zeros((len(questions), len(self.answers)), "float32")
        for row, prediction in enumerate(predictions):
            answers = prediction.split("\t")
            if len(answers) != min(TOP, len(self.answers)):
                raise UsageError(
                    f"expected {min(TOP, len(self.answers))} answers with tabs between, got {prediction!r}"
                )
            for rank, answer in enumerate(answers):
                if answer not in self._index_of:
                    raise UsageError(f"the prediction {answer!r} is not an answer of the model")
                logits[row, self._index_of[answer]] = TOP - rank
        measures = np.stack([ops.convert_to_numpy(measure(counts, logits)) for measure in MEASURES], axis=1)
        for item, target, prediction, row in zip(questions, targets, predictions, measures, strict=True):
            self.images += item.image is not self._last
            self._last = item.image
            best, (commonest, _) = prediction.split("\t")[0], *target.most_common(1)
            kinds = data.question_type(item.question), data.answer_type(commonest)
            for group, kind in zip(self._groups.values(), kinds, strict=True):
                group.setdefault(kind, _Means()).add(row)
            self._totals.add(row)
            # A correct prediction that ties with another answer of the annotators is the target.
            self.pairs[best if row[0] else commonest, best] += 1

    def result(self) -> dict[str, Any]:
        """Returns the means of the measures and the number of questions, in total and by type."""
        totals = self._totals.result()
        for name, group in self._groups.items():
            # There may be hundreds of first words; only the most frequent are reported.
            largest = sorted(group, key=lambda kind: -group[kind].count)[:20]
            totals[name] = {kind: group[kind].result() for kind in largest}
        return totals


class _Means:
    """Means of `MEASURES`."""

    def __init__(self) -> None:
        self.sums = np.zeros(len(MEASURES))
        self.count = 0

    def add(self, row: np.ndarray) -> None:
        self.sums += row
        self.count += 1

    def result(self) -> dict[str, Any]:
        means = zip(MEASURES, self.sums / self.count, strict=True)
        return {**{measure.__name__: round(float(mean), 4) for measure, mean in means}, "questions": self.count}


class BlindBaselines:
    """Computes the accuracy of the most common answer in the training data, and of that to each type of question.

    Args:
        folder: The model's folder.
        answerer: The model.
    """

    def __init__(self, folder: str, answerer: Answerer) -> None:
        with readable(Path(folder) / COMMONEST):
            self.by_type = dict(json.loads((Path(folder) / COMMONEST).read_text(encoding="utf-8")))
        self.commonest = answerer.answers[0]
        self.config = answerer.config
        self.hits = np.zeros(2, int)
        self.count = 0

    def update(self, questions: Sequence[ImageQuestion]) -> None:
        """Adds questions."""
        for _, question in questions:
            counts = data.answer_counts(question, self.config)
            guesses = self.commonest, self.by_type.get(data.question_type(question), self.commonest)
            self.hits += [counts[guess] == max(counts.values()) for guess in guesses]
            self.count += 1

    def result(self) -> dict[str, float]:
        """Returns the accuracies by the names of the baselines."""
        names = "commonest_answer", "commonest_answer_of_type"
        return {name: round(float(hits / self.count), 4) for name, hits in zip(names, self.hits, strict=True)}


def modality_baselines(folder: str, answerer: Answerer) -> dict[str, Answerer]:
    """Loads the models of the question or the image alone, from FOLDER-question and FOLDER-image.

    Reports on standard error which of them are missing, or were trained on another data set than the model.

    Returns:
        Dictionary from a modality to its model.

    Raises:
        UsageError: If such a folder holds a model of another modality.
    """
    models = {}
    for modality in ("question", "image"):
        beside = Path(f"{Path(folder).absolute()}-{modality}")
        if not beside.exists():
            note(f"no baseline of the {modality} alone: train it with --modality {modality} --output {beside.name}")
            continue
        models[modality] = Answerer.load(beside)
        if models[modality].config.modality != modality:
            raise UsageError(f"{beside} is not a baseline: it was not trained with --modality {modality}")
        if models[modality].config.data != answerer.config.data:
            note(f"{beside.name} was trained on {models[modality].config.data}, not on {answerer.config.data}")
    return models


def confusion(pairs: Counter[tuple[str, str]], classes: int = 20) -> tuple[list[str], np.ndarray]:
    """Returns the confusion matrix of the most frequent answers; all others, if any, count as "(other)".

    Args:
        pairs: How often each pair of a target and a prediction occurs.
        classes: Positive integer, the maximum number of answers.

    Returns:
        `(answers, table)`: the answers, and an integer array `(targets, predictions)` of counts.
    """
    targets: Counter[str] = Counter()
    for (target, _), count in pairs.items():
        targets[target] += count
    answers = [answer for answer, _ in targets.most_common(classes)]
    indices = {answer: index for index, answer in enumerate(answers)}
    table = np.zeros((len(answers) + 1, len(answers) + 1), int)
    for (target, prediction), count in pairs.items():
        table[indices.get(target, -1), indices.get(prediction, -1)] += count
    if not (table[-1].any() or table[:, -1].any()):
        return answers, table[:-1, :-1]
    return [*answers, "(other)"], table
