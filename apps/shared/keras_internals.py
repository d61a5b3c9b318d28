"""Every private name of Keras that the apps depend on.

`tests/apps/shared/test_keras_internals.py` has one test for each name, which says what breaks without it.
"""

from typing import Any

import keras
from keras.src.trainers.data_adapters.data_adapter import DataAdapter

__all__ = [
    "AsyncCallbacks",
    "DataAdapter",
    "ReadableVariables",
    "all_trainable_variables",
    "compute_in_float32",
    "moving_averages",
    "variable_index",
]


def all_trainable_variables(optimizer: keras.optimizers.Optimizer) -> list[Any]:
    """Returns the variables that an optimizer was built with, also those that are frozen at the moment."""
    return optimizer._trainable_variables


def compute_in_float32(model: keras.Model) -> None:
    """Makes the layers of a model with a mixed precision compute in float32, also those within other layers."""
    for layer in model._flatten_layers():
        if layer.dtype_policy.name.startswith("mixed_"):
            layer.dtype_policy = "float32"


def moving_averages(optimizer: keras.optimizers.Optimizer) -> list[tuple[Any, Any]]:
    """Returns the pairs of a variable and its moving average, or an empty list if the optimizer has no averages."""
    if not optimizer.use_ema:
        return []
    return [*zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True)]


def variable_index(optimizer: keras.optimizers.Optimizer, variable: Any) -> int:
    """Returns the index of a variable among those that an optimizer was built with.

    Args:
        optimizer: A built optimizer.
        variable: What Keras passes to `update_step`: a Keras variable, or on TensorFlow the variable of the backend
            that it wraps.
    """
    return optimizer._get_variable_index(variable)


class AsyncCallbacks(keras.callbacks.CallbackList):
    """Callbacks that are called in threads when the results of a batch are there.

    `fit` and `evaluate` then start the next batch at once. On TensorFlow, Keras would wait for each batch.
    """

    def _configure_async_dispatch(self, callbacks):
        self._async_train = self._async_test = True


class ReadableVariables(keras.callbacks.Callback):
    """Lets the batches of `fit` be computed with the model's current variables.

    On JAX, Keras passes the values of the variables from step to step, and the variables have none until an epoch ends.
    """

    def set_model(self, model):
        super().set_model(model)
        model._purge_model_variables = lambda **_: None

    def on_train_batch_begin(self, batch, logs=None):
        _ = self.model  # Keras assigns the values of the last step on access
