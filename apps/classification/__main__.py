"""`python -m keras_recurrent.apps.classification VERB ...` is `keras-recurrent classification VERB ...`."""

import sys

from ..cli import main

if __name__ == "__main__":
    sys.exit(main(["classification", *sys.argv[1:]]))
