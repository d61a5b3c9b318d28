"""The Keras backend of a command."""

import contextlib
import importlib.util
import os
from collections.abc import Iterator

from ...extras import import_extra
from .errors import UsageError

BACKENDS = ("tensorflow", "jax")  # those that train the apps


def choose_backend(name: str | None) -> None:
    """Chooses the backend, before Keras is imported.

    Args:
        name: One of `BACKENDS`. None is the value of the environment variable KERAS_BACKEND, or the first one that is
            installed.

    Raises:
        UsageError: If that variable has another value.
    """
    if name is None:
        name = os.environ.get("KERAS_BACKEND") or next(filter(importlib.util.find_spec, BACKENDS), BACKENDS[0])
    if name not in BACKENDS:
        raise UsageError(f"KERAS_BACKEND is {name!r}; the backend of a command is {' or '.join(BACKENDS)}")
    os.environ["KERAS_BACKEND"] = name


def import_backend() -> None:
    """Imports the backend that is chosen.

    Raises:
        MissingExtra: If it is not installed.
    """
    name = os.environ["KERAS_BACKEND"]
    with _silenced():
        import_extra(name, "apps" if name == "tensorflow" else name)


def require_tensorflow() -> None:
    """Raises a `UsageError` if the backend is not TensorFlow, which exports require."""
    import keras

    if keras.config.backend() != "tensorflow":
        raise UsageError("an export requires the backend tensorflow, also for a model that was trained on another one")


def uses_xla(jit: bool | None) -> bool:
    """Returns whether functions are compiled by XLA, which compiles every new shape.

    Args:
        jit: The option `jit`. None uses XLA on a GPU.
    """
    import keras  # reads the backend that `choose_backend` has chosen

    if keras.config.backend() == "jax":
        return True
    if jit is None and keras.config.backend() == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    return bool(jit)


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Hides the log lines that TensorFlow prints on import and that no setting disables."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    stderr = os.dup(2)
    with open(os.devnull, "w") as devnull:
        os.dup2(devnull.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
