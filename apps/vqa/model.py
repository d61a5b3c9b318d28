"""The question answerer: a Keras model with its tokenizer and answers, and its training."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import layers, ops, tree

from ...datasets.files import nfc
from ...layers import ImageEncoder, Memory, TextEncoder
from ...layers.dropout import Dropout
from ...layers.fusion import FUSIONS, Fusion
from ...layers.types import Shape, Tensor
from ..shared.errors import TrainingError
from ..shared.images.backbones import Backbone, configured_backbone
from ..shared.images.features import image_readers
from ..shared.images.image_model import ImageModel, copy_without_backbone
from ..shared.images.pixels import decode_batch
from ..shared.models.rows import answer_usable, first_error
from ..shared.models.trained_model import IDS
from ..shared.text.tokenizers import END, UNKNOWN, Tokenizer, fit_tokenizer, strings
from ..shared.text.usable import encode_checked
from ..shared.training.fit import fit
from ..shared.training.optimizers import build_optimizer
from ..shared.training.splits import training_splits
from . import data
from .answers import AnswerCrossentropy, metrics
from .config import Config

TOP = 5  # answers of a question that are returned
COMMONEST = "commonest.json"  # the most common answer to each type of question
QUESTIONS = tf.TensorSpec([None], tf.string, name="question")


class Answer(NamedTuple):
    """An answer.

    Attributes:
        text: The answer.
        probability: Its probability, in [0, 1].
    """

    text: str
    probability: float


def build(
    config: Config, vocabulary_size: int, answers: int, image_shape: Shape, backbone: keras.Model | None = None
) -> keras.Model:
    """Builds the Keras model of a configuration.

    Its inputs are images, the index of its image for each question, and the token ids of the questions. Its output are
    logits `(questions, answers)`.

    Args:
        config: The options of the question answerer.
        vocabulary_size: Positive integer, the number of token ids.
        answers: Positive integer, the number of answers.
        image_shape: The shape of an image's pixels, or of its features.
        backbone: The backbone; None if the model reads features.

    Raises:
        TrainingError: If options exclude each other.
    """
    policy: dict[str, Any] = {"dtype": config.precision}
    images = keras.Input(image_shape, name="images")
    owners = keras.Input((), dtype="int32", name="owners")
    questions = keras.Input((None,), dtype="int32", name="questions")
    image_encoder = ImageEncoder(config.image_units, backbone, config.dropout, name="image_encoder", **policy)
    question_encoder = TextEncoder(
        vocabulary_size,
        config.embedding_dim,
        config.question_units,
        bidirectional=config.bidirectional,
        name="question_encoder",
        **config.recurrent_arguments,
        **policy,
    )
    image, question = image_encoder(images), question_encoder(questions)
    if config.modality == "question":
        image_encoder.trainable = False
        image = _blank(image)
    if config.modality == "image":
        question_encoder.trainable = False
        # One position alone: the length of a question may tell the answer.
        question = _blank(Memory(question.values[:, :1], question.mask[:, :1], question.summary))
    try:
        fused = fusion(config)(image, question, owners)
    except ValueError as error:
        raise TrainingError(str(error).strip().splitlines()[-1]) from error
    fused = Dropout(config.dropout, **policy)(fused)
    hidden = layers.Dense(config.classifier_units, activation="relu", name="classifier", **policy)(fused)
    logits = layers.Dense(answers, name="answers", **policy)(Dropout(config.dropout, **policy)(hidden))
    return keras.Model([images, owners, questions], logits)


def _blank(memory: Memory) -> Memory:
    """A memory of ones, for a modality that a baseline does not see; with zeros, a product would hide the other one."""
    return tree.map_structure(ops.ones_like, memory)


def fusion(config: Config) -> Fusion:
    """Builds the fusion of a configuration."""
    options = {
        "stacked_attention": {"hops": config.hops},
        "mutan": {"rank": config.rank},
        "film": {"blocks": config.blocks},
    }
    return FUSIONS[config.fusion](
        config.fusion_units, name="fusion", dtype=config.precision, **options.get(config.fusion, {})
    )


class Answerer(ImageModel):
    """Answers questions about images.

    Args:
        config: The options of the question answerer.
        model: The Keras model that `build` returns, from pixels.
        questions: The tokenizer of the questions.
        answers: The answers.

    Example:

    >>> from keras_recurrent.apps import load
    >>> answerer = load("saved_models/daquar")  # doctest: +SKIP
    >>> answerer.answer([open("room.jpg", "rb").read()], ["what is on the table?"])  # doctest: +SKIP
    [[Answer(text='lamp', probability=0.31), Answer(text='cup', probability=0.12), ...]]
    """

    config_class = Config
    tokenizers = ("questions",)
    lists = ("answers",)
    further_inputs = (QUESTIONS,)

    def __init__(self, config: Config, model: keras.Model, questions: Tokenizer, answers: Sequence[str]):
        answers = [nfc(answer) for answer in answers]  # as in the data; folders written before may have other forms
        super().__init__(config, model, questions=questions, answers=answers)
        self.tokenizer = questions
        self.answers = answers
        # The model with the inputs of its fusion as further outputs.
        self._forward = keras.Model(model.inputs, [model.output, *model.get_layer("fusion").input])
        tokens = questions.tokens_of(tf.range(len(questions)))
        self._is_word = tf.strings.regex_full_match(tokens, r".*[\pL\pN].*") & (tf.range(len(questions)) > END)
        owners = tf.TensorSpec([None], tf.int32)
        self._describe = tf.function(self.describe, input_signature=[self.squares, owners, QUESTIONS])

    @staticmethod
    def sizes(model: keras.Model, assets: Any) -> dict[str, int]:
        return {
            "questions": model.get_layer("question_encoder").vocabulary_size,
            "answers": model.output_shape[-1],
        }

    @property
    def encoder(self) -> ImageEncoder:
        return self.model.get_layer("image_encoder")

    def describe(self, pixels: Tensor, owners: Tensor, questions: Tensor) -> dict[str, Tensor]:
        """Computes the answers to questions, with the attention of the fusion, in the graph.

        Args:
            pixels: uint8 tensor `(images, size, size, 3)`.
            owners: int32 tensor `(questions,)`, the index of the image of each question.
            questions: String tensor `(questions,)`.

        Returns:
            Dictionary of the most probable `answers` and their `probabilities` `(questions, 5)`, in descending order,
            or fewer if the model has fewer answers; `is_unknown` `(questions,)`, whether the model knows no word of the
            question; and `attention` `(questions, hops, cells)`, with 0 hops if the fusion has no attention.
        """
        return self._describe_ids(pixels, owners, self.tokenizer.encode_padded(questions, self.config.max_length))

    def _describe_ids(self, pixels: Tensor, owners: Tensor, ids: Tensor) -> dict[str, Tensor]:
        """Returns the outputs of `describe` for questions as ids `(questions, steps)`."""
        numbers = self._numbers(pixels, owners, ids)
        probabilities, best = tf.math.top_k(numbers["probabilities"], min(TOP, len(self.answers)))
        is_word = tf.logical_and(ids > 0, tf.gather(self._is_word, ids))
        return {
            "answers": tf.gather(tf.constant(self.answers), best),
            "probabilities": probabilities,
            "is_unknown": tf.reduce_all(tf.logical_or(ids == UNKNOWN, tf.logical_not(is_word)), axis=1),
            "attention": numbers["attention"],
        }

    def runner_options(self) -> dict[str, Any]:
        config = self.config
        return {"image_size": config.image_size, "longest": config.max_length, "answers": self.answers}

    def core(self, pixels: Tensor, ids: Tensor) -> dict[str, Tensor]:
        """Answers questions, one per image, in the graph.

        Args:
            pixels: uint8 tensor `(batch, size, size, 3)`.
            ids: int32 tensor `(batch, steps)`, the questions.

        Returns:
            Dictionary of `probabilities` `(batch, answers)` and `attention` `(batch, hops, cells)`.
        """
        return self._numbers(pixels, tf.range(tf.shape(ids)[0]), ids)

    @property
    def core_inputs(self) -> list[tf.TensorSpec]:
        return [self.squares, IDS]

    def _numbers(self, pixels: Tensor, owners: Tensor, ids: Tensor) -> dict[str, Tensor]:
        logits, *inputs = self._forward([pixels, owners, ids])
        return {
            "probabilities": tf.nn.softmax(tf.cast(logits, tf.float32)),
            "attention": self._attention(Memory(*inputs[:3]), Memory(*inputs[3:6]), owners),
        }

    def _attention(self, image: Memory, question: Memory, owners: Tensor) -> Tensor:
        fusion = self.model.get_layer("fusion")
        if not hasattr(fusion, "attend"):
            return tf.zeros((tf.shape(owners)[0], 0, tf.shape(image.values)[1]))
        return tf.cast(fusion.attend(image, question, owners), tf.float32)

    def best(self, pixels: Tensor, questions: Tensor) -> dict[str, Tensor]:
        """Computes the answers about uint8 images `(batch, size, size, 3)`, one question per image, in the graph.

        Args:
            pixels: uint8 tensor `(batch, size, size, 3)`.
            questions: int32 ragged tensor `(batch, None)`, the ids of the questions.

        Returns:
            Dictionary of the most probable `answers` and their `probabilities` `(batch, 5)`, in descending order, or
            fewer if the model has fewer answers.
        """
        ids = self.tokenizer.padded(questions)
        description = self._describe_ids(pixels, tf.range(tf.shape(ids)[0]), ids)
        return {name: description[name] for name in ("answers", "probabilities")}

    def predict_usable(self, pixels: Tensor, error: Tensor, questions: Tensor) -> dict[str, Tensor]:
        """Answers strings `(batch,)` about the images `(batch, size, size, 3)` without an error `(batch,)`."""
        counts = tf.shape(pixels)[0], tf.shape(questions)[0]
        with tf.control_dependencies([tf.debugging.assert_equal(*counts, "each image needs one question")]):
            questions = tf.identity(questions)
        length = self.config.max_length
        ids, question_error, is_usable = encode_checked(self.tokenizer, questions, "question", length, limit=length)
        is_usable &= error == ""
        error = first_error((error != "", error), (question_error != "", question_error))
        return answer_usable(self.predict_squares, error, is_usable, pixels, ids)

    def answer(self, contents: Sequence[bytes], questions: Sequence[str]) -> list[list[Answer]]:
        """Answers questions, each about its own image.

        Args:
            contents: The contents of the images' files: JPEG, PNG, GIF, BMP, WebP, TIFF or PPM.
            questions: One question per image.

        Returns:
            For each question a list of up to five `Answer`s, the most probable first.

        Raises:
            ImageError: If an image cannot be read.
            ValueError: If the numbers of images and questions differ.
        """
        return [
            [Answer(**answer) for answer in explanation["answers"]] for explanation in self.explain(contents, questions)
        ]

    def explain(self, contents: Sequence[bytes], questions: Sequence[str]) -> list[dict[str, Any]]:
        """Answers questions, each about its own image, with the attention of the fusion.

        Args:
            contents: The contents of the images' files.
            questions: One question per image.

        Returns:
            For each question a dictionary of `answers`, a list of dictionaries of `text` and `probability`, the most
            probable first; `is_unknown`, whether the model knows no word of the question; and `looks`, for each hop of
            the fusion a list with the attention to each cell of the feature map, row by row.

        Raises:
            ImageError: If an image cannot be read.
            ValueError: If the numbers of images and questions differ.
        """
        if len(contents) != len(questions):
            raise ValueError(
                f"Each image needs one question. Received: {len(contents)} images and {len(questions)} questions"
            )
        if not contents:
            return []
        pixels = tf.constant(decode_batch(contents, self.config.image_size))
        description = self._describe(pixels, tf.range(len(questions)), strings(questions))
        description = {name: value.numpy() for name, value in description.items()}
        return [
            {
                "answers": [
                    {"text": text.decode(), "probability": float(probability)}
                    for text, probability in zip(answers, probabilities, strict=True)
                ],
                "is_unknown": bool(is_unknown),
                "looks": attention.astype(float).round(4).tolist(),
            }
            for answers, probabilities, is_unknown, attention in zip(*description.values(), strict=True)
        ]


def train(config: Config, folder: str | Path) -> Answerer:
    """Trains a question answerer and writes it to a folder; resumes an interrupted training in that folder.

    Raises:
        DataError: If the data cannot be read, or has no usable image or no answer.
        TrainingError: If options exclude each other, or the loss is not finite.
    """
    keras.utils.set_random_seed(config.seed)
    # Options that exclude each other raise errors here, before any work.
    backbone = configured_backbone(config)
    if config.modality == "question":
        backbone = backbone._replace(first_epoch=0)
    pixel_shape = (config.image_size, config.image_size, 3)
    build(config, config.vocabulary_size, config.answers, pixel_shape, backbone.model)
    build_optimizer(config, steps=1)

    folder = Path(folder)
    examples = {split: data.with_answers(part, split) for split, part in training_splits(data.read, config).items()}
    answers = data.answer_vocabulary(examples["train"], config)
    texts = [question.text for example in examples["train"] for question in example.questions]
    tokenizer = fit_tokenizer(texts, config, "the questions have")
    images = {split: [example.image for example in examples[split]] for split in examples}
    readers, checksum = image_readers(images, backbone.model, config)
    if config.cache is None:
        model = build(config, len(tokenizer), len(answers), pixel_shape, backbone.model)
    else:
        model = build(config, len(tokenizer), len(answers), backbone.model.output_shape[1:])
    batches = {
        split: data.batches(examples[split], readers[split], tokenizer, answers, config, split) for split in examples
    }
    Answerer(config, model, tokenizer, answers).save_assets(folder)
    commonest = json.dumps(data.commonest_answers(examples["train"], config), ensure_ascii=False, indent=1)
    (folder / COMMONEST).write_text(commonest, encoding="utf-8")
    rows = {split: [(example.image.name, example.questions) for example in examples[split]] for split in examples}
    fit(
        model,
        AnswerCrossentropy(config.label_smoothing),
        batches["train"],
        batches["validation"].dataset,
        config,
        folder,
        metrics=metrics(),
        monitor=f"val_{config.monitor}",
        begin_epoch=backbone.unfreezer(model),
        data=(rows, checksum),
        learning_rates=backbone.learning_rates,
    )
    if config.cache is not None:
        model = _with_backbone(model, config, backbone, len(tokenizer), len(answers))
        model.save(folder / "model.keras")
    return Answerer(config, model, tokenizer, answers)


def _with_backbone(
    reader: keras.Model, config: Config, backbone: Backbone, vocabulary_size: int, answers: int
) -> keras.Model:
    """Builds the model that reads pixels, with the weights of a trained one that reads features."""
    model = build(config, vocabulary_size, answers, backbone.model.input_shape[1:], backbone.model)
    copy_without_backbone(reader, model)
    return model
