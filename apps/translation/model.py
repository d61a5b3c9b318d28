"""The translator: tokenizers around a conditional language model."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import keras
import tensorflow as tf

from ...layers import ConditionalLM, Decoder, TextEncoder
from .. import export, folders, training
from ..metrics import translation_metrics
from ..text import END, UNKNOWN, fit_tokenizer, sorted_batches, strings
from ..writing import Writer, explained, load_parts
from . import data
from .config import Config

# The signature of functions of texts.
TEXTS = [tf.TensorSpec([None], tf.string, name="text")]


class Translation(NamedTuple):
    """A translation.

    Attributes:
        text: The translated sentence.
        score: Its log-probability divided by the length penalty; below 0, and the higher the surer. Of an empty
            sentence, which is its own translation, 0.
    """

    text: str
    score: float


def build(config, source_size, target_size):
    """The model that a `Config` describes, for so many token ids.

    Raises:
        TrainingError: If options do not go together.
    """
    if config.tie_embeddings and not config.shared_vocabulary:
        raise folders.TrainingError("tie_embeddings needs shared_vocabulary")
    try:
        return _model(config, source_size, target_size)
    except ValueError as error:
        raise folders.TrainingError(str(error)) from error


def _model(config, source_size, target_size):
    shared = {
        "embedding_dim": config.embedding_dim,
        "cell": config.cell,
        "num_layers": config.num_layers,
        "dropout": config.dropout,
        "recurrent_dropout": config.recurrent_dropout,
        "dtype": config.precision,
    }
    encoder = TextEncoder(
        source_size,
        units=config.encoder_units,
        bidirectional=config.bidirectional,
        embeddings_in_memory=config.embeddings_in_memory,
        **shared,
    )
    decoder = Decoder(
        target_size,
        units=config.decoder_units,
        attention=config.attention,
        score=config.score,
        input_feeding=config.input_feeding,
        tie_softmax=config.tie_softmax,
        **shared,
    )
    return ConditionalLM(
        encoder,
        decoder,
        tie_embeddings=config.tie_embeddings,
        scheduled_sampling=config.scheduled_sampling > 0,
        dtype=config.precision,
    )


class Translator(Writer):
    """Translates sentences.

    Args:
        config: The `Config`.
        tokenizers: The tokenizers of the source and of the target.
        model: The `ConditionalLM` between them.
    """

    def __init__(self, config, tokenizers, model):
        self.source, target = tokenizers
        super().__init__(config, target, model)
        self._answer = tf.function(self.answer, input_signature=TEXTS)
        self._nbest = tf.function(self.nbest, input_signature=[*TEXTS, tf.TensorSpec([None], tf.string)])
        self._sample = tf.function(self.sample)

    def answer(self, text):
        """The best translations of strings `(batch,)`, in the graph: a dictionary of `text` and `score`."""
        ids = self.source.encode_padded(text)
        return _where_nothing(ids[:, 0] == END, {"text": "", "score": 0.0}, self.best(ids))

    def nbest(self, text, prefix=None):
        """The best translations of strings `(batch,)` that begin with strings `(batch,)`, in the graph.

        Returns:
            What `Writer.told` does, and `source_tokens` `(batch, positions)`.
        """
        ids = self.source.encode_padded(text)
        return self._told(ids, self.search(ids, prefix=None if prefix is None else self._prefix_ids(prefix)))

    def sample(self, text, prefix, draws, temperature, top_k, top_p):
        """Random translations, as `nbest` gives them: one for each of `draws` `(batch, samples, max_length)`."""
        ids = self.source.encode_padded(text)
        choice = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        return self._told(ids, self.model.sample(ids, draws, prefix=self._prefix_ids(prefix), **choice, **self.limits))

    def _prefix_ids(self, prefix):
        return self.target.ids_of(prefix).to_tensor()

    def _told(self, ids, found):
        told = _where_nothing(ids[:, :1] == END, {"texts": "", "scores": 0.0, "lengths": 0}, self.told(ids, found))
        return {**told, "source_tokens": self.source.tokens_of(ids)}

    def translate(self, texts):
        """Translates a list of sentences, as a list of `Translation`s."""
        answers = self._answer(strings(texts))
        texts = (text.decode() for text in answers["text"].numpy())
        return [Translation(text, float(score)) for text, score in zip(texts, answers["score"].numpy(), strict=True)]

    def translate_sorted(self, texts, batch_size=64):
        """Translates many sentences in batches of like length, and yields each as `(index, Translation)`."""
        for indices in sorted_batches(texts, batch_size):
            yield from zip(indices, self.translate([texts[index] for index in indices]), strict=True)

    def explain(self, texts, prefix="", sampling=None):
        """Several translations of each of a list of sentences, with all that is known of them.

        Args:
            texts: List of strings.
            prefix: String that all translations begin with, of words that the model knows.
            sampling: None for the hypotheses of the beam, or a `Sampling` for random ones.

        Returns:
            List of dictionaries, one a text: `source_tokens` is a list of strings, `translations` a list of
            dictionaries of `text`, `score`, `tokens`, a list of strings, and `alignment`, where the attention looked
            for each token: a list of floats, one a source token, that sum to 1.

        Raises:
            UsageError: If the prefix has unknown words.
        """
        sources, prefixes = strings(texts), strings([prefix] * len(texts))
        if UNKNOWN in self.target.ids_of(strings([prefix])).values:
            raise folders.UsageError(f"the prefix has words that the model cannot write: {prefix}")
        if sampling is None:
            found = self._nbest(sources, prefixes)
        else:
            draws = sampling.draws(len(texts), self.config.max_length)
            found = self._sample(sources, prefixes, tf.constant(draws), **sampling.choice)
        found = {name: value.numpy() for name, value in found.items()}
        explanations = []
        for row, tokens in enumerate(found["source_tokens"]):
            source = [token.decode() for token in tokens if token]
            explanations.append({"source_tokens": source, "translations": explained(found, row, len(source))})
        return explanations

    def save_assets(self, folder):
        """Writes all but the weights into a model's folder."""
        folders.write_config(folder, self.config)
        for side, tokenizer in (("source", self.source), ("target", self.target)):
            tokenizer.save(Path(folder) / f"{side}.{tokenizer.file}")

    def export(self, folder):
        """Writes a SavedModel with two signatures of strings `text` `(batch,)`.

        `serving_default` returns what `answer` does, `nbest` what `nbest` does.
        """
        signatures = {"serving_default": (self.answer, TEXTS), "nbest": (lambda text: self.nbest(text), TEXTS)}
        export.export(folder, signatures, [self.model, self.source.tracked, self.target.tracked])


def _where_nothing(is_empty, blank, found):
    """What was found, but for empty texts, whose translation is nothing."""
    return {**found, **{name: tf.where(is_empty, value, found[name]) for name, value in blank.items()}}


def train(config, folder):
    """Trains a translator and writes it into `folder`, or goes on with a training that was interrupted there.

    Raises:
        DataError: If the data cannot be read or has no usable pairs.
        TrainingError: If options do not go together, or the loss is not a number.
    """
    # Options that do not go together are told before there is any work.
    build(config, config.vocabulary_size, config.vocabulary_size)
    training.optimizer(config, steps=1)
    # Before there is a tokenizer: TensorFlow frees the kernels it keeps, and with them SentencePiece's resources.
    keras.utils.set_random_seed(config.seed)
    pairs = {split: data.read(config, split) for split in ("train", "validation")}
    texts = pairs["train"]
    if config.shared_vocabulary:
        texts = [texts[0] + texts[1]] * 2
    names = ("source", "target")
    tokenizers = [fit_tokenizer(side, config, f"the {name} has") for name, side in zip(names, texts, strict=True)]
    batches = {split: data.batches(*pairs[split], tokenizers, config, split) for split in pairs}
    model = build(config, *map(len, tokenizers))
    translator = Translator(config, tokenizers, model)
    translator.save_assets(folder)

    greedy = Translator(dataclasses.replace(config, beam_size=1), tokenizers, model)
    sources, references = pairs["validation"]

    def val_bleu():
        answers = dict(greedy.translate_sorted(sources))
        answers = [answers[index].text for index in range(len(sources))]
        return translation_metrics(answers, references, config.lowercase)["bleu"]

    def begin_epoch(epoch):
        if config.scheduled_sampling:
            model.sampling_rate.assign(config.scheduled_sampling * epoch / max(1, config.epochs - 1))

    training.fit(
        model,
        training.TokenCrossentropy(config.label_smoothing),
        batches["train"],
        batches["validation"].dataset,
        config,
        folder,
        score=val_bleu if config.monitor == "bleu" else None,
        begin_epoch=begin_epoch,
        data=pairs,
    )
    return translator


def load(folder, **options):
    """Reads a translator from its folder.

    Args:
        folder: What `train` wrote.
        **options: Values of `Config` that replace the saved ones, such as `beam_size=1`; None replaces none.

    Raises:
        ModelFolderError: If the folder is incomplete or another app's.
    """
    sizes = {
        "source": lambda model: model.encoder.vocabulary_size,
        "target": lambda model: model.decoder.vocabulary_size,
    }
    return Translator(*load_parts(folder, Config, sizes, options))
