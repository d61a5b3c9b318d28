"""The translator: tokenizers and a conditional language model."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from ...layers import AlignedHypotheses, ConditionalLM, Decoder, Hypotheses, TextEncoder
from ...layers.types import Tensor
from ..shared.errors import TrainingError, UsageError
from ..shared.models.rows import answer_usable
from ..shared.models.trained_model import IDS, TrainedModel
from ..shared.text.batches import map_by_length
from ..shared.text.tokenizers import END, UNKNOWN, Tokenizer, fit_tokenizer, strings
from ..shared.text.usable import encode_checked
from ..shared.text.writing import Sampling, Writer, unpack
from ..shared.training.batches import slices
from ..shared.training.fit import fit
from ..shared.training.losses import TokenCrossentropy
from ..shared.training.optimizers import build_optimizer
from . import data
from .config import Config
from .metrics import translation_metrics

MAX_SAMPLED_ROWS = 1024  # random translations that are computed together
MAX_SOURCE_TOKENS = 1000  # of a text in an export, because the memory of a batch grows with its longest text
# The signature of functions of texts.
TEXTS = [tf.TensorSpec([None], tf.string, name="text")]


class Translation(NamedTuple):
    """A translation.

    Attributes:
        text: The translated sentence.
        score: Its log-probability divided by the length penalty, negative. The translation of an empty sentence is
            empty and has the score 0.
    """

    text: str
    score: float


def build(config: Config, source_size: int, target_size: int) -> ConditionalLM:
    """Builds the Keras model of a configuration.

    Args:
        config: The `Config`.
        source_size: Positive integer, the size of the source vocabulary.
        target_size: Positive integer, the size of the target vocabulary.

    Raises:
        TrainingError: If options do not fit together.
    """
    if config.tie_embeddings and not config.shared_vocabulary:
        raise TrainingError("tie_embeddings requires shared_vocabulary")
    arguments = {
        "embedding_dim": config.embedding_dim,
        "dtype": config.precision,
        **config.recurrent_arguments,
    }
    try:
        encoder = TextEncoder(
            source_size,
            units=config.encoder_units,
            bidirectional=config.bidirectional,
            embeddings_in_memory=config.embeddings_in_memory,
            **arguments,
        )
        decoder = Decoder(
            target_size,
            units=config.decoder_units,
            score=config.score,
            query=config.query,
            input_feeding=config.input_feeding,
            tie_softmax=config.tie_softmax,
            **arguments,
        )
        return ConditionalLM(
            encoder,
            decoder,
            tie_embeddings=config.tie_embeddings,
            scheduled_sampling=config.scheduled_sampling > 0,
            dtype=config.precision,
        )
    except ValueError as error:
        raise TrainingError(str(error)) from error


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

    def __init__(self, config: Config, model: ConditionalLM, source: Tokenizer, target: Tokenizer) -> None:
        super().__init__(config, model, source=source, target=target)
        self.source = source
        self.target = target
        self.writer = Writer(config, target, model)
        self._answer = tf.function(self.answer, input_signature=TEXTS)
        self._nbest = tf.function(self.nbest, input_signature=[*TEXTS, tf.TensorSpec([None], tf.string)])
        self._sample = tf.function(self.sample)

    @staticmethod
    def sizes(model: ConditionalLM, assets: dict[str, Any]) -> dict[str, int]:
        return {"source": model.encoder.vocabulary_size, "target": model.decoder.vocabulary_size}

    def runner_options(self) -> dict[str, Any]:
        return {"longest": None}

    def signatures(self) -> dict[str, Any]:
        """Returns two signatures that take strings `text` `(batch,)`.

        `serving_default` has the outputs of `answer`, and `nbest` those of `nbest` without a prefix. Both also return
        `error` `(batch,)`, what is wrong with a text, empty if nothing is. The other outputs of a text that is empty or
        not UTF-8 are zeros and empty strings. A text of more than `config.max_length` tokens is translated, and of one
        of more than `MAX_SOURCE_TOKENS` the first ones.
        """

        # Stored once for both.
        search = tf.function(
            lambda ids: self.writer.search(ids, alignments=True), input_signature=[IDS], autograph=False
        )

        def answer(text: Tensor) -> dict[str, Tensor]:
            return self._answer_usable(lambda ids: self.writer.best_of(search(ids)), text)

        def nbest(text: Tensor) -> dict[str, Tensor]:
            return self._answer_usable(lambda ids: self._describe(ids, search(ids)), text)

        return {"serving_default": (answer, TEXTS), "nbest": (nbest, TEXTS)}

    def _answer_usable(self, function: Callable[[Tensor], dict[str, Tensor]], text: Tensor) -> dict[str, Tensor]:
        """Computes a function of ids `(batch, steps)` for the strings `(batch,)` that can be translated."""
        max_length = self.config.max_length
        ids, error, is_usable = encode_checked(
            self.source, text, "text", max_length, limit=max(max_length, MAX_SOURCE_TOKENS)
        )
        return answer_usable(lambda ids: function(self.source.padded(ids)), error, is_usable, ids)

    def answer(self, text: Tensor) -> dict[str, Tensor]:
        """Returns the `text` and the `score` of the best translations of strings `(batch,)`, in the graph."""
        ids = self.source.encode_padded(text)
        return _replace_where(ids[:, 0] == END, {"text": "", "score": 0.0}, self.writer.best(ids))

    def nbest(self, text: Tensor, prefix: Tensor = None) -> dict[str, Tensor]:
        """Returns the hypotheses of the beam search for strings `(batch,)`, in the graph.

        Args:
            text: String tensor `(batch,)`.
            prefix: String tensor `(batch,)`, the beginnings of the translations, or None.

        Returns:
            The dictionary of `Writer.with_texts`, with `source_tokens` `(batch, positions)`.
        """
        ids = self.source.encode_padded(text)
        prefix = None if prefix is None else self._prefix_ids(prefix)
        return self._describe(ids, self.writer.search(ids, alignments=True, prefix=prefix))

    def sample(
        self, text: Tensor, prefix: Tensor, draws: Tensor, temperature: float, top_k: int | None, top_p: float
    ) -> dict[str, Tensor]:
        """Returns random translations in the form of `nbest`, one per row of `draws` `(batch, samples, max_length)`."""
        ids = self.source.encode_padded(text)
        hypotheses = self.model.sample(
            ids,
            draws,
            prefix=self._prefix_ids(prefix),
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            alignments=True,
            **self.writer.limits,
        )
        return self._describe(ids, hypotheses)

    def _prefix_ids(self, prefix: Tensor) -> Tensor:
        return self.target.ids_of(prefix).to_tensor()

    @property
    def core_inputs(self) -> list[tf.TensorSpec]:
        return [IDS]

    def core(self, ids: Tensor) -> dict[str, Tensor]:
        """Returns the hypotheses of the beam search for ids `(batch, steps)`, as `Writer.numbers` does."""
        return self._numbers(ids, self.writer.search(ids, alignments=True))

    def _numbers(self, ids: Tensor, hypotheses: Hypotheses | AlignedHypotheses) -> dict[str, Tensor]:
        return _replace_where(ids[:, :1] == END, {"scores": 0.0, "lengths": 0}, self.writer.numbers(hypotheses))

    def _describe(self, ids: Tensor, hypotheses: Hypotheses | AlignedHypotheses) -> dict[str, Tensor]:
        description = self.writer.with_texts(self._numbers(ids, hypotheses))
        return {**description, "source_tokens": self.source.tokens_of(ids)}

    def translate(self, texts: Sequence[str]) -> list[Translation]:
        """Translates a list of sentences."""
        outputs = self._answer(strings(texts))
        return [
            Translation(text.decode(), float(score))
            for text, score in zip(outputs["text"].numpy(), outputs["score"].numpy(), strict=True)
        ]

    def translate_sorted(self, texts: Sequence[str], batch_size: int = 64) -> Iterator[tuple[int, Translation]]:
        """Translates sentences in batches of similar length, and yields `(index, translation)`."""
        return map_by_length(self.translate, texts, batch_size)

    def explain(self, texts: Sequence[str], prefix: str = "", sampling: Sampling | None = None) -> list[dict[str, Any]]:
        """Translates a list of sentences and returns several translations of each with their tokens and alignments.

        Args:
            texts: List of strings.
            prefix: The beginning of all translations, in tokens of the target vocabulary.
            sampling: Returns random translations. None returns the hypotheses of the beam search.

        Returns:
            For each text a dictionary of `source_tokens`, a list of strings, and `translations`, a list of
            dictionaries of `text`, `score`, `tokens`, a list of strings, and `alignment`: for each token a list of
            attention weights, one per source token.

        Raises:
            UsageError: If the prefix contains unknown tokens.
        """
        if UNKNOWN in self.target.ids_of(strings([prefix])).values:
            raise UsageError(f"the prefix has words that the model cannot write: {prefix}")
        if sampling is None:
            return self._unpack(self._nbest(strings(texts), strings([prefix] * len(texts))))
        draws = sampling.draws(len(texts), self.config.max_length)
        explanations = []
        count = max(1, MAX_SAMPLED_ROWS // sampling.num_samples)
        for part, part_draws in zip(slices(texts, count), slices(draws, count), strict=True):
            arguments = (strings(part), strings([prefix] * len(part)), tf.constant(part_draws))
            explanations += self._unpack(self._sample(*arguments, **sampling.token_arguments))
        return explanations

    @staticmethod
    def _unpack(description: dict[str, Tensor]) -> list[dict[str, Any]]:
        """Converts the result of `nbest` or `sample` to what `explain` returns."""
        source_tokens = [[token.decode() for token in row if token] for row in description["source_tokens"].numpy()]
        translations = unpack(description, [len(tokens) for tokens in source_tokens])
        return [
            {"source_tokens": tokens, "translations": hypotheses}
            for tokens, hypotheses in zip(source_tokens, translations, strict=True)
        ]


def _replace_where(is_empty: Tensor, empty: dict[str, Any], outputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Replaces values of `outputs` by those of `empty` in the rows of empty texts."""
    return {**outputs, **{name: tf.where(is_empty, value, outputs[name]) for name, value in empty.items()}}


def train(config: Config, folder: str | Path) -> Translator:
    """Trains a translator and writes it to a folder, or resumes an interrupted training there.

    Args:
        config: The `Config`.
        folder: The model's folder.

    Raises:
        DataError: If the data cannot be read or has no usable pairs.
        TrainingError: If options do not fit together, or the loss is not a number.
    """
    # Wrong options fail before the data is read.
    build(config, config.vocabulary_size, config.vocabulary_size)
    build_optimizer(config, steps=1)
    # Before there is a tokenizer: it frees TensorFlow's cached kernels, and with them SentencePiece's resources.
    keras.utils.set_random_seed(config.seed)
    pairs = {split: data.read(config, split) for split in ("train", "validation")}
    texts = pairs["train"]
    if config.shared_vocabulary:
        texts = (texts[0] + texts[1],) * 2
    names = ("source", "target")
    tokenizers = [fit_tokenizer(side, config, f"the {name} has") for name, side in zip(names, texts, strict=True)]
    batches = {split: data.batches(*pairs[split], tokenizers, config, split) for split in pairs}
    model = build(config, *map(len, tokenizers))
    translator = Translator(config, model, *tokenizers)
    translator.save_assets(folder)

    greedy = Translator(dataclasses.replace(config, beam_size=1), model, *tokenizers)
    sources, references = pairs["validation"]

    def val_bleu() -> float:
        translations = dict(greedy.translate_sorted(sources))
        hypotheses = [translations[index].text for index in range(len(sources))]
        return translation_metrics(hypotheses, references, config.lowercase)["bleu"]

    def begin_epoch(epoch: int) -> None:
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
