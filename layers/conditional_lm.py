"""An encoder and a decoder as one model: what a translator and a captioner are."""

import keras
from keras import ops, random

from . import constraints
from .constraints import IMPOSSIBLE
from .search import beam_search, sample


@keras.saving.register_keras_serializable(package="keras_recurrent")
class ConditionalLM(keras.Model):
    """A language model conditioned on what an encoder read.

    The encoder and the decoder share no weights, but for the embeddings where these are tied.

    Token ids 0 (padding), 1 (unknown), 2 (start) and 3 (end) are fixed.

    Args:
        encoder: A layer that turns the source into a `Memory`.
        decoder: A `Decoder`.
        tie_embeddings: Whether the decoder reads with the encoder's embeddings, which are of one vocabulary then. Both
            are given before they are built.
        scheduled_sampling: Whether training reads some of the model's own tokens instead of the right ones: each with
            the probability `sampling_rate`, a variable that is 0 at first. The model's tokens are those it finds
            likeliest where it reads the right ones before them, so that all steps are still computed at once.

    Call arguments:
        inputs: `(source, tokens)`: what the encoder reads, and the target after a start token, `(batch, steps)`; or
            several targets of each source, `(batch, targets, steps)`, for which it is encoded once.
        training: Whether dropout applies.

    Returns:
        The logits of the next token after each of `tokens`, `(batch, steps, vocabulary_size)`, or `(batch, targets,
        steps, vocabulary_size)`.

    Example:

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

    def __init__(self, encoder, decoder, tie_embeddings=False, scheduled_sampling=False, **kwargs):
        super().__init__(**kwargs)
        if tie_embeddings:
            sizes = [(part.vocabulary_size, part.embedding_dim) for part in (encoder, decoder)]
            if sizes[0] != sizes[1]:
                raise ValueError(f"`tie_embeddings` needs vocabularies and embeddings of one size. Received: {sizes}")
            del decoder.embedding
            decoder.embedding = encoder.embedding
        self.tie_embeddings = tie_embeddings
        self.encoder = encoder
        self.decoder = decoder
        self.scheduled_sampling = scheduled_sampling
        if scheduled_sampling:
            self.sampling_rate = self.add_weight(shape=(), initializer="zeros", trainable=False, name="sampling_rate")
            self.seed_generator = random.SeedGenerator()

    def build(self, input_shape):
        source_shape, tokens_shape = input_shape
        # A saved model's parts come back built, each from its own configuration.
        if not self.encoder.built:
            self.encoder.build(source_shape)
        if not self.decoder.built:
            self.decoder.build((None, tokens_shape[-1]), self.encoder.compute_output_shape(source_shape))

    def call(self, inputs, training=False):
        source, tokens = inputs
        memory = self.encoder(source, training=training)
        if training and self.scheduled_sampling:
            tokens = self._mixed(tokens, memory)
        return self.decoder(tokens, memory, training=training)

    def _mixed(self, tokens, memory):
        logits = ops.stop_gradient(self.decoder(tokens, memory, training=False))
        own = ops.argmax(logits[..., :-1, self.end :], axis=-1) + self.end  # of the second position on
        own = ops.concatenate([tokens[..., :1], ops.cast(own, tokens.dtype)], axis=-1)
        takes = random.uniform(ops.shape(tokens), seed=self.seed_generator) < self.sampling_rate
        return ops.where(ops.logical_and(takes, tokens != self.padding), own, tokens)

    def search(self, source, *, beam_size, max_length, alpha=0.0, beta=0.0, **limits):
        """The best targets of each source, as `Hypotheses` without padding, unknown and start tokens.

        Args:
            source: What the encoder reads.
            beam_size: Positive integer, the hypotheses kept, at most the decoder's vocabulary size; 1 is greedy.
            max_length: Positive integer, the most tokens of a target, the end token among them.
            alpha: Float, the exponent of the length penalty.
            beta: Float, the weight of the coverage penalty, `beta * sum(log(min(attention, 1)))` over the positions of
                the memory, of the attention that each got in all steps; 0 is none. Without attention there is none.
            **limits: `min_ratio` and `max_ratio`, floats: the fewest and the most tokens of a target for each position
                of its memory; `no_repeat_ngram`, the length of the token sequences of which none may come twice;
                `prefix`, integers `(batch, positions)`, the tokens that a target begins with, 0 after them, to which
                the other limits do not apply. A target for which the limits leave no token ends.

        Returns:
            `Hypotheses` with `beam_size` a source, the best first.

        Reference:
            Wu et al. 2016, Google's neural machine translation system, equation 14, for both penalties.
        """
        memory = self._read(source)
        step, state = self._step(memory, beam_size)
        bonus = None
        if beta and self.decoder.attention is not None:
            step, state = _with_coverage(step, state, memory)
            mask = ops.ones_like(state[1]) if memory.mask is None else ops.cast(memory.mask, "float32")
            mask = ops.repeat(mask, beam_size, axis=0)

            def bonus(state):
                covered = ops.log(ops.clip(state[1], 1e-6, 1.0))
                return beta * ops.sum(mask * covered, axis=-1)

        return beam_search(
            _without_weights(step),
            state,
            start=self.start,
            end=self.end,
            max_length=max_length,
            beam_size=beam_size,
            alpha=alpha,
            bonus=bonus,
            constraints=self._constraints(memory, max_length, **limits),
        )

    def sample(self, source, draws, *, temperature=1.0, top_k=None, top_p=1.0, alpha=0.0, **limits):
        """Random targets of each source, as `Hypotheses` without padding, unknown and start tokens.

        Args:
            source: What the encoder reads.
            draws: Float tensor `(batch, samples, max_length)`, uniform in [0, 1).
            temperature: Float, 0 or more.
            top_k: Positive integer; None is the whole vocabulary.
            top_p: Float in (0, 1].
            alpha: Float, the exponent of the length penalty in the scores.
            **limits: As in `search`.

        Returns:
            `Hypotheses`, one for each draw, in their order.
        """
        *_, samples, max_length = draws.shape
        memory = self._read(source)
        step, state = self._step(memory, samples)
        return sample(
            _without_weights(step),
            state,
            draws,
            start=self.start,
            end=self.end,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            alpha=alpha,
            constraints=self._constraints(memory, max_length, **limits),
        )

    def align(self, source, targets):
        """Where the decoder looks while it writes each token of given targets.

        Args:
            source: What the encoder reads.
            targets: Integer tensor `(batch, targets, steps)`, several for each source, such as `search` finds.

        Returns:
            The attention's weights `(batch, targets, steps, positions)`; of no positions without attention.
        """
        tokens = ops.pad(targets[:, :, :-1], ((0, 0), (0, 0), (1, 0)), constant_values=self.start)
        weights = self.decoder.align(tokens, self._read(source))
        return ops.zeros((*ops.shape(tokens), 0)) if weights is None else ops.cast(weights, "float32")

    def _read(self, source):
        if not self.built:
            self.build((ops.shape(source), (None, None)))
        return self.encoder(source)

    def _step(self, memory, hypotheses):
        """What a search takes: a function `(token, state) -> (logits, state, weights)`, and the first state."""
        read = self.decoder.reader(memory, hypotheses)
        # The ids below that of the end token are padding, unknown and start: never an answer.
        never = ops.where(ops.arange(self.decoder.vocabulary_size) < self.end, IMPOSSIBLE, 0.0)

        def step(token, state):
            logits, state, weights = read(token, state)
            return ops.cast(logits, "float32") + never, state, weights

        return step, self.decoder.initial_state(memory)

    def _constraints(self, memory, longest, min_ratio=0.0, max_ratio=None, no_repeat_ngram=0, prefix=None):
        chosen = []
        if memory.mask is None:
            lengths = ops.full((ops.shape(memory.values)[0],), ops.shape(memory.values)[1])
        else:
            lengths = ops.sum(ops.cast(memory.mask, "int32"), axis=1)
        lengths = ops.cast(lengths, "float32")
        most = ops.full(ops.shape(lengths), float(longest))
        if max_ratio is not None:
            most = ops.clip(ops.ceil(max_ratio * lengths), 1.0, longest)
            chosen.append(constraints.max_length(ops.cast(most, "int32"), self.end))
        if min_ratio:
            least = ops.minimum(ops.floor(min_ratio * lengths), most)
            chosen.append(constraints.min_length(ops.cast(least, "int32"), self.end))
        if no_repeat_ngram:
            chosen.append(constraints.no_repeated_ngrams(no_repeat_ngram))
        chosen = [constraints.all_of(chosen, self.end)] if chosen else []
        return chosen if prefix is None else [constraints.prefix(prefix, *chosen)]

    def get_config(self):
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "tie_embeddings": self.tie_embeddings,
            "scheduled_sampling": self.scheduled_sampling,
        }

    @classmethod
    def from_config(cls, config):
        if config.get("tie_embeddings"):  # the parts must not be built before they are tied
            config["encoder"].pop("build_config", None)
            config["decoder"].pop("build_config", None)
        encoder, decoder = (keras.saving.deserialize_keras_object(config.pop(name)) for name in ("encoder", "decoder"))
        return cls(encoder, decoder, **config)


def _without_weights(step):
    return lambda token, state: step(token, state)[:2]


def _with_coverage(step, state, memory):
    """`step` with a state that sums the attention of all steps, `(rows, positions)`, beside its own."""

    def covering_step(token, state):
        state, covered = state
        logits, state, weights = step(token, state)
        return logits, (state, covered + ops.cast(weights, "float32")), weights

    return covering_step, (state, ops.zeros(ops.shape(memory.values)[:2]))
