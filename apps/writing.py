"""What a translator and a captioner share: how texts about a source are searched for and told of."""

import contextlib
import dataclasses
import zipfile
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ..layers.constraints import IMPOSSIBLE
from . import folders
from .text import TOKENIZERS


class Sampling(NamedTuple):
    """How random texts are drawn; see `keras_recurrent.layers.sample`. The seed is an integer or several."""

    count: int = 1
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    seed: int | tuple = 0

    def draws(self, texts, steps):
        """Numbers for so many texts and steps, float32 `(texts, count, steps)`."""
        return np.random.default_rng(self.seed).random((texts, self.count, steps), "float32")

    @property
    def choice(self):
        """How each token is chosen."""
        return {"temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p}


class Writer:
    """Writes texts about what an encoder reads.

    Args:
        config: A `SearchConfig`.
        tokenizer: The tokenizer of the texts.
        model: A `ConditionalLM`.
    """

    def __init__(self, config, tokenizer, model):
        self.config = config
        self.target = tokenizer
        self.model = model

    @property
    def limits(self):
        """The options that searches and samples share."""
        config = self.config
        return {
            "alpha": config.length_penalty,
            "min_ratio": config.min_ratio,
            "max_ratio": config.max_ratio,
            "no_repeat_ngram": config.no_repeat_ngram,
        }

    def search(self, source, **limits):
        """The `Hypotheses` of the configured search, in the graph."""
        return self.model.search(
            source,
            beam_size=min(self.config.beam_size, len(self.target)),
            max_length=self.config.max_length,
            beta=self.config.coverage_penalty,
            **self.limits,
            **limits,
        )

    def best(self, source):
        """The best text of each source, in the graph: a dictionary of `text` and `score` `(batch,)`."""
        found = self.search(source)
        return {"text": self.target.decode(found.tokens[:, 0]), "score": found.scores[:, 0]}

    def candidates(self, source):
        """All that the search finds, in the graph: ids `(batch, beam, steps)`, scores and texts `(batch, beam)`."""
        found = self.search(source)
        return found.tokens, found.scores, self._texts(found.tokens)

    def _texts(self, tokens):
        batch, count, steps = tf.unstack(tf.shape(tokens))
        return tf.reshape(self.target.decode(tf.reshape(tokens, [-1, steps])), [batch, count])

    def told(self, source, found):
        """All that is known of `Hypotheses`, in the graph.

        Returns:
            Dictionary of `texts` and `scores` `(batch, beam)`, the best first; the lengths `(batch, beam)` of `tokens`,
            strings `(batch, beam, steps)`, in `lengths`; and where the attention looked for each token, `alignments`
            `(batch, beam, steps, positions)`, of no positions without attention. Where there are fewer texts than the
            beam has places, the rest have the length 0, no text, and a score below -1e7.
        """
        lengths = tf.where(found.scores < IMPOSSIBLE / 100, 0, found.lengths)
        steps = tf.reduce_max(tf.pad(found.lengths, [[0, 1], [0, 0]], constant_values=1))
        tokens = found.tokens[:, :, :steps]
        return {
            "texts": tf.where(lengths == 0, "", self._texts(tokens)),
            "scores": found.scores,
            "lengths": lengths,
            "tokens": self.target.tokens_of(tokens),
            "alignments": self.model.align(source, tokens),
        }


def explained(told, row, positions=None):
    """What `Writer.told` says of one source of the batch, as plain lists without padding.

    Args:
        told: Dictionary of arrays.
        row: Integer, which source.
        positions: How many positions of the source count; None is all.

    Returns:
        List of dictionaries of `text`, `score`, `tokens`, a list of strings, and `alignment`: for each token a list of
        floats, one a position, that sum to 1.
    """
    values = zip(*(told[name][row] for name in ("texts", "scores", "tokens", "lengths", "alignments")), strict=True)
    return [
        {
            "text": text.decode(),
            "score": float(score),
            "tokens": [token.decode() for token in tokens[:length]],
            "alignment": alignment[:length, :positions].astype(float).round(4).tolist(),
        }
        for text, score, tokens, length, alignment in values
        if score > IMPOSSIBLE / 100
    ]


def load_parts(folder, config_class, sizes, options, tokenizer=None):
    """Reads what a writer is made of from a model's folder.

    Args:
        folder: What a training wrote.
        config_class: The app's `Config`.
        sizes: Dictionary from the name of each tokenizer's file, without its ending, to a function of the model that
            gives the size of its vocabulary.
        options: Dictionary with values that replace the saved ones; None replaces none.
        tokenizer: The class of the tokenizers; None is what the configuration names.

    Returns:
        The configuration, the list of tokenizers, and the model.

    Raises:
        ModelFolderError: If the folder is incomplete or another app's.
    """
    config = _configured(folder, config_class, options)
    tokenizer = tokenizer or TOKENIZERS[config.tokenizer]
    assets = [f"{name}.{tokenizer.file}" for name in sizes]
    model = _read_model(folder, *assets)
    with _readable(folder):
        tokenizers = [tokenizer.load(Path(folder) / asset, config.lowercase) for asset in assets]
    for asset, tokenizer, size in zip(assets, tokenizers, sizes.values(), strict=True):
        if len(tokenizer) != size(model):
            raise folders.ModelFolderError(
                f"{folder}: {asset} does not fit the model: {len(tokenizer)} ids instead of {size(model)}"
            )
    return config, tokenizers, model


def load_model(folder, config_class, options):
    """Reads a model that needs no tokenizer, with its configuration; see `load_parts`.

    Returns:
        `(config, model)`.
    """
    return _configured(folder, config_class, options), _read_model(folder)


def _configured(folder, config_class, options):
    config = folders.parse_config(folder, config_class)
    return dataclasses.replace(config, **{name: value for name, value in options.items() if value is not None})


def _read_model(folder, *assets):
    folders.require(folder, "model.keras", *assets)
    with _readable(folder):
        return keras.models.load_model(Path(folder) / "model.keras", compile=False)


@contextlib.contextmanager
def _readable(folder):
    try:
        yield
    except (TypeError, KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise folders.ModelFolderError(f"{folder}: cannot be read: {str(error).splitlines()[0]}") from error
