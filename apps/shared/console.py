"""What people see of long work: messages and progress on standard error, and how long it took."""

import sys
import time

from rich.console import Console
from rich.progress import track
from rich.text import Text


def note(text):
    """Tells people something, in one line."""
    print(f"keras-recurrent: {' '.join(str(text).split())}", file=sys.stderr, flush=True)


def progress(items, total, description):
    """`items`, with a progress bar."""
    return track(items, description, total, console=Console(stderr=True))


def show_weights(pieces, weights):
    """Prints the pieces of a text on standard output, the redder the more weight they have; the heaviest is all red."""
    text = Text()
    for piece, weight in zip(pieces, weights, strict=True):
        fade = round(255 * (1 - weight / (max(weights) or 1)))
        word = piece.lstrip()
        text.append(piece[: len(piece) - len(word)])
        text.append(word, style=f"black on rgb(255,{fade},{fade})")
    Console().print(text)


class Stopwatch:
    """`with Stopwatch() as watch: ...`, then `watch.seconds`."""

    def __enter__(self):
        self.start = time.perf_counter()
        return self

    def __exit__(self, *_):
        self.seconds = time.perf_counter() - self.start
