"""Data sets read by name through TensorFlow Datasets (TFDS), which is imported only when a name is read."""

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .errors import DataError
from .splits import resolve_split

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def tfds_builder(name: str) -> "tfds.core.DatasetBuilder":
    """Returns the TFDS builder of a data set.

    Args:
        name: The name of the data set, such as `imdb_reviews` or `coco_captions/2014`.

    Raises:
        DataError: If there is no such data set, or TFDS is not installed.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(f"'{name}' is not a folder; reading a data set by name requires tensorflow-datasets") from error
    try:
        return tfds.builder(name)
    except Exception as error:  # the type depends on how TFDS interprets the name
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"'{name}' is neither a folder nor a TFDS data set ({reason})") from error


def tfds_examples(builder: "tfds.core.DatasetBuilder", split: str, **options: Any) -> Iterator[dict[str, Any]]:
    """Prepares a data set and iterates over the examples of a split.

    Args:
        builder: A builder, see `tfds_builder`.
        split: Name of the split, see `resolve_split`.
        **options: Arguments of `builder.as_dataset`, such as `decoders`.

    Returns:
        Iterable of dictionaries of NumPy arrays and bytes.

    Raises:
        DataError: If the data cannot be downloaded or prepared, or has no such split.
    """
    import tensorflow_datasets as tfds

    name = f"'{builder.info.full_name}'"
    try:
        _prepare(builder)
    except Exception as error:  # no network, a wrong checksum, files that must be downloaded manually, ...
        raise DataError(f"{name} cannot be prepared: {str(error).strip().splitlines()[0]}") from error
    # A builder without metadata does not know its splits; then the split is assumed to exist.
    split = resolve_split(split, set(builder.info.splits) or {split}, name)
    return tfds.as_numpy(builder.as_dataset(split=split, **options))


def _prepare(builder: "tfds.core.DatasetBuilder") -> None:
    """Prepares a data set, even if other processes prepare it at the same time. Keeps Python's random state."""
    state = random.getstate()
    random.seed()  # it decides the name of TFDS's temporary folder, which two trainings with one seed must not share
    try:
        builder.download_and_prepare()
    except OSError:
        if not builder.data_path.exists():
            raise
        builder.info.read_from_directory(builder.data_dir)  # another process was first
    finally:
        random.setstate(state)
