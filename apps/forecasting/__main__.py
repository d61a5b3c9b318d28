"""`python -m keras_recurrent.apps.forecasting VERB ...` is `keras-recurrent forecasting VERB ...`."""

import sys

from ..cli import main

if __name__ == "__main__":
    sys.exit(main(["forecasting", *sys.argv[1:]]))
