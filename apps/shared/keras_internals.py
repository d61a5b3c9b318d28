"""Every private name of Keras that the apps depend on.

`tests/apps/shared/test_keras_internals.py` has one test for each name, which says what breaks without it.
"""

from typing import Any

import keras
from keras.src.trainers.data_adapters.data_adapter import DataAdapter

__all__ = ["DataAdapter", "all_trainable_variables", "variable_index"]


def all_trainable_variables(optimizer: keras.optimizers.Optimizer) -> list[Any]:
    """Returns the variables that an optimizer was built with, also those that are frozen at the moment."""
    return optimizer._trainable_variables


def variable_index(optimizer: keras.optimizers.Optimizer, variable: Any) -> int:
    """Returns the index of a variable among those that an optimizer was built with.

    Args:
        optimizer: A built optimizer.
        variable: What Keras passes to `update_step`: a Keras variable, or on TensorFlow the variable of the backend
            that it wraps.
    """
    return optimizer._get_variable_index(variable)
