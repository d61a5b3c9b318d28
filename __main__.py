"""The command `keras-recurrent`, which is also `python -m keras_recurrent`."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status, which is 2 without the packages of the extra `apps`."""
    try:
        from .apps import cli
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module == __package__:
            raise
        print(f"keras-recurrent: {module} is missing: pip install 'keras-recurrent[apps]'", file=sys.stderr)
        return 2
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
