"""The options of a text generator."""

from dataclasses import dataclass
from typing import Literal

from jsonargparse.typing import OpenUnitInterval, PositiveInt

from ..shared.config import Rate, TrainingConfig, TwoOrMore, VocabularySize


@dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Trains a model that writes text, character by character.

    The command

        keras-recurrent generation train --output saved_models/sentences

    learns the English sentences of the generated data set `english_korean`, and

        keras-recurrent generation generate saved_models/sentences --samples 5

    then writes new ones.

    Args:
        app: The app that this configuration is for.
        data: A folder with {split}.txt, or with {split}.tsv, which has the columns `text` and `label` (or .gz); or a
            TFDS name.
        language: For a data set with several languages, the one to learn.
        validation_split: The share of the split `train` to validate with, its end in the mode text; the default is that
            the data has a split for it.
        mode: Whether each line is a text of its own with an end (lines), or all are one long text (text), which is read
            in pieces, each from the state that the one before has left.
        feed: What each step reads after the first: the character before (previous), or nothing (zeros), so that all of
            a line must come from its first character or its label.
        lowercase: Lowercase all text.
        vocabulary_size: The most characters; the rarest are unknown.
        embedding_dim: Dimension of a character's embedding; the default reads one-hot vectors.
        cell: The recurrent cell.
        units: Dimension of the recurrent layers.
        num_layers: Recurrent layers on each other.
        dropout: Share of the embeddings and of each layer's outputs to drop in training.
        recurrent_dropout: Share of the states to drop in training that enter the recurrent products, the same at all
            steps of a sequence.
        window: In the mode text, the characters of a piece, which is as far back as gradients go.
        batch_size: Lines of a batch; in the mode text, places in the text that are read side by side.
        max_length: The most characters of a line, which is cut there, and the most to generate.
    """

    app: Literal["generation"] = "generation"
    data: str = "english_korean"
    language: str = "en"
    validation_split: OpenUnitInterval | None = None
    mode: Literal["lines", "text"] = "lines"
    feed: Literal["previous", "zeros"] = "previous"
    lowercase: bool = False
    vocabulary_size: VocabularySize = 1000
    embedding_dim: PositiveInt | None = None
    cell: Literal["simple_rnn", "lstm", "gru"] = "lstm"
    units: PositiveInt = 256
    num_layers: PositiveInt = 1
    dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    window: PositiveInt = 100
    batch_size: PositiveInt = 32
    max_length: TwoOrMore = 200
