"""The private names of Keras that the apps use still do what the apps need."""

import threading

import keras
import numpy as np
import pytest
from keras_recurrent.apps.shared.config import TrainingConfig
from keras_recurrent.apps.shared.keras_internals import (
    AsyncCallbacks,
    all_trainable_variables,
    compute_in_float32,
    moving_averages,
    variable_index,
)
from keras_recurrent.apps.shared.training import fit as training
from keras_recurrent.apps.shared.training.batches import EpochBatches
from keras_recurrent.layers import GRU, SeriesEncoder


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def test_frozen_variables_stay_known_to_the_optimizer(model):
    """Otherwise the moving averages would be written to the wrong weights while a backbone is frozen."""
    variables = model.trainable_variables
    model.layers[0].trainable = False
    assert all(x is y for x, y in zip(all_trainable_variables(model.optimizer), variables, strict=True))


def test_each_variable_has_a_moving_average(model):
    """Otherwise `--ema` would not replace the weights."""
    assert moving_averages(model.optimizer) == []
    model.compile(keras.optimizers.Adam(use_ema=True, ema_momentum=0.5), "mse")
    before = model.get_weights()
    model.optimizer.build(model.trainable_variables)
    model.train_on_batch(np.ones((4, 2)), np.ones((4, 1)))
    model.train_on_batch(np.ones((4, 2)), np.ones((4, 1)))
    for (variable, average), old, new in zip(
        moving_averages(model.optimizer), before, model.get_weights(), strict=True
    ):
        assert variable.shape == average.shape
        average, low, high = keras.ops.convert_to_numpy(average), np.minimum(old, new), np.maximum(old, new)
        assert (low <= average).all() and (average <= high).all() and (average != new).any()


def test_variables_have_an_index_in_update_step(model):
    """Otherwise a backbone would not train with its own learning rate (`backbone_rate`)."""
    indices = []

    class Adam(keras.optimizers.Adam):
        def update_step(self, gradient, variable, learning_rate):
            indices.append(variable_index(self, variable))
            super().update_step(gradient, variable, learning_rate)

    model.compile(Adam(), "mse", run_eagerly=True)
    model.train_on_batch(np.ones((4, 2)), np.ones((4, 1)))
    assert indices == list(range(4))


@pytest.mark.parametrize("is_async", [True, False])
def test_fit_does_not_wait_for_the_results_of_a_step(is_async, tmp_path, monkeypatch):
    """Otherwise the device is idle between two steps."""
    make, readers = keras.Model.make_train_function, []

    class Result:
        def __init__(self, tensor):
            self.tensor = tensor

        def __float__(self):
            readers.append(threading.current_thread())
            return float(self.tensor)

    def make_watched(model, force=False):
        make(model, force)
        step = model.train_function
        model.train_function = lambda iterator: {name: Result(value) for name, value in step(iterator).items()}

    monkeypatch.setattr(keras.Model, "make_train_function", make_watched)
    monkeypatch.setattr(training, "draw_history", lambda *_: None)
    if not is_async:
        monkeypatch.delattr(AsyncCallbacks, "_configure_async_dispatch")
    signature = (keras.InputSpec(shape=(None, 2), dtype="float32"), keras.InputSpec(shape=(None, 1), dtype="float32"))
    batch = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    batches = EpochBatches(lambda epoch: [batch] * 5, signature, lambda epoch: 5)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    training.fit(model, keras.losses.MeanSquaredError(), batches, batches, TrainingConfig(epochs=1), tmp_path)
    assert len(readers) == 5
    assert (threading.current_thread() in readers) != is_async


def test_layers_within_layers_compute_in_float32():
    """Runtimes without bfloat16 could not run an export otherwise."""

    def build(precision):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6, 2))
        memory = SeriesEncoder(8, num_layers=2, segment=2, dtype=precision)(inputs)
        return keras.Model(inputs, GRU(4, dtype=precision)(memory.values))

    inputs = np.random.default_rng(0).normal(size=(3, 6, 2)).astype("float32")
    model, expected = build("mixed_bfloat16"), build("float32")
    assert model(inputs).dtype != expected(inputs).dtype
    compute_in_float32(model)
    np.testing.assert_allclose(model(inputs), expected(inputs), rtol=1e-5, atol=1e-6)
