"""The private names of Keras that the apps use still do what the apps need."""

import keras
import numpy as np
import pytest
from keras_recurrent.apps.shared.keras_internals import all_trainable_variables, variable_index


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
