"""The options of a translator."""

from dataclasses import dataclass
from typing import Literal

from jsonargparse.typing import PositiveInt

from ..shared.config import Rate, SearchConfig, TrainingConfig, VocabularySize


@dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig, SearchConfig):
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
        cell: The recurrent cell of encoder and decoder.
        embedding_dim: Dimension of a token's embedding.
        encoder_units: Dimension of the encoder's recurrent layers, in one direction.
        decoder_units: Dimension of the decoder's recurrent layers.
        num_layers: Recurrent layers on each other, in the encoder and in the decoder.
        bidirectional: Let the encoder read in both directions.
        embeddings_in_memory: Let the attention read a word's embedding, too, and not only what the encoder made of it.
        attention: What asks the source: the state after a step (luong) or the one before it (bahdanau).
        score: How the attention compares the state with the positions of the source.
        input_feeding: Let each step read what the decoder found out in the one before it; needs the attention luong.
        tie_embeddings: Let source and target share their embeddings; needs a shared vocabulary.
        tie_softmax: Let the softmax use the target's embeddings, which saves its own weights.
        dropout: Share of the embeddings and outputs to drop in training.
        recurrent_dropout: Share of the states to drop in training that enter the recurrent products, the same at all
            steps of a sequence.
        scheduled_sampling: At the last epoch, the share of the target's tokens that training replaces by the model's
            own, so that it learns to go on from its mistakes; the share rises from 0 at the first.
        monitor: What decides which epoch is the best: the loss on the validation split, or the BLEU of its greedy
            translations.
        batch_size: Sentence pairs of a batch.
        batch_tokens: Instead of `batch_size`, the most tokens of a batch on either side, with padding.
        long_pairs: What becomes of pairs with more than `max_length` tokens on a side in training.
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
    cell: Literal["simple_rnn", "lstm", "gru"] = "gru"
    embedding_dim: PositiveInt = 128
    encoder_units: PositiveInt = 128
    decoder_units: PositiveInt = 256
    num_layers: PositiveInt = 1
    bidirectional: bool = True
    embeddings_in_memory: bool = False
    attention: Literal["luong", "bahdanau", "none"] = "luong"
    score: Literal["additive", "multiplicative"] = "additive"
    input_feeding: bool = False
    tie_embeddings: bool = False
    tie_softmax: bool = False
    dropout: Rate = 0.1
    recurrent_dropout: Rate = 0.0
    scheduled_sampling: Rate = 0.0
    monitor: Literal["loss", "bleu"] = "loss"
    batch_size: PositiveInt = 64
    batch_tokens: PositiveInt | None = None
    long_pairs: Literal["skip", "cut"] = "skip"
