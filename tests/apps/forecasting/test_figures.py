import numpy as np
import pytest
from keras_recurrent.apps.forecasting.figures import (
    MOST_SERIES,
    SeriesForecast,
    draw_error_by_horizon,
    draw_forecasts,
    draw_reliance,
)
from matplotlib.dates import date2num

LEVELS = [0.025, 0.1, 0.5, 0.9, 0.975]
NAN = np.nan


def series(steps=100, horizon=5, name="sales", times=None, spread=1.0, seed=0):
    rng = np.random.default_rng(seed)
    history, forecast, actual = np.split(rng.normal(10, 1, steps + 2 * horizon), [steps, steps + horizon])
    quantiles = np.stack([forecast + shift * spread for shift in (-3, -1.5, 0, 1.5, 3)])
    times = np.arange(steps + horizon) if times is None else times
    return SeriesForecast(name, times, history, forecast, quantiles, actual)


def legend_of(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def lines_of(axes):
    """The data of the lines that are not empty."""
    return [line.get_xydata().T for line in axes.lines if len(line.get_xdata())]


def bounds_of(collection):
    """The lowest and the highest value of a filled area, by time."""
    x, y = collection.get_paths()[0].vertices.T
    return {time: (y[x == time].min(), y[x == time].max()) for time in np.unique(x)}


def test_forecast_of_one_series(drawn, tmp_path):
    times = np.datetime64("2024-03-01") + np.arange(105)
    forecast = series(times=times)
    draw_forecasts([forecast], LEVELS, tmp_path / "forecast.png", "sales (kg)")
    (axes,) = drawn[0].axes
    assert drawn[0].get_suptitle() == "sales, forecast 5 steps ahead"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time", "sales (kg)")
    assert legend_of(drawn[0]) == ["history", "95 % interval", "80 % interval", "forecast", "actual"]
    past, future, truth = lines_of(axes)
    np.testing.assert_allclose(past, [date2num(times[60:100]), forecast.history[60:]])  # of 100 steps
    np.testing.assert_allclose(future, [date2num(times[100:]), forecast.forecast])
    np.testing.assert_allclose(truth, [date2num(times[100:]), forecast.actual])
    for collection, rows in zip(axes.collections, ([0, 4], [1, 3]), strict=True):
        bounds = bounds_of(collection)
        np.testing.assert_allclose([*bounds], date2num(times[100:]))
        np.testing.assert_allclose(np.array([*bounds.values()]).T, forecast.quantiles[rows])
    low, high = axes.get_xlim()
    assert low < date2num(times[60]) and date2num(times[-1]) < high < date2num(times[-1]) + 3


def test_page_of_several_series(drawn, tmp_path):
    forecasts = [series(name=f"series {index} of 나무 $x_", seed=index) for index in range(MOST_SERIES + 3)]
    draw_forecasts(forecasts, LEVELS, tmp_path / "forecasts.png")
    assert drawn[0].get_suptitle() == "12 of 15 series, forecast 5 steps ahead"
    assert [axes.get_title() for axes in drawn[0].axes] == [forecast.name for forecast in forecasts[:MOST_SERIES]]
    assert {axes.get_xlabel() for axes in drawn[0].axes} == {"step"}
    draw_forecasts(forecasts[:3], LEVELS, tmp_path / "forecasts.png")
    assert len(drawn[1].axes) == 3 and drawn[1].get_suptitle() == "3 series, forecast 5 steps ahead"
    draw_forecasts(forecasts[:12], LEVELS, tmp_path / "forecasts.png", total=2_000)
    assert drawn[2].get_suptitle() == "12 of 2,000 series, forecast 5 steps ahead"


def test_forecast_without_intervals_or_truth(drawn, tmp_path):
    plain = series()._replace(quantiles=None, actual=None)
    draw_forecasts([plain], LEVELS, tmp_path / "forecast.png")
    draw_forecasts([series()._replace(actual=np.full(5, NAN))], [0.1, 0.2, 0.5, 0.8, 0.9], tmp_path / "forecast.png")
    assert [legend_of(figure) for figure in drawn] == [
        ["history", "forecast"],
        ["history", "80 % interval", "forecast"],
    ]


def test_values_between_gaps_are_dots(drawn, tmp_path):
    gaps = series(40, 5)
    gaps.history[[1, 3, 4]] = NAN  # the values 0 and 2 stand alone
    draw_forecasts([gaps._replace(actual=np.array([1.0, NAN, NAN, 2, 3]))], LEVELS, tmp_path / "forecast.png")
    (axes,) = drawn[0].axes
    dots = [line.get_xdata().tolist() for line in axes.lines if line.get_marker() == "o"]
    assert dots == [[0, 2], [], [40]]


@pytest.mark.parametrize("times", [np.arange(2), np.array(["2024-01", "2024-02"], "datetime64[M]")])
def test_one_value_and_one_step(times, drawn, tmp_path):
    """The interval has a width, and the axis covers the two times and little more."""
    draw_forecasts([series(1, 1, times=times)], LEVELS, tmp_path / "forecast.png")
    (axes,) = drawn[0].axes
    first, second = date2num(times) if times.dtype.kind == "M" else times
    assert [line.tolist()[0] for line in lines_of(axes)] == [[first], [first], [second], [second], [second], [second]]
    low, *_, high = bounds_of(axes.collections[0])
    assert (high - low) == pytest.approx((second - first) / 2, rel=1e-3)
    low, high = axes.get_xlim()
    assert high - low == pytest.approx(2 * (second - first), rel=1e-3)
    assert drawn[0].get_suptitle() == "sales, forecast 1 step ahead"


def test_no_history(drawn, tmp_path):
    draw_forecasts([series(0, 1, times=np.array(["2024-01-01"], "datetime64[ns]"))], LEVELS, tmp_path / "x.png")
    low, high = drawn[0].axes[0].get_xlim()
    assert high - low == pytest.approx(1)  # day


@pytest.mark.parametrize(
    ("value", "expected"), [(1e6, (0.9e6, 1.1e6)), (0.0, (-1, 1)), (-1e-9, (-1.1e-9, -0.9e-9)), (NAN, (0, 1))]
)
def test_axis_of_a_constant_series(value, expected, drawn, tmp_path):
    times = np.arange(2_000_000_000, 2_000_000_045)
    constant = SeriesForecast("constant", times, np.full(40, value), np.full(5, value), np.full((5, 5), value))
    draw_forecasts([constant], LEVELS, tmp_path / "forecast.png")
    (axes,) = drawn[0].axes
    assert axes.get_ylim() == pytest.approx(expected)
    assert [text.get_text() for text in axes.texts] == (["no values"] if np.isnan(value) else [])
    assert axes.get_xticklabels()[1].get_text() in ("2,000,000,000", "2,000,000,020")


def test_wide_intervals_do_not_hide_the_series(drawn, tmp_path):
    wide = series(spread=1e9)
    infinite = series()._replace(forecast=np.full(5, np.inf), actual=None, quantiles=None)
    draw_forecasts([wide, infinite], LEVELS, tmp_path / "forecast.png")
    for axes, forecast in zip(drawn[0].axes, (wide, infinite), strict=True):
        low, high = axes.get_ylim()
        assert high - low < 6 * np.ptp(forecast.history)
        assert low < forecast.history[60:].min() and forecast.history[60:].max() < high


def test_error_by_horizon(drawn, tmp_path):
    results = {
        "model": {"mase": np.array([0.5, 0.7, 0.9]), "smape": np.array([5.0, 7, 9]), "coverage_95": np.ones(3)},
        "seasonal_naive": {"mase": np.array([1.0, 2.0, 9.0]), "smape": np.array([6.0, 8, 9])},
    }
    draw_error_by_horizon(results, tmp_path / "horizon.png")
    mase, smape, coverage = drawn[0].axes
    assert legend_of(drawn[0]) == ["model", "seasonal naive"]
    labels = [axes.get_ylabel() for axes in drawn[0].axes]
    assert labels == ["MASE", "sMAPE (%)", "coverage of the 95 % interval"]
    for axes, metric in ((mase, "mase"), (smape, "smape")):
        for line, values in zip(axes.lines, results.values(), strict=True):
            np.testing.assert_array_equal(line.get_xydata().T, [[1, 2, 3], values[metric]])
    assert (mase.get_yscale(), smape.get_yscale()) == ("log", "linear") and smape.get_ylim()[0] == 0
    nominal = coverage.lines[1]
    assert set(nominal.get_ydata()) == {0.95} and coverage.get_ylim() == (0.5, 1.02)
    low, high = mase.get_xlim()
    assert [tick for tick in mase.get_xticks() if low <= tick <= high] == [1, 2, 3]


def test_errors_that_are_not_defined(drawn, tmp_path):
    undefined = {"mase": np.full(1, NAN), "mae": np.zeros(1)}
    with pytest.raises(ValueError, match="none of the metrics mase, smape is defined"):
        draw_error_by_horizon({"model": undefined}, tmp_path / "x.png", ["mase", "smape"])
    draw_error_by_horizon({"model": undefined, "naive": {}}, tmp_path / "x.png", ["mase", "mae"])
    (axes,) = drawn[0].axes
    assert axes.get_ylabel() == "MAE" and axes.get_ylim() == (0, 1)
    assert legend_of(drawn[0]) == ["model"]


def test_reliance(drawn, tmp_path):
    times = np.datetime64("2024-03-01T00") + np.arange(4)
    history, reliance = np.array([1.0, NAN, 3, 4]), np.array([0.1, 0, NAN, -0.7])
    draw_reliance("sales", times, history, reliance, tmp_path / "reliance.png", "sales (kg)")
    upper, lower = drawn[0].axes
    assert drawn[0].get_suptitle() == "sales, what the forecast depends on"
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("sales (kg)", "|∂ mean forecast / ∂ value|")
    assert lower.get_xlabel() == "time"
    (bars,) = lower.collections
    drawn_bars = {segment[0, 0]: segment[1, 1] for segment in bars.get_segments() if len(segment) == 2}
    expected = {date2num(times[index]): abs(reliance[index]) for index in (0, 1, 3)}
    assert drawn_bars == pytest.approx(expected)
    assert lower.get_ylim() == pytest.approx((0, 0.735))
    with pytest.raises(ValueError, match="4 times, 4 values and 3 derivatives"):
        draw_reliance("sales", times, history, reliance[:3], tmp_path / "reliance.png")


@pytest.mark.parametrize("count", [1, 1000])
def test_no_reliance(count, drawn, tmp_path):
    draw_reliance("none", np.arange(count), np.full(count, NAN), np.zeros(count), tmp_path / "reliance.png")
    upper, lower = drawn[0].axes
    assert lower.get_ylim() == (0, 1) and [text.get_text() for text in upper.texts] == ["no values"]
