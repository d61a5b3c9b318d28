"""How well questions are answered, by type, and beside what is right without a look at the picture."""

import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ..shared.console import note, progress
from ..shared.errors import UsageError
from ..shared.images.pixels import pixel_reader
from . import data
from .answers import MEASURES
from .model import COMMONEST, Answerer


class Result(NamedTuple):
    """A question and how it was answered.

    Attributes:
        question: The `datasets.images.Question`.
        right: Its commonest answer.
        answer: The model's.
        measures: Dictionary of `accuracy`, `vqa_accuracy` and `top_5_accuracy` in [0, 1].
    """

    question: object
    right: str
    answer: str
    measures: dict


def results(answerer, examples):
    """A `Result` of each question, and how many images the model looked at: each once, whatever is asked of it."""
    config = answerer.config
    reader = pixel_reader([example.image for example in examples], config.image_size)
    batches = data.batches(examples, reader, answerer.tokenizer, answerer.answers, config, "test")
    forward = tf.function(lambda *inputs: answerer.model(list(inputs)), reduce_retracing=True)
    measures, best, looked = [], [], 0
    for inputs, given in progress(batches.dataset, batches.count, "answering"):
        logits = forward(*inputs)
        looked += len(inputs[0])
        best += np.argmax(logits, axis=-1).tolist()
        columns = {measure.__name__: measure(given, logits).numpy().tolist() for measure in MEASURES}
        measures += [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    questions = [question for example in examples for question in example.questions]
    found = [
        Result(question, commonest(question, config), answerer.answers[place], measure)
        for question, place, measure in zip(questions, best, measures, strict=True)
    ]
    return found, looked


def commonest(question, config):
    """What most annotators answered."""
    return Counter(data.clean(answer, config) for answer in question.answers).most_common(1)[0][0]


def summary(results):
    """Means of the measures and the number of questions: of all of them, of each type, and of each type of answer."""
    found = _means(results)
    for what, kind_of in (
        ("by_question_type", lambda result: data.question_type(result.question)),
        ("by_answer_type", lambda result: data.answer_type(result.right)),
    ):
        groups = {}
        for result in results:
            groups.setdefault(kind_of(result), []).append(result)
        # Of first words there are hundreds; those of many questions are worth a look.
        largest = sorted(groups, key=lambda kind: -len(groups[kind]))[:20]
        found[what] = {kind: _means(groups[kind]) for kind in largest}
    return found


def _means(results):
    measures = {name: _mean(result.measures[name] for result in results) for name in results[0].measures}
    return {**measures, "questions": len(results)}


def blind(folder, answerer, examples):
    """The accuracy of the training data's commonest answer, and of its commonest answer to each type of question."""
    by_type = json.loads((Path(folder) / COMMONEST).read_text(encoding="utf-8"))
    first = answerer.answers[0]
    questions = [question for example in examples for question in example.questions]
    given = [Counter(data.clean(answer, answerer.config) for answer in question.answers) for question in questions]

    def share(answer_to):
        return _mean(
            counts[answer_to(question)] == max(counts.values())
            for question, counts in zip(questions, given, strict=True)
        )

    return {
        "commonest_answer": share(lambda question: first),
        "commonest_answer_of_type": share(lambda question: by_type.get(data.question_type(question), first)),
    }


def baselines(folder, answerer):
    """The models that see the question or the image alone, by their modality, from FOLDER-question and FOLDER-image.

    Tells which are missing, or were trained on other data than the model beside them.

    Raises:
        UsageError: If such a folder holds a model that was trained otherwise.
    """
    found = {}
    for modality in ("question", "image"):
        beside = Path(f"{Path(folder).absolute()}-{modality}")
        if not beside.exists():
            note(f"there is no {beside.name}, trained with --modality {modality}, so that is not among the baselines")
            continue
        found[modality] = Answerer.load(beside)
        if found[modality].config.modality != modality:
            raise UsageError(f"{beside} is no baseline: it was not trained with --modality {modality}")
        if found[modality].config.data != answerer.config.data:
            note(f"{beside.name} was trained on {found[modality].config.data}, not on {answerer.config.data}")
    return found


def confusion(results, most=20):
    """The commonest answers and "other", and how often each was given for each: an array `(right, given)` of counts.

    Where several answers are as common, the one that was given is right.
    """
    rights = [result.answer if result.measures["accuracy"] else result.right for result in results]
    answers = [answer for answer, _ in Counter(rights).most_common(most)]
    place_of = {answer: place for place, answer in enumerate(answers)}
    table = np.zeros((len(answers) + 1, len(answers) + 1), int)
    for right, result in zip(rights, results, strict=True):
        table[place_of.get(right, -1), place_of.get(result.answer, -1)] += 1
    return [*answers, "(other)"], table


def _mean(values):
    return round(float(np.mean(list(values))), 4)
