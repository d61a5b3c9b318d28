"""Accuracy by type of question and answer, and baselines that do not see the image or the question."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from ...datasets.images import ImageWithQuestions, Question
from ..shared.console import note, progress
from ..shared.errors import UsageError
from ..shared.images.pixels import pixel_reader
from ..shared.models.compiled import compiled
from ..shared.models.loading import readable
from . import data
from .answers import MEASURES
from .model import COMMONEST, Answerer


class Result(NamedTuple):
    """A question and the model's answer.

    Attributes:
        question: The question.
        target: The answer of most annotators.
        prediction: The model's answer.
        measures: Dictionary of `accuracy`, `vqa_accuracy` and `top_5_accuracy` in [0, 1].
    """

    question: Question
    target: str
    prediction: str
    measures: dict[str, float]


def predict_all(answerer: Answerer, examples: Sequence[ImageWithQuestions]) -> tuple[list[Result], int]:
    """Answers all questions; each image is encoded once.

    Returns:
        `(results, images)`: one `Result` per question, and the number of images.
    """
    config = answerer.config
    reader = pixel_reader([example.image for example in examples], config.image_size)
    batches = data.batches(examples, reader, answerer.tokenizer, answerer.answers, config, "test")
    forward = compiled(lambda *inputs: answerer.model(list(inputs)), answerer.model, batches.signature[0])
    measures: list[dict[str, float]] = []
    predictions: list[int] = []
    images = 0
    for inputs, counts, weights in progress(batches, len(batches), "answering questions"):
        is_question = weights > 0
        logits, counts = forward(*inputs)[is_question], counts[is_question]
        images += len(inputs[0])
        predictions += np.argmax(logits, axis=-1).tolist()
        columns = {measure.__name__: ops.convert_to_numpy(measure(counts, logits)).tolist() for measure in MEASURES}
        measures += [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    questions = [question for example in examples for question in example.questions]
    results = [
        Result(question, commonest_answer(question, config), answerer.answers[index], measured)
        for question, index, measured in zip(questions, predictions, measures, strict=True)
    ]
    return results, images


def commonest_answer(question: Question, config: Any) -> str:
    """Returns the answer of most annotators."""
    return data.answer_counts(question, config).most_common(1)[0][0]


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """Returns the means of the measures and the number of questions, in total and by type of question and answer."""
    totals = _means(results)
    for name, type_of in (
        ("by_question_type", lambda result: data.question_type(result.question)),
        ("by_answer_type", lambda result: data.answer_type(result.target)),
    ):
        groups: dict[str, list[Result]] = {}
        for result in results:
            groups.setdefault(type_of(result), []).append(result)
        # There may be hundreds of first words; only the most frequent are reported.
        largest = sorted(groups, key=lambda kind: -len(groups[kind]))[:20]
        totals[name] = {kind: _means(groups[kind]) for kind in largest}
    return totals


def _means(results: Sequence[Result]) -> dict[str, Any]:
    measures = {name: _mean(result.measures[name] for result in results) for name in results[0].measures}
    return {**measures, "questions": len(results)}


def blind_baselines(folder: str, answerer: Answerer, examples: Sequence[ImageWithQuestions]) -> dict[str, float]:
    """Returns the accuracy of the most common answer in the training data, and of that to each type of question."""
    with readable(Path(folder) / COMMONEST):
        by_type = dict(json.loads((Path(folder) / COMMONEST).read_text(encoding="utf-8")))
    commonest = answerer.answers[0]
    questions = [question for example in examples for question in example.questions]
    counts = [data.answer_counts(question, answerer.config) for question in questions]

    def accuracy(answer_to: Callable[[Question], str]) -> float:
        return _mean(
            own[answer_to(question)] == max(own.values()) for question, own in zip(questions, counts, strict=True)
        )

    return {
        "commonest_answer": accuracy(lambda question: commonest),
        "commonest_answer_of_type": accuracy(lambda question: by_type.get(data.question_type(question), commonest)),
    }


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


def confusion(results: Sequence[Result], classes: int = 20) -> tuple[list[str], np.ndarray]:
    """Returns the confusion matrix of the most frequent answers; all others count as "(other)".

    A correct prediction that ties with another answer of the annotators is the target.

    Args:
        results: The results.
        classes: Positive integer, the maximum number of answers.

    Returns:
        `(answers, table)`: the answers, and an integer array `(targets, predictions)` of counts.
    """
    targets = [result.prediction if result.measures["accuracy"] else result.target for result in results]
    answers = [answer for answer, _ in Counter(targets).most_common(classes)]
    indices = {answer: index for index, answer in enumerate(answers)}
    table = np.zeros((len(answers) + 1, len(answers) + 1), int)
    for target, result in zip(targets, results, strict=True):
        table[indices.get(target, -1), indices.get(result.prediction, -1)] += 1
    return [*answers, "(other)"], table


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 4)
