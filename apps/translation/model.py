"""The translator: tokenizers and a conditional language model."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from ...layers import AlignedHypotheses, ConditionalLM, Decoder, Hypotheses, TextEncoder
from ...layers.types import Tensor
from ..shared.errors import TrainingError, UsageError
from ..shared.models.compiled import compiled
from ..shared.models.runner import hypotheses
from ..shared.models.trained_model import IDS, TrainedModel
from ..shared.text.batches import encode_padded, map_by_length
from ..shared.text.tokenizers import END, PADDING, UNKNOWN, Tokenizer, fit_tokenizer, prepare
from ..shared.text.writing import Sampling, Writer
from ..shared.training.batches import slices
from ..shared.training.fit import fit
from ..shared.training.losses import TokenCrossentropy
from ..shared.training.optimizers import build_optimizer
from ..shared.training.splits import checksum
from . import data
from .config import Config
from .metrics import translation_metrics

MAX_SAMPLED_ROWS = 1024  # random translations that are computed together
PREFIX = keras.InputSpec(dtype="int32", shape=(None, None))


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
            right_padded=True,
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
        self._compiled_best = compiled(self._best, model, [IDS])
        self._compiled_core = compiled(self.core, model, [IDS, PREFIX])
        self._sampler = functools.cache(self._compiled_sampler)

    @staticmethod
    def sizes(model: ConditionalLM, assets: dict[str, Any]) -> dict[str, int]:
        return {"source": model.encoder.vocabulary_size, "target": model.decoder.vocabulary_size}

    def runner_options(self) -> dict[str, Any]:
        return {"longest": None}

    core_inputs = (IDS,)

    def core(self, ids: Tensor, prefix: Tensor | None = None) -> dict[str, Tensor]:
        """Returns the hypotheses of the beam search, as `Writer.numbers` does.

        Args:
            ids: int32 tensor `(batch, steps)`, the sources, padded with 0.
            prefix: int32 tensor `(batch, positions)`, the beginnings of the translations, padded with 0, or None.
        """
        return self._numbers(ids, self.writer.search(ids, prefix=prefix, alignments=True))

    def _numbers(self, ids: Tensor, hypotheses: Hypotheses | AlignedHypotheses) -> dict[str, Tensor]:
        return _replace_where(ids[:, :1] == END, {"scores": 0.0, "lengths": 0}, self.writer.numbers(hypotheses))

    def _best(self, ids: Tensor) -> dict[str, Tensor]:
        """Returns the best hypotheses as `Writer.best` does; those of empty texts are empty."""
        best = self.writer.best(ids)
        return {**best, **_replace_where(ids[:, 0] == END, {"scores": 0.0}, best)}

    def translate(self, texts: Sequence[str]) -> list[Translation]:
        """Translates a list of sentences."""
        if not texts:
            return []
        ids = encode_padded(self.source, texts)
        best = self._compiled_best(ids)
        return [
            Translation("" if first == END else self.target.decode(tokens), float(score))
            for first, tokens, score in zip(ids[:, 0], best["tokens"], best["scores"], strict=True)
        ]

    def translate_sorted(
        self, texts: Sequence[str], batch_size: int | None = None
    ) -> Iterator[tuple[int, Translation]]:
        """Translates sentences in batches of similar length, and yields `(index, translation)`.

        Args:
            texts: List of sentences.
            batch_size: Sentences per batch. None is 64, or on a GPU as many as its free memory allows.
        """
        return map_by_length(self.translate, texts, batch_size or self.writer.batch_size())

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
        prefix_ids = self.target.encode(prefix)
        if UNKNOWN in prefix_ids:
            raise UsageError(f"the prefix has words that the model cannot write: {prefix}")
        if sampling is None:
            count, draws, translate = max(len(texts), 1), None, self._compiled_core
        else:
            count = max(1, MAX_SAMPLED_ROWS // sampling.num_samples)
            draws = sampling.draws(len(texts), self.config.max_length)
            translate = self._sampler(sampling.num_samples, **sampling.token_arguments)
        explanations = []
        for rows in slices(range(len(texts)), count):
            ids = encode_padded(self.source, texts[rows.start : rows.stop])
            prefixes = np.array([prefix_ids] * len(rows), "int32")
            own_draws = () if draws is None else (draws[rows.start : rows.stop],)
            outputs = translate(ids, prefixes, *own_draws)
            for row, own in enumerate(ids):
                tokens = [self.source.tokens[index] for index in own[own != PADDING]]
                translations = hypotheses(self.target, outputs, row, len(tokens))
                explanations.append({"source_tokens": tokens, "translations": translations})
        return explanations

    def _compiled_sampler(self, num_samples: int, **token_arguments: Any) -> Callable:
        """Returns a compiled function from sources, prefixes and draws to random translations in the form of `core`."""

        def sample(ids: Tensor, prefix: Tensor, draws: Tensor) -> dict[str, Tensor]:
            samples = self.model.sample(
                ids, draws, prefix=prefix, alignments=True, **token_arguments, **self.writer.limits
            )
            return self._numbers(ids, samples)

        draws = keras.InputSpec(dtype="float32", shape=(None, num_samples, self.config.max_length))
        return compiled(sample, self.model, [IDS, PREFIX, draws])


def _replace_where(is_empty: Tensor, empty: dict[str, Any], outputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Replaces values of `outputs` by those of `empty` in the rows of empty texts."""
    return {**outputs, **{name: ops.where(is_empty, value, outputs[name]) for name, value in empty.items()}}


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
    keras.utils.set_random_seed(config.seed)
    pairs = {split: data.read(config, split) for split in ("train", "validation")}
    checksum_of_data = checksum(*pairs["train"], *pairs["validation"])
    sides: Any = pairs.pop("train")  # its strings need not stay in memory
    if config.shared_vocabulary:
        tokenizers = [fit_tokenizer(itertools.chain(*sides), config, "source and target have")] * 2
    else:
        sides = [prepare(side, config) for side in sides]
        named = zip(("source", "target"), sides, strict=True)
        tokenizers = [fit_tokenizer(texts, config, f"the {name} has") for name, texts in named]
    batches = {"train": data.batches(sides[0], sides[1], tokenizers, config, "train")}
    del sides
    batches["validation"] = data.batches(*pairs["validation"], tokenizers, config, "validation")
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
        batches["validation"],
        config,
        folder,
        score=val_bleu if config.monitor == "bleu" else None,
        begin_epoch=begin_epoch,
        data=checksum_of_data,
    )
    return translator
