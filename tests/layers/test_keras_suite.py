"""Keras's own tests of its recurrent layers, from its installed wheel, with this package's layers in their place."""

import functools
import importlib
import unittest

import keras
import pytest
from keras_recurrent import layers

pytest.importorskip("keras.src.layers.rnn.lstm_test", reason="this release of Keras ships no tests")

MODULES = (
    "simple_rnn",
    "lstm",
    "gru",
    "rnn",
    "bidirectional",
    "stacked_rnn_cells",
    "time_distributed",
    "dropout_rnn_cell",
)
REPLACED = ("SimpleRNN", "LSTM", "GRU", "SimpleRNNCell", "LSTMCell", "GRUCell")

# Tests of whether Keras's Bidirectional may hand both directions to cuDNN at once, by the type of its layer. This
# package's layers may not: they run their own loop, which takes masks and dropout as well.
DIFFERENT = ("test_fused_lstm_eligibility", "test_fused_gru_eligibility")
# Tests that trace, train and save each layer several times.
SLOW = ("test_basics", "test_with_mask_zero")


@pytest.fixture(autouse=True)
def replaced_layers(monkeypatch):
    for name in REPLACED:
        monkeypatch.setattr(keras.src.layers, name, getattr(layers, name))


def marked(function, mark):
    """A test with a mark that leaves Keras's own function as it is."""

    @mark
    @functools.wraps(function)
    def test(self):
        function(self)

    return test


def suite():
    """Yields `(name, class)` of Keras's test classes."""
    marks = {**dict.fromkeys(DIFFERENT, unittest.expectedFailure), **dict.fromkeys(SLOW, pytest.mark.rest)}
    for module_name in MODULES:
        module = importlib.import_module(f"keras.src.layers.rnn.{module_name}_test")
        for name, case in vars(module).items():
            if isinstance(case, type) and issubclass(case, unittest.TestCase):
                tests = {test: marked(getattr(case, test), mark) for test, mark in marks.items() if hasattr(case, test)}
                case = type(name, (case,), tests)
                yield f"{module_name}_{name}", case if module_name == "gru" else pytest.mark.slow_on_jax(case)


globals().update(suite())


def test_suite_is_complete():
    tests = [test for name, case in suite() for test in dir(case) if test.startswith("test_")]
    assert len(tests) >= 60
