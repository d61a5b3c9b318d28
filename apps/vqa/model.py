"""The question answerer: a network that looks, one that reads, and a fusion of the two."""

import json
from pathlib import Path
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import layers, ops, tree

from ...layers import ImageEncoder, Memory, TextEncoder
from ...layers.dropout import Dropout
from ...layers.fusion import FUSIONS
from ..shared.errors import TrainingError
from ..shared.images.backbones import configured, grid, rates, unfreezer
from ..shared.images.features import image_readers
from ..shared.images.graph import at_least_one, decode_in_graph, resize_in_graph
from ..shared.images.pixels import look
from ..shared.models.trained_model import TrainedModel
from ..shared.text.tokenizers import END, UNKNOWN, fit_tokenizer, strings
from ..shared.training.fit import fit
from ..shared.training.optimizers import build_optimizer
from ..shared.training.splits import training_splits
from . import data
from .answers import AnswerCrossentropy, metrics
from .config import Config

BEST = 5  # answers that are told
COMMONEST = "commonest.json"  # the commonest answer to each type of question
QUESTIONS = tf.TensorSpec([None], tf.string, name="question")
BYTES = [tf.TensorSpec([None], tf.string, name="image_bytes"), QUESTIONS]
PIXELS = [tf.TensorSpec([None, None, None, 3], tf.uint8, name="pixels"), QUESTIONS]


class Answer(NamedTuple):
    """An answer.

    Attributes:
        text: The answer.
        probability: What the model gives it, in [0, 1].
    """

    text: str
    probability: float


def build(config, size, answers, shape, eyes=None):
    """The model that a `Config` describes.

    Its inputs are images, for each question the place of its image among them, and the questions' token ids; its output
    are logits `(questions, answers)`.

    Args:
        config: The `Config`.
        size: Positive integer, the size of the questions' vocabulary.
        answers: Positive integer, how many answers there are.
        shape: What the model reads of an image: the shape of its pixels, or of its features.
        eyes: The backbone; None where the model reads its features.

    Raises:
        TrainingError: If options do not go together.
    """
    images = keras.Input(shape, name="images")
    owners = keras.Input((), dtype="int32", name="owners")
    questions = keras.Input((None,), dtype="int32", name="questions")
    policy = {"dtype": config.precision}
    looking = ImageEncoder(config.image_units, eyes, dropout=config.dropout, name="image_encoder", **policy)
    reading = TextEncoder(
        size,
        config.embedding_dim,
        config.question_units,
        cell=config.cell,
        num_layers=config.num_layers,
        bidirectional=config.bidirectional,
        dropout=config.dropout,
        recurrent_dropout=config.recurrent_dropout,
        name="question_encoder",
        **policy,
    )
    image, question = looking(images), reading(questions)
    # A baseline sees ones in place of what it may not use; zeros would silence the other, too, where they multiply.
    if config.modality == "question":
        looking.trainable = False
        image = tree.map_structure(ops.ones_like, image)
    if config.modality == "image":  # and a single word, as even the length may tell
        reading.trainable = False
        question = tree.map_structure(
            ops.ones_like, Memory(question.values[:, :1], question.mask[:, :1], question.summary)
        )
    try:
        fused = fusion(config)(image, question, owners)
    except ValueError as error:
        raise TrainingError(str(error).strip().splitlines()[-1]) from error
    fused = Dropout(config.dropout, **policy)(fused)
    hidden = layers.Dense(config.classifier_units, activation="relu", name="classifier", **policy)(fused)
    logits = layers.Dense(answers, name="answers", **policy)(Dropout(config.dropout, **policy)(hidden))
    return keras.Model([images, owners, questions], logits)


def fusion(config):
    """The fusion of a `Config`, with those of its options that it has."""
    options = {
        "stacked_attention": {"hops": config.hops},
        "mutan": {"rank": config.rank},
        "film": {"blocks": config.blocks},
    }
    return FUSIONS[config.fusion](
        config.fusion_units, name="fusion", dtype=config.precision, **options.get(config.fusion, {})
    )


class Answerer(TrainedModel):
    """Answers questions about images.

    Args:
        config: The `Config`.
        model: The Keras model that `build` returns, from pixels.
        questions: The tokenizer of the questions.
        answers: List of strings.
    """

    config_class = Config
    tokenizers = ("questions",)
    lists = ("answers",)

    def __init__(self, config, model, questions, answers):
        super().__init__(config, model, questions=questions, answers=answers)
        self.tokenizer = tokenizer = questions
        self.answers = answers
        # The model, and what its fusion is given on the way.
        self._inside = keras.Model(model.inputs, [model.output, *model.get_layer("fusion").input])
        tokens = tokenizer.tokens_of(tf.range(len(tokenizer)))
        self._is_word = tf.strings.regex_full_match(tokens, r".*[\pL\pN].*") & (tf.range(len(tokenizer)) > END)
        squares = tf.TensorSpec([None, config.image_size, config.image_size, 3], tf.uint8)
        owners = tf.TensorSpec([None], tf.int32)
        self._told = tf.function(self.told, input_signature=[squares, owners, QUESTIONS])

    @staticmethod
    def sizes(model, assets):
        return {
            "questions": model.get_layer("question_encoder").vocabulary_size,
            "answers": model.output_shape[-1],
        }

    def signatures(self):
        """Two signatures that return `answers` and `probabilities` `(batch, 5)`, the likeliest first.

        There are fewer than five if the model knows fewer. `serving_default` takes `image_bytes` `(batch,)`, JPEG or
        PNG files of any sizes, and `question` `(batch,)`. `pixels` takes uint8 images `(batch, height, width, 3)` in
        place of `image_bytes`.
        """
        return {"serving_default": (self.answer_bytes, BYTES), "pixels": (self.answer_pixels, PIXELS)}

    def told(self, pixels, owners, questions):
        """All that is known, in the graph.

        Args:
            pixels: uint8 tensor `(images, size, size, 3)`, what `images.look` returns.
            owners: For each question the place of its image, int32 `(questions,)`.
            questions: Strings `(questions,)`.

        Returns:
            Dictionary of the likeliest `answers` and their `probabilities` `(questions, 5)`, the likeliest first, or
            fewer if the model knows fewer; `is_unknown` `(questions,)`, whether no token of the question is known; and
            `looks`, where the fusion looked in each of its hops, `(questions, hops, cells)`, of no hops if it looks at
            the image as a whole.
        """
        ids = self.tokenizer.encode_padded(questions, self.config.max_length)
        logits, *given = self._inside([pixels, owners, ids])
        probabilities, best = tf.math.top_k(tf.nn.softmax(tf.cast(logits, tf.float32)), min(BEST, len(self.answers)))
        is_word = tf.logical_and(ids > 0, tf.gather(self._is_word, ids))
        return {
            "answers": tf.gather(tf.constant(self.answers), best),
            "probabilities": probabilities,
            "is_unknown": tf.reduce_all(tf.logical_or(ids == UNKNOWN, tf.logical_not(is_word)), axis=1),
            "looks": self._looks(Memory(*given[:3]), Memory(*given[3:6]), owners),
        }

    def _looks(self, image, question, owners):
        fusion = self.model.get_layer("fusion")
        if not hasattr(fusion, "attend"):
            return tf.zeros((tf.shape(owners)[0], 0, tf.shape(image.values)[1]))
        return tf.cast(fusion.attend(image, question, owners), tf.float32)

    def _best(self, pixels, questions):
        """`answers` and `probabilities` of an image a question, in the graph."""
        sizes = tf.shape(pixels)[0], tf.shape(questions)[0]
        with tf.control_dependencies([tf.debugging.assert_equal(*sizes, "there must be a question for each image")]):
            told = self.told(at_least_one(pixels), tf.range(sizes[1]), questions)
        return {name: told[name] for name in ("answers", "probabilities")}

    def answer_bytes(self, image_bytes, question):
        """The likeliest answers about encoded JPEG and PNG images `(batch,)`, in the graph."""
        return self._best(decode_in_graph(image_bytes, self.config.image_size), question)

    def answer_pixels(self, pixels, question):
        """The likeliest answers about images `(batch, height, width, 3)` in 0 to 255, in the graph."""
        return self._best(resize_in_graph(pixels, self.config.image_size), question)

    def answer(self, contents, questions):
        """Answers questions, each about its image.

        Args:
            contents: List of bytes, the images as they are in their files.
            questions: List of strings, one an image.

        Returns:
            List of lists of `Answer`s, the likeliest first.

        Raises:
            ImageError: If an image cannot be read.
        """
        return [[Answer(**answer) for answer in told["answers"]] for told in self.explain(contents, questions)]

    def explain(self, contents, questions):
        """Answers with all that is known of them, each question about its image.

        Returns:
            List of dictionaries, one a question: `answers`, a list of dictionaries of `text` and `probability`, the
            likeliest first; `is_unknown`, whether no token of the question is known; and `looks`, where the fusion
            looked in each of its hops: lists of a float for each cell of the feature map, row by row.

        Raises:
            ImageError: If an image cannot be read.
            ValueError: If there is not a question for each image.
        """
        if len(contents) != len(questions):
            raise ValueError(
                f"there are {len(contents)} images and {len(questions)} questions; each has one of the other"
            )
        if not contents:
            return []
        pixels = tf.constant(look(contents, self.config.image_size))
        told = self._told(pixels, tf.range(len(questions)), strings(questions))
        told = {name: value.numpy() for name, value in told.items()}
        return [
            {
                "answers": [
                    {"text": text.decode(), "probability": float(probability)}
                    for text, probability in zip(told["answers"][row], told["probabilities"][row], strict=True)
                ],
                "is_unknown": bool(told["is_unknown"][row]),
                "looks": told["looks"][row].astype(float).round(4).tolist(),
            }
            for row in range(len(questions))
        ]

    @property
    def grid(self):
        """Rows and columns of the feature map."""
        return grid(self.model.get_layer("image_encoder").backbone, self.config.image_size)


def train(config, folder):
    """Trains a question answerer and writes it into `folder`, or goes on with a training that was interrupted there.

    Raises:
        DataError: If the data cannot be read or has no usable image, or no answer.
        TrainingError: If options do not go together, or the loss is not a number.
    """
    keras.utils.set_random_seed(config.seed)
    # Options that do not go together are told before there is any work.
    eyes, begins = configured(config)
    if config.modality == "question":  # it does not learn to look
        begins = 0
    pixels = (config.image_size, config.image_size, 3)
    build(config, config.vocabulary_size, config.answers, pixels, eyes)
    build_optimizer(config, steps=1)

    examples = training_splits(data.read, config)
    examples = {split: data.answered(examples[split], split) for split in examples}
    answers = data.answers_of(examples["train"], config)
    texts = [question.text for example in examples["train"] for question in example.questions]
    tokenizer = fit_tokenizer(texts, config, "the questions have")
    images = {split: [example.image for example in examples[split]] for split in examples}
    rows = {split: [(example.image.name, example.questions) for example in examples[split]] for split in examples}
    readers, checksum = image_readers(images, eyes, config)
    shape = pixels if config.cache is None else eyes.output_shape[1:]
    model = build(config, len(tokenizer), len(answers), shape, eyes if config.cache is None else None)
    batches = {
        split: data.batches(examples[split], readers[split], tokenizer, answers, config, split) for split in examples
    }
    Answerer(config, model, tokenizer, answers).save_assets(folder)
    commonest = json.dumps(data.commonest_answers(examples["train"], config), ensure_ascii=False, indent=1)
    (Path(folder) / COMMONEST).write_text(commonest, encoding="utf-8")
    fit(
        model,
        AnswerCrossentropy(config.label_smoothing),
        batches["train"],
        batches["validation"].dataset,
        config,
        folder,
        metrics=metrics(),
        monitor=f"val_{config.monitor}",
        begin_epoch=unfreezer(model, eyes, begins),
        data=(rows, checksum),
        learning_rates=rates(config, eyes),
    )
    if config.cache is not None:
        model = _with_eyes(model, config, eyes, len(tokenizer), len(answers))
        model.save(Path(folder) / "model.keras")
    return Answerer(config, model, tokenizer, answers)


def _with_eyes(reader, config, eyes, size, answers):
    """The model from pixels, of a trained one from features and their backbone."""
    model = build(config, size, answers, eyes.input_shape[1:], eyes)
    model.get_layer("image_encoder").copy_reading(reader.get_layer("image_encoder"))
    for name in ("question_encoder", "fusion", "classifier", "answers"):
        model.get_layer(name).set_weights(reader.get_layer(name).get_weights())
    return model
