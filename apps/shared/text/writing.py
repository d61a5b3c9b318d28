"""Writing texts: search and sampling with a conditional language model, and how the results are described."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ....layers.constraints import IMPOSSIBLE


class Sampling(NamedTuple):
    """How random texts are drawn; see `keras_recurrent.layers.sample`.

    Attributes:
        count: How many texts are drawn for each source.
        temperature: What the logits are divided by; 0 takes the likeliest token.
        top_k: The number of likeliest tokens to draw from; None is all.
        top_p: The probability that the tokens to draw from have together.
        seed: An integer or several.
    """

    count: int = 1
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    seed: int | tuple = 0

    def draws(self, texts, steps):
        """Uniform random numbers for so many texts and steps: float32 `(texts, count, steps)` in [0, 1)."""
        return np.random.default_rng(self.seed).random((texts, self.count, steps), "float32")

    @property
    def choice(self):
        """The arguments of `keras_recurrent.layers.sample` that decide how a token is drawn."""
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
        self.tokenizer = tokenizer
        self.model = model

    @property
    def limits(self):
        """The options that search and sampling share."""
        config = self.config
        return {
            "alpha": config.length_penalty,
            "min_ratio": config.min_ratio,
            "max_ratio": config.max_ratio,
            "no_repeat_ngram": config.no_repeat_ngram,
        }

    def search(self, source, **limits):
        """The `Hypotheses` of the configured beam search, in the graph."""
        return self.model.search(
            source,
            beam_size=min(self.config.beam_size, len(self.tokenizer)),
            max_length=self.config.max_length,
            beta=self.config.coverage_penalty,
            **self.limits,
            **limits,
        )

    def best(self, source):
        """The best text for each source, in the graph: a dictionary of `text` and `score` `(batch,)`."""
        hypotheses = self.search(source)
        return {"text": self.tokenizer.decode(hypotheses.tokens[:, 0]), "score": hypotheses.scores[:, 0]}

    def candidates(self, source):
        """All hypotheses of the beam, in the graph: ids `(batch, beam, steps)`, scores and texts `(batch, beam)`."""
        hypotheses = self.search(source)
        return hypotheses.tokens, hypotheses.scores, self._texts(hypotheses.tokens)

    def _texts(self, tokens):
        batch, count, steps = tf.unstack(tf.shape(tokens))
        return tf.reshape(self.tokenizer.decode(tf.reshape(tokens, [-1, steps])), [batch, count])

    def describe(self, source, hypotheses):
        """Texts, tokens, scores and alignments of `Hypotheses`, in the graph.

        Returns:
            Dictionary of `texts` and `scores` `(batch, beam)`, the best first; `tokens`, strings `(batch, beam, steps)`
            and their number, `lengths` `(batch, beam)`; and the attention weights of each token, `alignments`
            `(batch, beam, steps, positions)`, with 0 positions if the model has no attention. If there are fewer texts
            than places in the beam, the others have length 0, an empty text, and a score below -1e7.
        """
        lengths = tf.where(hypotheses.scores < IMPOSSIBLE / 100, 0, hypotheses.lengths)
        steps = tf.reduce_max(tf.pad(hypotheses.lengths, [[0, 1], [0, 0]], constant_values=1))
        tokens = hypotheses.tokens[:, :, :steps]
        return {
            "texts": tf.where(lengths == 0, "", self._texts(tokens)),
            "scores": hypotheses.scores,
            "lengths": lengths,
            "tokens": self.tokenizer.tokens_of(tokens),
            "alignments": self.model.align(source, tokens),
        }


def unpack(description, row, positions=None):
    """What `Writer.describe` returned for one source of the batch, as plain lists without padding.

    Args:
        description: Dictionary of NumPy arrays.
        row: Integer, the index of the source.
        positions: How many positions of the source count; None is all.

    Returns:
        List of dictionaries of `text`, `score`, `tokens`, a list of strings, and `alignment`: for each token a list of
        floats, one per position, that sum to 1.
    """
    names = ("texts", "scores", "tokens", "lengths", "alignments")
    return [
        {
            "text": text.decode(),
            "score": float(score),
            "tokens": [token.decode() for token in tokens[:length]],
            "alignment": alignment[:length, :positions].astype(float).round(4).tolist(),
        }
        for text, score, tokens, length, alignment in zip(*(description[name][row] for name in names), strict=True)
        if score > IMPOSSIBLE / 100
    ]
