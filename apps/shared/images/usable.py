"""Images that cannot be read: a data set leaves them out, a command reports them and continues."""

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ....datasets import DataError
from ....datasets.images import Image
from ..console import note, progress
from ..training.batches import threaded_map
from .pixels import THREADS, ImageError, check, decode_batch

Result = TypeVar("Result")


def usable_examples(
    examples: Sequence[Any], split: str, strict: bool, problem_of: Callable[[Any], str | None]
) -> list[Any]:
    """Returns the examples that can be used. The others are named and counted on standard error.

    Images are checked as `pixels.check` does, without decoding them.

    Args:
        examples: Objects with an attribute `image`, a `datasets.images.Image`.
        split: The split's name, for messages.
        strict: Whether to raise an error at the first example that cannot be used.
        problem_of: Function from an example whose image can be read to the reason why it cannot be used, or None.

    Raises:
        DataError: If no example can be used, or with `strict` if one cannot.
    """

    def problem(example):
        try:
            check(example.image)
        except (FileNotFoundError, IsADirectoryError):
            return "no such file"
        except (ImageError, OSError, ValueError) as error:  # ValueError: an impossible file name, as with a null byte
            return str(error)
        return problem_of(example)

    kept: list[Any] = []
    names_by_problem: dict[str, list[str]] = {}
    with contextlib.ExitStack() as stack:
        pool = ThreadPoolExecutor(THREADS)
        stack.callback(pool.shutdown, cancel_futures=True)  # with `strict`, the first problem cancels the rest
        problems = progress(pool.map(problem, examples), len(examples), f"checking images: {split}")
        for example, reason in zip(examples, problems, strict=True):
            if reason is None:
                kept.append(example)
                continue
            name = example.image.name or "(no name)"
            if strict:
                raise DataError(f"{split}: {name}: {reason}")
            names_by_problem.setdefault(reason.split(" (")[0], []).append(name)
    for reason, names in names_by_problem.items():
        note(f"{split}: {len(names)} of {len(examples)} images left out: {reason}: {', '.join(names)}")
    if not kept:
        raise DataError(f"{split}: none of {len(examples)} images can be used")
    return kept


def read_pixels(paths: Sequence[str | Path], size: int) -> list[np.ndarray | Exception]:
    """Reads image files in threads, and returns the pixels of each, uint8 `(size, size, 3)`, or the error."""

    def read(path: str | Path) -> np.ndarray | Exception:
        try:
            return decode_batch([Image(str(path), Path(path)).read()], size)[0]
        except (DataError, ImageError, OSError, ValueError) as error:  # ValueError: a null byte in the name
            return error

    return [*threaded_map(read, paths, THREADS)]


def map_usable(function: Callable[..., Sequence[Result]], *columns: Sequence[Any]) -> list[Result | Exception]:
    """Applies a function to the rows of columns that contain no exception.

    Args:
        function: Function from columns to a list of results, one per row.
        *columns: Lists of the same length.

    Returns:
        For each row its result, or its first exception.

    Example:

    >>> from keras_recurrent.apps.shared.images.usable import map_usable
    >>> map_usable(lambda numbers: [2 * number for number in numbers], [1, ValueError("no number"), 3])
    [2, ValueError('no number'), 6]
    """
    rows = list(zip(*columns, strict=True))
    errors = [next((value for value in row if isinstance(value, Exception)), None) for row in rows]
    usable = [row for row, error in zip(rows, errors, strict=True) if error is None]
    results = iter(function(*zip(*usable, strict=True)) if usable else [])
    return [next(results) if error is None else error for error in errors]
