"""How the process gets memory from the system."""

import ctypes

# The names and numbers of glibc's malloc.h: give back no less than so many bytes, no piece of memory has pages of its
# own, and all threads share one heap, for those of their own are small and are given back as soon as they are empty.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
KEPT = {M_TRIM_THRESHOLD: 1 << 30, M_MMAP_MAX: 0, M_ARENA_MAX: 1}


def keep_freed_memory():
    """Lets glibc keep memory that was freed for what is asked for next; with another C library, nothing changes.

    By itself, it gives the tensors of a training step back to the system and gets them again, page by page, in the next
    step, which takes up to half of a step's time on a CPU.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for option, value in KEPT.items():
        mallopt(option, value)
