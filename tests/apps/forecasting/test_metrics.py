import numpy as np
import pytest
from keras_recurrent.apps.forecasting.metrics import ForecastMetrics, reference

LEVELS = [0.025, 0.1, 0.5, 0.9, 0.975]
NAN = np.nan


def spread(forecast, half80, half95):
    """Quantiles `(1, 5, horizon)` of central intervals around a forecast."""
    forecast = np.asarray(forecast, float)
    return np.stack([forecast + shift for shift in (-half95, -half80, 0, half80, half95)])[None]


def test_metrics_of_one_window():
    """The scale is (2 + 1 + 3) / 3 = 2, and Naive 2 without a season is the last value, 5."""
    metrics = ForecastMetrics(3, 1, LEVELS)
    forecast = [5, 2, 9]
    metrics.update([np.array([1.0, 3, 2, 5])], np.array([[4, 6, NAN]]), np.array([forecast]), spread(forecast, 1, 3))
    smape, mase = (200 / 9 + 100) / 2, (1 / 2 + 4 / 2) / 2
    naive2_smape, naive2_mase = (200 / 9 + 200 / 11) / 2, 1 / 2
    # The quantile losses of the errors -1 and 4 beside the shifts -3, -1, 0, 1 and 3, at each level.
    first = [2 * 0.025, 0, 0.5, 2 * 0.1, 4 * 0.025]
    second = [7 * 0.025, 5 * 0.1, 4 * 0.5, 3 * 0.9, 1 * 0.975]
    assert metrics.result() == {
        "smape": pytest.approx(smape),
        "mase": pytest.approx(mase),
        "owa": pytest.approx((smape / naive2_smape + mase / naive2_mase) / 2),
        "weighted_quantile_loss": pytest.approx(2 * (sum(first) + sum(second)) / 5 / (4 + 6)),
        "msis": pytest.approx((6 + 6 + 40 * 1) / 2 / 2),  # the second target is 1 above the interval from -1 to 5
        "coverage_80": 0.5,  # the first target is on the bound
        "coverage_95": 0.5,
        "mae": 2.5,
        "mse": 8.5,
        "standardized_mae": pytest.approx(2.5 / np.std([1, 3, 2, 5])),
        "standardized_mse": pytest.approx(8.5 / np.var([1, 3, 2, 5])),
        "windows": 1,
        "empty_histories": 0,
        "short_histories": 0,
        "constant_histories": 0,
        "undefined_naive2": 0,
    }
    by_horizon = metrics.by_horizon()
    assert by_horizon.keys() == metrics.result().keys() - {
        *("windows", "empty_histories", "short_histories", "constant_histories", "undefined_naive2")
    }
    np.testing.assert_allclose(by_horizon["smape"], [200 / 9, 100, NAN])
    np.testing.assert_allclose(by_horizon["owa"], [1, (100 / (200 / 11) + 4) / 2, NAN])
    np.testing.assert_allclose(by_horizon["msis"], [3, 23, NAN])
    np.testing.assert_allclose(by_horizon["coverage_80"], [1, 0, NAN])
    np.testing.assert_allclose(by_horizon["weighted_quantile_loss"], [2 * sum(first) / 20, 2 * sum(second) / 30, NAN])
    assert metrics.remark() is None


def test_scale_is_the_error_of_the_seasonal_naive_forecast():
    history = np.array([NAN, 10, 1, NAN, 4, 16, 2])  # 3 steps per season: 4 is compared with 1, 16 with a missing value
    scales, naive2_forecast, is_empty, deviations = reference([history], 2, 3, train=[6])
    np.testing.assert_allclose(scales, [np.mean([abs(4 - 10), abs(16 - 1)])])
    np.testing.assert_allclose(naive2_forecast, [[2, 2]])  # too short to test for seasonality
    assert not is_empty.any()
    np.testing.assert_allclose(deviations, [np.std([10, 1, 4, 16])])


def random_windows(count, horizon, seed=0):
    rng = np.random.default_rng(seed)
    histories = [rng.gamma(4, 10, length) for length in rng.integers(8, 60, count)]
    actual, forecast = rng.gamma(4, 10, (2, count, horizon))
    actual[rng.random(actual.shape) < 0.1] = NAN
    quantiles = np.sort(rng.gamma(4, 10, (count, len(LEVELS), horizon)), axis=1)
    return histories, actual, forecast, quantiles


def test_batches_do_not_matter():
    """Neither do they if the metrics of several forecasts share the reference."""
    histories, actual, forecast, quantiles = random_windows(20, 6)
    whole, parts = ForecastMetrics(6, 4, LEVELS), ForecastMetrics(6, 4, LEVELS)
    whole.update(reference(histories, 6, 4), actual, forecast, quantiles)
    for part in (slice(0, 1), slice(1, 15), slice(15, None)):
        parts.update(histories[part], actual[part], forecast[part], quantiles[part])
    assert parts.result() == pytest.approx(whole.result())
    for name, values in whole.by_horizon().items():
        np.testing.assert_allclose(parts.by_horizon()[name], values)
        if name not in ("owa", "weighted_quantile_loss"):  # those are quotients of means
            weights = (~np.isnan(actual)).sum(axis=0)
            assert whole.result()[name] == pytest.approx(np.average(values, weights=weights))


def test_scaled_errors_do_not_depend_on_the_unit():
    histories, actual, forecast, quantiles = random_windows(10, 4)
    metrics, scaled = ForecastMetrics(4, 3, LEVELS), ForecastMetrics(4, 3, LEVELS)
    metrics.update(histories, actual, forecast, quantiles)
    scaled.update([1000 * history for history in histories], 1000 * actual, 1000 * forecast, 1000 * quantiles)
    expected, result = metrics.result(), scaled.result()
    assert (result.pop("mae"), result.pop("mse")) == pytest.approx(
        (1e3 * expected.pop("mae"), 1e6 * expected.pop("mse"))
    )
    assert result == pytest.approx(expected)


def test_windows_that_some_metrics_leave_out():
    rng = np.random.default_rng(0)
    ordinary = np.array([1.0, 3, 2, 5])
    not_positive = np.tile([-5.0, 5], 10) + rng.normal(0, 0.1, 20)
    histories = [ordinary, np.full(9, 7.0), np.array([5.0]), np.array([NAN, NAN]), not_positive, ordinary]
    actual, forecast = np.full((6, 1), 4.0), np.array([[5.0], [5], [5], [NAN], [5], [NAN]])
    actual[5] = NAN  # nothing to compare with
    metrics, alone = ForecastMetrics(1, 2, []), ForecastMetrics(1, 2, [])
    metrics.update(histories, actual, forecast)
    alone.update(histories[:1] + histories[4:5], actual[[0, 4]], forecast[[0, 4]])
    result = metrics.result()
    assert result["mase"] == pytest.approx(alone.result()["mase"])
    assert result["smape"] == pytest.approx(200 / 9) and result["mae"] == 1
    counts = ("windows", "empty_histories", "short_histories", "constant_histories", "undefined_naive2")
    assert [result[name] for name in counts] == [4, 1, 1, 1, 1]
    remark = metrics.remark()
    assert remark.count(";") == 3 and "\n" not in remark
    assert "MASE and MSIS leave out 1 whose history is constant" in remark
    # Naive 2 forecasts 5, 7 and 5; its MASE is that of the ordinary history.
    owa = (3 * 200 / 9 / (200 / 9 + 600 / 11 + 200 / 9) + 1) / 2
    assert result["owa"] == pytest.approx(owa)


def test_metrics_that_are_not_defined():
    metrics = ForecastMetrics(2, 1, [0.1, 0.9])
    assert metrics.result()["smape"] is None and metrics.result()["windows"] == 0
    assert "coverage_80" not in metrics.result()
    metrics.update([np.zeros(5)], np.zeros((1, 2)), np.zeros((1, 2)), np.zeros((1, 2, 2)))
    result = metrics.result()
    assert (result["smape"], result["mae"], result["coverage_80"]) == (0, 0, 1)
    assert result["mase"] is result["owa"] is result["weighted_quantile_loss"] is None
    assert "coverage_95" not in result and "msis" not in result
    assert np.isnan(metrics.by_horizon()["mase"]).all()


def test_forecasts_that_do_not_fit():
    metrics = ForecastMetrics(2, 1, [0.5])
    histories, actual, forecast = [np.arange(3.0)], np.array([[1.0, NAN]]), np.zeros((1, 2))
    with pytest.raises(ValueError, match=r"forecast has the shape \(2, 1\), not \(1, 2\)"):
        metrics.update(histories, actual, forecast.T)
    with pytest.raises(ValueError, match="quantiles has the shape"):
        metrics.update(histories, actual, forecast, forecast)
    with pytest.raises(ValueError, match="forecast has values that are not finite"):
        metrics.update(histories, actual, np.array([[NAN, 1]]))
    with pytest.raises(ValueError, match="quantiles has values that are not finite"):
        metrics.update(histories, actual, forecast, np.array([[[np.inf, 1]]]))
    assert metrics.windows == 0
    metrics.update(histories, actual, np.array([[1, NAN]]), np.array([[[1, NAN]]]))  # of a missing target
    assert metrics.result()["mae"] == 0
