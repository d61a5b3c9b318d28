"""The options of a translator."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..shared.config import (
    Cell,
    PositiveInt,
    Rate,
    RecurrentConfig,
    SearchConfig,
    TokenizerConfig,
    TrainingConfig,
    Units,
)


@dataclass(frozen=True, kw_only=True)
class Config(TokenizerConfig, RecurrentConfig, TrainingConfig, SearchConfig):
    """Trains a translator on sentence pairs.

    The command

        keras-recurrent translation train --output saved_models/en-ko

    trains on the generated data set `english_korean` in minutes. Then

        keras-recurrent translation evaluate saved_models/en-ko --split test

    prints a BLEU score of 97.

    Args:
        app: The app that this configuration belongs to.
        data: Folder with the files {split}.{language} (or .gz), one sentence per line; or english_korean,
            which is generated; or the name of a TFDS data set.
        pairs: Instead of `data`, a file with one pair per line, `sentence<TAB>sentence`, as Tatoeba provides them (or
            .gz). 5 % of the distinct first sentences are held out for validation and 5 % for testing.
        swap: Translate from the second column of `pairs` to the first.
        source: Code of the source language.
        target: Code of the target language.
        shared_vocabulary: Learn one vocabulary for both languages.
        embedding_dim: Dimension of the token embeddings.
        encoder_units: Units of each recurrent layer of the encoder, per direction.
        decoder_units: Units of each recurrent layer of the decoder.
        bidirectional: Run the encoder in both directions.
        embeddings_in_memory: Let the attention also read the token embeddings, in addition to the encoder's outputs.
        score: Score function of the attention, or none for a decoder without attention.
        query: Query of the attention: the decoder's state after a step or before it.
        input_feeding: Feed the attention vector of a step to the next step. Requires the query after_step.
        tie_embeddings: Share the embeddings of source and target. Requires `shared_vocabulary`.
        tie_softmax: Use the target embeddings as weights of the softmax layer, which makes the model smaller.
        scheduled_sampling: Probability at the last epoch, in [0, 1), that training replaces a target token in the
            decoder's input by the model's own prediction. It rises from 0 at the first epoch.
        monitor: Validation measure that selects the best epoch: the loss, or BLEU of greedy translations.
        batch_size: Sentence pairs per batch.
        batch_tokens: Instead of `batch_size`, the maximum number of tokens per batch on either side, padding included.
        long_pairs: Skip sentence pairs with more than `max_length` tokens on a side, or cut them.
    """

    common_options = (
        "data",
        "pairs",
        "source",
        "target",
        "tokenizer",
        "cell",
        "num_layers",
        "dropout",
        "epochs",
        "batch_size",
        "monitor",
    )  # of `train --help`

    app: Literal["translation"] = "translation"
    data: str = "english_korean"
    pairs: str | None = None
    swap: bool = False
    source: str = "en"
    target: str = "ko"
    shared_vocabulary: bool = False
    cell: Cell = "gru"
    embedding_dim: Units = 128
    encoder_units: Units = 128
    decoder_units: Units = 256
    bidirectional: bool = True
    embeddings_in_memory: bool = False
    score: Literal["additive", "multiplicative", "none"] = "additive"
    query: Literal["after_step", "before_step"] = "after_step"
    input_feeding: bool = False
    tie_embeddings: bool = False
    tie_softmax: bool = False
    dropout: Rate = 0.1
    scheduled_sampling: Rate = 0.0
    monitor: Literal["loss", "bleu"] = "loss"
    batch_size: PositiveInt = 64
    batch_tokens: PositiveInt | None = None
    long_pairs: Literal["skip", "cut"] = "skip"

    @property
    def example(self) -> tuple[str, ...]:
        """The verb and the inputs of a prediction, which `train` suggests."""
        is_generated = (self.data, self.pairs, self.source) == ("english_korean", None, "en")
        return "predict", "My father learned music." if is_generated else "A sentence."

    def contradictions(self) -> Iterator[str]:
        yield from self.search_contradictions()
        if self.swap and self.pairs is None:
            yield "--swap needs --pairs"
        if self.score == "none":
            for name in ("embeddings_in_memory", "coverage_penalty", "input_feeding"):
                if getattr(self, name):
                    yield f"--{name.replace('_', '-')} needs attention, which --score none omits"
