"""What people see of long work: messages and progress on standard error, and how long it took."""

import sys
import time

from rich.console import Console
from rich.progress import track


def note(text):
    """Tells people something, in one line."""
    print(f"keras-recurrent: {' '.join(str(text).split())}", file=sys.stderr, flush=True)


def progress(items, total, description):
    """`items`, with a progress bar."""
    return track(items, description, total, console=Console(stderr=True))


class Stopwatch:
    """`with Stopwatch() as watch: ...`, then `watch.seconds`."""

    def __enter__(self):
        self.start = time.perf_counter()
        return self

    def __exit__(self, *_):
        self.seconds = time.perf_counter() - self.start
