"""Daily sales of shops.

The sales have a trend, a weekly and a yearly season, promotions that are known ahead, level shifts, and noise that
grows with the level. The units sold on day t are drawn from a negative binomial distribution:

    y[t] ~ NB(mean = m[t], variance = m[t] + m[t]^2 / k)
    m[t] = level * (1 + growth * t / 365) * week[weekday of t] * season[t] * shifts[t] * lift^promotion[t]
    season[t] = exp(a * cos(2 pi * (day of the year - peak) / 365.25))

shifts[t] is the product of the level shifts up to day t, as when a competitor opens. promotion[t] is 1 on the days of a
promotion and 0 otherwise. The format of a shop determines its week and season: a garden centre sells most in spring and
at weekends. Promotions last 4 to 10 days, begin on any weekday, and are planned 28 days ahead. One value in 200 is
missing. Some shops open up to 18 months after the others.
"""

from typing import NamedTuple

import numpy as np

SHOPS = 60
START, END = np.datetime64("2021-01-01"), np.datetime64("2025-01-01")  # END is not included
HORIZON = 28  # days of the test, and days for which promotions are planned
SPLITS = ("train", "test")
FORMATS = ("corner shop", "garden centre", "supermarket")
SEED = 31

_WEEKS = {  # from Monday to Sunday
    "corner shop": (1.05, 1.05, 1.05, 1.1, 1.25, 0.9, 0.6),
    "garden centre": (0.6, 0.6, 0.7, 0.8, 1.1, 1.8, 1.4),
    "supermarket": (0.9, 0.85, 0.9, 1.0, 1.3, 1.5, 0.55),
}
_SEASONS = {"corner shop": (0.1, 200), "garden centre": (0.6, 130), "supermarket": (0.2, 355)}  # amplitude a, peak
_DISPERSION = 60  # k
_MISSING = 1 / 200


class Shop(NamedTuple):
    """The sales of a shop.

    Attributes:
        unique_id: Name of the shop.
        start: Its first day.
        format: One of `FORMATS`.
        y: float64 (T,), units sold on each day; NaN where missing.
        promotion: float32 (T + HORIZON,), 1 on the days of a promotion, of which the last ones are planned.
    """

    unique_id: str
    start: np.datetime64
    format: str
    y: np.ndarray
    promotion: np.ndarray


def shops(count: int = SHOPS, seed: int = SEED) -> list[Shop]:
    """Generates the sales of shops, which are identical for the same seed.

    Args:
        count: Number of shops. The first ones do not depend on it.
        seed: Seed of the random numbers.

    Example:

    >>> from keras_recurrent.datasets.sales.demand import shops
    >>> shop = shops(1)[0]
    >>> shop.unique_id, shop.format, shop.y[:7].tolist()
    ('shop 1', 'corner shop', [166.0, 102.0, 86.0, 125.0, 148.0, 95.0, 135.0])
    >>> len(shop.y), len(shop.promotion)
    (1461, 1489)
    """
    return [_shop(index, seed) for index in range(count)]


def examples(split: str) -> list[Shop]:
    """Returns the shops of a split: `test` holds the last 28 days of each, `train` the days before.

    Raises:
        ValueError: If there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"the splits are {', '.join(SPLITS)}, not {split!r}")
    if split == "train":
        return [shop._replace(y=shop.y[:-HORIZON], promotion=shop.promotion[:-HORIZON]) for shop in shops()]
    return [
        shop._replace(
            start=shop.start + len(shop.y) - HORIZON, y=shop.y[-HORIZON:], promotion=shop.promotion[-2 * HORIZON :]
        )
        for shop in shops()
    ]


def _shop(index: int, seed: int) -> Shop:
    # Of NumPy's generators, only the stream of `RandomState` is the same in every version.
    random = np.random.RandomState([seed, index])
    format = FORMATS[index % len(FORMATS)]
    start = START + int(random.choice([0, random.randint(30, 540)]))
    days = np.arange(start, END + HORIZON)
    age = np.arange(len(days))
    day_of_year = (days - days.astype("datetime64[Y]")).astype("int64")
    weekday = (days.astype("int64") + 3) % 7  # 1970-01-01 was a Thursday

    level = 30 * 10 ** random.uniform(0, 1.3)
    growth = random.uniform(-0.08, 0.2)
    week = np.array(_WEEKS[format]) * np.exp(0.1 * random.standard_normal(7))
    amplitude = _SEASONS[format][0] * random.uniform(0.7, 1.3)
    peak = _SEASONS[format][1] + random.uniform(-15, 15)
    promotion = _promotion(random, len(days))
    lift = random.uniform(1.4, 2.4)
    mean = level * (1 + growth * age / 365) * week[weekday]
    mean *= np.exp(amplitude * np.cos(2 * np.pi * (day_of_year - peak) / 365.25))
    mean *= _level_shifts(random, len(days)) * lift**promotion
    y = random.negative_binomial(_DISPERSION, _DISPERSION / (_DISPERSION + mean)).astype("float64")
    y = y[:-HORIZON]
    y[1:-1][random.uniform(size=len(y) - 2) < _MISSING] = np.nan
    return Shop(f"shop {index + 1}", start, format, y, promotion.astype("float32"))


def _promotion(random: np.random.RandomState, days: int) -> np.ndarray:
    promotion = np.zeros(days)
    day = random.randint(0, 30)
    while day < days:
        length = random.randint(4, 11)
        promotion[day : day + length] = 1
        day += length + random.randint(10, 40)
    return promotion


def _level_shifts(random: np.random.RandomState, days: int) -> np.ndarray:
    shifts = np.ones(days)
    for _ in range(random.randint(0, 4)):
        shifts[random.randint(100, days) :] *= random.choice([0.6, 0.75, 1.3, 1.6])
    return shifts
