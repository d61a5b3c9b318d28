"""How many inputs are computed together, by the memory that there is."""

from collections.abc import Callable, Sequence
from typing import Any

BATCH = 64  # inputs on a CPU, and where the free memory is unknown
MAX_BATCH = 1024  # inputs on a GPU


def batch_size(input_bytes: int) -> int:
    """Returns how many inputs to compute together: on a GPU, as many as take half of its free memory.

    Args:
        input_bytes: An estimate of the bytes that the computation of an input takes.
    """
    free = free_memory()
    if free is None:
        return BATCH
    count = max(1, free // (2 * input_bytes))
    return min(MAX_BATCH, 2 ** (count.bit_length() - 1))  # few sizes are compiled


def free_memory() -> int | None:
    """Returns the free bytes of the GPU, or None if they are unknown, as on a CPU and on TensorFlow."""
    import keras  # reads the backend that `choose_backend` has chosen

    if keras.config.backend() != "jax":
        return None
    import jax

    statistics = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" not in statistics:
        return None
    return max(0, statistics["bytes_limit"] - statistics["bytes_in_use"])


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether Python, TensorFlow or JAX raised an error because there is not enough memory."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "ResourceExhaustedError"  # of TensorFlow
        or "RESOURCE_EXHAUSTED" in str(error)  # of JAX
    )


def in_halves(function: Callable[[Any], Sequence[Any]], inputs: Any) -> Sequence[Any]:
    """Applies a function to inputs; if there is not enough memory, to one half of them after the other.

    Args:
        function: Function from inputs to a list of results, one per input.
        inputs: The inputs, a list or an array.

    Example:

    >>> from keras_recurrent.apps.shared.memory import in_halves
    >>> def upper(texts):
    ...     if len(texts) > 2:
    ...         raise MemoryError
    ...     return [text.upper() for text in texts]
    >>> in_halves(upper, ["a", "b", "c", "d", "e"])
    ['A', 'B', 'C', 'D', 'E']
    """
    try:
        return function(inputs)
    except Exception as error:
        if len(inputs) < 2 or not is_out_of_memory(error):
            raise
    # Not in the block above: the traceback would keep the tensors of the failed attempt.
    middle = len(inputs) // 2
    return [result for half in (inputs[:middle], inputs[middle:]) for result in in_halves(function, half)]
