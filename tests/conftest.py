"""Settings that must stand before a backend is loaded."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Small tensors gain nothing from threads, and the processes of `pytest -n` share the cores.
for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")


def pytest_collection_finish(session):
    """Looks for garbage rarely, and not in what was imported: with TensorFlow's it takes a twentieth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
