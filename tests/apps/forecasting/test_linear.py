import numpy as np
import pytest
from keras_recurrent.apps.forecasting.config import Config
from keras_recurrent.apps.forecasting.data import Split, WindowReader
from keras_recurrent.apps.forecasting.linear import fit_linear
from keras_recurrent.datasets.series import Panel

pytest.importorskip("sklearn")
NAN = np.nan


def panel_of(series):
    """A panel of series with integer times."""
    offsets = np.cumsum([0, *map(len, series)])
    empty = np.zeros((offsets[-1], 0), "float32")
    return Panel(
        ids=[str(index) for index in range(len(series))],
        offsets=offsets,
        values=np.concatenate(series),
        starts=np.zeros(len(series), "int64"),
        frequency=None,
        static=np.zeros((len(series), 0), "float32"),
        past=empty,
        known=empty,
        known_offsets=offsets,
    )


def test_linear_map_is_fitted_to_the_training_data():
    """Waves of one period and any amplitude and level: `y(t) = y(t - 1) - y(t - 2) + y(t - 3)` for a period of 4."""
    config = Config(horizon=3, context=4, segment=1, calendar=False)
    rng = np.random.default_rng(0)
    steps = np.arange(400)
    waves = [level + size * np.sin(np.pi / 2 * steps + size) for level, size in rng.uniform(1, 20, (6, 2))]
    waves[1][10] = NAN
    series = [*waves, np.full(40, 5.0)]
    lengths = np.array([len(values) for values in series])
    reader = WindowReader(panel_of(series), config)
    forecaster = fit_linear(reader, Split(lengths - 100, lengths - 50, lengths))
    forecast = forecaster(waves[0][:350], 3, 1)
    np.testing.assert_allclose(forecast.mean, waves[0][350:353], rtol=0.01)
    assert (forecast.deviation < 0.02 * waves[0].std()).all()
    for history, expected in ((np.full(9, 5.0), 5), (np.array([5.0, NAN]), 5), (np.full(3, NAN), NAN)):
        np.testing.assert_allclose(forecaster(history, 3, 1).mean, [expected] * 3)


def test_linear_map_without_a_window_repeats_the_last_value():
    config = Config(horizon=3, context=4, segment=1, calendar=False)
    reader = WindowReader(panel_of([np.arange(5.0)]), config)
    forecaster = fit_linear(reader, Split(np.array([2]), np.array([2]), np.array([5])))
    np.testing.assert_array_equal(forecaster(np.arange(5.0), 3, 1).mean, 4)
