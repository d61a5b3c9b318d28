"""Sentence pairs as batches of token ids."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from ...datasets import DataError
from ...datasets.columns import Columns, Strings
from ...datasets.pairs import iter_pairs, iter_pairs_file
from ..shared.console import note
from ..shared.text.batches import batches_by_length, encode_texts, teacher_forcing
from ..shared.text.ragged import Ragged
from ..shared.text.tokenizers import Tokenizer
from ..shared.training.batches import EpochBatches
from .config import Config


def read(config: Config, split: str) -> tuple[Strings, Strings]:
    """Reads the sentence pairs of a split as two sequences, the sources and the targets.

    Raises:
        DataError: If the split cannot be read, or source and target are the same language.
    """
    sources, targets = Columns.of(iterate(config, split), Strings, Strings).columns
    return sources, targets


def iterate(config: Config, split: str) -> Iterator[tuple[str, str]]:
    """Iterates over the sentence pairs of a split without keeping them; see `read`."""
    if config.source == config.target:
        raise DataError(f"source and target are the same language, '{config.source}'")
    if config.pairs is not None:
        return iter_pairs_file(config.pairs, split, config.swap)
    return iter_pairs(config.data, split, config.source, config.target)


def batches(
    sources: Sequence[str], targets: Sequence[str], tokenizers: Sequence[Tokenizer], config: Config, split: str
) -> EpochBatches:
    """Batches of sentence pairs of similar length, in a new order each epoch for the split `train`.

    A pair without text on a side is left out. A pair with more than `config.max_length` tokens on a side is left out or
    cut, as `config.long_pairs` says. Their numbers are printed on standard error.

    Args:
        sources: Sequence of strings.
        targets: Sequence of strings, one per source.
        tokenizers: The tokenizers of the source and of the target.
        config: The `Config`.
        split: The name of the split.

    Returns:
        Batches `((source, inputs), targets, weights)`: int32 arrays `(batch, steps)`, 0 at padding, where `inputs` are
        the targets after a start token; and float32 weights, 0 at padding and 1 elsewhere.

    Raises:
        DataError: If no pair is left.
    """
    source_ids, target_ids = _usable_ids(sources, targets, tokenizers, config, split)

    def make_batch(indices: np.ndarray) -> Any:
        inputs, targets, weights = teacher_forcing(target_ids.padded(indices, config.jit))
        return (source_ids.padded(indices, config.jit), inputs), targets, weights

    tokens = keras.InputSpec(dtype="int32", shape=(None, None))
    signature = (tokens, tokens), tokens, keras.InputSpec(dtype="float32", shape=(None, None))
    lengths = np.stack([source_ids.lengths, target_ids.lengths], axis=1)
    return batches_by_length(make_batch, signature, lengths, config, split, config.batch_tokens)


def _usable_ids(
    sources: Sequence[str], targets: Sequence[str], tokenizers: Sequence[Tokenizer], config: Config, split: str
) -> list[Ragged]:
    """Encodes sentence pairs; see `batches`. Returns the ids of the sources and of the targets."""
    ids = [encode_texts(tokenizer, texts) for tokenizer, texts in zip(tokenizers, (sources, targets), strict=True)]
    lengths = np.stack([side.lengths for side in ids], axis=1)
    has_text = (lengths > 1).all(axis=1)
    is_long = has_text & (lengths > config.max_length).any(axis=1)
    skips = config.long_pairs == "skip"
    for count, description in (
        (np.sum(~has_text), "without text on a side are left out"),
        (np.sum(is_long), f"of more than {config.max_length} tokens are {'left out' if skips else 'cut'}"),
    ):
        if count:
            note(f"{split}: {count} pairs {description}")
    usable = np.asarray(has_text & ~is_long if skips else has_text)
    if not usable.any():
        raise DataError(f"no sentence pair has text on both sides and at most {config.max_length} tokens on each")
    return [side.select(usable).cut(config.max_length) for side in ids]
