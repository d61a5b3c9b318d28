"""The generator: characters around a language model."""

import math
import zlib
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ...layers import LanguageModel
from .. import export, folders, training
from ..text import END, PADDING, START, UNKNOWN, LiteralCharacterTokenizer, strings
from ..writing import Sampling, load_parts
from . import data
from .config import Config

LABELS = "labels.txt"
TEXTS = [tf.TensorSpec([None], tf.string, name="prompt"), tf.TensorSpec([], tf.int64, name="seed")]
PIECE = 1000  # characters of a long text that are measured at a time


class Guess(NamedTuple):
    """What a model takes for the next character of a given text.

    Attributes:
        right: The character that follows, `"<end>"` for the end.
        guess: The one that the model finds likeliest.
        probability: What it gives the right one, in [0, 1].
    """

    right: str
    guess: str
    probability: float


def build(config, size):
    """The `LanguageModel` that a `Config` describes, for so many ids."""
    return LanguageModel(
        size,
        config.units,
        embedding_dim=config.embedding_dim,
        cell=config.cell,
        num_layers=config.num_layers,
        batch_size=config.batch_size if config.mode == "text" else None,
        dropout=config.dropout,
        recurrent_dropout=config.recurrent_dropout,
        dtype=config.precision,
    )


class Generator:
    """Writes text.

    Args:
        config: The `Config`.
        tokenizer: The tokenizer of the characters.
        labels: List of strings, the labels that a line may have; empty for none.
        model: The `LanguageModel`.
    """

    def __init__(self, config, tokenizer, labels, model):
        self.config = config
        self.tokenizer = tokenizer
        self.labels = labels
        self.model = model
        # A long text goes on after a line break.
        self.start = START if self.ends else int(tokenizer.ids_of(strings(["\n"])).values[0])
        self._read = tf.function(model.read, reduce_retracing=True)
        self._sampled = tf.function(self.sampled)

    @property
    def ends(self):
        """Whether a text has an end."""
        return self.config.mode == "lines"

    def sampled(self, prompt, draws, start, feeds_output, temperature, top_k, top_p):
        """Random texts that begin with ids, in the graph.

        Args:
            prompt: int32 tensor `(batch, positions)`, 0 after each prompt.
            draws: Float tensor `(batch, samples, max_length)`, uniform in [0, 1).
            start: The id that is read first.
            feeds_output: Whether each step reads what the one before wrote.
            temperature, top_k, top_p: As in `layers.sample`.

        Returns:
            Strings `(batch, samples)`, the prompts included.
        """
        found = self.model.sample(
            prompt,
            draws,
            start=start,
            ends=self.ends,
            feeds_output=feeds_output,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
        )
        tokens = tf.reshape(found.tokens, [-1, draws.shape[-1]])
        texts = self.tokenizer.decode(tf.where(tokens < len(self.tokenizer), tokens, PADDING))  # labels are no text
        return tf.reshape(texts, tf.shape(found.lengths))

    def generate(self, prompt="", label=None, length=None, sampling=None, feed=None):
        """Writes texts that begin with a prompt.

        Args:
            prompt: String of characters that the model knows.
            label: The label of the texts, of a model that learned labels; None lets the model draw one.
            length: The most characters; None is `max_length` of the configuration.
            sampling: A `Sampling`; None draws one text.
            feed: What each step reads: `"previous"`, the character that the one before wrote, or `"zeros"`, nothing
                after the first; None is as the model was trained.

        Returns:
            List of strings.

        Raises:
            UsageError: If the prompt has unseen characters, there is no such label, or nothing to begin with.
        """
        sampling = sampling or Sampling()
        feed = feed or self.config.feed
        ids = [*self._label_ids(label), *self._ids_of(prompt)]
        start = self.start
        if feed == "zeros":
            if not ids:
                raise folders.UsageError("without the feed of previous characters, a text needs a prompt or a label")
            start, *ids = ids
        length = len(ids) + (length or self.config.max_length) + int(self.ends)
        texts = self._sampled(
            tf.constant([ids], tf.int32, shape=(1, len(ids))),
            tf.constant(sampling.draws(1, length)),
            tf.constant(start),
            feed == "previous",
            **sampling.choice,
        )
        first = prompt[:1] if feed == "zeros" and label is None else ""
        return [first + text.decode() for text in texts.numpy()[0]]

    def _ids_of(self, text):
        ids = self.tokenizer.ids_of(strings([text])).values.numpy()
        unseen = sorted({character for character, id_ in zip(text, ids, strict=True) if id_ == UNKNOWN})
        if unseen:
            raise folders.UsageError(f"the model has never seen the characters {''.join(unseen)!r}")
        return ids

    def _label_ids(self, label):
        if label is None:
            return []
        if label not in self.labels:
            there = ", ".join(self.labels) or "none"
            raise folders.UsageError(f"the model knows no label '{label}'; labels there: {there}")
        return [len(self.tokenizer) + self.labels.index(label)]

    def follow(self, text, label=None):
        """What the model takes for each character of a given text, where it has read all before: `Guess`es."""
        line = self._ids_of(text)
        sequence = np.array([*self._label_ids(label), *line, *([END] if self.ends else [])])
        read, target, _ = data.fed([sequence], self.config.feed)
        logits, _ = self._read(read, self.model.initial_state(1))
        probabilities = tf.nn.softmax(tf.cast(logits[0], tf.float32)).numpy()
        names = [*(token.decode() for token in self.tokenizer.tokens.numpy()), *self.labels]
        names[END] = "<end>"
        return [
            Guess(names[right], names[int(found.argmax())], float(found[right]))
            for right, found in zip(target[0], probabilities, strict=True)
            if right < len(self.tokenizer)
        ]

    def bits(self, lines):
        """How many bits the model needs for lines, and for how many characters, their ends among them.

        Of a long text the first character is given. A character that the model does not know counts as the unknown one.
        """
        total, count = 0.0, 0
        for (read, target, weights), state in self._pieces(lines):
            logits, last = self._read(read, state["now"])
            state["now"] = last
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(target, tf.cast(logits, tf.float32))
            weights = weights * (target < len(self.tokenizer))  # a label is no character
            total += float(tf.reduce_sum(losses * weights)) / math.log(2)
            count += int(weights.sum())
        return total, count

    def _pieces(self, lines):
        """What to read, and a dictionary with the state to read it from, in which `now` is to be replaced."""
        if self.ends:
            rows = data.sequences(lines, self.tokenizer, self.labels, self.config)
            for batch in data.line_batches(rows, self.config, "test").dataset.as_numpy_iterator():
                yield batch, {"now": self.model.initial_state(len(batch[0]))}
            return
        ids = self.tokenizer.ids_of(strings([data.joined(lines)])).values.numpy()
        state = {"now": self.model.initial_state(1)}
        for first in range(0, len(ids) - 1, PIECE):
            piece = ids[np.newaxis, first : first + PIECE + 1]
            yield (piece[:, :-1], piece[:, 1:], np.ones((1, piece.shape[1] - 1), "float32")), state

    def answer(self, prompt, seed):
        """Random texts that begin with strings `(batch,)`, in the graph: a dictionary of `text`.

        The seed, an integer, decides all that is random. The prompt of a model with labels is a label.
        """
        if self.labels:
            places = tf.argmax(tf.expand_dims(prompt, 1) == tf.constant(self.labels), axis=1, output_type=tf.int32)
            known = tf.reduce_all(tf.reduce_any(tf.expand_dims(prompt, 1) == tf.constant(self.labels), axis=1))
            check = tf.debugging.Assert(known, ["prompt: a label that the model does not know", prompt])
            with tf.control_dependencies([check]):
                ids = tf.expand_dims(places + len(self.tokenizer), 1)
        else:
            ids = self.tokenizer.ids_of(prompt).to_tensor()
            check = tf.debugging.Assert(
                tf.reduce_all(ids != UNKNOWN), ["prompt: a character that the model never saw", prompt]
            )
            with tf.control_dependencies([check]):
                ids = tf.identity(ids)
        draws = tf.random.stateless_uniform(
            tf.stack([tf.shape(prompt)[0], 1, self.config.max_length]), tf.stack([seed, 0])
        )
        draws = tf.ensure_shape(draws, (None, 1, self.config.max_length))
        return {"text": self.sampled(ids, draws, self.start, True, 1.0, None, 1.0)[:, 0]}

    def save_assets(self, folder):
        """Writes all but the weights into a model's folder."""
        folder = Path(folder)
        folders.write_config(folder, self.config)
        self.tokenizer.save(folder / f"text.{self.tokenizer.file}")
        folders.write_list(folder, LABELS, self.labels)

    def export(self, folder):
        """Writes a SavedModel that continues texts: `prompt` `(batch,)` and an integer `seed` to `text` `(batch,)`.

        Of a model that learned labels, a prompt is a label.

        Raises:
            UsageError: If the model reads zeros, and so has no prompt to continue.
        """
        if self.config.feed == "zeros":
            raise folders.UsageError(
                "a model that is fed zeros writes one text for each first character; export is of others"
            )
        export.export(folder, {"serving_default": (self.answer, TEXTS)}, [self.model, self.tokenizer.tracked])


def train(config, folder):
    """Trains a generator and writes it into `folder`, or goes on with a training that was interrupted there.

    Raises:
        DataError: If the data cannot be read, or is shorter than a batch.
        TrainingError: If options do not go together, or the loss is not a number.
    """
    if config.feed == "zeros" and config.mode == "text":
        raise folders.TrainingError("the feed zeros is of lines, which begin anew; the mode text continues one text")
    keras.utils.set_random_seed(config.seed)
    training.optimizer(config, steps=1)
    lines = {split: data.read(config, split) for split in ("train", "validation")}
    labels = data.labels_of(lines["train"])
    texts = [text for text, _ in lines["train"]]
    tokenizer = LiteralCharacterTokenizer.fit([*texts, "\n"], config.vocabulary_size, config.lowercase)
    model = build(config, len(tokenizer) + len(labels))
    if config.mode == "lines":
        batches = {
            split: data.line_batches(data.sequences(lines[split], tokenizer, labels, config), config, split)
            for split in lines
        }
    else:
        batches = {
            split: data.text_batches(
                tokenizer.ids_of(strings([data.joined(lines[split])])).values.numpy(), config, split
            )
            for split in lines
        }
    Generator(config, tokenizer, labels, model).save_assets(folder)
    training.fit(
        model,
        training.TokenCrossentropy(config.label_smoothing),
        batches["train"],
        batches["validation"].dataset,
        config,
        folder,
        data=zlib.crc32(repr(lines).encode()),
    )
    return Generator(config, tokenizer, labels, model)


def load(folder, **options):
    """Reads a generator from its folder.

    Args:
        folder: What `train` wrote.
        **options: Values of `Config` that replace the saved ones; None replaces none.

    Raises:
        ModelFolderError: If the folder is incomplete or another app's.
    """
    folders.read_config(folder, Config.app)
    labels = folders.read_list(folder, LABELS)
    sizes = {"text": lambda model: model.vocabulary_size - len(labels)}
    config, (tokenizer,), model = load_parts(folder, Config, sizes, options, LiteralCharacterTokenizer)
    return Generator(config, tokenizer, labels, model)
