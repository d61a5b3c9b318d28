import re

import keras
import numpy as np
import pytest
from keras_recurrent.apps.shared.config import TrainingConfig
from keras_recurrent.apps.shared.training import progress
from keras_recurrent.apps.shared.training.batches import EpochBatches
from keras_recurrent.apps.shared.training.fit import fit

SIGNATURE = (keras.InputSpec(dtype="float32", shape=(None, 3)), keras.InputSpec(dtype="float32", shape=(None, 1)))


def batches(count, contents):
    arrays = np.ones((2, 3), "float32"), np.ones((2, 1), "float32")
    return EpochBatches(lambda epoch: [arrays] * count, SIGNATURE, lambda epoch: count, contents=contents)


@pytest.mark.parametrize("steps_per_execution", [1, 4])
def test_a_training_reports_what_it_does(steps_per_execution, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "ESTIMATE_SECONDS", 0.0)
    monkeypatch.setattr(progress, "ESTIMATE_STEPS", 1)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(1)])
    config = TrainingConfig(epochs=2, schedule="constant", steps_per_execution=steps_per_execution)
    fit(model, keras.losses.MeanSquaredError(), batches(9, "18 examples"), batches(1, "2 examples"), config, tmp_path)
    output = capsys.readouterr()
    assert output.out == ""
    number = r"[0-9.e-]+"
    expected = [
        r"training on .+ \(tensorflow\): 4 weights",
        r"18 examples in 9 batches per epoch, 2 examples for validation",
        r"about \d+ s for at most 2 epochs",
        rf"epoch 1/2: loss {number}, val_loss {number}, best so far \(\d+ s, about \d+ s left\)",
        rf"epoch 2/2: loss {number}, val_loss {number}, best so far \(\d+ s\)",
        rf"kept epoch 2 of 2: loss {number}, val_loss {number}",
    ]
    for line, pattern in zip(output.err.splitlines(), expected, strict=True):
        assert re.fullmatch(f"keras-recurrent: {pattern}", line), line


def test_steps_are_counted_in_any_order():
    counts, measured = [], []
    steps = progress._Steps(counts.append, lambda count, seconds: measured.append(count))
    for batch in (1, 0, 3, 2, 7):
        steps.on_train_batch_end(batch)
    assert counts == [2, 2, 4]
    assert measured == [0, 2, 6]
