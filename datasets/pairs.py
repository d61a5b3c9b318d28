"""Sentence pairs, from a folder, a file or TensorFlow Datasets."""

import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path

from .columns import Columns, Strings
from .errors import DataError
from .files import find_folder, list_files, nfc, read_lines, split_files
from .generated import generated_set
from .splits import VALIDATION_NAMES, resolve_split
from .tfds import tfds_builder, tfds_examples


def read_pairs(data: str | Path, split: str, source: str, target: str) -> Columns:
    """Reads the sentence pairs of a split.

    Args:
        data: A folder with `{split}.{language}` or `{split}.{language}.gz`, aligned line by line; or `english_korean`;
            or the name of a TFDS data set with a `Translation` feature, such as `ted_hrlr_translate/pt_to_en`.
        split: Name of the split. `validation` also matches `val`, `valid` and `dev`.
        source: Language code of the source.
        target: Language code of the target.

    Returns:
        Sequence of pairs `(source sentence, target sentence)`, in Unicode's normalization form C.

    Raises:
        DataError: If the folder or data set, the split or a language does not exist, a file is empty or not UTF-8, or
            the two files differ in length.

    Example:

    >>> from keras_recurrent.datasets import read_pairs
    >>> read_pairs("english_korean", "train", "en", "ko")[0]
    ('Will you draw five birds tomorrow morning?', '내일 아침에 새 다섯 마리를 그릴 거예요?')
    """
    return Columns.of(iter_pairs(data, split, source, target), Strings, Strings)


def iter_pairs(data: str | Path, split: str, source: str, target: str) -> Iterator[tuple[str, str]]:
    """Yields what `read_pairs` returns, one pair after the other. See there for the arguments and errors."""
    folder = find_folder(data, "files {split}.{language} (--pairs reads a single file of pairs)")
    if folder:
        yield from _folder_pairs(folder, split, source, target)
    else:
        yield from _named_pairs(str(data), split, source, target)


def read_pairs_file(path: str | Path, split: str, swap: bool = False) -> Columns:
    r"""Reads the sentence pairs of a split from a single file of pairs, such as Tatoeba's.

    Each line is `first<TAB>second`; anything after a second tab is ignored. The split of a pair is a hash of its first
    sentence, ignoring case: 90 % of the first sentences are `train`, 5 % `validation` and 5 % `test`. All translations
    of a sentence are therefore in the same split, and adding lines to the file does not move existing ones.

    Args:
        path: The file, UTF-8, gzipped if its name ends in `.gz`.
        split: `train`, `validation` (or `val`, `valid`, `dev`) or `test`.
        swap: Whether the second sentence is the source.

    Returns:
        Sequence of pairs `(source sentence, target sentence)`, in Unicode's normalization form C.

    Raises:
        DataError: If the file cannot be read, a line has no tab, or the split is unknown or has no pairs.

    Example:

    >>> import pathlib, tempfile
    >>> from keras_recurrent.datasets import read_pairs_file
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "pairs.txt"
    >>> _ = path.write_text("Go.\tVa !\nHi.\tSalut !\n")
    >>> [*read_pairs_file(path, "train", swap=True)]
    [('Va !', 'Go.'), ('Salut !', 'Hi.')]
    """
    return Columns.of(iter_pairs_file(path, split, swap), Strings, Strings)


def iter_pairs_file(path: str | Path, split: str, swap: bool = False) -> Iterator[tuple[str, str]]:
    """Yields what `read_pairs_file` returns, one pair after the other. See there for the arguments and errors."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError(f"{path}: {'not a regular' if path.exists() else 'no such'} file")
    name = "validation" if split in VALIDATION_NAMES else resolve_split(split, ("train", "validation", "test"), path)
    is_empty = True
    for number, line in enumerate(read_lines(path), 1):
        first, tab, rest = nfc(line).partition("\t")
        if not tab:
            raise DataError(f"{path}, line {number}: no tab between two sentences")
        if _split_of(first) == name:
            is_empty = False
            second = rest.split("\t", 1)[0]
            yield (second, first) if swap else (first, second)
    if is_empty:
        raise DataError(f"{path}: too few pairs; none of them is in the split '{split}'")


def _split_of(sentence: str) -> str:
    bucket = zlib.crc32(sentence.strip().casefold().encode()) % 20
    return {0: "validation", 1: "test"}.get(bucket, "train")


def _folder_pairs(folder: Path, split: str, source: str, target: str) -> Iterator[tuple[str, str]]:
    files = {language: split_files(folder, f".{language}") for language in (source, target)}
    complete = files[source].keys() & files[target].keys()
    if not complete:
        for language, other in ((source, target), (target, source)):
            if split in files[language]:
                raise DataError(f"{folder}: found {files[language][split].name}, but no {split}.{other} (or .gz)")
        languages = sorted({Path(name).suffix.removeprefix(".") for name in list_files(folder)} - {""})
        missing = [language for language in (source, target) if language not in languages] or [source, target]
        raise DataError(
            f"{folder}: no files for the language {' and '.join(missing)} (expected {split}.{source} and "
            f"{split}.{target}, or .gz); available languages: {', '.join(languages) or 'none'}"
        )
    name = resolve_split(split, complete, folder)
    paths = files[source][name], files[target][name]
    lines = [map(nfc, read_lines(path)) for path in paths]
    for count, pair in enumerate(itertools.zip_longest(*lines)):
        if None in pair:
            counts = [count + (line is not None) + sum(1 for _ in rest) for line, rest in zip(pair, lines, strict=True)]
            raise DataError(f"{paths[0]} has {counts[0]} lines, but {paths[1]} has {counts[1]}; they must match")
        yield pair[0], pair[1]


def _named_pairs(name: str, split: str, source: str, target: str) -> Iterator[tuple[str, str]]:
    if generated := generated_set(name):
        languages = generated.features if generated.name == "english_korean" else None
        features = generated.features
    else:
        builder = tfds_builder(name)
        features = builder.info.features
        languages = getattr(features, "languages", None)  # only a `Translation` has them
    if languages is None:
        raise DataError(f"'{name}' has no sentence pairs; its features are {', '.join(sorted(features))}")
    for language in (source, target):
        if language not in languages:
            raise DataError(f"'{name}' has no language '{language}'; available: {', '.join(sorted(languages))}")
    if generated:
        first, second = ([*generated.features].index(language) for language in (source, target))
        for example in generated.examples(split):
            yield example[first], example[second]
        return
    for example in tfds_examples(builder, split):
        yield nfc(example[source].decode()), nfc(example[target].decode())
