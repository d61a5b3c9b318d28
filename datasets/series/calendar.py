"""Features of the calendar."""

import numpy as np

from .steps import DAY, TIMESTAMP, frequency_of

CYCLES = ("day", "week", "year")


def calendar_features(times: np.ndarray, frequency: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Computes sine and cosine of the time of day, the day of the week and the day of the year.

    A pair is left out if the frequency does not resolve it: daily times have no time of day, and monthly times have
    neither that nor a day of the week.

    Args:
        times: datetime64 of any shape, or integers.
        frequency: Pandas' alias of the frequency of the times. None for integers, which have no features.

    Returns:
        float32 array of the shape of `times` with one more axis of length C, and the names of the C features.

    Example:

    >>> from keras_recurrent.datasets.series import calendar_features
    >>> times = np.array(["2024-01-01", "2024-01-02"], "datetime64[s]")
    >>> features, names = calendar_features(times, "D")
    >>> names
    ('week_sin', 'week_cos', 'year_sin', 'year_cos')
    >>> features.shape
    (2, 4)
    """
    if frequency is None:
        return np.zeros((*times.shape, 0), "float32"), ()
    length = frequency_of(frequency).length
    times = times.astype(TIMESTAMP)
    days = times.astype("datetime64[D]")
    day_numbers = days.astype("int64")
    years = days.astype("datetime64[Y]")
    first_days, last_days = (date.astype("datetime64[D]").astype("int64") for date in (years, years + 1))
    cycles = {}  # where a time is in each cycle, from 0 to 1
    if length < DAY:
        cycles["day"] = (times - days).astype("int64") / DAY
    if length < 7 * DAY:
        cycles["week"] = (day_numbers + 3) % 7 / 7  # 1970-01-01 was a Thursday
    if length < 365 * DAY:
        cycles["year"] = (day_numbers - first_days) / (last_days - first_days)
    waves = {
        f"{name}_{wave.__name__}": wave(2 * np.pi * part) for name, part in cycles.items() for wave in (np.sin, np.cos)
    }
    features = np.stack([*waves.values()], axis=-1) if waves else np.zeros((*times.shape, 0))
    return features.astype("float32"), tuple(waves)
