import multiprocessing
import sys

import numpy as np
import pytest
from keras_recurrent.apps.forecasting import baselines
from keras_recurrent.apps.shared.errors import TrainingError
from keras_recurrent.extras import MissingExtra

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


LEVELS = [0.025, 0.1, 0.5, 0.9]


def test_windows_of_the_naive_baselines(capsys):
    histories = [seasonal_history(4), np.array([3.0]), np.full(3, NAN), seasonal_history(4) - 40]
    for name, function in baselines.NAIVE.items():
        batches = [*baselines.forecast_windows(name, [histories[:3], histories[3:]], 5, 4, LEVELS)]
        assert [forecast.shape for forecast, _ in batches] == [(3, 5), (1, 5)]
        forecast, quantiles = map(np.concatenate, zip(*batches, strict=True))
        for index, history in enumerate(histories):
            if name == "naive2" and index == 3:
                function = baselines.seasonal_naive
            expected = function(history, 5, 4)
            np.testing.assert_array_equal(forecast[index], expected.mean)
            np.testing.assert_array_equal(quantiles[index], expected.quantiles(LEVELS))
        message = "naive2 cannot forecast 1 of 4 windows, which have the seasonal naive forecast"
        assert (message in capsys.readouterr().err) == (name == "naive2")


@pytest.mark.parametrize("name", baselines.STATISTICAL)
def test_windows_of_statistical_models(name, capsys):
    """The last history is too short for some of them."""
    histories = [seasonal_history(4), seasonal_history(4, seed=1), np.array([3.0])]
    histories[1][[0, 7, 8]] = NAN
    ((forecast, quantiles),) = baselines.forecast_windows(name, [histories], 4, 4, LEVELS, processes=1)
    assert forecast.shape == (3, 4) and quantiles.shape == (3, 4, 4)
    assert (np.diff(quantiles[:2], axis=1) > 0).all()
    if name != "auto_theta":  # its quantiles are those of samples
        np.testing.assert_allclose(quantiles[:, 2], forecast)
    # The errors of the season's random walk are larger than those of a model of the season.
    future = seasonal_history(4, 10)[len(histories[0]) :][:4]
    assert np.abs(forecast[0] - future).mean() < 0.1 * future.mean()
    np.testing.assert_allclose(forecast[2], 3)
    message = f"{name} cannot forecast 1 of 3 windows, which have the seasonal naive forecast"
    assert (message in capsys.readouterr().err) == (name != "auto_arima")


def test_statistical_models_are_those_of_statsforecast():
    models = pytest.importorskip("statsforecast.models")
    history = seasonal_history(4)
    ((forecast, quantiles),) = baselines.forecast_windows("auto_ets", [[history]], 6, 4, [0.975, 0.1], processes=1)
    expected = models.AutoETS(season_length=4).forecast(y=history, h=6, level=[80, 95])
    np.testing.assert_allclose(forecast, [expected["mean"]])
    np.testing.assert_allclose(quantiles, [[expected["hi-95"], expected["lo-80"]]])


@pytest.mark.rest
def test_parallel_processes():
    batches = [[seasonal_history(4, seed=batch + index) for index in range(3)] for batch in range(3)]
    results = [
        [*baselines.forecast_windows("auto_theta", batches, 4, 4, LEVELS, processes=processes)] for processes in (1, 2)
    ]
    for alone, parallel in zip(*results, strict=True):
        for expected, values in zip(alone, parallel, strict=True):
            np.testing.assert_array_equal(values, expected)
    windows = baselines.forecast_windows("auto_theta", batches, 4, 4, LEVELS, processes=2)
    next(windows)
    processes = {*multiprocessing.active_children()}
    assert len(processes) == 2
    windows.close()
    for process in processes:
        process.join(10)
        assert not process.is_alive()


@pytest.mark.rest
def test_killed_process():
    windows = baselines.forecast_windows("auto_theta", [[seasonal_history(4)]] * 1000, 4, 4, LEVELS, processes=2)
    next(windows)
    multiprocessing.active_children()[0].kill()
    with pytest.raises(TrainingError, match="a process of a baseline was killed"):
        list(windows)


def test_statistical_models_require_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsforecast.models", None)
    with pytest.raises(MissingExtra, match=r"this needs statsforecast; install it with .*baseline"):
        baselines.forecast_windows("auto_ets", [[np.arange(9.0)]], 2, 1, LEVELS)
