"""Messages, progress bars and timing of commands. Everything but results goes to standard error."""

import contextlib
import datetime
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self

REPORT_SECONDS = 60  # between two lines of progress


def note(text: Any) -> None:
    """Prints a message as one line on standard error."""
    print(f"keras-recurrent: {' '.join(str(text).split())}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Returns a duration as text.

    Example:

    >>> from keras_recurrent.apps.shared.console import duration
    >>> duration(7.4), duration(100), duration(10_000)
    ('7 s', '2 min', '2 h 47 min')
    """
    if round(seconds) < 90:
        return f"{round(seconds)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def progress(items: Iterable[Any], total: int, description: str) -> Iterator[Any]:
    """Iterates over `total` items and shows the progress on standard error; see `progress_bar`."""
    with progress_bar(description, total) as advance:
        for item in items:
            yield item
            advance(1)


@contextlib.contextmanager
def progress_bar(
    description: str, total: int | None, completed: int = 0, is_visible: bool = True, is_transient: bool = False
) -> Iterator[Callable[[int], None]]:
    """Shows the progress of the block on standard error: a bar at a terminal, otherwise a line per minute.

    Args:
        description: What the block does.
        total: The number of items, or None if it is unknown.
        completed: The number of items that were completed earlier.
        is_visible: Whether to show it.
        is_transient: Whether the bar disappears at the end.

    Yields:
        A function to call with the number of items that have been completed since the last call.
    """
    if not is_visible:
        yield lambda count: None
    elif not sys.stderr.isatty():
        yield _reporter(description, total, completed)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        with Progress(*columns, console=Console(stderr=True), redirect_stdout=False, transient=is_transient) as bar:
            task = bar.add_task(description, total=total, completed=completed, rate="")
            rate = _rate()

            def advance(count: int) -> None:
                bar.update(task, advance=count, rate=f"{rate(count):,.1f}/s")

            yield advance


def _rate() -> Callable[[int], float]:
    """Returns a function from the number of further items to the items per second since the start."""
    start, total = time.monotonic(), 0

    def rate(count: int) -> float:
        nonlocal total
        total += count
        return total / max(time.monotonic() - start, 1e-9)

    return rate


def _reporter(description: str, total: int | None, completed: int) -> Callable[[int], None]:
    """Returns the function of `progress_bar` that prints lines."""
    reported, rate = time.monotonic(), _rate()

    def advance(count: int) -> None:
        nonlocal reported, completed
        completed += count
        per_second = rate(count)
        if time.monotonic() - reported < REPORT_SECONDS:
            return
        reported = time.monotonic()
        line = f"{description}: {completed:,} {'' if total is None else f'of {total:,} '}({per_second:,.1f}/s"
        if total is not None:
            line += f", {datetime.timedelta(seconds=round((total - completed) / per_second))} left"
        note(f"{line})")

    return advance


def colored_weights(pieces: Sequence[str], weights: Sequence[float]) -> str:
    """Returns the pieces of a text for a terminal, each on a red background in proportion to its weight."""
    from rich.console import Console
    from rich.text import Text

    text = Text()
    for piece, weight in zip(pieces, weights, strict=True):
        other = round(255 * (1 - weight / (max(weights) or 1)))  # of green and blue
        word = piece.lstrip()
        text.append(piece[: len(piece) - len(word)])
        text.append(word, style=f"black on rgb(255,{other},{other})")
    console = Console()
    with console.capture() as capture:
        console.print(text, end="")
    return capture.get()


class Stopwatch:
    """Measures the time of a block: `with Stopwatch() as watch: ...`, then `watch.seconds`."""

    seconds: float

    def __enter__(self) -> Self:
        self.start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self.start
