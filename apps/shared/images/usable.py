"""Images that cannot be read: a data set leaves them out, a command reports them and continues."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ....datasets import DataError
from ..console import note, progress
from ..errors import UsageError
from .pixels import THREADS, ImageError, decode

Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_examples(
    examples: Sequence[Any], split: str, strict: bool, problem_of: Callable[[Any], str | None]
) -> list[Any]:
    """Returns the examples that can be used. The others are named and counted on standard error.

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
            decode(example.image.read())
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


def attempt_each(
    function: Callable[[Item], Result], items: Sequence[Item], name: Callable[[Item], str], failure: str
) -> Iterator[tuple[Item, Result]]:
    """Applies a function to each item, and yields `(item, result)` where it succeeds.

    Items that fail are reported on standard error.

    Args:
        function: Function from an item to a result.
        items: The items.
        name: Function from an item to its name, for messages.
        failure: What to say after the number of failures, such as "files could not be captioned".

    Raises:
        UsageError: At the end, if an item failed.
    """
    failed = 0
    for item in items:
        try:
            result = function(item)
        except (DataError, ImageError, UsageError, OSError) as error:
            note(f"{name(item)}: {error.strerror if isinstance(error, OSError) else error}")
            failed += 1
        else:
            yield item, result
    if failed:
        raise UsageError(f"{failed} of {len(items)} {failure}")
