"""The question answerer: a Keras model with its tokenizer and answers, and its training."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
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
from ..shared.models import runner
from ..shared.models.compiled import compiled
from ..shared.models.trained_model import IDS
from ..shared.text.batches import encode_padded
from ..shared.text.tokenizers import END, Tokenizer, fit_tokenizer
from ..shared.training import devices
from ..shared.training.fit import fit
from ..shared.training.optimizers import build_optimizer
from ..shared.training.splits import checksum, training_splits
from . import data
from .answers import AnswerCrossentropy, metrics
from .config import Config

TOP = runner.TOP_ANSWERS
COMMONEST = "commonest.json"  # the most common answer to each type of question


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
        right_padded=True,
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

    def __init__(self, config: Config, model: keras.Model, questions: Tokenizer, answers: Sequence[str]):
        answers = [nfc(answer) for answer in answers]  # as in the data; folders written before may have other forms
        super().__init__(config, model, questions=questions, answers=answers)
        self.tokenizer = questions
        self.answers = answers
        # The model with the inputs of its fusion as further outputs.
        self._forward = keras.Model(model.inputs, [model.output, *model.get_layer("fusion").input])
        self.is_word = np.array([runner.is_word(token) for token in questions.tokens]) & (
            np.arange(len(questions)) > END
        )
        self._compiled_core = compiled(self.core, model, self.core_inputs)

    @staticmethod
    def sizes(model: keras.Model, assets: Any) -> dict[str, int]:
        return {
            "questions": model.get_layer("question_encoder").vocabulary_size,
            "answers": model.output_shape[-1],
        }

    @property
    def encoder(self) -> ImageEncoder:
        return self.model.get_layer("image_encoder")

    def runner_options(self) -> dict[str, Any]:
        config = self.config
        return {"image_size": config.image_size, "longest": config.max_length, "answers": self.answers}

    def core(self, pixels: Tensor, ids: Tensor) -> dict[str, Tensor]:
        """Answers questions, one per image.

        Args:
            pixels: uint8 tensor `(batch, size, size, 3)`.
            ids: int32 tensor `(batch, steps)`, the questions.

        Returns:
            Dictionary of `probabilities` `(batch, answers)` and `attention` `(batch, hops, cells)`.
        """
        return self._numbers(pixels, ops.arange(ops.shape(ids)[0]), ids)

    @property
    def core_inputs(self) -> Sequence[keras.InputSpec]:
        return [self.squares, IDS]

    def _numbers(self, pixels: Tensor, owners: Tensor, ids: Tensor) -> dict[str, Tensor]:
        logits, *inputs = self._forward([pixels, owners, ids])
        return {
            "probabilities": ops.softmax(ops.cast(logits, "float32")),
            "attention": self._attention(Memory(*inputs[:3]), Memory(*inputs[3:6]), owners),
        }

    def _attention(self, image: Memory, question: Memory, owners: Tensor) -> Tensor:
        fusion = self.model.get_layer("fusion")
        if not hasattr(fusion, "attend"):
            return ops.zeros((ops.shape(owners)[0], 0, ops.shape(image.values)[1]))
        return ops.cast(fusion.attend(image, question, owners), "float32")

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
        return self.explain_pixels(decode_batch(contents, self.config.image_size), questions)

    def explain_pixels(self, pixels: np.ndarray, questions: Sequence[str]) -> list[dict[str, Any]]:
        """Answers questions about images from their pixels, uint8 `(batch, size, size, 3)`, as `explain` does."""
        if not len(pixels):
            return []
        ids = encode_padded(self.tokenizer, questions, self.config.max_length)
        outputs = self._compiled_core(pixels, ids)
        return [
            {
                "answers": [
                    {"text": self.answers[index], "probability": float(probabilities[index])}
                    for index in np.argsort(-probabilities, kind="stable")[:TOP]
                ],
                "is_unknown": not any(self.is_word[index] for index in row),
                "looks": attention.astype(float).round(4).tolist(),
            }
            for probabilities, row, attention in zip(outputs["probabilities"], ids, outputs["attention"], strict=True)
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
    readers, checksum_of_images = image_readers(images, backbone.model, config)
    if config.cache is None:
        model = build(config, len(tokenizer), len(answers), pixel_shape, backbone.model)
    else:
        model = build(config, len(tokenizer), len(answers), backbone.model.output_shape[1:])
    batches = {
        split: data.batches(examples[split], readers[split], tokenizer, answers, config, split) for split in examples
    }
    Answerer(config, model, tokenizer, answers).save_assets(folder)
    commonest = json.dumps(data.commonest_answers(examples["train"], config), ensure_ascii=False, indent=1)
    if devices.is_chief():
        (folder / COMMONEST).write_text(commonest, encoding="utf-8")
    rows = ((example.image.name, example.questions) for split in examples for example in examples[split])
    fit(
        model,
        AnswerCrossentropy(config.label_smoothing, reduction="mean_with_sample_weight"),
        batches["train"],
        batches["validation"],
        config,
        folder,
        metrics=metrics(),
        monitor=f"val_{config.monitor}",
        begin_epoch=backbone.unfreezer(model),
        data=checksum(rows, checksum_of_images),
        learning_rates=backbone.learning_rates,
    )
    if config.cache is not None:
        model = _with_backbone(model, config, backbone, len(tokenizer), len(answers))
        if devices.is_chief():
            with devices.alone():
                model.save(folder / "model.keras")
    return Answerer(config, model, tokenizer, answers)


def _with_backbone(
    reader: keras.Model, config: Config, backbone: Backbone, vocabulary_size: int, answers: int
) -> keras.Model:
    """Builds the model that reads pixels, with the weights of a trained one that reads features."""
    model = build(config, vocabulary_size, answers, backbone.model.input_shape[1:], backbone.model)
    copy_without_backbone(reader, model)
    return model
