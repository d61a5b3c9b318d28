"""Distributions of a forecast: from the outputs of a network to a loss and to quantiles.

A network forecasts a series that is shifted by a `location` and divided by a `scale`, which are those of its recent
past. All functions take both, `(batch, 1)` or `(batch, steps)`, and compute in the units of the series. Dimensions
after the steps, such as one for several networks, broadcast.
"""

import math
from collections.abc import Sequence

from keras import ops

from .types import Tensor

MIN_SCALE = 1e-3  # of a predicted distribution, in units of the scale
COUNTS = 256  # groups of counts whose probabilities are computed


class Distribution:
    """Base of the distributions.

    Args:
        levels: Ascending floats in (0, 1), the levels of the quantiles to compute.

    Attributes:
        outputs: Integer, how many numbers a network computes per step.
        has_all_levels: Whether `quantiles` takes any levels.
    """

    outputs: int = 2
    has_all_levels: bool = True

    def __init__(self, levels: Sequence[float]) -> None:
        self.levels = tuple(levels)

    def loss(self, target: Tensor, outputs: Tensor, location: Tensor, scale: Tensor) -> Tensor:
        """Computes the loss of each step.

        Args:
            target: Tensor `(batch, steps)`, the true values.
            outputs: Tensor `(batch, steps, self.outputs)`, what the network computes.
            location: Tensor `(batch, 1)` or `(batch, steps)`.
            scale: Positive tensor `(batch, 1)` or `(batch, steps)`.

        Returns:
            Tensor `(batch, steps)`.
        """
        raise NotImplementedError

    def quantiles(self, outputs: Tensor, location: Tensor, scale: Tensor, levels: Tensor | None = None) -> Tensor:
        """Computes quantiles of each step.

        Args:
            outputs, location, scale: As in `loss`.
            levels: Tensor `(batch, steps, count)` with values in (0, 1); None takes those of the distribution. The
                quantiles at levels that are drawn uniformly are samples.

        Returns:
            Tensor `(batch, steps, count)`, ascending with the levels.
        """
        raise NotImplementedError

    def _levels(self, levels: Tensor | None) -> Tensor:
        return ops.convert_to_tensor(self.levels, dtype="float32") if levels is None else levels


class Quantiles(Distribution):
    """No distribution but the quantiles themselves, trained with the pinball loss.

        loss = 2 / L * sum over the levels l of max(l (y - q_l), (l - 1) (y - q_l)) / scale

    The factor 2 makes the loss of the median alone the absolute error. With `relative`, errors also count in relation
    to the magnitudes of the target and of the forecast, as in sMAPE:

        loss = loss * (1 + relative * scale / max((|y| + |q_0.5|) / 2, scale / 2))

    Args:
        levels: Ascending floats in (0, 1).
        relative: Float, at least 0, the weight of the relative errors. `levels` must contain 0.5 then.

    Reference:
        Koenker and Bassett 1978, Regression quantiles; Wen et al. 2017, A multi-horizon quantile recurrent forecaster.

    Example:

    >>> from keras_recurrent.layers.distributions import Quantiles
    >>> zero, one = ops.zeros((1, 1)), ops.ones((1, 1))
    >>> float(Quantiles([0.5]).loss(one, ops.zeros((1, 1, 1)), zero, one)[0, 0])
    1.0
    """

    has_all_levels = False

    def __init__(self, levels: Sequence[float], relative: float = 0.0) -> None:
        super().__init__(levels)
        self.outputs = len(self.levels)
        self.relative = relative
        if relative and 0.5 not in self.levels:
            raise ValueError(f"Argument `levels` must contain 0.5 for relative errors. Received: {self.levels}")

    def loss(self, target, outputs, location, scale):
        error = ops.expand_dims((target - location) / scale, -1) - outputs
        levels = self._levels(None)
        loss = 2 * ops.mean(ops.maximum(levels * error, (levels - 1) * error), axis=-1)
        if not self.relative:
            return loss
        median = location + scale * outputs[..., self.levels.index(0.5)]
        magnitude = (ops.abs(target) + ops.abs(median)) / 2
        weight = 1 + self.relative * scale / ops.maximum(magnitude, scale / 2)
        return ops.stop_gradient(weight) * loss

    def quantiles(self, outputs, location, scale, levels=None):
        if levels is not None:
            raise ValueError("`Quantiles` has no quantiles at other levels than its own.")
        return ops.sort(_unscaled(outputs, location, scale), axis=-1)


class Gaussian(Distribution):
    """The normal distribution, trained with its negative log-likelihood in units of the scale.

    The outputs are the mean and, before softplus, the standard deviation.

    Example:

    >>> from keras_recurrent.layers.distributions import Gaussian
    >>> zero, one = ops.zeros((1, 1)), ops.ones((1, 1))
    >>> Gaussian([0.5]).quantiles(ops.zeros((1, 1, 2)), 7 * one, one).shape
    (1, 1, 1)
    """

    def loss(self, target, outputs, location, scale):
        mean, deviation = outputs[..., 0], _positive(outputs[..., 1])
        error = ((target - location) / scale - mean) / deviation
        return 0.5 * ops.square(error) + ops.log(deviation) + 0.5 * math.log(2 * math.pi)

    def quantiles(self, outputs, location, scale, levels=None):
        quantiles = outputs[..., :1] + _positive(outputs[..., 1:]) * _normal_quantile(self._levels(levels))
        return _unscaled(quantiles, location, scale)


class StudentT(Distribution):
    """Student's t-distribution, whose tails are heavier, trained with its negative log-likelihood.

    The outputs are the mean and, before softplus, the scale and the degrees of freedom minus 2.

    Reference:
        Hill 1970, Algorithm 396: Student's t-quantiles. Its relative error is below 0.001 here.
    """

    outputs = 3

    def loss(self, target, outputs, location, scale):
        mean, deviation, freedom = outputs[..., 0], _positive(outputs[..., 1]), 2 + _positive(outputs[..., 2])
        error = ((target - location) / scale - mean) / deviation
        normalizer = log_gamma(freedom / 2) - log_gamma((freedom + 1) / 2) + 0.5 * ops.log(math.pi * freedom)
        return normalizer + ops.log(deviation) + (freedom + 1) / 2 * ops.log1p(ops.square(error) / freedom)

    def quantiles(self, outputs, location, scale, levels=None):
        mean, deviation, freedom = outputs[..., :1], _positive(outputs[..., 1:2]), 2 + _positive(outputs[..., 2:])
        levels = self._levels(levels)
        tails = 2 * ops.minimum(levels, 1 - levels)
        return _unscaled(mean + deviation * ops.sign(levels - 0.5) * _t_quantile(tails, freedom), location, scale)


class NegativeBinomial(Distribution):
    """The negative binomial distribution of counts 0, 1, 2, ..., trained with its negative log-likelihood.

    With the mean `m` and the dispersion `a`, the variance is `m + a m^2`. The outputs are, before softplus, `m` in
    units of the scale, and `a`. The location is ignored.

    Quantiles are computed from the probabilities of 256 groups of counts. They are exact if the distribution is so
    narrow that each group is a single count.
    """

    def loss(self, target, outputs, location, scale):
        mean, dispersion = scale * _positive(outputs[..., 0]), _positive(outputs[..., 1])
        return -_log_probability(target, mean, dispersion)

    def quantiles(self, outputs, location, scale, levels=None):
        mean, dispersion = scale * _positive(outputs[..., 0]), _positive(outputs[..., 1])
        mean, dispersion = ops.expand_dims(mean, -1), ops.expand_dims(dispersion, -1)
        edges = self._edges(mean, dispersion)  # (batch, steps, COUNTS + 1)
        widths, middles = edges[..., 1:] - edges[..., :-1], (edges[..., 1:] + edges[..., :-1] - 1) / 2
        mass = widths * ops.exp(_log_probability(middles, mean, dispersion))
        cumulative = ops.cumsum(mass, axis=-1)
        cumulative = cumulative / cumulative[..., -1:]
        is_below = ops.expand_dims(cumulative, -2) < ops.expand_dims(self._levels(levels), -1)
        return ops.sum(ops.where(is_below, ops.expand_dims(widths, -2), 0.0), axis=-1)

    def _edges(self, mean: Tensor, dispersion: Tensor) -> Tensor:
        """The first counts of `COUNTS` groups of consecutive counts, and the end of the last one.

        The groups grow with the counts, as small ones may be much more probable.
        """
        highest = mean + 8 * ops.sqrt(mean + dispersion * ops.square(mean))
        groups = ops.arange(COUNTS + 1, dtype="float32")
        return ops.maximum(groups, ops.floor(highest * (groups / COUNTS) ** 3))


DISTRIBUTIONS: dict[str, type[Distribution]] = {
    "quantiles": Quantiles,
    "gaussian": Gaussian,
    "student_t": StudentT,
    "negative_binomial": NegativeBinomial,
}


def empirical_quantiles(samples: Tensor, levels: Sequence[float]) -> Tensor:
    """Computes the quantiles of samples.

    The `k`-th smallest of `n` samples, `k = 1, ..., n`, is the quantile at the level `(k - 0.5) / n`. Between these
    levels, the quantiles are interpolated. Beyond them, they are the smallest or the largest sample.

    Args:
        samples: Tensor `(..., n)`.
        levels: Floats in (0, 1).

    Returns:
        Tensor `(..., len(levels))`.

    Reference:
        Hyndman and Fan 1996, Sample quantiles in statistical packages, definition 5.

    Example:

    >>> from keras_recurrent.layers.distributions import empirical_quantiles
    >>> [float(q) for q in empirical_quantiles(ops.array([3.0, 1.0]), [0.1, 0.5])]
    [1.0, 2.0]
    """
    count = samples.shape[-1]
    positions = [min(max(level * count - 0.5, 0), count - 1) for level in levels]
    below = [int(position) for position in positions]
    above = [min(index + 1, count - 1) for index in below]
    share = ops.convert_to_tensor([p - index for p, index in zip(positions, below, strict=True)], dtype=samples.dtype)
    ordered = ops.sort(samples, axis=-1)
    return (1 - share) * ops.take(ordered, below, axis=-1) + share * ops.take(ordered, above, axis=-1)


def log_gamma(x: Tensor) -> Tensor:
    """Computes the logarithm of the gamma function for positive numbers, by Stirling's series at `x + 6`.

    Example:

    >>> from keras_recurrent.layers.distributions import log_gamma
    >>> round(float(log_gamma(ops.convert_to_tensor(5.0))), 4)  # log 24
    3.1781
    """
    product, shifted = x, x + 6
    for offset in range(1, 6):
        product = product * (x + offset)
    series = (shifted - 0.5) * ops.log(shifted) - shifted + 0.5 * math.log(2 * math.pi)
    return series + 1 / (12 * shifted) - 1 / (360 * shifted**3) - ops.log(product)


def _log_probability(count: Tensor, mean: Tensor, dispersion: Tensor) -> Tensor:
    """The logarithm of the probability of a count in the negative binomial distribution."""
    shape = 1 / dispersion
    coefficient = log_gamma(count + shape) - log_gamma(count + 1) - log_gamma(shape)
    return coefficient - shape * ops.log1p(dispersion * mean) - count * ops.log1p(shape / mean)


def _positive(x: Tensor) -> Tensor:
    return ops.softplus(x) + MIN_SCALE


def _unscaled(x: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    return ops.expand_dims(location, -1) + ops.expand_dims(scale, -1) * x


# Coefficients of the polynomials of `_normal_quantile`, the highest power first.
_CENTRE: tuple[float, ...] = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087)
_CENTRE += (-0.00125372503, -0.00417768164, 0.246640727, 1.50140941)
_TAILS: tuple[float, ...] = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773)
_TAILS += (-0.0076224613, 0.00943887047, 1.00167406, 2.83297682)


def _normal_quantile(levels: Tensor) -> Tensor:
    """The quantiles of the standard normal distribution, by operations that all formats of exports have.

    Reference:
        Giles 2010, Approximating the erfinv function, for single precision.
    """
    w = -ops.log(4 * levels * (1 - levels))
    erfinv = ops.where(w < 5, _polynomial(_CENTRE, w - 2.5), _polynomial(_TAILS, ops.sqrt(ops.maximum(w, 5)) - 3))
    return math.sqrt(2) * (2 * levels - 1) * erfinv


def _polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    result = ops.zeros_like(x)
    for coefficient in coefficients:
        result = result * x + coefficient
    return result


def _t_quantile(tails: Tensor, freedom: Tensor) -> Tensor:
    """The value that Student's t exceeds in absolute value with the probability `tails`."""
    a = 1 / (freedom - 0.5)
    b = 48 / ops.square(a)
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * ops.sqrt(a * math.pi / 2) * freedom
    y = ops.power(d * tails, 2 / freedom)
    far = (1 / (((freedom + 6) / (freedom * y) - 0.089 * d - 0.822) * (freedom + 2) * 3) + 0.5 / (freedom + 4)) * y - 1
    far = far * (freedom + 1) / (freedom + 2) + 1 / y
    x = _normal_quantile(tails / 2)
    square = ops.square(x)
    c = c + ops.where(freedom < 5, 0.3 * (freedom - 4.5) * (x + 0.6), 0.0)
    c = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c
    near = (((((0.4 * square + 6.3) * square + 36) * square + 94.5) / c - square - 3) / b + 1) * x
    near = ops.expm1(a * ops.square(near))
    return ops.sqrt(freedom * ops.where(y > 0.05 + a, near, far))
