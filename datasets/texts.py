"""Texts, with or without labels, from a folder or from TensorFlow Datasets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import DataError
from .files import find_folder, read_lines, split_files
from .splits import resolve_split
from .tables import read_table
from .tfds import tfds_builder, tfds_examples


def read_texts(data: str | Path, split: str, language: str | None = None) -> list[tuple[str, str | None]]:
    r"""Reads the texts of a split, with their labels if they have any.

    Args:
        data: A folder with `{split}.tsv`, whose columns `text` and `label` hold one text per row, or with
            `{split}.txt`, which holds one text per line; either may be gzipped (`.gz`). Or the name of a TFDS data set
            with the feature `text` and optionally `label`, such as `imdb_reviews`, or with sentences in several
            languages, such as `english_korean`.
        split: Name of the split. `validation` also matches `val`, `valid` and `dev`.
        language: For a data set with several languages, the one to read.

    Returns:
        List of pairs `(text, label)`, at least one of which has a text that is not blank. A label is a string, or None
        if the text has no label.

    Raises:
        DataError: If the folder or data set, the split or the language does not exist, a table is malformed, or the
            split has no text.

    Example:

    >>> import pathlib, tempfile
    >>> from keras_recurrent.datasets.texts import read_texts
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "train.tsv").write_text("text\tlabel\na joy\tpositive\ntoo long\tnegative\n")
    >>> read_texts(folder, "train")
    [('a joy', 'positive'), ('too long', 'negative')]
    """
    folder = find_folder(data, "{split}.txt or {split}.tsv")
    examples = _read_folder(folder, split) if folder else _read_tfds(str(data), split, language)
    if not any(text.strip() for text, _ in examples):
        raise DataError(f"{data}: the split '{split}' is empty")
    return examples


def _read_folder(folder: Path, split: str) -> list[tuple[str, str | None]]:
    tables, texts = split_files(folder, ".tsv"), split_files(folder, ".txt")
    name = resolve_split(split, tables | texts, folder)
    if name in tables:
        return [(text, label.strip() or None) for text, label in read_table(folder, name, ("text", "label"))]
    return [(line, None) for line in read_lines(texts[name])]


def _read_tfds(name: str, split: str, language: str | None) -> list[tuple[str, str | None]]:
    builder = tfds_builder(name)
    features = builder.info.features
    languages = getattr(features, "languages", None)  # only a `Translation` has them
    if languages is not None:
        if language is None or language not in languages:
            reason = f"there is no '{language}'" if language else "its texts have no labels"
            raise DataError(f"'{name}' has the languages {', '.join(sorted(languages))}; {reason}")
        return [(example[language].decode(), None) for example in tfds_examples(builder, split)]
    if "text" not in features:
        raise DataError(f"'{name}' has no texts; its TFDS features are {', '.join(sorted(features))}")
    label_of = _label_reader(features)
    return [(example["text"].decode(), label_of(example)) for example in tfds_examples(builder, split)]


def _label_reader(features: Any) -> Callable[[dict[str, Any]], str | None]:
    """Returns a function from an example to its label."""
    if "label" not in features:
        return lambda example: None
    names = getattr(features["label"], "names", None)

    def label_of(example: dict[str, Any]) -> str | None:
        value = example["label"]
        if names:
            return names[value] if value >= 0 else None  # TFDS writes -1 for an unknown class
        return value.decode() if isinstance(value, bytes) else str(value)

    return label_of
