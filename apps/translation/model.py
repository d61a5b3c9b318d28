"""The translator: tokenizers around a conditional language model."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ...layers import ConditionalLM, Decoder, TextEncoder
from .. import export, folders, training
from ..text import END, TOKENIZERS
from . import data
from .config import Config


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
    """The model that a `Config` describes, with separate encoder and decoder weights, for so many token ids."""
    shared = {
        "embedding_dim": config.embedding_dim,
        "cell": config.cell,
        "num_layers": config.num_layers,
        "dropout": config.dropout,
    }
    encoder = TextEncoder(source_size, units=config.encoder_units, bidirectional=config.bidirectional, **shared)
    decoder = Decoder(
        target_size,
        units=config.decoder_units,
        attention=config.attention,
        score=config.score,
        tie_softmax=config.tie_softmax,
        **shared,
    )
    return ConditionalLM(encoder, decoder)


class Translator:
    """Translates sentences.

    Args:
        config: The `Config`.
        tokenizers: The tokenizers of the source and of the target.
        model: The `ConditionalLM` between them.
    """

    def __init__(self, config, tokenizers, model):
        self.config = config
        self.source, self.target = tokenizers
        self.model = model
        self._answer = tf.function(self.answer, input_signature=[tf.TensorSpec([None], tf.string, name="text")])

    def answer(self, text):
        """The best translations of strings `(batch,)`, in the graph: a dictionary of `text` and `score`."""
        ids = self.source.encode_padded(text)
        found = self.model.search(
            ids,
            beam_size=min(self.config.beam_size, len(self.target)),
            max_length=self.config.max_length,
            alpha=self.config.length_penalty,
        )
        nothing = ids[:, 0] == END  # and nothing is its translation
        return {
            "text": tf.where(nothing, "", self.target.decode(found.tokens[:, 0])),
            "score": tf.where(nothing, 0.0, found.scores[:, 0]),
        }

    def translate(self, texts):
        """Translates a list of sentences, as a list of `Translation`s."""
        answers = self._answer(tf.constant(list(texts), tf.string, shape=(len(texts),)))
        texts = (text.decode() for text in answers["text"].numpy())
        return [Translation(text, float(score)) for text, score in zip(texts, answers["score"].numpy(), strict=True)]

    def translate_sorted(self, texts, batch_size=64):
        """Translates many sentences in batches of like length, and yields each as `(index, Translation)`."""
        order = np.argsort([len(text) for text in texts], kind="stable")
        for first in range(0, len(order), batch_size):
            indices = order[first : first + batch_size]
            yield from zip(indices, self.translate([texts[index] for index in indices]), strict=True)

    def save_assets(self, folder):
        """Writes all but the weights into a model's folder."""
        folders.write_config(folder, self.config)
        for side, tokenizer in (("source", self.source), ("target", self.target)):
            tokenizer.save(Path(folder) / f"{side}.{tokenizer.file}")

    def export(self, folder):
        """Writes a SavedModel with the signature `serving_default`: `text` in, `text` and `score` out."""
        signature = [tf.TensorSpec([None], tf.string, name="text")]
        tracked = [self.model, self.source.tracked, self.target.tracked]
        export.export(folder, {"serving_default": (self.answer, signature)}, tracked)


def train(config, folder):
    """Trains a translator and writes it into `folder`, which is there already and empty.

    Raises:
        DataError: If the data cannot be read or has no usable pairs.
    """
    keras.utils.set_random_seed(config.seed)
    pairs = {split: data.read(config, split) for split in ("train", "validation")}
    texts = pairs["train"]
    if config.shared_vocabulary:
        texts = [texts[0] + texts[1]] * 2
    tokenizers = [TOKENIZERS[config.tokenizer].fit(side, config.vocabulary_size, config.lowercase) for side in texts]
    train_batches = data.batches(*pairs["train"], tokenizers, config, shuffle=True)
    validation_batches = data.batches(*pairs["validation"], tokenizers, config, shuffle=False)
    model = build(config, *map(len, tokenizers))
    learning_rate = config.learning_rate
    if config.schedule == "cosine":
        steps = config.epochs * int(train_batches.cardinality())
        learning_rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    model.compile(
        keras.optimizers.Adam(learning_rate, global_clipnorm=config.clip_norm),
        training.TokenCrossentropy(config.label_smoothing),
    )
    translator = Translator(config, tokenizers, model)
    translator.save_assets(folder)
    training.fit(
        model, train_batches, validation_batches, epochs=config.epochs, patience=config.patience, folder=folder
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
    folder = Path(folder)
    config = folders.parse_config(folder, Config)
    tokenizer = TOKENIZERS[config.tokenizer]
    assets = [f"{side}.{tokenizer.file}" for side in ("source", "target")]
    folders.require(folder, "model.keras", *assets)
    options = {name: value for name, value in options.items() if value is not None}
    config = dataclasses.replace(config, **options)
    try:
        tokenizers = [tokenizer.load(folder / asset, config.lowercase) for asset in assets]
        model = keras.models.load_model(folder / "model.keras", compile=False)
    except (TypeError, KeyError, ValueError, OSError) as error:
        raise folders.ModelFolderError(f"{folder}: cannot be read: {str(error).splitlines()[0]}") from error
    sizes = model.encoder.vocabulary_size, model.decoder.vocabulary_size
    for asset, tokenizer, size in zip(assets, tokenizers, sizes, strict=True):
        if len(tokenizer) != size:
            raise folders.ModelFolderError(
                f"{folder}: {asset} does not fit the model: {len(tokenizer)} ids instead of {size}"
            )
    return Translator(config, tokenizers, model)
