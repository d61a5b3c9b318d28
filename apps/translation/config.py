"""The options of a translator."""

from dataclasses import dataclass
from typing import Literal

from jsonargparse.typing import NonNegativeFloat, PositiveFloat, PositiveInt, restricted_number_type

Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)], docstring="Integer in [0, 2**32)")
# Four ids are taken: padding, unknown, start and end.
VocabularySize = restricted_number_type("VocabularySize", int, (">=", 5), docstring="Integer of 5 or more")
Rate = restricted_number_type("Rate", float, [(">=", 0), ("<", 1)], docstring="Float in [0, 1)")


@dataclass(frozen=True)
class Config:
    """Trains a translator on pairs of sentences.

    The command

        keras-recurrent translation train --output saved_models/en-ko

    trains on the generated set `english_korean` in two to four minutes on two CPU cores, and

        keras-recurrent translation evaluate saved_models/en-ko --split test

    then prints a BLEU of 98 or more.

    Args:
        app: The app that this configuration is for.
        data: A folder with the files {split}.{language} (or .gz), line for line; or a TFDS name.
        pairs: Instead of data, one file with a pair a line, `sentence<TAB>sentence`, as Tatoeba has them (or .gz). Of
            its first sentences 5 % are kept for validation and 5 % for testing.
        swap: Translate the second sentence of a line of `pairs` into the first.
        source: Language code of the sentences that go in.
        target: Language code of the sentences that come out.
        tokenizer: The pieces that sentences are split into; subwords need the extra `subword`.
        shared_vocabulary: Learn one vocabulary from both languages together.
        lowercase: Lowercase all text.
        vocabulary_size: The most tokens a language has; the rarest are unknown.
        max_length: The most tokens of a sentence. Longer ones are left out of training; translations are cut there.
        cell: The recurrent cell of encoder and decoder.
        embedding_dim: Dimension of a token's embedding.
        encoder_units: Dimension of the encoder's recurrent layers, in one direction.
        decoder_units: Dimension of the decoder's recurrent layers.
        num_layers: Recurrent layers on each other, in the encoder and in the decoder.
        bidirectional: Let the encoder read in both directions.
        attention: What asks the source: the state after a step (luong) or the one before it (bahdanau).
        score: How the attention compares the state with the positions of the source.
        tie_softmax: Let the softmax use the target's embeddings, which saves its own weights.
        dropout: Share of the embeddings and outputs to drop in training.
        label_smoothing: Share of the target's probability to spread over all tokens.
        learning_rate: Adam's step size, at first.
        schedule: Keep the learning rate, or lower it along a cosine to 0 at the last epoch.
        clip_norm: The norm to which the gradient of all weights together is cut.
        batch_size: Sentence pairs of a batch.
        epochs: The most passes over the training data.
        patience: Epochs without a better validation loss before training stops.
        beam_size: Hypotheses that the search keeps; 1 is greedy.
        length_penalty: Exponent of the penalty that evens out short and long hypotheses; 0 is none.
        seed: Seed of all that is random.
    """

    app: Literal["translation"] = "translation"
    data: str = "english_korean"
    pairs: str | None = None
    swap: bool = False
    source: str = "en"
    target: str = "ko"
    tokenizer: Literal["words", "characters", "subwords"] = "words"
    shared_vocabulary: bool = False
    lowercase: bool = False
    vocabulary_size: VocabularySize = 8000
    max_length: PositiveInt = 60
    cell: Literal["simple_rnn", "lstm", "gru"] = "gru"
    embedding_dim: PositiveInt = 128
    encoder_units: PositiveInt = 128
    decoder_units: PositiveInt = 256
    num_layers: PositiveInt = 1
    bidirectional: bool = True
    attention: Literal["luong", "bahdanau", "none"] = "luong"
    score: Literal["additive", "multiplicative"] = "additive"
    tie_softmax: bool = False
    dropout: Rate = 0.1
    label_smoothing: Rate = 0.0
    learning_rate: PositiveFloat = 0.002
    schedule: Literal["constant", "cosine"] = "cosine"
    clip_norm: PositiveFloat = 1.0
    batch_size: PositiveInt = 64
    epochs: PositiveInt = 5
    patience: PositiveInt = 3
    beam_size: PositiveInt = 5
    length_penalty: NonNegativeFloat = 1.0
    seed: Seed = 0
