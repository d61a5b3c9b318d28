import numpy as np
import pytest
from keras_recurrent.apps.forecasting import baselines

NAN = np.nan


def test_naive():
    forecast = baselines.naive(np.array([NAN, 1, 2, 4, NAN]), 3)
    np.testing.assert_allclose(forecast.mean, [4, 4, 4])
    np.testing.assert_allclose(forecast.deviation, np.sqrt((1 + 4) / 2) * np.sqrt([1, 2, 3]))


def test_seasonal_naive_repeats_the_last_observed_value_of_each_step():
    history = np.array([1.0, 2, 3, 5, NAN, 7, 8])
    forecast = baselines.seasonal_naive(history, 7, 3)
    np.testing.assert_allclose(forecast.mean, [2, 7, 8, 2, 7, 8, 2])
    squares = np.square([5 - 1, 7 - 3, 8 - 5])
    np.testing.assert_allclose(forecast.deviation, np.sqrt(squares.mean() * np.array([1, 1, 1, 2, 2, 2, 3])))


@pytest.mark.parametrize(
    ("history", "season", "expected"),
    [([4.0], 5, [4, 4, 4]), ([NAN, 4, NAN], 5, [4, 4, 4]), ([1, 2], 2, [1, 2, 1]), ([1, 2], 3, [2, 1, 2])],
)
def test_histories_without_a_value_one_season_earlier(history, season, expected):
    """A step of the season without a value has the last one."""
    forecast = baselines.seasonal_naive(np.array(history, float), 3, season)
    np.testing.assert_allclose(forecast.mean, expected)
    np.testing.assert_allclose(forecast.deviation, 0)


def test_histories_without_values():
    for history in (np.array([]), np.full(4, NAN)):
        for baseline in (baselines.naive, baselines.seasonal_naive, baselines.naive2):
            assert np.isnan(baseline(history, 2, 3).mean).all()


def test_quantiles():
    forecast = baselines.NormalForecast(np.array([1.0, 2.0]), np.array([1.0, 10.0]))
    expected = [[1 - 1.959964, 2 - 19.59964], [1, 2], [1 + 1.281552, 2 + 12.81552]]
    np.testing.assert_allclose(forecast.quantiles([0.025, 0.5, 0.9]), expected, rtol=1e-6)


def seasonal_history(season, seasons=8, seed=0):
    """A series with a trend and a multiplicative season."""
    rng = np.random.default_rng(seed)
    steps = np.arange(season * seasons + season // 2)
    indices = 1 + 0.5 * np.sin(2 * np.pi * np.arange(season) / season)
    return (20 + steps) * indices[steps % season] * rng.uniform(0.95, 1.05, len(steps))


@pytest.mark.parametrize("season", [4, 7])
def test_naive2_adjusts_for_the_season(season):
    """statsmodels computes the decomposition."""
    decompose = pytest.importorskip("statsmodels.tsa.seasonal").seasonal_decompose
    history = seasonal_history(season)
    indices = decompose(history, model="multiplicative", period=season).seasonal
    forecast = baselines.naive2(history, 2 * season, season)
    future = np.tile(indices[-season:], 2)
    np.testing.assert_allclose(forecast.mean, history[-1] / indices[-1] * future)
    errors = np.diff(history / indices)
    deviation = np.sqrt(np.square(errors).mean() * np.arange(1, 2 * season + 1)) * future
    np.testing.assert_allclose(forecast.deviation, deviation)


def test_naive2_of_a_history_that_only_repeats_is_exact():
    history = np.tile([8.0, 12, 6, 14], 9)
    forecast = baselines.naive2(np.concatenate([[NAN], history[:-2]]), 6, 4)
    np.testing.assert_allclose(forecast.mean, [6, 14, 8, 12, 6, 14])
    np.testing.assert_allclose(forecast.deviation, 0, atol=1e-12)


def test_naive2_without_a_significant_season_is_naive():
    rng = np.random.default_rng(0)
    for history, season in ((rng.gamma(4, 1, 40), 1), (seasonal_history(4, 2), 4), (np.full(40, 3.0), 4)):
        expected = baselines.naive(history, 5)
        for values, reference in zip(baselines.naive2(history, 5, season), expected, strict=True):
            np.testing.assert_array_equal(values, reference)


def test_naive2_needs_positive_values():
    history = seasonal_history(4)
    assert np.isfinite(baselines.naive2(history, 3, 4).mean).all()
    assert np.isnan(baselines.naive2(history - history.min(), 3, 4).mean).all()


@pytest.mark.parametrize("season", [2, 3, 5])
def test_significance_of_the_season(season):
    """statsmodels computes the autocorrelations."""
    acf = pytest.importorskip("statsmodels.tsa.stattools").acf
    rng = np.random.default_rng(season)
    answers = []
    for strength in np.linspace(0, 1.5, 40):
        history = rng.normal(0, 1, 40) + strength * np.cos(2 * np.pi * np.arange(40) / season)
        correlations = acf(history, nlags=season)
        variance = (1 + 2 * sum(correlations[lag] ** 2 for lag in range(1, season))) / 40
        answers.append(abs(correlations[season]) > 1.645 * variance**0.5)
        assert baselines.is_seasonal(history, season) == answers[-1]
    assert 5 < sum(answers) < 35


def test_missing_values_are_interpolated():
    history = np.array([NAN, 1, NAN, 3, NAN])
    np.testing.assert_allclose(baselines.interpolated(history), [1, 2, 3, 3])
