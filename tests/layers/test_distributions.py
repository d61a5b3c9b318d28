"""The distributions of forecasts against SciPy, and their quantiles against their losses."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from keras import ops
from keras_recurrent.layers.distributions import (
    DISTRIBUTIONS,
    Gaussian,
    NegativeBinomial,
    Quantiles,
    StudentT,
    _normal_quantile,
    empirical_quantiles,
    log_gamma,
)

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
LOCATION, SCALE = np.array([[-3.0], [100.0]], "float32"), np.array([[0.5], [20.0]], "float32")


def softplus(x):
    return np.log1p(np.exp(x)) + 1e-3


def outputs(count, seed=0):
    return np.random.default_rng(seed).normal(size=(2, 6, count)).astype("float32")


def computed(function, *arrays):
    """The result of a function of tensors, from arrays to an array."""
    return ops.convert_to_numpy(function(*map(ops.convert_to_tensor, arrays)))


def scipy_distribution(name, numbers):
    """The distribution in the units of the series."""
    if name == "negative_binomial":
        mean, dispersion = SCALE * softplus(numbers[..., 0]), softplus(numbers[..., 1])
        return scipy.stats.nbinom(1 / dispersion, 1 / (1 + dispersion * mean))
    place, width = LOCATION + SCALE * numbers[..., 0], SCALE * softplus(numbers[..., 1])
    if name == "gaussian":
        return scipy.stats.norm(place, width)
    return scipy.stats.t(2 + softplus(numbers[..., 2]), place, width)


@pytest.mark.parametrize("name", ["gaussian", "student_t"])
def test_the_loss_is_the_negative_log_likelihood_in_units_of_the_scale(name):
    distribution = DISTRIBUTIONS[name](LEVELS)
    numbers = outputs(distribution.outputs)
    target = LOCATION + SCALE * outputs(1, seed=1)[..., 0]
    expected = -scipy_distribution(name, numbers).logpdf(target) - np.log(SCALE)
    loss = computed(distribution.loss, target, numbers, LOCATION, SCALE)
    np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-4)


def test_the_loss_of_counts_is_their_negative_log_likelihood():
    numbers, counts = outputs(2), np.array([[0, 1, 2, 3, 50, 400]] * 2, "float32")
    loss = computed(NegativeBinomial(LEVELS).loss, counts, numbers, LOCATION, SCALE)
    np.testing.assert_allclose(
        loss, -scipy_distribution("negative_binomial", numbers).logpmf(counts), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize(("name", "tolerance"), [("gaussian", 1e-4), ("student_t", 2e-3)])
def test_quantiles(name, tolerance):
    distribution = DISTRIBUTIONS[name](LEVELS)
    numbers = outputs(distribution.outputs)
    quantiles = computed(distribution.quantiles, numbers, LOCATION, SCALE)
    expected = np.moveaxis([scipy_distribution(name, numbers).ppf(level) for level in LEVELS], 0, -1)
    error = np.abs(quantiles - expected) / SCALE[..., None]
    assert (error / (1 + np.abs(expected - LOCATION[..., None]) / SCALE[..., None])).max() < tolerance


def test_quantiles_of_narrow_distributions_of_counts_are_exact():
    numbers = outputs(2) - np.array([0.0, 3.0], "float32")
    quantiles = computed(NegativeBinomial(LEVELS).quantiles, numbers, LOCATION, SCALE)
    expected = np.moveaxis([scipy_distribution("negative_binomial", numbers).ppf(level) for level in LEVELS], 0, -1)
    np.testing.assert_allclose(quantiles, expected, atol=2)
    np.testing.assert_array_equal(quantiles[0], expected[0])


@pytest.mark.parametrize("name", ["gaussian", "student_t", "negative_binomial"])
def test_quantiles_at_drawn_levels_are_samples(name):
    distribution = DISTRIBUTIONS[name](LEVELS)
    numbers = np.repeat(outputs(distribution.outputs)[:, :1], 6, axis=1)
    draws = np.random.default_rng(2).uniform(0.001, 0.999, size=(2, 6, 4000)).astype("float32")
    samples = computed(distribution.quantiles, numbers, LOCATION, SCALE, draws)
    quantile, exact = np.quantile(samples, 0.8, axis=-1), scipy_distribution(name, numbers)
    assert np.all(exact.ppf(0.76) <= quantile) and np.all(quantile <= exact.ppf(0.84))


def test_the_pinball_loss_is_lowest_at_the_quantile():
    values = np.random.default_rng(0).gamma(2.0, size=2000).astype("float32")
    candidates = np.linspace(0.1, 6, 60, dtype="float32")
    for level in (0.1, 0.5, 0.9):
        distribution = Quantiles([level])
        numbers = np.broadcast_to(candidates[:, None, None], (60, 2000, 1))
        zero, one = np.zeros((60, 1), "float32"), np.ones((60, 1), "float32")
        losses = computed(distribution.loss, values[None], numbers, zero, one)
        best = candidates[losses.mean(axis=1).argmin()]
        assert abs(best - np.quantile(values, level)) < 0.11


def test_relative_errors_are_those_of_smape():
    numbers, target = outputs(5), LOCATION + SCALE * outputs(1, seed=1)[..., 0]
    target[1] = 1e-3
    numbers[1] = (1e-3 - LOCATION[1]) / SCALE[1]  # the magnitude is below half of the scale
    plain, relative = (computed(Quantiles(LEVELS, weight).loss, target, numbers, LOCATION, SCALE) for weight in (0, 3))
    magnitude = (np.abs(target) + np.abs(LOCATION + SCALE * numbers[..., 2])) / 2
    assert (magnitude[1] < SCALE[1] / 2).all() and (magnitude[0] > SCALE[0] / 2).all()
    np.testing.assert_allclose(relative[0], (plain + 3 * SCALE * plain / magnitude)[0], rtol=1e-5)
    np.testing.assert_allclose(relative[1], 7 * plain[1], rtol=1e-5)
    with pytest.raises(ValueError, match=r"must contain 0\.5"):
        Quantiles([0.1, 0.9], relative=1)


def test_quantiles_do_not_cross():
    quantiles = computed(Quantiles(LEVELS).quantiles, outputs(5), LOCATION, SCALE)
    assert np.all(np.diff(quantiles, axis=-1) >= 0)


def test_quantiles_have_only_their_own_levels():
    with pytest.raises(ValueError, match="other levels"):
        Quantiles([0.5]).quantiles(outputs(1), LOCATION, SCALE, np.full((2, 6, 1), 0.1))


def test_log_gamma():
    x = np.array([1e-3, 0.1, 0.5, 1, 2, 10, 1e3, 1e5], "float32")
    np.testing.assert_allclose(computed(log_gamma, x), scipy.special.gammaln(x), rtol=1e-6, atol=1e-6)


def test_attributes():
    assert [cls(LEVELS).outputs for cls in (Quantiles, Gaussian, StudentT, NegativeBinomial)] == [5, 2, 3, 2]


def test_quantiles_of_the_normal_distribution_in_its_tails():
    levels = np.concatenate([np.geomspace(3e-8, 0.5, 60), [0.6, 0.9, 0.999, 0.9999]]).astype("float32")
    expected = scipy.special.ndtri(levels.astype("float64"))
    np.testing.assert_allclose(computed(_normal_quantile, levels), expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_empirical_quantiles(count):
    samples = np.random.default_rng(0).normal(size=(3, 4, count)).astype("float32")
    quantiles = computed(lambda samples: empirical_quantiles(samples, LEVELS), samples)
    expected = np.moveaxis(np.quantile(samples, LEVELS, axis=-1, method="hazen"), 0, -1)
    np.testing.assert_allclose(quantiles, expected, rtol=1e-5, atol=1e-6)


def test_location_and_scale_of_each_step():
    """They are those of a series with one step, for each step."""
    numbers, target = outputs(2), LOCATION + SCALE * outputs(1, seed=1)[..., 0]
    location, scale = (np.tile(x, (1, 6)) * np.arange(1, 7, dtype="float32") for x in (LOCATION, SCALE))
    for function, first in ((Gaussian(LEVELS).loss, target), (Gaussian(LEVELS).quantiles, None)):
        own = [numbers] if first is None else [first, numbers]
        together = computed(function, *own, location, scale)
        for step in range(6):
            steps = slice(step, step + 1)
            alone = computed(function, *(x[:, steps] for x in own), location[:, steps], scale[:, steps])
            np.testing.assert_allclose(together[:, steps], alone, rtol=1e-5)
