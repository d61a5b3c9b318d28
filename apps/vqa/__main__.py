"""`python -m keras_recurrent.apps.vqa VERB ...` is `keras-recurrent vqa VERB ...`."""

import sys

from ..cli import main

if __name__ == "__main__":
    sys.exit(main(["vqa", *sys.argv[1:]]))
