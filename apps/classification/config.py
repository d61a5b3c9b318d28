"""The options of a text classifier."""

from dataclasses import dataclass
from typing import Literal

from jsonargparse.typing import OpenUnitInterval, PositiveInt

from ..shared.config import Rate, TrainingConfig, TwoOrMore, VocabularySize


@dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Trains a model that says which of some labels a text has.

    The command

        keras-recurrent classification train --output saved_models/opinions

    learns from the generated sentences `negation`, in which the first words may turn round what the last ones say, and

        keras-recurrent classification evaluate saved_models/opinions --split test

    then prints how many labels are right.

    Args:
        app: The app that this configuration is for.
        data: A folder with {split}.tsv (or .gz), which has the columns `text` and `label`; or a TFDS name.
        validation_split: The share of the split `train` to validate with; the default is that the data has a split for
            it.
        tokenizer: The pieces that texts are split into; subwords need the extra `subword`.
        lowercase: Lowercase all text.
        vocabulary_size: The most tokens; the rarest are unknown.
        max_length: The most tokens of a text, which is cut there.
        cell: The recurrent cell.
        embedding_dim: Dimension of a token's embedding.
        units: Dimension of the recurrent layers, in one direction.
        num_layers: Recurrent layers on each other.
        bidirectional: Let the text be read in both directions.
        pooling: What of all steps the label is told from: the last state, the mean, the largest numbers, or a mean with
            weights that are learned (attention).
        dropout: Share of the embeddings and outputs to drop in training.
        recurrent_dropout: Share of the states to drop in training that enter the recurrent products, the same at all
            steps of a sequence.
        class_weights: Let all labels count alike in the loss, however rare they are.
        monitor: What decides which epoch is the best: the loss or the accuracy on the validation split.
        batch_size: Texts of a batch.
    """

    app: Literal["classification"] = "classification"
    data: str = "negation"
    validation_split: OpenUnitInterval | None = None
    tokenizer: Literal["words", "characters", "subwords"] = "words"
    lowercase: bool = True
    vocabulary_size: VocabularySize = 8000
    max_length: TwoOrMore = 200
    cell: Literal["simple_rnn", "lstm", "gru"] = "lstm"
    embedding_dim: PositiveInt = 128
    units: PositiveInt = 128
    num_layers: PositiveInt = 1
    bidirectional: bool = True
    pooling: Literal["last", "mean", "max", "attention"] = "attention"
    dropout: Rate = 0.1
    recurrent_dropout: Rate = 0.0
    class_weights: bool = False
    monitor: Literal["loss", "accuracy"] = "accuracy"
    batch_size: PositiveInt = 64
