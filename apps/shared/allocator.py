"""Settings of the memory allocator."""

import ctypes

# Parameters of glibc's `mallopt`, from malloc.h: keep up to 1 GiB of freed memory, serve no allocation by `mmap`, and
# use one arena for all threads, because small arenas are returned to the system as soon as they are empty.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
SETTINGS = {M_TRIM_THRESHOLD: 1 << 30, M_MMAP_MAX: 0, M_ARENA_MAX: 1}


def keep_freed_memory() -> None:
    """Lets glibc reuse freed memory instead of returning it to the system. Other C libraries are left unchanged.

    By default glibc returns the tensors of each training step to the system and requests the pages again in the next
    step, which takes up to half of the step's time on a CPU.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for parameter, value in SETTINGS.items():
        mallopt(parameter, value)
