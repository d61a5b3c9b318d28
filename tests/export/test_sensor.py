"""The example of a sensor whose values are read one by one, with carried states."""

from pathlib import Path

import numpy as np
import pytest
from keras_recurrent.export import export_step

pytestmark = pytest.mark.deploy
EXAMPLE = Path(__file__).parents[2] / "docs/examples/sensor.py"


@pytest.fixture(scope="module")
def example(load_script):
    """The module of the example."""
    pytest.importorskip("ai_edge_litert")
    return load_script(EXAMPLE)


@pytest.fixture(scope="module")
def network(example):
    return example.train(example.temperatures(400, 4 * example.CYCLE, seed=0))


@pytest.fixture(scope="module")
def watch(example, network, tmp_path_factory):
    """`watch()`: what reads the values of a sensor."""
    path = str(tmp_path_factory.mktemp("sensor") / "step.tflite")
    states = export_step(network, path, "litert")
    return lambda: example.Watch(path, states)


def test_streaming_equals_the_whole_sequence(example, network, watch):
    values = example.temperatures(1, 300, seed=3)[0]
    values[100:120] = np.nan
    own, is_read, forecasts = watch(), [], []
    for value in values:
        is_read.append(not own(value) and not np.isnan(value))
        forecasts.append([own.forecast[name] for name in ("low", "median", "high")])
    observed = np.array(is_read, "float32")[None, :, None]
    value = np.where(is_read, values, 0).astype("float32")[None, :, None]
    expected = network({"value": value, "observed": observed})
    expected = np.stack([expected[name][0] for name in ("low", "median", "high")], axis=-1)
    np.testing.assert_allclose(forecasts, expected, rtol=1e-5, atol=1e-4)


def test_faults_are_flagged_and_other_values_are_not(example, watch):
    values, own = example.faulty(), watch()
    flagged = [time for time, value in enumerate(values) if own(value)]
    assert {400, *range(700, 705)} <= {*flagged}
    assert len(flagged) <= 6 + 3


def test_the_interval_holds_what_it_says(example, watch):
    """The intervals are calibrated, and narrower than the range of the values."""
    errors, widths = [], []
    for values in example.temperatures(5, 300, seed=4):
        own = watch()
        for time, value in enumerate(values):
            forecast = own.forecast
            own(value)
            if time > example.CYCLE:
                widths.append((forecast["high"] - forecast["low"]) / 8)  # a standard deviation
                errors.append((value - forecast["median"]) / widths[-1])
    assert 0.8 < np.std(errors) < 1.2 and np.mean(np.abs(errors) > 4) < 0.002
    assert np.mean(widths) < 0.1 * np.std(values)
