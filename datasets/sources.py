"""A data set's name or a folder, read as splits of plain examples."""

import gzip
import importlib
import re
import zlib
from pathlib import Path

# Generated data sets of this package, which TFDS finds once their builder is imported.
GENERATED = ("english_korean", "negation", "shapes")

# The names under which data sets call the same split.
VALIDATION_NAMES = ("validation", "val", "valid", "dev")


class DataError(ValueError):
    """Something is wrong with the data; the message tells its owner what to mend, in one line."""


def read_pairs(data, split, source, target):
    """Reads the sentence pairs of a split.

    Args:
        data: A folder with the files `{split}.{language}` or `{split}.{language}.gz`, line for line; or the name of a
            TFDS data set with a `Translation` feature, such as `english_korean` or `ted_hrlr_translate/pt_to_en`.
        split: The name of the split. `validation` stands for `val`, `valid` and `dev` too.
        source: Language code of the source.
        target: Language code of the target.

    Returns:
        List of pairs `(source sentence, target sentence)`.

    Raises:
        DataError: If there is no such folder or data set, split or language, if a file is empty or not UTF-8 text, or
            if the two files differ in length.

    Example:

    >>> read_pairs("english_korean", "test", "en", "ko")[0]  # doctest: +SKIP
    ('Did she buy a book?', '그녀는 책을 샀어요?')
    """
    folder = Path(data).expanduser()
    if folder.is_dir():
        return _read_folder_pairs(folder, split, source, target)
    if folder.exists():
        raise DataError(
            f"{data} is a file; the data must be a folder with files {{split}}.{{language}}, or a name; for a file of "
            "pairs there is --pairs"
        )
    return _read_tfds_pairs(str(data), split, source, target)


def read_pairs_file(path, split, swap=False):
    """Reads the sentence pairs of a split from one file of pairs, such as Tatoeba's.

    A line is `first<TAB>second`, and what follows a second tab is passed over. A pair's split depends on its first
    sentence alone, upper and lower case alike: of the first sentences 90 % are `train`, 5 % `validation`, 5 % `test`.
    So the translations of one sentence stay together, none that is tested was trained on, and a file that grows keeps
    its test.

    Args:
        path: The file, UTF-8, gzipped where its name ends in `.gz`.
        split: `train`, `validation` (or `val`, `valid`, `dev`) or `test`.
        swap: Whether the second sentence is the source.

    Returns:
        List of pairs `(source sentence, target sentence)`.

    Raises:
        DataError: If the file cannot be read, a line has no tab, or the split is not one of the three or has no pair.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    wanted = "validation" if split in VALIDATION_NAMES else resolve_split(split, ("train", "validation", "test"), path)
    pairs = []
    for number, line in enumerate(read_lines(path), 1):
        first, tab, rest = line.partition("\t")
        if not tab:
            raise DataError(f"{path}, line {number}: no tab between two sentences")
        if _split_of(first) == wanted:
            second = rest.split("\t", 1)[0]
            pairs.append((second, first) if swap else (first, second))
    if not pairs:
        raise DataError(f"{path}: too few pairs; none of them falls to the split '{split}'")
    return pairs


def _split_of(sentence):
    part = zlib.crc32(sentence.strip().casefold().encode()) % 20
    return {0: "validation", 1: "test"}.get(part, "train")


def read_lines(path):
    """Reads the lines of a UTF-8 text file, gzipped where its name ends in `.gz`, without their ends.

    A byte-order mark and CRLF are accepted. Only a line feed ends a line: other Unicode separators are text.

    Raises:
        DataError: If the file is empty, cut short or not UTF-8; the message names file and line.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, gzip.zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file ({error})") from error
    lines = decode_lines(content, path)
    if not any(line.strip() for line in lines):
        raise DataError(f"{path}: the file is empty")
    return lines


def decode_lines(content, path):
    """The lines of UTF-8 bytes, without their ends; `path` names where they are from in an error.

    Raises:
        DataError: If they are not UTF-8; the message names the line.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: not UTF-8 text (byte 0x{content[error.start]:02x})") from error
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []


def resolve_split(split, present, where):
    """The name that `split` has among the splits that are `present`.

    Raises:
        DataError: If it is not among them.
    """
    names = VALIDATION_NAMES if split == "validation" else (split,)
    for name in names:
        if name in present:
            return name
    there = ", ".join(sorted(present)) or "none"
    raise DataError(f"{where}: no split '{' or '.join(names)}'; splits there: {there}")


def _read_folder_pairs(folder, split, source, target):
    files = {}  # split -> language -> path
    for path in sorted(folder.iterdir()):
        match = re.fullmatch(r"(.+?)\.([^.]+)(\.gz)?", path.name)
        if match and path.is_file():
            files.setdefault(match[1], {}).setdefault(match[2], path)
    both = {name for name, languages in files.items() if {source, target} <= languages.keys()}
    if not both:
        if split in files and files[split].keys() & {source, target}:
            (there,) = files[split].keys() & {source, target}
            (other,) = {source, target} - {there}
            raise DataError(f"{folder}: there is {files[split][there].name}, but no {split}.{other} (or .gz)")
        languages = sorted({language for present in files.values() for language in present})
        missing = [language for language in (source, target) if language not in languages] or [source, target]
        raise DataError(
            f"{folder}: no files for the language {' and '.join(missing)} (wanted {split}.{source} and "
            f"{split}.{target}, or .gz); languages there: {', '.join(languages) or 'none'}"
        )
    name = resolve_split(split, both, folder)
    paths = files[name][source], files[name][target]
    sources, targets = (read_lines(path) for path in paths)
    if len(sources) != len(targets):
        raise DataError(f"{paths[0]} has {len(sources)} lines, but {paths[1]} has {len(targets)}; they must match")
    return list(zip(sources, targets, strict=True))


def _read_tfds_pairs(name, split, source, target):
    builder = tfds_builder(name)
    features = builder.info.features
    # Slow to import, and a folder needs none of it.
    import tensorflow_datasets as tfds

    if not isinstance(features, tfds.features.Translation):
        raise DataError(f"'{name}' holds no sentence pairs: TFDS gives it the features {sorted(features)}")
    for language in (source, target):
        if language not in features.languages:
            raise DataError(
                f"'{name}' has no language '{language}'; languages there: {', '.join(sorted(features.languages))}"
            )
    return [(example[source].decode(), example[target].decode()) for example in tfds_examples(builder, split)]


def tfds_builder(name):
    """The TFDS builder of a name; data sets that this package generates have one, too.

    Raises:
        DataError: If there is none of that name.
    """
    import tensorflow_datasets as tfds

    generated = name.split("/")[0]
    if generated in GENERATED:  # importing registers it
        importlib.import_module(f".{generated}.{generated}_dataset_builder", __package__)
    try:
        return tfds.builder(name)
    except Exception as error:  # TFDS raises many kinds, by what it takes the name for
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"'{name}' is neither a folder nor a TFDS data set ({reason})") from error


def tfds_examples(builder, split, **options):
    """The examples of a split, as dictionaries of arrays and bytes, one after the other.

    Args:
        builder: What `tfds_builder` returned.
        split: The name of the split.
        **options: What `as_dataset` takes, such as `decoders`.

    Raises:
        DataError: If the data cannot be prepared, or has no such split.
    """
    import tensorflow_datasets as tfds

    name = f"'{builder.info.full_name}'"
    try:
        builder.download_and_prepare()
    except Exception as error:  # no network, a wrong checksum, files to be put there by hand, ...
        raise DataError(f"{name} cannot be prepared: {str(error).strip().splitlines()[0]}") from error
    # A builder without metadata does not know its splits, and is taken at its word.
    split = resolve_split(split, set(builder.info.splits) or {split}, name)
    return tfds.as_numpy(builder.as_dataset(split=split, **options))
