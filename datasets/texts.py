"""Texts, with labels or without, from a folder, a file or TensorFlow Datasets."""

from pathlib import Path

from .images import read_table
from .sources import DataError, read_lines, resolve_split, tfds_builder, tfds_examples


def read_texts(data, split, language=None):
    """Reads the lines of a split, and their labels where they have any.

    Args:
        data: A folder with `{split}.tsv`, whose columns `text` and `label` have a row a text, or with `{split}.txt`, a
            text a line, each with `.gz` or without; or the name of a TFDS data set with a feature `text`, and perhaps
            `label`, such as `imdb_reviews`, or with sentences in several languages, such as `english_korean`.
        split: The name of the split. `validation` stands for `val`, `valid` and `dev` too.
        language: For a data set with several languages, the one to read.

    Returns:
        List of pairs `(text, label)`, one or more; a label is a string, or None where there is none. A text may be
        empty.

    Raises:
        DataError: If there is no such folder, data set, split or language, a file is not such a table, or there is no
            text in it.

    Example:

    >>> read_texts("english_korean", "test", "en")[0]  # doctest: +SKIP
    ('Did she buy a book?', None)
    """
    folder = Path(data).expanduser()
    if folder.is_dir():
        pairs = _of_folder(folder, split)
    elif folder.exists():
        raise DataError(f"{data} is a file; the data must be a folder with {{split}}.txt or {{split}}.tsv, or a name")
    else:
        pairs = _of_tfds(str(data), split, language)
    if not any(text.strip() for text, _ in pairs):
        raise DataError(f"{data}: the split '{split}' is empty")
    return pairs


def _of_folder(folder, split):
    names = {}
    for path in sorted(folder.iterdir()):
        names.setdefault(path.name.removesuffix(".gz"), path)
    tables = {name.removesuffix(".tsv") for name in names if name.endswith(".tsv")}
    texts = {name.removesuffix(".txt") for name in names if name.endswith(".txt")}
    name = resolve_split(split, tables | texts, folder)
    if name in tables:
        return [(text, label.strip() or None) for text, label in read_table(folder, name, ("text", "label"))]
    return [(line, None) for line in read_lines(names[f"{name}.txt"])]


def _of_tfds(name, split, language):
    import tensorflow_datasets as tfds

    builder = tfds_builder(name)
    features = builder.info.features
    if isinstance(features, tfds.features.Translation):
        if language not in features.languages:
            raise DataError(
                f"'{name}' has the languages {', '.join(sorted(features.languages))}; "
                + (f"there is no '{language}'" if language else "its texts have no labels")
            )
        return [(example[language].decode(), None) for example in tfds_examples(builder, split)]
    if "text" not in features:
        raise DataError(f"'{name}' holds no texts: TFDS gives it the features {sorted(features)}")
    names = getattr(features["label"], "names", None) if "label" in features else None

    def label(example):
        if "label" not in features:
            return None
        value = example["label"]
        if names:
            return names[value] if value >= 0 else None
        return value.decode() if isinstance(value, bytes) else str(value)

    return [(example["text"].decode(), label(example)) for example in tfds_examples(builder, split)]
