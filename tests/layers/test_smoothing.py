"""Exponential smoothing against its equations in NumPy, step by step."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent.layers import ExponentialSmoothing, WindowScaling, smoothing

BATCH, STEPS, HORIZON = 4, 17, 8


@pytest.fixture
def window(rng):
    """Trends, a season of 5 steps and noise; a third is missing, and so is the start of a row and all of another."""
    steps = np.arange(STEPS)
    values = rng.normal(5, 1, (BATCH, STEPS)) + steps * rng.normal(size=(BATCH, 1)) + 3 * np.sin(steps * 2 * np.pi / 5)
    observed = rng.random((BATCH, STEPS)) < 0.7
    observed[1, :7], observed[2] = False, False
    return values.astype("float32"), observed.astype("float32")


def trained(horizon, seasons, rng):
    """A layer whose shares depend on the window."""
    layer = ExponentialSmoothing(horizon, seasons)
    layer.build((BATCH, STEPS), (BATCH, STEPS))
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.get_weights()])
    return layer


def mean(values):
    return values.mean() if len(values) else 0.0


def shares_of(values, observed, lags, kernel, bias):
    seen = values[observed]
    deviation = mean(np.abs(seen - mean(seen)))
    changes = []
    for lag in lags:
        pairs = [t for t in range(lag, STEPS) if observed[t] and observed[t - lag]]
        changes.append(mean(np.array([abs(values[t] - values[t - lag]) for t in pairs])))
    changes = np.array(changes)
    exponentials = np.exp(changes / (changes + deviation + 1e-6) @ kernel + bias)
    return exponentials / (exponentials.sum() + 1)


def smoothed(values, observed, horizon, seasons, shares):
    """The location of each step of one window and its horizon, from the equations."""
    level = mean(values[observed])
    factors, rest = [], values - level
    for season in seasons:
        phases = [mean(rest[phase::season][observed[phase::season]]) for phase in range(season)]
        factors.append(dict(enumerate(phases)))
        rest = rest - np.array([phases[t % season] for t in range(STEPS)])
    for t in range(STEPS):
        error = values[t] - level - sum(own[t] for own in factors) if observed[t] else 0
        level += shares[0] * error
        for own, season, share in zip(factors, seasons, shares[1:], strict=True):
            own[t + season] = own[t] + share * error
    for own, season in zip(factors, seasons, strict=True):
        for t in range(STEPS, STEPS + horizon):
            own.setdefault(t, own[t - season])  # the factors of the last season are repeated
            own[t + season] = own[t]
    return [level + sum(own[t] for own in factors) for t in range(STEPS + horizon)]


@pytest.mark.parametrize("seasons", [[], [5], [3, 7], [17]])
@pytest.mark.parametrize("block", [4, pytest.param(32, marks=pytest.mark.slow_on_jax)])
def test_location_and_scale(seasons, block, window, rng, assert_close, monkeypatch):
    monkeypatch.setattr(smoothing, "MAX_BLOCK", block)
    layer = trained(HORIZON, seasons, rng)
    values, observed = window
    location, scale = layer(np.where(observed, values, 99).astype("float32"), observed)
    assert location.shape == (BATCH, STEPS + HORIZON) and scale.shape == (BATCH, 1)
    assert layer.compute_output_shape(values.shape, values.shape) == ((BATCH, STEPS + HORIZON), (BATCH, 1))
    _, expected_scale = WindowScaling("seasonal", season=seasons[0] if seasons else 1)(values, observed)
    assert_close(scale, expected_scale)
    kernel, bias = layer.get_weights()
    for row in range(BATCH):
        seen = observed[row] > 0
        unit = ops.convert_to_numpy(expected_scale)[row, 0].astype("float64")
        scaled = values[row].astype("float64") / unit
        shares = shares_of(scaled, seen, (1, *seasons), kernel, bias)
        expected = np.array(smoothed(scaled, seen, HORIZON, seasons, shares)) * unit
        np.testing.assert_allclose(ops.convert_to_numpy(location)[row], expected, rtol=1e-4, atol=1e-4)


def test_a_gap_keeps_level_and_season(assert_close):
    values = np.tile([[2.0, 4.0, 9.0]], (1, 6)).astype("float32")
    observed = np.ones_like(values)
    observed[:, 9:] = 0  # the last three seasons
    values[:, 9:] = -50
    location, _ = ExponentialSmoothing(6, [3])(values, observed)
    assert_close(location, np.tile([[2.0, 4.0, 9.0]], (1, 8)), atol=1e-4)


def test_level_and_unit_of_the_values_do_not_matter(window, rng, assert_close):
    layer = trained(HORIZON, [5], rng)
    values, observed = (array[:2] for array in window)
    location, scale = layer(values, observed)
    shifted, scaled = layer(1000 * values - 3000, observed)
    assert_close(shifted, 1000 * location - 3000, rtol=1e-4, atol=1)
    assert_close(scaled, 1000 * scale, rtol=1e-4)


@pytest.mark.parametrize("level", [0.0, 1e6])
@pytest.mark.parametrize("is_observed", [0.0, 1.0])
def test_a_window_without_deviation(level, is_observed):
    values, observed = np.full((1, 8), level, "float32"), np.full((1, 8), is_observed, "float32")
    location, scale = ExponentialSmoothing(3, [4])(values, observed)
    np.testing.assert_allclose(ops.convert_to_numpy(location), level * is_observed)
    assert ops.convert_to_numpy(scale)[0, 0] >= 1


def test_derivative(window, rng, gradients):
    """By the weights and by the values, against finite differences."""
    layer = trained(HORIZON, [5], rng)
    values, observed = (array[:2] for array in window)
    weights = ops.convert_to_tensor(rng.normal(size=(2, STEPS + HORIZON)).astype("float32"))

    def total(values):
        return ops.sum(layer(values, observed)[0] * weights)

    found = gradients(total, layer.trainable_variables, [values])
    for index, variable in enumerate(layer.trainable_variables):
        before = ops.convert_to_numpy(variable)
        position = (0,) * before.ndim
        sums = []
        for change in (0.02, -0.02):
            moved = before.copy()
            moved[position] += change
            variable.assign(moved)
            sums.append(ops.convert_to_numpy(total(ops.convert_to_tensor(values))))
        variable.assign(before)
        assert abs(found[index][position]) > 0.01
        np.testing.assert_allclose(found[index][position], (sums[0] - sums[1]) / 0.04, rtol=0.02, atol=2e-3)
    assert np.any(found[-1] != 0) and not np.any(found[-1][observed == 0])


@pytest.mark.slow_on_jax
def test_training_finds_the_share_of_a_random_walk(rng):
    """The best forecast of a random walk is its last value, so that the share of the level grows."""
    walks = rng.normal(size=(64, STEPS + 1)).cumsum(axis=1).astype("float32")
    values, observed = keras.Input((STEPS,)), keras.Input((STEPS,))
    location, _ = ExponentialSmoothing(1)(values, observed)
    model = keras.Model([values, observed], location[:, -1:])
    model.compile(keras.optimizers.Adam(0.3), "mse")
    inputs = [walks[:, :-1], np.ones_like(walks[:, :-1])]
    before = model.evaluate(inputs, walks[:, -1:], verbose=0)
    model.fit(inputs, walks[:, -1:], epochs=25, batch_size=64, verbose=0)
    last = float(np.mean(np.square(walks[:, -1] - walks[:, -2])))
    assert model.evaluate(inputs, walks[:, -1:], verbose=0) < 1.05 * last < 0.8 * before


def test_saved_model(window, rng, tmp_path, assert_close):
    values, observed = keras.Input((STEPS,)), keras.Input((STEPS,))
    model = keras.Model([values, observed], trained(HORIZON, [5, 7], rng)(values, observed))
    model.save(tmp_path / "smoothing.keras")
    assert_close(keras.models.load_model(tmp_path / "smoothing.keras")([*window]), model([*window]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0,), "`horizon` takes positive integers"), ((3, [4, 0]), "`seasons` takes positive integers. Received: 0")],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ExponentialSmoothing(*arguments)


def test_a_season_that_is_longer_than_the_window():
    with pytest.raises(ValueError, match="A window of 8 steps is shorter than a season of 9 steps"):
        ExponentialSmoothing(3, [9])(ops.ones((1, 8)), ops.ones((1, 8)))
