"""`python -m keras_recurrent.apps.generation VERB ...` is `keras-recurrent generation VERB ...`."""

import sys

from ..cli import main

if __name__ == "__main__":
    sys.exit(main(["generation", *sys.argv[1:]]))
