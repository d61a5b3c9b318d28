"""Images with questions as batches of pixels or features, token ids and answers."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from ...datasets import DataError
from ...datasets.images import ImageWithQuestions, Question, read_questions
from ..shared.backends import uses_xla
from ..shared.console import note
from ..shared.images.pixels import THREADS, Reader, images_per_batch, spec_of
from ..shared.images.usable import usable_examples
from ..shared.text.batches import encode_texts
from ..shared.text.ragged import bucketed
from ..shared.text.tokenizers import Tokenizer
from ..shared.training.batches import EpochBatches, order_of_epochs, slices, threaded_map
from ..shared.training.devices import share
from .config import Config

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def read(config: Config, split: str) -> list[ImageWithQuestions]:
    """Reads the images of a split, with their questions.

    An image that is missing, broken or without a question is left out, and reported on standard error. Questions
    without text are left out and counted.

    Raises:
        DataError: If the split cannot be read or has no usable image, or with `config.strict` if an image or a question
            is not usable.
    """
    examples = []
    empty = 0
    for example in read_questions(config.data, split):
        questions = [question for question in example.questions if question.text]
        empty += len(example.questions) - len(questions)
        examples.append(ImageWithQuestions(example.image, questions))
    if empty and config.strict:
        raise DataError(f"{split}: {empty} questions have no text")
    if empty:
        note(f"{split}: {empty} questions without text are left out")
    return usable_examples(examples, split, config.strict, lambda example: None if example.questions else "no question")


def with_answers(examples: Sequence[ImageWithQuestions], split: str) -> list[ImageWithQuestions]:
    """Returns the images of a split with those of their questions that have an answer.

    Raises:
        DataError: If no question has an answer.
    """
    answered = [ImageWithQuestions(example.image, [q for q in example.questions if q.answers]) for example in examples]
    answered = [example for example in answered if example.questions]
    if not answered:
        raise DataError(f"{split}: no question has an answer; training and evaluation need answers, predict does not")
    missing = sum(len(example.questions) for example in examples) - sum(len(example.questions) for example in answered)
    if missing:
        note(f"{split}: {missing} questions without an answer are left out")
    return answered


def answer_vocabulary(examples: Sequence[ImageWithQuestions], config: Config) -> list[str]:
    """Returns the most frequent answers, at most `config.answers`, by descending frequency.

    Answers of the same frequency keep the order of their first occurrence.

    Raises:
        DataError: If there is no answer.
    """
    answers = [clean(answer, config) for example in examples for q in example.questions for answer in q.answers]
    if not answers:
        raise DataError("no question has an answer")
    return [answer for answer, _ in Counter(answers).most_common(config.answers)]


def commonest_answers(examples: Sequence[ImageWithQuestions], config: Config) -> dict[str, str]:
    """Returns the most frequent answer to the questions of each type."""
    counts_of: dict[str, Counter] = {}
    for example in examples:
        for question in example.questions:
            counts = counts_of.setdefault(question_type(question), Counter())
            counts.update(clean(answer, config) for answer in question.answers)
    return {kind: counts.most_common(1)[0][0] for kind, counts in sorted(counts_of.items()) if counts}


def question_type(question: Question) -> str:
    """Returns a question's type: that in the data set, or else its first two words."""
    return question.kind or " ".join(re.findall(r"[\w']+", question.text.lower())[:2])


def answer_type(answer: str) -> str:
    """Returns `yes/no`, `number` or `other`, the types of VQA's official script, which reads them from the data set."""
    answer = answer.lower()
    if answer in ("yes", "no"):
        return "yes/no"
    return "number" if answer.isdigit() or answer in NUMBERS else "other"


def clean(answer: str, config: Config) -> str:
    """Normalises an answer for comparison: single spaces, and lower case with `config.lowercase`."""
    answer = " ".join(answer.split())
    return answer.lower() if config.lowercase else answer


def answer_counts(question: Question, config: Config) -> Counter:
    """Counts how many annotators gave each answer to a question."""
    return Counter(clean(answer, config) for answer in question.answers)


def target_counts(counts: Mapping[str, int], indices: Mapping[str, int]) -> np.ndarray:
    """Returns the row of `y_true` for a question, as the losses and metrics of `answers` take it.

    Args:
        counts: Dictionary from an answer to how many annotators gave it.
        indices: Dictionary from an answer of the vocabulary to its index.

    Returns:
        float32 array `(answers + 2,)`.
    """
    target = np.zeros(len(indices) + 2, "float32")
    unknown = []
    for answer, count in counts.items():
        if answer in indices:
            target[indices[answer]] = count
        else:
            unknown.append(count)
    target[-2] = max(unknown, default=0)
    target[-1] = sum(unknown) - target[-2]
    return target


def batches(
    examples: Sequence[ImageWithQuestions],
    read_images: Reader,
    tokenizer: Tokenizer,
    answers: Sequence[str],
    config: Config,
    split: str,
) -> EpochBatches:
    """Batches of images with all their questions; reshuffled in each epoch for the split `train`.

    Images are read ahead, in threads. Each image occurs once per epoch.

    Args:
        examples: The images with their questions.
        read_images: Function from indices of `examples` to what the encoder reads.
        tokenizer: The tokenizer of the questions.
        answers: The answers of the vocabulary.
        config: The options of the question answerer.
        split: The split's name.

    Returns:
        Batches `((images, owners, tokens), counts, weights)`: the output of `read_images`; for each question the index
        of its image in the batch, int32 `(questions,)`; int32 `(questions, steps)`, 0 at padding; float32 `(questions,
        answers + 2)`, the `y_true` of the losses and metrics in `answers`; and float32 `(questions,)`, 1, or 0 for the
        empty questions that fill a batch for XLA.
    """
    sizes = np.array([len(example.questions) for example in examples])
    firsts = np.cumsum(sizes) - sizes  # the index of each image's first question
    questions = [question for example in examples for question in example.questions]
    ids = encode_texts(tokenizer, [question.text for question in questions], config.max_length)
    answer_indices = {answer: index for index, answer in enumerate(answers)}
    counts = [answer_counts(question, config) for question in questions]
    batch_size, own = images_per_batch(config.batch_size, sizes.mean()), share()

    def order(epoch):
        indices = np.arange(len(examples))
        if split == "train":
            indices = np.random.default_rng([config.seed, epoch]).permutation(indices)
        return slices(indices, batch_size)

    def batch(indices):
        rows = np.concatenate([np.arange(firsts[index], firsts[index] + sizes[index]) for index in indices])
        owners = np.repeat(np.arange(len(indices), dtype="int32"), sizes[indices])
        targets = np.stack([target_counts(counts[row], answer_indices) for row in rows])
        weights = np.ones(len(rows), "float32")
        # Empty questions, and for several devices images without questions.
        empty = own.rounded(int(bucketed(len(rows))) if uses_xla(config.jit) else len(rows)) - len(rows)
        rows = np.pad(rows, (0, empty), constant_values=-1)
        owners, weights = (np.pad(array, (0, empty)) for array in (owners, weights))
        targets = np.pad(targets, [(0, empty), (0, 0)])
        images = np.pad(indices, (0, own.rounded(len(indices)) - len(indices)), mode="edge")
        arrays = own.of_batch((owners, ids.padded(rows, config.jit), targets, weights))
        return (read_images(own.of(images)), *arrays[:2]), *arrays[2:]

    signature = (
        (
            spec_of(read_images),
            keras.InputSpec(dtype="int32", shape=(None,)),
            keras.InputSpec(dtype="int32", shape=(None, None)),
        ),
        keras.InputSpec(dtype="float32", shape=(None, len(answers) + 2)),
        keras.InputSpec(dtype="float32", shape=(None,)),
    )
    order_of = order_of_epochs(order, split)
    return EpochBatches(
        lambda epoch: threaded_map(batch, order_of(epoch), THREADS),
        signature,
        lambda epoch: len(order_of(epoch)),
        contents=f"{len(examples):,} images with {len(questions):,} questions",
    )
