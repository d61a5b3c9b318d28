"""Texts, with or without labels, from a folder or from TensorFlow Datasets."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from .columns import Categories, Columns, Strings
from .errors import DataError
from .files import find_folder, read_lines, split_files
from .generated import generated_set
from .splits import resolve_split
from .tables import read_table
from .tfds import tfds_builder, tfds_examples


def read_texts(data: str | Path, split: str, language: str | None = None) -> Columns:
    r"""Reads the texts of a split, with their labels if they have any.

    Args:
        data: A folder with `{split}.tsv`, whose columns `text` and `label` hold one text per row, or with
            `{split}.txt`, which holds one text per line; either may be gzipped (`.gz`). Or `negation`, or
            `english_korean` with a language. Or the name of a TFDS data set with the feature `text` and optionally
            `label`, such as `imdb_reviews`, or with sentences in several languages.
        split: Name of the split. `validation` also matches `val`, `valid` and `dev`.
        language: For a data set with several languages, the one to read.

    Returns:
        Sequence of pairs `(text, label)`, at least one of which has a text that is not blank. A label is a string, or
        None if the text has no label.

    Raises:
        DataError: If the folder or data set, the split or the language does not exist, a table is malformed, or the
            split has no text.

    Example:

    >>> import pathlib, tempfile
    >>> from keras_recurrent.datasets.texts import read_texts
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "train.tsv").write_text("text\tlabel\na joy\tpositive\ntoo long\tnegative\n")
    >>> [*read_texts(folder, "train")]
    [('a joy', 'positive'), ('too long', 'negative')]
    """
    return Columns.of(iter_texts(data, split, language), Strings, Categories)


def iter_texts(data: str | Path, split: str, language: str | None = None) -> Iterator[tuple[str, str | None]]:
    """Yields what `read_texts` returns, one pair after the other. See there for the arguments and errors."""
    folder = find_folder(data, "{split}.txt or {split}.tsv")
    is_empty = True
    for row in _folder_rows(folder, split) if folder else _named_rows(str(data), split, language):
        is_empty = is_empty and not row[0].strip()
        yield row
    if is_empty:
        raise DataError(f"{data}: the split '{split}' is empty")


def _folder_rows(folder: Path, split: str) -> Iterable[tuple[str, str | None]]:
    tables, texts = split_files(folder, ".tsv"), split_files(folder, ".txt")
    name = resolve_split(split, tables | texts, folder)
    if name in tables:
        return ((text, label.strip() or None) for text, label in read_table(folder, name, ("text", "label")))
    return ((line, None) for line in read_lines(texts[name]))


def _named_rows(name: str, split: str, language: str | None) -> Iterable[tuple[str, str | None]]:
    if generated := generated_set(name):
        features: Any = generated.features
        languages = features if generated.name == "english_korean" else None
    else:
        builder = tfds_builder(name)
        features = builder.info.features
        languages = getattr(features, "languages", None)  # only a `Translation` has them
    if languages is not None and (language is None or language not in languages):
        reason = f"there is no '{language}'" if language else "its texts have no labels"
        raise DataError(f"'{name}' has the languages {', '.join(sorted(languages))}; {reason}")
    if languages is None and "text" not in features:
        raise DataError(f"'{name}' has no texts; its features are {', '.join(sorted(features))}")
    if generated:
        if languages is None:
            return generated.examples(split)
        index = languages.index(language)
        return ((example[index], None) for example in generated.examples(split))
    examples = tfds_examples(builder, split)
    if language is not None and languages is not None:
        return ((example[language].decode(), None) for example in examples)
    label_of = _label_reader(features)
    return ((example["text"].decode(), label_of(example)) for example in examples)


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
