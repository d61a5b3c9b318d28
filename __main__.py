"""The command `keras-recurrent`, which is also `python -m keras_recurrent`."""

import os
import signal
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status, which is 2 without the packages of the extra `apps` or `jax`."""
    stderr = os.dup(2)  # the command redirects standard error while it imports TensorFlow

    def stop(*_):
        os.write(stderr, b"keras-recurrent: stopped\n")
        os._exit(130)

    # A KeyboardInterrupt in the middle of an import may become another error. `cli.main` restores it after the imports.
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, stop)
    try:
        return _run(arguments)
    finally:
        signal.signal(signal.SIGINT, handler)
        os.close(stderr)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        from .apps import cli
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module == __package__:
            raise
        print(
            f"keras-recurrent: {module} is missing: pip install 'keras-recurrent[apps]' for TensorFlow or "
            "'keras-recurrent[jax]' for JAX",
            file=sys.stderr,
        )
        return 2
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
