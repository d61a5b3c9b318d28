"""The options of a text generator."""

from dataclasses import dataclass
from typing import Literal

from ..shared.config import (
    Cell,
    Length,
    OpenUnitInterval,
    PositiveFloat,
    PositiveInt,
    RecurrentConfig,
    TextLength,
    TrainingConfig,
    Units,
    VocabularySize,
)


@dataclass(frozen=True, kw_only=True)
class Config(RecurrentConfig, TrainingConfig):
    """Trains a character-level language model.

    The command

        keras-recurrent generation train --output saved_models/sentences

    trains on the English sentences of the generated data set `english_korean` in minutes. Then

        keras-recurrent generation generate saved_models/sentences --samples 5 --temperature 0.7

    prints new sentences.

    Args:
        app: The app that this configuration belongs to.
        data: Folder with the files {split}.txt, or {split}.tsv with the columns `text` and `label` (or .gz); or
            english_korean or negation, which are generated; or the name of a TFDS data set.
        language: Language to train on, for a data set with several languages.
        validation_split: Fraction of the split `train` to hold out for validation, in (0, 1); in the mode text its
            end. By default the data has a split for validation.
        mode: Treat each line as a separate text with an end (lines), or the whole file as one long text (text), read
            in windows that start from the state after the previous one.
        feed: Input of each step after the first: the previous character (previous), or a vector of zeros (zeros), so
            that the model must write a line from its first character or label alone.
        lowercase: Convert all text to lower case.
        vocabulary_size: Maximum number of distinct characters, the 4 special tokens included. Rarer characters are
            unknown.
        embedding_dim: Dimension of the character embeddings. By default the inputs are one-hot vectors.
        units: Units of each recurrent layer.
        window: Characters per window in the mode text. Gradients are truncated at its start; a longer window learns
            longer dependencies.
        batch_size: Lines per batch. In the mode text, the number of positions in the text that are read in parallel.
        max_length: Maximum number of characters of a line, which is cut there, and of a generated text.
    """

    common_options = (
        "data",
        "mode",
        "validation_split",
        "cell",
        "units",
        "num_layers",
        "window",
        "dropout",
        "epochs",
        "batch_size",
    )  # of `train --help`

    app: Literal["generation"] = "generation"
    data: str = "english_korean"
    language: str = "en"
    cell: Cell = "gru"
    validation_split: OpenUnitInterval | None = None
    mode: Literal["lines", "text"] = "lines"
    feed: Literal["previous", "zeros"] = "previous"
    lowercase: bool = False
    vocabulary_size: VocabularySize = 1000
    embedding_dim: Units | None = None
    units: Units = 256
    window: Length = 100
    batch_size: PositiveInt = 64
    learning_rate: PositiveFloat = 0.005
    epochs: PositiveInt = 6
    max_length: TextLength = 200

    @property
    def example(self) -> tuple[str, ...]:
        """The verb and the inputs of a prediction, which `train` suggests."""
        return "generate", "--samples", "5", "--temperature", "0.7"
