"""`python -m keras_recurrent.apps.long_memory VERB ...` is `keras-recurrent long_memory VERB ...`."""

import sys

from ..cli import main

if __name__ == "__main__":
    sys.exit(main(["long_memory", *sys.argv[1:]]))
