"""Every example in a docstring runs and prints what the docstring says.

An example sees the names `keras`, `np` and `ops`, and imports everything else. Without TensorFlow only the examples of
`keras_recurrent.layers` run.
"""

import ast
import doctest
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent import layers

ROOT = Path(__file__).parents[1]
FOLDERS = ["layers", "export", "datasets", "apps"] if keras.config.backend() == "tensorflow" else ["layers"]

SHAPE = re.compile(r"\b(?:TensorShape|torch\.Size)\(\[([^]]*)\]\)")
FLOAT = re.compile(r"(?<![\w.])-?(?:\d+\.\d*(?:e[+-]?\d+)?|\d+e[+-]?\d+)(?![\w.])")


def as_tuple(match):
    """The text of a shape as TensorFlow or PyTorch prints it, as a tuple."""
    sizes = match.group(1)
    return f"({sizes},)" if sizes and "," not in sizes else f"({sizes})"


class Checker(doctest.OutputChecker):
    """Compares shapes as tuples and floats with a tolerance of 1e-5."""

    def check_output(self, want, got, optionflags):
        want, got = (SHAPE.sub(as_tuple, text) for text in (want, got))
        expected, actual = (np.array(FLOAT.findall(text), dtype="float64") for text in (want, got))
        if expected.shape == actual.shape and np.allclose(actual, expected, rtol=1e-5, atol=1e-5):
            # NumPy pads the numbers of an array to one width.
            want, got = (re.sub(r"(?<=\[)\s+|\s+(?=[],])", "", FLOAT.sub("FLOAT", text)) for text in (want, got))
        return super().check_output(want, got, optionflags)


def docstrings(path):
    """Yields `(name, docstring, line)` for each object in a module whose docstring has examples."""

    def visit(node, name):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.ClassDef, ast.FunctionDef)):
                yield from visit(child, f"{name}.{child.name}".lstrip("."))
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ">>>" in (ast.get_docstring(node) or ""):
            yield name or "module", ast.get_docstring(node), node.body[0].lineno

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), "")


def examples():
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        module = path.relative_to(ROOT).as_posix()
        for name, docstring, line in docstrings(path):
            test = doctest.DocTestParser().get_doctest(docstring, {}, name, str(path), line)
            yield pytest.param(test, id=f"{module}:{name}")


@pytest.mark.parametrize("test", list(examples()))
def test_example(test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(1)
    for example in test.examples:  # those that are skipped, too
        compile(example.source, test.filename, "single")
    test.globs.update(keras=keras, np=np, ops=ops)
    report = []
    runner = doctest.DocTestRunner(Checker(), optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=report.append)
    assert not runner.summarize(verbose=False).failed, "".join(report)


@pytest.mark.parametrize("name", layers.__all__)
def test_public_layers_have_an_example(name):
    assert ">>>" in (getattr(layers, name).__doc__ or "")


@pytest.mark.parametrize(
    ("want", "got", "equal"),
    [
        ("(2, 8)", "TensorShape([2, 8])", True),
        ("((2, 8), (2,))", "(torch.Size([2, 8]), torch.Size([2]))", True),
        ("(2, 8)", "TensorShape([2, 9])", False),
        ("array([0.5, 1.])", "array([0.500001, 1.      ])", True),
        ("0.5", "0.5001", False),
        ("-0.5", "0.5", False),
        ("0.5", "[0.5]", False),
        ("[0.5]", "[0.5, 0.5]", False),
        ("3", "4", False),
    ],
)
def test_checker(want, got, equal):
    assert Checker().check_output(want + "\n", got + "\n", doctest.NORMALIZE_WHITESPACE) == equal
