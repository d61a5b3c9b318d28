"""The optimizer of a training, and its learning rates."""

import math
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from ..config import TrainingConfig
from ..errors import TrainingError
from ..keras_internals import all_trainable_variables, moving_averages, variable_index


@keras.saving.register_keras_serializable(package="keras_recurrent")
class InverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises linearly and then falls with the inverse square root of the step.

        rate = learning_rate * min(step / warmup_steps, sqrt(warmup_steps / step))

    Args:
        learning_rate: Float, the peak.
        warmup_steps: Positive integer, the step of the peak.

    Example:

    >>> from keras_recurrent.apps.shared.training.optimizers import InverseSquareRoot
    >>> [round(float(InverseSquareRoot(0.1, 4)(step)), 3) for step in (0, 2, 4, 16)]
    [0.0, 0.05, 0.1, 0.05]

    Reference:
        Vaswani et al. 2017, Attention is all you need, equation 3.
    """

    def __init__(self, learning_rate: float, warmup_steps: int):
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        step = ops.cast(step, "float32") / self.warmup_steps
        return self.learning_rate * ops.minimum(step, ops.rsqrt(ops.maximum(step, 1e-9)))

    def get_config(self):
        return {"learning_rate": self.learning_rate, "warmup_steps": self.warmup_steps}


class AdamWithRates(keras.optimizers.Adam):
    """Adam with decoupled weight decay and a learning rate of their own for some variables.

    A step subtracts `decay` times the variable's own learning rate. Keras's `weight_decay` knows only one rate.

    Args:
        *args, **kwargs: The arguments of `keras.optimizers.Adam`.
        factors: Dictionary from the `id` of a variable to the factor of its learning rate. The default factor is 1.
        decay: Float, the weight decay.
    """

    def __init__(self, *args: Any, factors: Mapping[int, float], decay: float = 0.0, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.factors = factors
        self.decay = decay

    def build(self, variables):
        super().build(variables)
        self.factors_by_index = [self.factors.get(id(variable), 1.0) for variable in variables]
        for variable, average in moving_averages(self):
            average.assign(ops.copy(variable))

    def apply(self, grads, trainable_variables=None):
        if keras.config.backend() == "tensorflow":
            import tensorflow as tf

            # The gradient of an embedding has a row for each token of the batch. Keras computes the norm of these rows,
            # although those of the same token must be added first.
            grads = [gradient if gradient is None else tf.convert_to_tensor(gradient) for gradient in grads]
        super().apply(grads, trainable_variables)

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        """Keras's method, which JAX calls, for a model with variables that are still frozen.

        The value of a frozen variable is not known here. It is its moving average.
        """
        variables = all_trainable_variables(self)
        trained = [variable for variable in variables if variable.trainable]
        values = [*zip(self.variables, optimizer_variables, strict=True)]
        current = {id(variable): value for variable, value in values}
        frozen = [(v, current[id(average)]) for v, average in moving_averages(self) if not v.trainable]
        mapping = [*values, *frozen, *zip(trained, trainable_variables, strict=True)]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            self.apply(grads, trained)
        return tuple([scope.get_current_value(variable) for variable in part] for part in (trained, self.variables))

    def finalize_variable_values(self, var_list):
        """Does nothing, where Keras replaces the variables with their averages even if training fails."""

    def use_averages(self) -> None:
        """Replaces the variables with their moving averages, if the optimizer has any."""
        for variable, average in moving_averages(self):
            if variable.trainable:
                # A copy: on JAX, both would share an array that the next step or evaluation deletes.
                variable.assign(ops.copy(average))

    def update_step(self, gradient, variable, learning_rate):
        # On TensorFlow, `variable` is the backend's variable, whose `id` is not in `factors`.
        rate = learning_rate * self.factors_by_index[variable_index(self, variable)]
        if self.decay:
            self.assign_sub(variable, variable * ops.cast(self.decay * rate, variable.dtype))
        super().update_step(gradient, variable, rate)


def build_optimizer(
    config: TrainingConfig, steps: int, learning_rates: Mapping[int, float] | None = None
) -> AdamWithRates:
    """Builds the optimizer of a configuration.

    Args:
        config: The options of the training.
        steps: The number of batches in an epoch.
        learning_rates: Dictionary from the `id` of a variable to its own learning rate, before the schedule.

    Raises:
        TrainingError: If options exclude each other.
    """
    rate = config.learning_rate
    if config.warmup_steps and config.schedule not in ("cosine", "inverse_sqrt"):
        raise TrainingError(f"warmup_steps is for the schedules cosine and inverse_sqrt, not for {config.schedule}")
    warmup = config.warmup_steps * config.accumulate  # Keras's schedules count batches
    if config.schedule == "cosine":
        arguments = {"warmup_target": rate, "warmup_steps": warmup} if warmup else {}
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate, max(1, config.epochs * steps - warmup), **arguments
        )
    elif config.schedule == "inverse_sqrt":
        rate = InverseSquareRoot(rate, max(1, warmup))
    return AdamWithRates(
        rate,
        factors={key: own / config.learning_rate for key, own in (learning_rates or {}).items()},
        decay=config.weight_decay,
        global_clipnorm=config.clip_norm if math.isfinite(config.clip_norm) else None,
        gradient_accumulation_steps=config.accumulate if config.accumulate > 1 else None,
        use_ema=config.ema > 0,
        ema_momentum=config.ema ** (1 / config.accumulate),  # Keras updates the average after each batch
    )
