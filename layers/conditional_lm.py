"""An encoder and a decoder as one model: what a translator and a captioner are."""

import keras
from keras import ops, tree

from .search import beam_search


@keras.saving.register_keras_serializable(package="keras_recurrent")
class ConditionalLM(keras.Model):
    """A language model conditioned on what an encoder read; the encoder and the decoder share no weights.

    Token ids 0 (padding), 1 (unknown), 2 (start) and 3 (end) are fixed.

    Args:
        encoder: A layer that turns the source into a `Memory`.
        decoder: A `Decoder`.

    Call arguments:
        inputs: `(source, tokens)`: what the encoder reads, and the target after a start token, `(batch, steps)`.
        training: Whether dropout applies.

    Returns:
        The logits of the next token after each of `tokens`, `(batch, steps, vocabulary_size)`.

    Example:

    >>> encoder = TextEncoder(vocabulary_size=100, embedding_dim=8, units=16)
    >>> model = ConditionalLM(encoder, Decoder(vocabulary_size=90, embedding_dim=8, units=16))
    >>> model((ops.array([[5, 6, 3]]), ops.array([[2, 7, 8, 9]]))).shape
    (1, 4, 90)
    >>> model.search(ops.array([[5, 6, 3]]), beam_size=4, max_length=20).tokens.shape
    (1, 4, 20)
    """

    padding, unknown, start, end = 0, 1, 2, 3

    def __init__(self, encoder, decoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.decoder = decoder

    def build(self, input_shape):
        source_shape, tokens_shape = input_shape
        # A saved model's parts come back built, each from its own configuration.
        if not self.encoder.built:
            self.encoder.build(source_shape)
        if not self.decoder.built:
            self.decoder.build(tokens_shape, self.encoder.compute_output_shape(source_shape))

    def call(self, inputs, training=False):
        source, tokens = inputs
        return self.decoder(tokens, self.encoder(source, training=training), training=training)

    def search(self, source, *, beam_size, max_length, alpha=0.0):
        """The best targets of each source, as `Hypotheses` without padding, unknown and start tokens.

        Args:
            source: What the encoder reads.
            beam_size: Positive integer, the hypotheses kept; 1 is greedy search.
            max_length: Positive integer, the most tokens of a target, the end token among them.
            alpha: Float, the exponent of the length penalty.
        """
        memory = self.encoder(source)
        state = self.decoder.initial_state(memory)
        memory = tree.map_structure(lambda x: None if x is None else ops.repeat(x, beam_size, axis=0), memory)
        read = self.decoder.reader(memory)
        # The ids below that of the end token are padding, unknown and start: never an answer.
        never = ops.where(ops.arange(self.decoder.vocabulary_size) < self.end, -1e9, 0.0)

        def step(token, state):
            logits, state, _ = read(token, state)
            return ops.cast(logits, "float32") + never, state

        return beam_search(
            step, state, start=self.start, end=self.end, max_length=max_length, beam_size=beam_size, alpha=alpha
        )

    def get_config(self):
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
        }

    @classmethod
    def from_config(cls, config):
        encoder, decoder = (keras.saving.deserialize_keras_object(config.pop(name)) for name in ("encoder", "decoder"))
        return cls(encoder, decoder, **config)
