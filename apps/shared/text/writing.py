"""Generation of texts by search or sampling with a conditional language model."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from ....layers import AlignedHypotheses, ConditionalLM, Hypotheses
from ....layers.constraints import IMPOSSIBLE
from ....layers.types import Tensor
from ..config import SearchConfig
from ..errors import UsageError
from .tokenizers import Tokenizer

MAX_DRAWS = 2**24  # tokens that are sampled at once


class Sampling(NamedTuple):
    """Options of random sampling; see `keras_recurrent.layers.sample`.

    Attributes:
        num_samples: Number of texts per source.
        temperature: Divisor of the logits. 0 takes the most probable token.
        top_k: Number of most probable tokens to sample from. None is all.
        top_p: Total probability of the tokens to sample from.
        seed: An integer or a tuple of integers.
    """

    num_samples: int = 1
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    seed: int | tuple[int, ...] = 0

    def draws(self, texts: int, steps: int) -> np.ndarray:
        """Draws uniform random numbers in [0, 1), float32 `(texts, num_samples, steps)`.

        Raises:
            UsageError: If there are more than `MAX_DRAWS`.
        """
        if texts * self.num_samples * steps > MAX_DRAWS:
            of_texts = "" if texts == 1 else f" of {texts} texts"
            raise UsageError(f"{self.num_samples} samples{of_texts} of {steps} tokens exceed {MAX_DRAWS:,} tokens")
        return np.random.default_rng(self.seed).random((texts, self.num_samples, steps), "float32")

    @property
    def token_arguments(self) -> dict[str, Any]:
        """The arguments of `keras_recurrent.layers.sample` that determine how a token is drawn."""
        return {"temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p}


class Writer:
    """Generates texts with a conditional language model, in the graph.

    Args:
        config: A `SearchConfig`.
        tokenizer: The tokenizer of the generated texts.
        model: A `ConditionalLM`.
    """

    def __init__(self, config: SearchConfig, tokenizer: Tokenizer, model: ConditionalLM) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.model = model

    @property
    def limits(self) -> dict[str, Any]:
        """The arguments that `ConditionalLM.search` and `ConditionalLM.sample` share."""
        config = self.config
        return {
            "alpha": config.length_penalty,
            "min_ratio": config.min_ratio,
            "max_ratio": config.max_ratio,
            "no_repeat_ngram": config.no_repeat_ngram,
        }

    def search(self, source: Tensor, **limits: Any) -> Hypotheses | AlignedHypotheses:
        """Runs the beam search of the configuration.

        Args:
            source: What the encoder takes.
            **limits: Further arguments of `ConditionalLM.search`, such as `prefix` and `alignments`.
        """
        return self.model.search(
            source,
            beam_size=min(self.config.beam_size, len(self.tokenizer)),
            max_length=self.config.max_length,
            beta=self.config.coverage_penalty,
            **self.limits,
            **limits,
        )

    def best(self, source: Tensor) -> dict[str, Tensor]:
        """Returns the `text` and the `score` of the best hypothesis for each source, both `(batch,)`."""
        return self.best_of(self.search(source))

    def best_of(self, hypotheses: Hypotheses | AlignedHypotheses) -> dict[str, Tensor]:
        """Returns the outputs of `best` for the result of `search`."""
        return {"text": self.tokenizer.decode(hypotheses.tokens[:, 0]), "score": hypotheses.scores[:, 0]}

    def candidates(self, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns ids `(batch, beam, steps)`, scores and texts `(batch, beam)` of all hypotheses."""
        hypotheses = self.search(source)
        return hypotheses.tokens, hypotheses.scores, self._texts(hypotheses.tokens)

    def _texts(self, tokens: Tensor) -> Tensor:
        batch, beam, steps = tf.unstack(tf.shape(tokens))
        return tf.reshape(self.tokenizer.decode(tf.reshape(tokens, [-1, steps])), [batch, beam])

    def numbers(self, hypotheses: Hypotheses | AlignedHypotheses) -> dict[str, Tensor]:
        """Returns ids, scores and attention weights of hypotheses.

        Args:
            hypotheses: The result of a search with `alignments=True`.

        Returns:
            Dictionary of `tokens` `(batch, beam, steps)`, the ids; their `scores` and `lengths` `(batch, beam)`, the
            best first; and `alignments` `(batch, beam, steps, positions)`, the attention weights of each token, with 0
            positions if the model has no attention. If there are fewer hypotheses than the beam size, the others have
            the length 0 and a score below -1e7.
        """
        steps = tf.reduce_max(tf.pad(hypotheses.lengths, [[0, 1], [0, 0]], constant_values=1))
        tokens = hypotheses.tokens[:, :, :steps]
        if isinstance(hypotheses, AlignedHypotheses):
            alignments = hypotheses.alignments[:, :, :steps]
        else:
            alignments = tf.zeros([*tf.unstack(tf.shape(tokens)), 0])
        return {
            "tokens": tokens,
            "scores": hypotheses.scores,
            "lengths": tf.where(hypotheses.scores < IMPOSSIBLE / 100, 0, hypotheses.lengths),
            "alignments": alignments,
        }

    def with_texts(self, numbers: dict[str, Tensor]) -> dict[str, Tensor]:
        """Converts the ids of `numbers` to strings, and adds `texts` `(batch, beam)`, empty for the length 0."""
        tokens = numbers["tokens"]
        texts = tf.where(numbers["lengths"] == 0, "", self._texts(tokens))
        return {**numbers, "texts": texts, "tokens": self.tokenizer.tokens_of(tokens)}


def unpack(description: dict[str, Tensor], positions: Sequence[int | None] | None = None) -> list[list[dict[str, Any]]]:
    """Converts the result of `Writer.with_texts` to plain lists without padding.

    Args:
        description: Dictionary of tensors.
        positions: Number of positions of each source that are not padding. None is all.

    Returns:
        For each source a list of dictionaries of `text`, `score`, `tokens`, a list of strings, and `alignment`: for
        each token a list of floats, one per position, that sum to 1.
    """
    names = ("texts", "scores", "tokens", "lengths", "alignments")
    arrays = [description[name].numpy() for name in names]
    positions = [None] * len(arrays[0]) if positions is None else positions
    return [
        [
            {
                "text": text.decode(),
                "score": float(score),
                "tokens": [token.decode() for token in tokens[:length]],
                "alignment": alignment[:length, :width].astype(float).round(4).tolist(),
            }
            for text, score, tokens, length, alignment in zip(*hypotheses, strict=True)
            if score > IMPOSSIBLE / 100
        ]
        for width, *hypotheses in zip(positions, *arrays, strict=True)
    ]
