"""Images that cannot be read: a data set leaves them out, a command reports them and continues."""

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ....datasets import DataError
from ....datasets.images import Image
from ..console import note, progress
from ..training.batches import threaded_map
from .pixels import THREADS, ImageError, check, decode_batch


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
