"""Images that cannot be read: left out of a data set, or reported and passed over by a command."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

from ....datasets import DataError
from ..console import note, progress
from ..errors import UsageError
from .pixels import THREADS, ImageError, decode


def usable(examples, split, strict, lack):
    """Those of a list of examples that can be used. The others are named and counted on standard error.

    Args:
        examples: List of objects with an `image`, a `datasets.images.Image`.
        split: The split's name, for messages.
        strict: Whether the first that cannot be used is an error.
        lack: Function of an example that says what it lacks besides, None for nothing.

    Raises:
        DataError: If none can be used, or with `strict` one cannot.
    """

    def problem_of(example):
        try:
            decode(example.image.read())
        except (FileNotFoundError, IsADirectoryError):
            return "no such file"
        except (ImageError, OSError, ValueError) as error:  # the last for a name that is none, such as one with a NUL
            return str(error)
        return lack(example)

    kept, problems = [], {}
    with contextlib.ExitStack() as stack:
        pool = ThreadPoolExecutor(THREADS)
        stack.callback(pool.shutdown, cancel_futures=True)  # after the first problem nobody waits for the rest
        found = progress(pool.map(problem_of, examples), len(examples), f"checking images: {split}")
        for example, problem in zip(examples, found, strict=True):
            if problem is None:
                kept.append(example)
                continue
            name = example.image.name or "(no name)"
            if strict:
                raise DataError(f"{split}: {name}: {problem}")
            problems.setdefault(problem.split(" (")[0], []).append(name)
    for problem, names in problems.items():
        note(f"{split}: {len(names)} of {len(examples)} images left out: {problem}: {', '.join(names)}")
    if not kept:
        raise DataError(f"{split}: none of {len(examples)} images can be used")
    return kept


def attempted(function, items, name, failure):
    """Yields each item with what a function makes of it, and goes on where that fails.

    Those items whose image cannot be read are told on standard error by their name, and counted at the end.

    Args:
        function: Function of an item; it fails by an `ImageError`, an `OSError` or a `UsageError`.
        items: List.
        name: Function of an item.
        failure: What to say of the number that failed.

    Raises:
        UsageError: At the end, if one failed.
    """
    failed = 0
    for item in items:
        try:
            found = function(item)
        except (ImageError, UsageError, OSError) as error:
            note(f"{name(item)}: {error.strerror if isinstance(error, OSError) else error}")
            failed += 1
        else:
            yield item, found
    if failed:
        raise UsageError(f"{failed} of {len(items)} {failure}")
