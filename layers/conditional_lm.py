"""An encoder and a decoder as one model, such as a translator or a captioner."""

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import keras
from keras import ops, random

from . import constraints
from .constraints import IMPOSSIBLE, Constraint
from .decoder import Decoder
from .memory import Memory
from .reader import DecoderState
from .search import AlignedHypotheses, Hypotheses, Step, beam_search, sample
from .types import Tensor


class AttentionState(NamedTuple):
    """The state of a search that reads the attention weights.

    Attributes:
        decoder: The `DecoderState`.
        weights: Float tensor `(rows, positions)`, the attention weights of the last step.
        coverage: Float tensor `(rows, positions)`, the sum of the attention weights of all steps.
    """

    decoder: DecoderState
    weights: Tensor
    coverage: Tensor


@keras.saving.register_keras_serializable(package="keras_recurrent")
class ConditionalLM(keras.Model):
    """A language model that is conditioned on the memory of an encoder.

    The encoder and the decoder share no weights, except for tied embeddings.

    Token ids 0 (padding), 1 (unknown), 2 (start) and 3 (end) are fixed.

    Args:
        encoder: A layer from the source to a `Memory`.
        decoder: A `Decoder`.
        tie_embeddings: Whether the decoder uses the embeddings of the encoder, for one vocabulary. Neither may be built
            before.
        scheduled_sampling: Whether training replaces some input tokens by the model's own predictions: each with the
            probability `sampling_rate`, a variable that starts at 0. A prediction is the most likely token after the
            correct ones, so that all steps are still computed at once.

    Call arguments:
        inputs: `(source, tokens)`: the input of the encoder, and the target after a start token, `(batch, steps)`; or
            several targets per source, `(batch, targets, steps)`, for which the source is encoded once.
        training: Whether to apply dropout.

    Returns:
        The logits of the next token after each of `tokens`, `(batch, steps, vocabulary_size)`, or `(batch, targets,
        steps, vocabulary_size)`.

    Raises:
        ValueError: If the embeddings are tied, and those of the encoder and the decoder differ in size.

    Example:

    >>> from keras_recurrent.layers import ConditionalLM, Decoder, TextEncoder
    >>> encoder = TextEncoder(vocabulary_size=100, embedding_dim=8, units=16)
    >>> model = ConditionalLM(encoder, Decoder(vocabulary_size=90, embedding_dim=8, units=16))
    >>> model((ops.array([[5, 6, 3]]), ops.array([[2, 7, 8, 9]]))).shape
    (1, 4, 90)
    >>> model.search(ops.array([[5, 6, 3]]), beam_size=4, max_length=20).tokens.shape
    (1, 4, 20)

    Reference:
        Bengio et al. 2015, Scheduled sampling for sequence prediction with recurrent neural networks; Mihaylova and
        Martins 2019, Scheduled sampling for Transformers, for its two passes over all steps.
    """

    padding, unknown, start, end = 0, 1, 2, 3

    def __init__(
        self,
        encoder: Any,
        decoder: Decoder,
        tie_embeddings: bool = False,
        scheduled_sampling: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if tie_embeddings:
            sizes = [(part.vocabulary_size, part.embedding_dim) for part in (encoder, decoder)]
            if sizes[0] != sizes[1]:
                raise ValueError(
                    f"`tie_embeddings` requires vocabularies and embeddings of one size. Received: {sizes}"
                )
            del decoder.embedding
            decoder.embedding = encoder.embedding
        self.tie_embeddings = tie_embeddings
        self.encoder = encoder
        self.decoder = decoder
        self.scheduled_sampling = scheduled_sampling
        if scheduled_sampling:
            self.sampling_rate = self.add_weight(shape=(), initializer="zeros", trainable=False, name="sampling_rate")
            self.seed_generator = random.SeedGenerator()

    def build(self, input_shape: Any) -> None:
        source_shape, tokens_shape = input_shape
        # The encoder and the decoder of a loaded model are built from their own configurations.
        if not self.encoder.built:
            self.encoder.build(source_shape)
        if not self.decoder.built:
            self.decoder.build((None, tokens_shape[-1]), self.encoder.compute_output_shape(source_shape))

    def call(self, inputs: tuple, training: bool = False) -> Tensor:
        source, tokens = inputs
        memory = self.encoder(source, training=training)
        if training and self.scheduled_sampling:
            tokens = self._replace_by_predictions(tokens, memory)
        return self.decoder(tokens, memory, training=training)

    def _replace_by_predictions(self, tokens: Tensor, memory: Memory) -> Tensor:
        logits = ops.stop_gradient(self.decoder(tokens, memory, training=False))
        predictions = ops.argmax(logits[..., :-1, self.end :], axis=-1) + self.end  # from the second position on
        predictions = ops.concatenate([tokens[..., :1], ops.cast(predictions, tokens.dtype)], axis=-1)
        is_replaced = random.uniform(ops.shape(tokens), seed=self.seed_generator) < self.sampling_rate
        return ops.where(ops.logical_and(is_replaced, tokens != self.padding), predictions, tokens)

    def search(
        self,
        source: Any,
        *,
        beam_size: int,
        max_length: int,
        alpha: float = 0.0,
        beta: float = 0.0,
        alignments: bool = False,
        **limits: Any,
    ) -> Hypotheses | AlignedHypotheses:
        """Searches the best targets of each source, without padding, unknown and start tokens.

        Args:
            source: The input of the encoder.
            beam_size: Positive integer, the number of hypotheses, at most the size of the decoder's vocabulary; 1 is
                greedy search.
            max_length: Positive integer, the maximum number of tokens of a target, including the end token.
            alpha: Float, the exponent of the length penalty.
            beta: Float, the weight of the coverage penalty `beta * sum(log(min(attention, 1)))`, where the sum is over
                the positions of the memory, and `attention` is the sum of a position's weights in all steps. Without
                attention there is no penalty.
            alignments: Whether the result is `AlignedHypotheses` if the decoder has attention.
            **limits: `min_ratio` and `max_ratio`, floats: the minimum and the maximum number of tokens of a target per
                position of its memory; `no_repeat_ngram`, integer, the length of the token sequences that must not
                repeat; `prefix`, integers `(batch, positions)`, the first tokens of each target, followed by 0, to
                which the other limits do not apply. If the limits exclude all tokens, a target ends.

        Returns:
            `Hypotheses` with `beam_size` hypotheses per source, from the best to the worst.

        Reference:
            Wu et al. 2016, Google's neural machine translation system, equation 14, for both penalties.
        """
        memory = self._encode(source)
        step, state, attention = self._start(memory, beam_size, alignments, with_attention=bool(beta))
        bonus = None
        if beta and self.decoder.attention is not None:
            mask = ops.ones_like(state.coverage) if memory.mask is None else ops.cast(memory.mask, "float32")
            mask = ops.repeat(mask, beam_size, axis=0)

            def bonus(state):
                return beta * ops.sum(mask * ops.log(ops.clip(state.coverage, 1e-6, 1.0)), axis=-1)

        return beam_search(
            step,
            state,
            start=self.start,
            end=self.end,
            max_length=max_length,
            beam_size=beam_size,
            alpha=alpha,
            bonus=bonus,
            attention=attention,
            constraints=self._constraints(memory, max_length, **limits),
        )

    def sample(
        self,
        source: Any,
        draws: Tensor,
        *,
        temperature: Any = 1.0,
        top_k: int | None = None,
        top_p: Any = 1.0,
        alpha: float = 0.0,
        alignments: bool = False,
        **limits: Any,
    ) -> Hypotheses | AlignedHypotheses:
        """Draws random targets of each source, without padding, unknown and start tokens.

        Args:
            source: The input of the encoder.
            draws: Float tensor `(batch, samples, max_length)`, uniform in [0, 1).
            temperature, top_k, top_p: See `keras_recurrent.layers.sample`.
            alpha: Float, the exponent of the length penalty in the scores.
            alignments, **limits: See `search`.

        Returns:
            `Hypotheses` in the order of the draws.
        """
        *_, samples, max_length = draws.shape
        memory = self._encode(source)
        step, state, attention = self._start(memory, samples, alignments)
        return sample(
            step,
            state,
            draws,
            start=self.start,
            end=self.end,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            alpha=alpha,
            attention=attention,
            constraints=self._constraints(memory, max_length, **limits),
        )

    def align(self, source: Any, targets: Tensor) -> Tensor:
        """Computes the attention weights for each token of given targets.

        Args:
            source: The input of the encoder.
            targets: Integer tensor `(batch, targets, steps)`, such as the tokens that `search` returns.

        Returns:
            Float tensor `(batch, targets, steps, positions)`; without attention there are no positions.
        """
        tokens = ops.pad(targets[:, :, :-1], ((0, 0), (0, 0), (1, 0)), constant_values=self.start)
        weights = self.decoder.align(tokens, self._encode(source))
        return ops.zeros((*ops.shape(tokens), 0)) if weights is None else ops.cast(weights, "float32")

    def _encode(self, source: Any) -> Memory:
        if not self.built:
            self.build((ops.shape(source), (None, None)))
        return self.encoder(source)

    def _start(
        self, memory: Memory, hypotheses: int, alignments: bool, with_attention: bool = False
    ) -> tuple[Step, Any, Callable[[Any], Tensor] | None]:
        """Returns the step and the initial state of a search, and its `attention` if `alignments` is True.

        The state is an `AttentionState` if `alignments` or `with_attention` is True and the decoder has attention.
        """
        reader = self.decoder.reader(memory, hypotheses)
        # Padding, unknown and start, whose ids are below that of the end token, are never written.
        excluded = ops.where(ops.arange(self.decoder.vocabulary_size) < self.end, IMPOSSIBLE, 0.0)
        state = self.decoder.initial_state(memory)
        if self.decoder.attention is None or not (alignments or with_attention):

            def step(token, state):
                logits, state, _ = reader(token, state)
                return ops.cast(logits, "float32") + excluded, state

            return step, state, None

        def attentive_step(token, state):
            logits, decoder_state, weights = reader(token, state.decoder)
            weights = ops.cast(weights, "float32")
            state = AttentionState(decoder_state, weights, state.coverage + weights)
            return ops.cast(logits, "float32") + excluded, state

        zeros = ops.zeros(ops.shape(memory.values)[:2])
        attention = (lambda state: state.weights) if alignments else None
        return attentive_step, AttentionState(state, zeros, zeros), attention

    def _constraints(
        self,
        memory: Memory,
        longest: int,
        min_ratio: float = 0.0,
        max_ratio: float | None = None,
        no_repeat_ngram: int = 0,
        prefix: Tensor | None = None,
    ) -> list[Constraint]:
        limits = []
        if memory.mask is None:
            lengths = ops.full((ops.shape(memory.values)[0],), ops.shape(memory.values)[1])
        else:
            lengths = ops.sum(ops.cast(memory.mask, "int32"), axis=1)
        lengths = ops.cast(lengths, "float32")
        maximum = ops.full(ops.shape(lengths), float(longest))
        if max_ratio is not None:
            maximum = ops.clip(ops.ceil(max_ratio * lengths), 1.0, longest)
            limits.append(constraints.max_length(ops.cast(maximum, "int32"), self.end))
        if min_ratio:
            minimum = ops.minimum(ops.floor(min_ratio * lengths), maximum)
            limits.append(constraints.min_length(ops.cast(minimum, "int32"), self.end))
        if no_repeat_ngram:
            limits.append(constraints.no_repeated_ngrams(no_repeat_ngram))
        limits = [constraints.all_of(limits, self.end)] if limits else []
        return limits if prefix is None else [constraints.prefix(prefix, *limits)]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "tie_embeddings": self.tie_embeddings,
            "scheduled_sampling": self.scheduled_sampling,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        if config.get("tie_embeddings"):  # which must happen before the parts are built
            config["encoder"].pop("build_config", None)
            config["decoder"].pop("build_config", None)
        encoder, decoder = (keras.saving.deserialize_keras_object(config.pop(name)) for name in ("encoder", "decoder"))
        return cls(encoder, decoder, **config)
