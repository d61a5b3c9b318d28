"""Messages, progress bars and timing of commands. Everything but results goes to standard error."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self


def note(text: Any) -> None:
    """Prints a message as one line on standard error."""
    print(f"keras-recurrent: {' '.join(str(text).split())}", file=sys.stderr, flush=True)


def progress(items: Iterable[Any], total: int, description: str) -> Iterator[Any]:
    """Iterates over `total` items with a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import track

    return iter(track(items, description, total, console=Console(stderr=True)))


def print_weights(pieces: Sequence[str], weights: Sequence[float]) -> None:
    """Prints the pieces of a text on standard output, each on a red background in proportion to its weight."""
    from rich.console import Console
    from rich.text import Text

    text = Text()
    for piece, weight in zip(pieces, weights, strict=True):
        other = round(255 * (1 - weight / (max(weights) or 1)))  # of green and blue
        word = piece.lstrip()
        text.append(piece[: len(piece) - len(word)])
        text.append(word, style=f"black on rgb(255,{other},{other})")
    Console().print(text)


class Stopwatch:
    """Measures the time of a block: `with Stopwatch() as watch: ...`, then `watch.seconds`."""

    seconds: float

    def __enter__(self) -> Self:
        self.start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self.start
