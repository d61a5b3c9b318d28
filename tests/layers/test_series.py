"""What forecasters read of a window, against the definitions in NumPy."""

import numpy as np
import pytest
from keras import ops
from keras_recurrent.layers import SeasonalCopy, SeasonalLags, WindowScaling
from keras_recurrent.layers.series import last_observed


def window(seed=0, batch=3, steps=12):
    generator = np.random.default_rng(seed)
    values = generator.normal(5, 3, (batch, steps)).astype("float32")
    observed = (generator.random((batch, steps)) < 0.7).astype("float32")
    return values, observed


def scaling_of(values, observed, scaling, season):
    """The location and the scale of one window, from its definition."""
    seen = values[observed > 0]
    if scaling == "mean":
        return 0, np.abs(seen).mean()
    if scaling == "standard":
        return seen.mean(), seen.std()
    if scaling == "last":
        return seen[-1], seen.std()
    if scaling == "none":
        return 0, 1
    both = (observed[season:] * observed[:-season]) > 0
    recent = values[-season:][observed[-season:] > 0]
    return recent.mean(), np.abs(values[season:] - values[:-season])[both].mean()


@pytest.mark.parametrize("scaling", ["mean", "standard", "last", "seasonal", "none"])
def test_scaling(scaling):
    values, observed = window()
    location, scale = WindowScaling(scaling, season=4)(values, observed)
    expected = np.array([scaling_of(*row, scaling, 4) for row in zip(values, observed, strict=True)])
    np.testing.assert_allclose(ops.convert_to_numpy(location)[:, 0], expected[:, 0], rtol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(scale)[:, 0], expected[:, 1], rtol=1e-5)


@pytest.mark.parametrize("scaling", ["mean", "standard", "last", "seasonal"])
@pytest.mark.parametrize("level", [0.0, 1e6])
@pytest.mark.parametrize("is_observed", [0.0, 1.0])
def test_a_window_without_deviation_has_a_positive_scale(scaling, level, is_observed):
    values, observed = np.full((1, 8), level, "float32"), np.full((1, 8), is_observed, "float32")
    location, scale = WindowScaling(scaling, season=2)(values, observed)
    assert np.isfinite(ops.convert_to_numpy(location)).all() and ops.convert_to_numpy(scale)[0, 0] >= 1


def test_unknown_scaling():
    with pytest.raises(ValueError, match="must be one of mean, standard, last, seasonal, none"):
        WindowScaling("median")


def test_last_observed():
    values, observed = window()
    expected = [row[seen > 0][-1] for row, seen in zip(values, observed, strict=True)]
    np.testing.assert_allclose(ops.convert_to_numpy(last_observed(values, observed))[:, 0], expected, rtol=1e-6)
    assert ops.convert_to_numpy(last_observed(values, 0 * observed)).tolist() == [[0.0]] * 3


def test_lags_are_the_values_at_the_same_phase_of_past_seasons():
    values, observed = window()
    horizon, seasons, count = 7, [3, 5], 3
    lags = ops.convert_to_numpy(SeasonalLags(horizon, seasons, count)(values, observed))
    assert lags.shape == (3, horizon, 12)
    steps = values.shape[1]
    for h in range(horizon):
        for index, (season, k) in enumerate((season, k) for season in seasons for k in range(1, count + 1)):
            # The step that is a multiple of the season before `h`, the k-th of those inside of the window.
            step = [t for t in range(steps + h, -20, -season) if t < steps][k - 1]
            seen = observed[:, step] if step >= 0 else np.zeros(3)
            np.testing.assert_allclose(lags[:, h, 6 + index], seen)
            np.testing.assert_allclose(lags[:, h, index], values[:, step] * seen if step >= 0 else np.zeros(3))


def test_lags_of_a_window_are_those_of_each_of_its_segments():
    values, observed = window()
    horizon, segment, seasons, count = 6, 3, [2, 5], 2
    lags = ops.convert_to_numpy(SeasonalLags(horizon, seasons, count, segment=segment)(values, observed))
    assert lags.shape == (3, 18, 8)
    for start in range(segment, 12, segment):
        expected = SeasonalLags(segment, seasons, count)(values[:, :start], observed[:, :start])
        np.testing.assert_array_equal(lags[:, start : start + segment], ops.convert_to_numpy(expected))
    assert not lags[:, :segment].any()
    expected = SeasonalLags(horizon, seasons, count)(values, observed)
    np.testing.assert_array_equal(lags[:, 12:], ops.convert_to_numpy(expected))


def test_copy_is_the_mean_of_the_observed_lags_weighted_by_a_softmax():
    generator = np.random.default_rng(0)
    scores, lags = generator.normal(size=(2, 2, 5, 4)).astype("float32")
    observed = generator.integers(0, 2, size=(2, 5, 4)).astype("float32")
    observed[0, 0] = 0
    copied = ops.convert_to_numpy(SeasonalCopy()(scores, lags, observed))
    weights = np.exp(scores) * observed
    totals = weights.sum(axis=-1)
    np.testing.assert_allclose(copied, (weights * lags).sum(axis=-1) / np.where(totals > 0, totals, 1), rtol=1e-5)
    assert copied[0, 0] == 0
