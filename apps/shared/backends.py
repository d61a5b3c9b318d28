"""The Keras backend of a command."""

import contextlib
import importlib.util
import os
from collections.abc import Iterator

from ...extras import import_extra

BACKENDS = ("tensorflow", "jax")  # those that train the apps


def choose_backend(name: str | None) -> None:
    """Chooses the backend, before Keras is imported.

    Args:
        name: One of `BACKENDS`. None is the value of the environment variable KERAS_BACKEND, or the first one that is
            installed.
    """
    if name is None and "KERAS_BACKEND" not in os.environ:
        name = next((name for name in BACKENDS if importlib.util.find_spec(name)), BACKENDS[0])
    if name is not None:
        os.environ["KERAS_BACKEND"] = name


def import_backend() -> None:
    """Imports the backend that is chosen.

    Raises:
        MissingExtra: If it is not installed.
    """
    name = os.environ.get("KERAS_BACKEND", BACKENDS[0])
    with _silenced():
        import_extra(name, "apps" if name == "tensorflow" else name)


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
