"""The optimizer of a training, and its learning rates."""

import keras
from keras import ops

from ..errors import TrainingError
from ..keras_internals import all_trainable_variables, variable_index


@keras.saving.register_keras_serializable(package="keras_recurrent")
class InverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises in a line, and then falls with the inverse square root of the steps.

        rate = learning_rate * min(step / warmup_steps, sqrt(warmup_steps / step))

    Args:
        learning_rate: Float, the highest rate.
        warmup_steps: Positive integer, the step that has it.

    Example:

    >>> [round(float(InverseSquareRoot(0.1, 4)(step)), 3) for step in (0, 2, 4, 16)]
    [0.0, 0.05, 0.1, 0.05]

    Reference:
        Vaswani et al. 2017, Attention is all you need, equation 3.
    """

    def __init__(self, learning_rate, warmup_steps):
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        step = ops.cast(step, "float32") / self.warmup_steps
        return self.learning_rate * ops.minimum(step, ops.rsqrt(ops.maximum(step, 1e-9)))

    def get_config(self):
        return {"learning_rate": self.learning_rate, "warmup_steps": self.warmup_steps}


class AdamWithRates(keras.optimizers.Adam):
    """Adam with another learning rate for some variables: `factors` has by the `id` of each how many times larger.

    A step takes away from each variable `decay` times its own learning rate; Keras's `weight_decay` knows but one rate.
    """

    def __init__(self, *args, factors, decay=0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.factors = factors
        self.decay = decay

    def build(self, variables):
        super().build(variables)
        self.factor_of = [self.factors.get(id(variable), 1.0) for variable in variables]

    def finalize_variable_values(self, var_list):
        # Keras pairs averages and variables by their order, and `var_list` lacks those that are not trained yet.
        super().finalize_variable_values(all_trainable_variables(self))

    def update_step(self, gradient, variable, learning_rate):
        # On TensorFlow, `variable` is what Keras's variable holds, so it goes by its place.
        rate = learning_rate * self.factor_of[variable_index(self, variable)]
        if self.decay:
            self.assign_sub(variable, variable * ops.cast(self.decay * rate, variable.dtype))
        super().update_step(gradient, variable, rate)


def build_optimizer(config, steps, rates=None):
    """The optimizer of a `TrainingConfig`, for epochs of so many batches; `rates` are those of `fit`.

    Raises:
        TrainingError: If options do not go together.
    """
    rate = config.learning_rate
    if config.warmup_steps and config.schedule not in ("cosine", "inverse_sqrt"):
        raise TrainingError(f"the schedule {config.schedule} has no warmup_steps; cosine and inverse_sqrt have")
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
        factors={key: own / config.learning_rate for key, own in (rates or {}).items()},
        decay=config.weight_decay,
        global_clipnorm=config.clip_norm,
        gradient_accumulation_steps=config.accumulate if config.accumulate > 1 else None,
        use_ema=config.ema > 0,
        ema_momentum=config.ema ** (1 / config.accumulate),  # and so does its moving average
    )
