"""The private names of Keras that the apps use still do what the apps need."""

import keras
import numpy as np
import pytest
from keras_recurrent.apps.shared.keras_internals import all_trainable_variables, moving_averages, variable_index


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
