"""`python -m keras_recurrent.apps.translation VERB ...` is `keras-recurrent translation VERB ...`."""

import sys

from ..cli import main

if __name__ == "__main__":
    sys.exit(main(["translation", *sys.argv[1:]]))
