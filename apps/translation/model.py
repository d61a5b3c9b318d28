"""The translator: tokenizers around a conditional language model."""

import dataclasses
from typing import NamedTuple

import keras
import tensorflow as tf

from ...layers import ConditionalLM, Decoder, TextEncoder
from ..shared.errors import TrainingError, UsageError
from ..shared.models.trained_model import TrainedModel
from ..shared.text.batches import sorted_batches
from ..shared.text.tokenizers import END, UNKNOWN, fit_tokenizer, strings
from ..shared.text.writing import Writer, unpack
from ..shared.training.fit import fit
from ..shared.training.losses import TokenCrossentropy
from ..shared.training.optimizers import build_optimizer
from . import data
from .config import Config
from .metrics import translation_metrics

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
        raise TrainingError("tie_embeddings needs shared_vocabulary")
    try:
        return _model(config, source_size, target_size)
    except ValueError as error:
        raise TrainingError(str(error)) from error


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
        score=config.score,
        query=config.query,
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


class Translator(TrainedModel):
    """Translates sentences.

    Args:
        config: The `Config`.
        model: The `ConditionalLM`.
        source: The tokenizer of the source language.
        target: The tokenizer of the target language.
    """

    config_class = Config
    tokenizers = ("source", "target")

    def __init__(self, config, model, source, target):
        super().__init__(config, model, source=source, target=target)
        self.source = source
        self.target = target
        self.writer = Writer(config, target, model)
        self._answer = tf.function(self.answer, input_signature=TEXTS)
        self._nbest = tf.function(self.nbest, input_signature=[*TEXTS, tf.TensorSpec([None], tf.string)])
        self._sample = tf.function(self.sample)

    @staticmethod
    def sizes(model, assets):
        return {"source": model.encoder.vocabulary_size, "target": model.decoder.vocabulary_size}

    def signatures(self):
        """`serving_default` is `answer`, `nbest` is `nbest` without a prefix; both take strings `text` `(batch,)`."""
        return {"serving_default": (self.answer, TEXTS), "nbest": (lambda text: self.nbest(text), TEXTS)}

    def answer(self, text):
        """The best translations of strings `(batch,)`, in the graph: a dictionary of `text` and `score`."""
        ids = self.source.encode_padded(text)
        return _replace_where(ids[:, 0] == END, {"text": "", "score": 0.0}, self.writer.best(ids))

    def nbest(self, text, prefix=None):
        """The best translations of strings `(batch,)` that begin with strings `(batch,)`, in the graph.

        Returns:
            The dictionary of `Writer.describe`, with `source_tokens` `(batch, positions)`.
        """
        ids = self.source.encode_padded(text)
        prefix = None if prefix is None else self._prefix_ids(prefix)
        return self._describe(ids, self.writer.search(ids, prefix=prefix))

    def sample(self, text, prefix, draws, temperature, top_k, top_p):
        """Random translations, described as by `nbest`: one for each of `draws` `(batch, samples, max_length)`."""
        ids = self.source.encode_padded(text)
        hypotheses = self.model.sample(
            ids,
            draws,
            prefix=self._prefix_ids(prefix),
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            **self.writer.limits,
        )
        return self._describe(ids, hypotheses)

    def _prefix_ids(self, prefix):
        return self.target.ids_of(prefix).to_tensor()

    def _describe(self, ids, hypotheses):
        blank = {"texts": "", "scores": 0.0, "lengths": 0}
        description = _replace_where(ids[:, :1] == END, blank, self.writer.describe(ids, hypotheses))
        return {**description, "source_tokens": self.source.tokens_of(ids)}

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
            raise UsageError(f"the prefix has words that the model cannot write: {prefix}")
        if sampling is None:
            description = self._nbest(sources, prefixes)
        else:
            draws = sampling.draws(len(texts), self.config.max_length)
            description = self._sample(sources, prefixes, tf.constant(draws), **sampling.choice)
        description = {name: value.numpy() for name, value in description.items()}
        explanations = []
        for row, tokens in enumerate(description["source_tokens"]):
            source = [token.decode() for token in tokens if token]
            explanations.append({"source_tokens": source, "translations": unpack(description, row, len(source))})
        return explanations


def _replace_where(is_empty, blank, outputs):
    """`outputs` with the values of `blank` in the rows whose text is empty: its translation is empty, too."""
    return {**outputs, **{name: tf.where(is_empty, value, outputs[name]) for name, value in blank.items()}}


def train(config, folder):
    """Trains a translator and writes it into `folder`, or goes on with a training that was interrupted there.

    Raises:
        DataError: If the data cannot be read or has no usable pairs.
        TrainingError: If options do not go together, or the loss is not a number.
    """
    # Options that do not go together are told before there is any work.
    build(config, config.vocabulary_size, config.vocabulary_size)
    build_optimizer(config, steps=1)
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
    translator = Translator(config, model, *tokenizers)
    translator.save_assets(folder)

    greedy = Translator(dataclasses.replace(config, beam_size=1), model, *tokenizers)
    sources, references = pairs["validation"]

    def val_bleu():
        answers = dict(greedy.translate_sorted(sources))
        answers = [answers[index].text for index in range(len(sources))]
        return translation_metrics(answers, references, config.lowercase)["bleu"]

    def begin_epoch(epoch):
        if config.scheduled_sampling:
            model.sampling_rate.assign(config.scheduled_sampling * epoch / max(1, config.epochs - 1))

    fit(
        model,
        TokenCrossentropy(config.label_smoothing),
        batches["train"],
        batches["validation"].dataset,
        config,
        folder,
        score=val_bleu if config.monitor == "bleu" else None,
        begin_epoch=begin_epoch,
        data=pairs,
    )
    return translator
