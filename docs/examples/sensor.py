"""Watches a sensor: forecasts its next value with an interval, value by value, and flags what lies outside.

    pip install "keras-recurrent[litert]"
    python sensor.py step.tflite

A GRU learns the values of such sensors. Its file is one time step with the states as inputs and outputs, so that a
device keeps 24 numbers and no history. The values here are generated, the temperature of a machine; replace
`temperatures` by your own.
"""

import sys

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from keras import ops
from keras_recurrent.export import export_step
from keras_recurrent.layers import GRU
from keras_recurrent.layers.distributions import Gaussian

CYCLE = 48  # steps of a cycle of the machine
BATCH, EPOCHS = 16, 40
# The interval of a forecast has the levels of 4 standard deviations: one value in 16,000 lies outside by chance.
FORECAST = Gaussian([3.2e-5, 0.5, 1 - 3.2e-5])


def temperatures(examples, steps, seed):
    """Returns values in degrees `(examples, steps)`: cycles with a phase and an amplitude of their own, and noise."""
    rng = np.random.default_rng(seed)
    phase, amplitude, level = rng.uniform([0, 4, 38], [2 * np.pi, 8, 42], (examples, 3)).T[..., None]
    angle = 2 * np.pi * np.arange(steps) / CYCLE + phase
    return level + amplitude * np.sin(angle) + 2 * np.sin(2 * angle) + rng.normal(0, 0.3, (examples, steps))


def with_gaps(values, seed):
    """Returns which values a network is to read `(examples, steps)`: not all, so that it learns to do without them."""
    rng = np.random.default_rng(seed)
    first, length = rng.integers(0, [[values.shape[1]], [CYCLE]], (2, len(values)))[..., None]
    steps = np.arange(values.shape[1])
    is_gap = (steps >= first) & (steps < first + length)
    return ~is_gap & (rng.random(values.shape) > 0.05)


def train(values):
    """Returns a network from `value` and `observed` `(batch, steps, 1)` to the next value's `low`, `median`, `high`."""
    keras.utils.set_random_seed(0)
    location, scale = np.full((1, 1), values.mean(), "float32"), np.full((1, 1), values.std(), "float32")
    inputs = {name: keras.Input((None, 1), name=name) for name in ("value", "observed")}
    standardized = (inputs["value"] - location) / scale * inputs["observed"]
    states = GRU(24, return_sequences=True, name="gru")(ops.concatenate([standardized, inputs["observed"]], axis=-1))
    parameters = keras.layers.Dense(FORECAST.outputs)(states)

    network = keras.Model(inputs, parameters)
    rate = keras.optimizers.schedules.CosineDecay(0.01, EPOCHS * len(values) // BATCH)
    network.compile(keras.optimizers.Adam(rate), lambda y, outputs: FORECAST.loss(y, outputs, location, scale))
    observed = with_gaps(values, seed=1)
    read = {"value": values[:, :-1, None] * observed[:, :-1, None], "observed": observed[:, :-1, None]}
    network.fit(
        {name: x.astype("float32") for name, x in read.items()},
        values[:, 1:],
        batch_size=BATCH,
        epochs=EPOCHS,
        verbose=0,
    )
    quantiles = FORECAST.quantiles(parameters, location, scale)
    return keras.Model(inputs, {name: quantiles[..., index] for index, name in enumerate(("low", "median", "high"))})


class Watch:
    """Reads the values of one sensor, one after the other.

    Args:
        path: The file that `export_step` wrote.
        states: The initial states, which it returned.
    """

    def __init__(self, path, states):
        self.step = Interpreter(path).get_signature_runner()
        self.states = states
        self.forecast = None

    def __call__(self, value):
        """Reads a value, NaN if it is missing. Returns whether it lies outside of the interval that was forecast.

        What lies outside is treated as missing, so that it does not mislead the next forecasts. `forecast` has `low`,
        `median` and `high` of the next value then.
        """
        is_outside = self.forecast is not None and not self.forecast["low"] <= value <= self.forecast["high"]
        is_flagged = is_outside and not np.isnan(value)
        is_read = not is_flagged and not np.isnan(value)
        inputs = {"value": [[value if is_read else 0.0]], "observed": [[float(is_read)]]}
        outputs = self.step(**{name: np.array(x, "float32") for name, x in inputs.items()}, **self.states)
        self.states = {name: outputs[f"next_{name}"] for name in self.states}
        self.forecast = {name: float(outputs[name][0]) for name in ("low", "median", "high")}
        return is_flagged


def faulty(steps=1000):
    """Returns the values of a sensor with a spike and missing values, which then measures the air for five steps."""
    values = temperatures(1, steps, seed=2)[0]
    values[400] += 5
    values[500:510] = np.nan
    values[700:705] = 21
    return values


def main(path):
    network = train(temperatures(400, 4 * CYCLE, seed=0))
    watch = Watch(path, export_step(network, path, "litert"))
    for time, value in enumerate(faulty()):
        forecast = watch.forecast
        if watch(value):
            print(f"step {time}: {value:.1f}, not {forecast['low']:.1f} to {forecast['high']:.1f}")


if __name__ == "__main__":
    main(sys.argv[1])
