"""Keras's own tests of its recurrent layers, from its installed wheel, with our layers in the place of Keras's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import keras

FILES = (
    "simple_rnn",
    "lstm",
    "gru",
    "rnn",
    "bidirectional",
    "stacked_rnn_cells",
    "time_distributed",
    "dropout_rnn_cell",
)

# The tests that fail, and why our behaviour is the better one.
BETTER = {
    # Whether Keras's Bidirectional may hand both directions to cuDNN at once, by the type of its layer: ours may not,
    # since they run their own loop, which takes masks and dropout as well.
    "test_fused_lstm_eligibility",
    "test_fused_gru_eligibility",
}


def test_keras_suite(tmp_path):
    folder = Path(keras.src.layers.rnn.__file__).parent
    plugin = Path(__file__).parent / "keras_suite"
    result = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-p", "drop_in", "-p", "no:cacheprovider", "-rA", "-c", os.devnull]
        + [f"--rootdir={tmp_path}"]
        + [folder / f"{name}_test.py" for name in FILES],
        env={**os.environ, "PYTHONPATH": str(plugin)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    failed = set(re.findall(r"^(?:FAILED|ERROR) \S*::(\S+)", result.stdout, flags=re.MULTILINE))
    passed = re.findall(r"^PASSED ", result.stdout, flags=re.MULTILINE)
    assert failed == BETTER, result.stdout[-5000:]
    assert len(passed) >= 60
