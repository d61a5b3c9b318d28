"""Generation of texts by search or sampling with a conditional language model."""

from typing import Any, NamedTuple

import numpy as np
from keras import ops

from ....layers import AlignedHypotheses, ConditionalLM, Hypotheses
from ....layers.constraints import IMPOSSIBLE
from ....layers.loop import cut
from ....layers.types import Tensor
from ..config import SearchConfig
from ..errors import UsageError
from ..memory import batch_size
from .tokenizers import Tokenizer

LOGITS = 8  # copies of a hypothesis's logits in memory; in XLA's figures for a CPU, 4 to 7
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
    """Generates texts with a conditional language model.

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
    def _beam_size(self) -> int:
        return min(self.config.beam_size, len(self.tokenizer))

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
            beam_size=self._beam_size,
            max_length=self.config.max_length,
            beta=self.config.coverage_penalty,
            **self.limits,
            **limits,
        )

    def batch_size(self) -> int:
        """Returns how many sources to search together; see `memory.batch_size`."""
        # The logits, and the tokens and attention weights before and after hypotheses are selected.
        numbers = LOGITS * len(self.tokenizer) + 2 * self.config.max_length**2
        return batch_size(4 * self._beam_size * numbers)

    def best(self, source: Tensor) -> dict[str, Tensor]:
        """Returns the `tokens` `(batch, steps)`, padded with 0, and the `scores` `(batch,)` of the best hypotheses."""
        hypotheses = self.search(source)
        return {"tokens": hypotheses.tokens[:, 0], "scores": hypotheses.scores[:, 0]}

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
        # At least 1, also for an empty batch.
        steps = ops.max(ops.pad(hypotheses.lengths, ((0, 1), (0, 0)), constant_values=1))
        tokens = cut(hypotheses.tokens, steps, axis=2)
        if isinstance(hypotheses, AlignedHypotheses):
            alignments = cut(hypotheses.alignments, steps, axis=2)
        else:
            alignments = ops.zeros((*ops.shape(tokens), 0))
        return {
            "tokens": tokens,
            "scores": hypotheses.scores,
            "lengths": ops.where(hypotheses.scores < IMPOSSIBLE / 100, 0, hypotheses.lengths),
            "alignments": alignments,
        }
