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
        List of pairs `(text, label)`; a label is a string, or None where there are none. Lines without text are left
        out.

    Raises:
        DataError: If there is no such folder, data set, split or language, or a file is not such a table.

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
    return [(text, label) for text, label in pairs if text.strip()]


def _of_folder(folder, split):
    names = {path.name.removesuffix(".gz"): path for path in sorted(folder.iterdir())}
    tables = {name.removesuffix(".tsv") for name in names if name.endswith(".tsv")}
    texts = {name.removesuffix(".txt") for name in names if name.endswith(".txt")}
    name = resolve_split(split, tables | texts, folder)
    if name in tables:
        return read_table(folder, name, ("text", "label"))
    return [(line, None) for line in read_lines(names[f"{name}.txt"])]


def _of_tfds(name, split, language):
    import tensorflow_datasets as tfds

    builder = tfds_builder(name)
    features = builder.info.features
    if isinstance(features, tfds.features.Translation):
        if language not in features.languages:
            raise DataError(f"'{name}' has the languages {', '.join(sorted(features.languages))}, not {language!r}")
        return [(example[language].decode(), None) for example in tfds_examples(builder, split)]
    if "text" not in features:
        raise DataError(f"'{name}' holds no texts: TFDS gives it the features {sorted(features)}")
    names = getattr(features.get("label"), "names", None)

    def label(example):
        if "label" not in features:
            return None
        value = example["label"]
        return names[value] if names else value.decode() if isinstance(value, bytes) else str(value)

    return [(example["text"].decode(), label(example)) for example in tfds_examples(builder, split)]
