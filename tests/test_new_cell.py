"""A new cell is a file, a line in `family.py` and a line in `layers/__init__.py`; every app can then use it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CELL = '''
import keras

from .cell import RecurrentCell
from .recurrent import CellLayer


@keras.saving.register_keras_serializable(package="keras_recurrent")
class ToyCell(RecurrentCell):
    """h' = (h + activation(x W + h U + b)) / 2"""

    def step(self, projected, inner, states):
        (h,) = states
        return [(h + self.activation(projected + inner)) / 2], ()


@keras.saving.register_keras_serializable(package="keras_recurrent")
class Toy(CellLayer):
    cell_class = ToyCell
'''
SCRIPT = """
import tensorflow as tf
from keras_recurrent.apps import cli, load
from keras_recurrent.apps.long_memory import config, model

tf.config.run_functions_eagerly(True)
sizes = ["--embedding-dim", "4", "--encoder-units", "4", "--decoder-units", "4", "--epochs", "1"]
options = ["--data", "data", "--source", "de", "--target", "en", "--cell", "toy", *sizes]
assert cli.main(["translation", "train", "--output", "model", *options]) == 0
translator = load("model")
assert len(translator.translate(["ein Hund"])) == 1
assert any("toy" in weight.path for weight in translator.model.decoder.weights)
assert type(model.build(config.Config(cell="toy")).layers[0]).__name__ == "Toy"
"""


@pytest.mark.rest
def test_a_translator_trains_with_a_new_cell(tmp_path):
    package = tmp_path / "packages" / "keras_recurrent"
    for folder in ("layers", "datasets", "apps"):
        shutil.copytree(ROOT / folder, package / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.glob("*.py"):
        shutil.copy(file, package)
    layers = package / "layers"
    (layers / "toy.py").write_text(CELL)
    family = (layers / "family.py").read_text()
    (layers / "family.py").write_text(re.sub(r"(SEQUENCE_LAYERS = \{[^}]*)\}", r'\1, "toy": "Toy"}', family))
    with open(layers / "__init__.py", "a") as file:
        file.write("\nfrom .toy import Toy, ToyCell\n")

    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "val"):
        (data / f"{split}.de").write_text("ein Hund\neine Katze\n")
        (data / f"{split}.en").write_text("a dog\na cat\n")
    result = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
