"""Settings that must stand before a backend is loaded."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Small tensors gain nothing from threads, and the processes of `pytest -n` share the cores.
for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
