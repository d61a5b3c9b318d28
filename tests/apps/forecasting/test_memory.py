"""The memory that an evaluation takes does not grow with the number of its windows."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from keras_recurrent.apps.forecasting import commands
from keras_recurrent.apps.forecasting.config import Config
from keras_recurrent.apps.forecasting.data import Origins, Split, WindowReader
from keras_recurrent.apps.forecasting.metrics import ForecastMetrics
from keras_recurrent.datasets.series import read_series

STEPS = 120


@pytest.mark.rest
def test_memory_does_not_grow_with_the_windows(tmp_path):
    generator = np.random.default_rng(0)
    rows = (f"s{series},{','.join(map(str, generator.integers(1, 99, STEPS)))}\n" for series in range(50))
    path = tmp_path / "series.csv"
    path.write_text("unique_id," + ",".join(f"V{step}" for step in range(STEPS)) + "\n" + "".join(rows))
    panel, config = read_series(path), Config()
    forecaster = SimpleNamespace(
        config=config, median=3, quantiles=lambda inputs: np.zeros((len(inputs["values"]), 7, config.horizon))
    )
    split = Split(np.full(50, 30), np.full(50, 30), panel.lengths)
    peaks = []
    for windows in (10, 20, 100):  # of each series; the first time, modules are imported
        metrics = {name: ForecastMetrics(28, 7, config.levels) for name in ("model", *commands.SIMPLEST)}
        origins = Origins(np.repeat(np.arange(50), windows), generator.integers(30, 92, 50 * windows))
        tracemalloc.start()
        commands._update(metrics, commands.SIMPLEST, forecaster, WindowReader(panel, config), split, origins)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert {own.windows for own in metrics.values()} == {50 * windows}
    assert peaks[2] - peaks[1] < 500_000  # bytes; the targets of 4,000 windows alone take more
