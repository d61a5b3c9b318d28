"""`python -m keras_recurrent.apps.captioning VERB ...` is `keras-recurrent captioning VERB ...`."""

import sys

from ..cli import main

if __name__ == "__main__":
    sys.exit(main(["captioning", *sys.argv[1:]]))
