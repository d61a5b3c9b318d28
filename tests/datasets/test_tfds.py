"""Data sets that several processes prepare at once."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from keras_recurrent.datasets.errors import DataError
from keras_recurrent.datasets.tfds import tfds_examples


class Tiny(tfds.core.GeneratorBasedBuilder):
    """Three numbers; `meanwhile` is called while they are generated."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, meanwhile=lambda: None, **options):
        super().__init__(**options)
        self.meanwhile = meanwhile

    def _info(self):
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict({"number": np.int64}))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        self.meanwhile()
        for number in range(3):
            yield number, {"number": number}


def numbers(builder):
    return sorted(int(example["number"]) for example in tfds_examples(builder, "train"))


def test_another_process_with_the_same_seed_is_faster(tmp_path):
    def other():
        random.seed(3)
        assert numbers(Tiny(data_dir=tmp_path)) == [0, 1, 2]

    random.seed(3)
    assert numbers(Tiny(other, data_dir=tmp_path)) == [0, 1, 2]
    assert [path.name for path in (tmp_path / "tiny").iterdir()] == ["1.0.0"]


def test_the_random_state_does_not_depend_on_what_is_prepared(tmp_path):
    for _ in range(2):
        random.seed(3)
        numbers(Tiny(data_dir=tmp_path))
        assert random.random() == random.Random(3).random()


def test_another_error(tmp_path):
    def full():
        raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match=r"tiny/1.0.0' cannot be prepared: .*No space left"):
        numbers(Tiny(full, data_dir=tmp_path))


PREPARE = """
import random, sys
from keras_recurrent.datasets.negation.negation_dataset_builder import Builder
from keras_recurrent.datasets.tfds import tfds_examples
random.seed(3)
builder = Builder()
print("ready", flush=True)
sys.stdin.readline()
print(sum(1 for _ in tfds_examples(builder, "train")))
"""


@pytest.mark.faults
def test_two_processes_with_one_seed(tmp_path):
    environment = {**os.environ, "TFDS_DATA_DIR": str(tmp_path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PREPARE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate()[0] for process in processes]  # TFDS writes there, too
    assert [process.returncode for process in processes] == [0, 0]
    assert all(output.endswith("\n10000\n") for output in outputs)
    assert not list(tmp_path.glob("negation/*incomplete*"))
