"""Images with questions as batches of pixels, or features, token ids and answers."""

import re
from collections import Counter

import numpy as np
import tensorflow as tf

from ...datasets import DataError
from ...datasets.images import ImageWithQuestions, read_questions
from ..shared.console import note
from ..shared.images.pixels import THREADS, images_at_once
from ..shared.images.usable import usable
from ..shared.text.batches import pad, rows_of
from ..shared.training.batches import EpochBatches, ahead, slices

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def read(config, split):
    """The usable images of a split of a configuration's data set, with their questions.

    An image that is missing, broken or without a question is left out, named and counted on standard error. Questions
    without text are left out and counted.

    Returns:
        List of `ImageWithQuestions`s.

    Raises:
        DataError: If the split cannot be read, no image of it is usable, or with `config.strict` one is not.
    """
    examples = []
    empty = 0
    for example in read_questions(config.data, split):
        asked = [question for question in example.questions if question.text]
        empty += len(example.questions) - len(asked)
        examples.append(ImageWithQuestions(example.image, asked))
    if empty and config.strict:
        raise DataError(f"{split}: {empty} questions have no text")
    if empty:
        note(f"{split}: {empty} questions without text are left out")
    return usable(examples, split, config.strict, lambda example: None if example.questions else "no question")


def answered(examples, split):
    """The images of a split with those of their questions that have an answer.

    Raises:
        DataError: If there is none.
    """
    known = [ImageWithQuestions(example.image, [q for q in example.questions if q.answers]) for example in examples]
    known = [example for example in known if example.questions]
    if not known:
        raise DataError(
            f"{split}: no question has an answer, so that there is nothing to learn or to compare with; predict works"
        )
    missing = sum(len(example.questions) for example in examples) - sum(len(example.questions) for example in known)
    if missing:
        note(f"{split}: {missing} questions without an answer are left out")
    return known


def answers_of(examples, config):
    """The commonest answers of a split, at most `config.answers`, the commonest first, and of equals in their order.

    Raises:
        DataError: If there is none.
    """
    given = [clean(answer, config) for example in examples for q in example.questions for answer in q.answers]
    if not given:
        raise DataError("no question has an answer, so there is nothing to learn")
    return [answer for answer, _ in Counter(given).most_common(config.answers)]


def commonest_answers(examples, config):
    """The commonest answer to the questions of each type, as a dictionary; without a look at question or image."""
    given = {}
    for example in examples:
        for question in example.questions:
            counts = given.setdefault(question_type(question), Counter())
            counts.update(clean(answer, config) for answer in question.answers)
    return {kind: counts.most_common(1)[0][0] for kind, counts in sorted(given.items()) if counts}


def question_type(question):
    """A question's type: what the data set says, or else its first two words."""
    return question.kind or " ".join(re.findall(r"[\w']+", question.text.lower())[:2])


def answer_type(answer):
    """`yes/no`, `number` or `other`: the types by which VQA's official script counts, there told by the data."""
    answer = answer.lower()
    if answer in ("yes", "no"):
        return "yes/no"
    return "number" if answer.isdigit() or answer in NUMBERS else "other"


def clean(answer, config):
    """An answer as it is compared: with single spaces, and lowercased if that is asked."""
    answer = " ".join(answer.split())
    return answer.lower() if config.lowercase else answer


def _counts(given, place_of):
    """How many annotators gave each answer, as `answers.py` has them: `(answers + 2,)`."""
    counts = np.zeros(len(place_of) + 2, "float32")
    unknown = []
    for answer, count in given.items():
        if answer in place_of:
            counts[place_of[answer]] = count
        else:
            unknown.append(count)
    counts[-2] = max(unknown, default=0)
    counts[-1] = sum(unknown) - counts[-2]
    return counts


def batches(examples, read_images, tokenizer, answers, config, split):
    """Images with all their questions as `EpochBatches`, in a new order each epoch for the split `train`.

    Images are read in threads, some batches ahead, and each once in an epoch.

    Args:
        examples: List of `ImageWithQuestions`s.
        read_images: Function from an array of places in `examples` to what the encoder reads of them.
        tokenizer: The tokenizer of the questions.
        answers: List of strings, the answers that the model knows.
        config: The `Config`.
        split: The split's name.

    Returns:
        Batches `((images, owners, questions), counts)`: what `read_images` gives; for each question the place of its
        image in the batch, int32 `(questions,)`; int32 `(questions, steps)`, 0 at padding; and float32 `(questions,
        answers + 2)`, how many annotators gave each answer, as `answers.py` has them.
    """
    sizes = np.array([len(example.questions) for example in examples])
    firsts = np.cumsum(sizes) - sizes  # the place of each image's first question
    questions = [question for example in examples for question in example.questions]
    ids = rows_of(tokenizer.encode([question.text for question in questions], config.max_length))
    place_of = {answer: place for place, answer in enumerate(answers)}
    given = [Counter(clean(answer, config) for answer in question.answers) for question in questions]

    at_once = images_at_once(config.batch_size, sizes.mean())

    def order(epoch):
        places = np.arange(len(examples))
        if split == "train":
            places = np.random.default_rng([config.seed, epoch]).permutation(places)
        return slices(places, at_once)

    def batch_of(places):
        rows = np.concatenate([np.arange(firsts[place], firsts[place] + sizes[place]) for place in places])
        owners = np.repeat(np.arange(len(places), dtype="int32"), sizes[places])
        counts = [_counts(given[row], place_of) for row in rows]
        asked = pad([ids[row] for row in rows], 8 if config.jit else 1)
        return (read_images(places), owners, asked), np.stack(counts)

    images = read_images(np.arange(1))
    signature = (
        (
            tf.TensorSpec((None, *images.shape[1:]), images.dtype),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None, None), tf.int32),
        ),
        tf.TensorSpec((None, len(answers) + 2), tf.float32),
    )
    return EpochBatches(lambda epoch: ahead(batch_of, order(epoch), THREADS), signature, len(order(0)), True)
