"""Settings that must stand before a backend is loaded."""

import gc
import importlib.util
import os
import shutil
import subprocess

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Small tensors gain nothing from threads, and the processes of `pytest -n` share the cores.
for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")


def pytest_collection_finish(session):
    """Looks for garbage rarely, and not in what was imported: with TensorFlow's it takes a twentieth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


@pytest.fixture(scope="session")
def load_script():
    """`load_script(path)`: the module of a Python file that belongs to no package."""

    def load_script(path):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load_script


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory):
    """`compile_c(source, *arguments)`: the program of a C file, compiled without warnings."""
    compiler = next(filter(None, map(shutil.which, [os.environ.get("CC", ""), "cc", "gcc"])), None)
    if compiler is None:
        pytest.skip("no C compiler: no cc, no gcc, no $CC")

    def compile_c(source, *arguments):
        output = tmp_path_factory.mktemp("program") / source.stem
        warnings = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
        result = subprocess.run([compiler, *warnings, source, *arguments, "-o", output], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return output

    return compile_c
