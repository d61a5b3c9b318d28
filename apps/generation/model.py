"""The generator: characters around a language model."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ...layers import LanguageModel
from ..shared.console import note
from ..shared.errors import TrainingError, UsageError
from ..shared.models.trained_model import TrainedModel
from ..shared.text.tokenizers import END, PADDING, START, UNKNOWN, LiteralCharacterTokenizer, strings
from ..shared.text.writing import Sampling
from ..shared.training.fit import fit
from ..shared.training.losses import TokenCrossentropy
from ..shared.training.optimizers import build_optimizer
from ..shared.training.splits import training_splits
from . import data
from .config import Config

PROMPT = tf.TensorSpec([None], tf.string, name="prompt")
LABEL = tf.TensorSpec([None], tf.string, name="label")
SEED = tf.TensorSpec([], tf.int64, name="seed")
CHOICE = [tf.TensorSpec([], tf.float32, name="temperature"), tf.TensorSpec([], tf.float32, name="top_p")]


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


class Written(NamedTuple):
    """A text that was written.

    Attributes:
        text: The text.
        ended: Whether the model ended it, and not the length.
    """

    text: str
    ended: bool


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


class Generator(TrainedModel):
    """Writes text.

    Args:
        config: The `Config`.
        model: The `LanguageModel`.
        text: The tokenizer of the characters.
        labels: List of strings, the labels that a line may have; empty if there are none.
    """

    config_class = Config
    tokenizers = ("text",)
    lists = ("labels",)

    def __init__(self, config, model, text, labels):
        super().__init__(config, model, text=text, labels=labels)
        self.tokenizer = text
        self.labels = labels
        # A long text begins after a line break.
        self.start = START if self.ends else int(text.ids_of(strings(["\n"])).values[0])
        self.read = tf.function(model.read, reduce_retracing=True)
        self._sampled = tf.function(self.sampled)

    @classmethod
    def tokenizer_class(cls, config):
        return LiteralCharacterTokenizer

    @staticmethod
    def sizes(model, assets):
        return {"text": model.vocabulary_size - len(assets["labels"])}

    def signatures(self):
        """Two signatures from `prompt` `(batch,)` and an integer `seed` to continuations, `text` `(batch,)`.

        A model that learned labels takes a `label` `(batch,)`, too. `sample` also takes the floats `temperature` and
        `top_p`.

        Raises:
            UsageError: If the model reads zeros, and so has no prompt to continue.
        """
        if self.config.feed == "zeros":
            raise UsageError("a model with feed zeros writes one text per first character and cannot be exported")
        inputs = [PROMPT, SEED, *([LABEL] if self.labels else [])]

        def sampled(prompt, seed, *others):
            *label, temperature, top_p = others
            return self.answer(prompt, seed, *(label or [None]), temperature, top_p)

        return {"serving_default": (self.answer, inputs), "sample": (sampled, [*inputs, *CHOICE])}

    @property
    def ends(self):
        """Whether a text has an end."""
        return self.config.mode == "lines"

    def sampled(self, prompt, draws, start, reads=None, **choice):
        """Random texts that begin with ids, in the graph.

        Args:
            prompt: int32 tensor `(batch, positions)`, 0 after each prompt.
            draws: Float tensor `(batch, samples, steps)`, uniform in [0, 1).
            start: The id that is read first.
            reads: How many steps read what the one before wrote; None is all.
            **choice: `temperature`, `top_k` and `top_p`, as in `layers.sample`.

        Returns:
            int32 tensor `(batch, samples, steps)`, the prompts included, 0 after an end.
        """
        options = {"start": start, "ends": self.ends, "reads": reads, "tokens": len(self.tokenizer)}
        return self.model.sample(prompt, draws, **options, **choice).tokens

    def texts_of(self, tokens):
        """Texts of ids `(batch, steps)`, without labels: strings `(batch,)`, in the graph."""
        return self.tokenizer.decode(tf.where(tokens < len(self.tokenizer), tokens, PADDING))

    def write(self, prompt="", label=None, length=None, sampling=None, feed=None):
        """Writes texts that begin with a prompt.

        Args:
            prompt: String of characters that the model knows.
            label: The label of the texts, of a model that learned labels; None draws one for each as often as the model
                saw it.
            length: The most characters after the prompt; None is `max_length` of the configuration.
            sampling: A `Sampling`; None draws one text.
            feed: What each step reads: `"previous"`, the character that the one before wrote, or `"zeros"`, nothing
                after the prompt's first character or the label; None is as the model was trained.

        Returns:
            List of `Written`s.

        Raises:
            UsageError: If the prompt has unseen characters, there is no such label, or nothing to begin with.
        """
        sampling = sampling or Sampling()
        feed = feed or self.config.feed
        labels = self._labels_of(label, sampling)
        ids = np.concatenate([labels, np.tile(self._ids_of(prompt), (sampling.count, 1))], axis=1)
        start, first = self.start, ""
        reads_start = self.config.feed == "previous"
        if "zeros" in (feed, self.config.feed) and not ids.shape[1]:
            raise UsageError("a model that is fed zeros needs a prompt or a label to begin with")
        if not reads_start:
            self._check_named(label)
            start, ids = int(ids[0, 0]), ids[:, 1:]
            first = "" if self.labels else self._cleaned(prompt)[:1]
        most = ids.shape[1] + (length or self.config.max_length)
        draws = sampling.draws(1, most + self.ends)  # and the end
        tokens = self._sampled(
            tf.constant(ids, tf.int32),
            tf.constant(draws[0][:, np.newaxis]),
            tf.constant(start),
            1 + reads_start if feed == "zeros" else None,
            **sampling.choice,
        )[:, 0]
        texts = self.texts_of(tokens[:, :most]).numpy()
        ended = np.any(tokens == END, axis=1)
        return [Written(first + text.decode(), bool(end)) for text, end in zip(texts, ended, strict=True)]

    def generate(self, *arguments, **options):
        """The texts that `write` writes, as a list of strings."""
        return [written.text for written in self.write(*arguments, **options)]

    def _ids_of(self, text):
        """The ids of a text's characters, of which none may be unknown."""
        cleaned = self._cleaned(text)
        ids = self.tokenizer.ids_of(strings([text])).values.numpy()
        unseen = "".join(sorted({character for character, id_ in zip(cleaned, ids, strict=True) if id_ == UNKNOWN}))
        if unseen:
            raise UsageError(f"the model has never seen the characters {unseen!r}")
        return ids

    def _cleaned(self, text):
        return self.tokenizer.clean(tf.constant(text)).numpy().decode()

    def _labels_of(self, label, sampling):
        """The id of a label for each sample, `(samples, 1)`, and of a model without labels `(samples, 0)`.

        Without a label, they are drawn as the model has them at the beginning.
        """
        if label is not None and label not in self.labels:
            there = f"its labels are {', '.join(self.labels)}" if self.labels else "it learned none"
            raise UsageError(f"the model knows no label '{label}'; {there}")
        if not self.labels:
            return np.zeros((sampling.count, 0), int)
        if label is not None:
            places = np.full(sampling.count, self.labels.index(label))
        else:
            logits, _ = self.read(np.array([[START]], "int32"), self.model.initial_state(1))
            shares = tf.nn.softmax(tf.cast(logits[0, 0, len(self.tokenizer) :], tf.float64)).numpy()
            random = np.random.default_rng([1, *np.atleast_1d(sampling.seed)])
            places = random.choice(len(shares), sampling.count, p=shares)
        return len(self.tokenizer) + places[:, np.newaxis]

    def _check_named(self, label):
        if self.labels and label is None:
            raise UsageError(f"name the label of the text, one of {', '.join(self.labels)}")

    def follow(self, text, label=None):
        """What the model takes for each character of a given text, where it has read all before: `Guess`es.

        Raises:
            UsageError: If the text is empty or has unseen characters, or the model learned labels and none is given.
        """
        if not text:
            raise UsageError("there is no text to follow")
        self._check_named(label)
        (labels,) = self._labels_of(label, Sampling())
        sequence = np.array([*labels, *self._ids_of(text), *([END] if self.ends else [])])
        read, target, _ = data.fed([sequence], self.config.feed)
        if self.config.feed == "previous":
            read[:, 0] = self.start
        logits, _ = self.read(read, self.model.initial_state(1))
        probabilities = tf.nn.softmax(tf.cast(logits[0], tf.float32)).numpy()
        names = [*(token.decode() for token in self.tokenizer.tokens.numpy()), *self.labels]
        names[END] = "<end>"
        return [
            Guess(names[right], names[int(found.argmax())], float(found[right]))
            for right, found in zip(target[0], probabilities, strict=True)
            if right < len(self.tokenizer)
        ]

    def answer(self, prompt, seed, label=None, temperature=1.0, top_p=1.0):
        """Random texts that begin with strings `(batch,)`, in the graph: a dictionary of `text`.

        They have at most `max_length` characters, the prompt among them. The seed, an integer, decides all that is
        random. The labels `(batch,)` are of a model that learned labels. Both others are those of `layers.sample`.
        """
        steps = self.config.max_length
        ids = self.tokenizer.ids_of(prompt).to_tensor()
        checks = [
            (ids != UNKNOWN, ["prompt: has characters that the model never saw:", prompt]),
            (tf.shape(ids)[1] < steps, [f"prompt: not shorter than max_length, {steps}:", prompt]),
        ]
        if label is not None:
            is_label = tf.expand_dims(label, 1) == tf.constant(self.labels)
            checks.append((tf.reduce_any(is_label, axis=1), ["label: not one of the model's:", label]))
            labels = tf.argmax(is_label, axis=1, output_type=tf.int32)[:, tf.newaxis] + len(self.tokenizer)
            ids = tf.concat([labels, ids], axis=1)
            steps += 1
        checks = [tf.debugging.Assert(tf.reduce_all(holds), told) for holds, told in checks]
        with tf.control_dependencies(checks):
            draws = tf.random.stateless_uniform([tf.shape(prompt)[0], 1, steps + self.ends], tf.stack([seed, 0]))
        draws = tf.ensure_shape(draws, (None, 1, steps + self.ends))
        tokens = self.sampled(ids, draws, self.start, temperature=temperature, top_p=top_p)[:, 0]
        return {"text": self.texts_of(tokens[:, :steps])}


def train(config, folder):
    """Trains a generator and writes it into `folder`, or goes on with a training that was interrupted there.

    Raises:
        DataError: If the data cannot be read, or is shorter than a batch.
        TrainingError: If options do not go together, or the loss is not a number.
    """
    if config.feed == "zeros" and config.mode == "text":
        raise TrainingError("the feed zeros is of lines, which begin anew; the mode text continues one text")
    keras.utils.set_random_seed(config.seed)
    build_optimizer(config, steps=1)
    texts = training_splits(data.read, config, **data.holding_out(config))
    is_text = config.mode == "text"
    labels = [] if is_text else data.labels_of(texts["train"])
    parts = data.parts_of(texts["train"]) if is_text else [text for text, _ in texts["train"]]
    tokenizer = LiteralCharacterTokenizer.fit(parts, config.vocabulary_size, config.lowercase)
    model = build(config, len(tokenizer) + len(labels))
    if is_text:
        batches = {split: data.text_batches(data.text_ids(texts[split], tokenizer), config, split) for split in texts}
    else:
        rows = {split: data.sequences(texts[split], tokenizer, labels, config.max_length) for split in texts}
        batches = {split: data.line_batches(rows[split], config, split) for split in rows}
        cut = sum(row[-1] != END for row in rows["train"])
        if cut:
            note(f"train: {cut} lines of more than {config.max_length} characters are cut")
    Generator(config, model, tokenizer, labels).save_assets(folder)
    fit(
        model,
        TokenCrossentropy(config.label_smoothing),
        batches["train"],
        batches["validation"].dataset,
        config,
        folder,
        data=texts,
    )
    return Generator(config, model, tokenizer, labels)
