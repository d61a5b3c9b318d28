"""The trace of training steps, and that `fit` does not wait for the device within an epoch."""

import importlib.util
from pathlib import Path

import keras
import keras_recurrent
import numpy as np
import pytest

if keras.config.backend() != "jax":
    pytest.skip("JAX is not the backend", allow_module_level=True)

from keras_recurrent.apps.shared.config import TrainingConfig
from keras_recurrent.apps.shared.keras_internals import AsyncCallbacks
from keras_recurrent.apps.shared.training import fit as training
from keras_recurrent.apps.shared.training.batches import EpochBatches

path = Path(keras_recurrent.__file__).parent / "benchmarks" / "steps.py"
spec = importlib.util.spec_from_file_location("steps", path)
benchmark = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)

SIGNATURE = (keras.InputSpec(shape=(None, 1024), dtype="float32"),) * 2


def traced_steps(folder, monkeypatch):
    """Trains for two epochs of 6 steps, and returns three steps of the second one."""
    monkeypatch.setattr(training, "draw_history", lambda *_: None)
    inputs = np.random.default_rng(0).normal(size=(64, 1024)).astype("float32")
    batches = EpochBatches(lambda epoch: [(inputs, inputs)] * 6, SIGNATURE, lambda epoch: 6)
    model = keras.Sequential([keras.Input((1024,)), keras.layers.Dense(1024)])
    with benchmark.traced_training(folder / "trace", epoch=2, first=2, steps=3):
        training.fit(model, keras.losses.MeanSquaredError(), batches, batches, TrainingConfig(epochs=2), folder)
    return benchmark.read_steps(folder / "trace")


def test_the_host_reads_nothing_from_the_device_within_an_epoch(tmp_path, monkeypatch):
    steps = traced_steps(tmp_path, monkeypatch)
    assert [(step.reads, step.blocked) for step in steps] == [(0, 0)] * 3
    assert all(step.seconds > 0 and 0 <= step.idle <= 1 for step in steps)


def test_the_trace_shows_a_callback_that_reads_the_loss_of_each_step(tmp_path, monkeypatch):
    monkeypatch.setattr(AsyncCallbacks, "_configure_async_dispatch", lambda *_: None)
    steps = traced_steps(tmp_path, monkeypatch)
    assert len(steps) == 3
    assert any(step.reads and step.blocked for step in steps)  # not if the result is there already
