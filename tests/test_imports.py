"""TensorFlow is imported only where it is needed, so that the apps train without it."""

import ast
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TENSORFLOW = ("tensorflow", "tensorflow_datasets", "tensorflow_text")
# What writes exports, and the builders of TFDS.
ALLOWED = (
    "apps/shared/saved_model/*.py",
    "apps/shared/models/runtimes.py",
    "apps/*/signatures.py",
    "datasets/*_dataset_builder.py",
)
MODULES = [path for folder in ("apps", "datasets", "layers") for path in (ROOT / folder).rglob("*.py")]


def imported_on_import(node):
    """Yields the names of the modules that are imported when the module `node` is, and not in a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and not child.level:
            yield child.module
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from imported_on_import(ast.Module(child.orelse, []))
        elif not isinstance(child, ast.FunctionDef | ast.Lambda):
            yield from imported_on_import(child)


def imports_tensorflow(source):
    return any(name.partition(".")[0] in TENSORFLOW for name in imported_on_import(ast.parse(source)))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import numpy, tensorflow as tf", True),
        ("from tensorflow.python import x", True),
        ("try:\n    import tensorflow_datasets\nexcept ImportError:\n    pass", True),
        ("class A:\n    import tensorflow", True),
        ("if TYPE_CHECKING:\n    import tensorflow\nelse:\n    import tensorflow_text", True),
        ("if TYPE_CHECKING:\n    import tensorflow", False),
        ("def f():\n    import tensorflow", False),
        ("from .tensorflow import x", False),
    ],
)
def test_imports_are_noticed(source, expected):
    assert imports_tensorflow(source) == expected


def test_only_exports_and_builders_import_tensorflow():
    names = {path.relative_to(ROOT).as_posix() for path in MODULES if imports_tensorflow(path.read_text("utf-8"))}
    assert names and {name for name in names if not any(fnmatch(name, pattern) for pattern in ALLOWED)} == set()
