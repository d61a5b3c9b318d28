"""The program of an export reads pictures and tables as training and a SavedModel do."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from keras_recurrent.apps.forecasting import data
from keras_recurrent.apps.forecasting.config import Config
from keras_recurrent.apps.shared.images.pixels import decode
from keras_recurrent.apps.shared.models import runner
from keras_recurrent.apps.shared.saved_model.images import resize
from keras_recurrent.datasets.series import calendar_features, read_series
from keras_recurrent.datasets.series.steps import frequency_of
from PIL import Image, PngImagePlugin


@pytest.mark.parametrize("shape", [(30, 20), (7, 50), (16, 16), (1, 3)])
def test_pictures_are_resized_as_in_training(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), "uint8")
    difference = runner.resize(pixels, 16).astype(int) - resize(pixels, 16).numpy()
    # A value just between two integers may be rounded to the other one.
    assert np.abs(difference).max() <= 1 and np.mean(difference != 0) < 0.005


XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def exif(orientation):
    data = Image.Exif()
    data[0x0112] = orientation
    return data


def png_text(key, value):
    """Options of a PNG with a text."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt(key, value)
    return {"pnginfo": info}


@pytest.mark.parametrize(
    ("kind", "options", "is_rotated"),
    [
        ("JPEG", {}, False),
        ("JPEG", {"exif": exif(6)}, True),
        ("JPEG", {"xmp": XMP.encode()}, False),
        ("PNG", {"exif": exif(6)}, True),
        ("PNG", png_text("XML:com.adobe.xmp", XMP), False),
        (
            "PNG",
            png_text("Raw profile type exif", f"\nexif\n{len(exif(6).tobytes())}\n{exif(6).tobytes().hex()}"),
            False,
        ),
        ("WEBP", {"lossless": True, "xmp": XMP.encode()}, True),
    ],
)
def test_pictures_are_rotated_as_in_training(kind, options, is_rotated, tmp_path):
    pixels = np.zeros((16, 16, 3), "uint8")
    pixels[:8] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    (tmp_path / "image").write_bytes(file.getvalue())
    actual = runner.read_image(tmp_path / "image", 16)
    np.testing.assert_array_equal(actual, decode(file.getvalue()))
    assert (actual[0, -1] > 200).all() and (actual[0, 0] > 200).all() != is_rotated


TIMES = {
    "integers": [3, 7, 11, 19],
    "days": ["2024-02-27", "2024-02-28", "2024-03-01"],
    "hours": ["2024-02-28 22:00", "2024-02-28T23:00:00", "2024-02-29 02:00"],
    "hours of the first day": ["2024-02-01 00:00", "2024-02-01 01:00", "2024-02-01 02:00"],
    "hours of Korea": ["2024-02-28 07:00+09:00", "2024-02-28 08:00+09:00"],
    "quarters of an hour": ["2024-02-28 22:00", "2024-02-28 22:15", "2024-02-28 23:00"],
    "compact days": ["20240227", "20240228"],
    "weeks": ["2024-02-27", "2024-03-05", "2024-03-19"],
    "month starts": ["2023-11-01", "2023-12-01", "2024-02-01"],
    "month ends": ["2023-11-30", "2024-02-29", "2024-03-31", "2024-04-30"],
    "month starts at noon": ["2023-11-01 12:00", "2023-12-01 12:00", "2024-01-01 12:00"],
    "quarters": ["2023-07-01", "2023-10-01", "2024-01-01"],
    "quarter ends": ["2023-06-30", "2023-09-30", "2023-12-31"],
    "years": ["2020-01-01", "2021-01-01", "2023-01-01"],
    "business days": ["2024-02-29", "2024-03-01", "2024-03-04", "2024-03-05"],
    "seconds": ["2024-02-29 23:59:58", "2024-02-29 23:59:59", "2024-03-01 00:00:01"],
}


@pytest.mark.parametrize("kind", TIMES)
def test_times_of_a_table_are_those_of_training(kind, tmp_path):
    times = TIMES[kind]
    rows = [f"{time},{index}" for index, time in enumerate(times)]
    rows[:2] = rows[1::-1]  # out of order
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["ds,y", *rows]))
    panel = read_series(path)
    columns = {
        "target": ["y"],
        "static": [],
        "past": [],
        "known": [],
        "categories": {},
        "id": "unique_id",
        "time": "ds",
    }
    with open(path, encoding="utf-8") as file:
        series, wide_id = runner.read_table(file, columns)
    ((name, own),) = series.items()
    assert name is None and wide_id is None and [row["y"] for row in own.values()] == [*range(len(times))]
    own = np.array([*own])
    steps = runner.Steps([own], None)
    positions = steps.between(own[0], own)
    assert positions[-1] + 1 == panel.lengths[0]
    window = np.arange(positions[-1] - 9, positions[-1] + 6)
    after = steps.after(own[0], window)
    expected = panel.times(np.zeros(1, int), window[:1], len(window))[0]
    np.testing.assert_array_equal(after, expected)
    features, names = calendar_features(expected, panel.frequency)
    cycles = [wave.removesuffix("_sin") for wave in names[::2]]
    assert steps.cycles == cycles
    np.testing.assert_allclose(runner.calendar(after, cycles), features, atol=1e-6)


def random_table(seed, path):
    """Writes a table with gaps, missing cells, repeated rows and other columns; returns a `Config` to read it."""
    rng = np.random.default_rng(seed)
    frequency = rng.choice(["h", "15min", "D", "2D", "W-SUN", "B", "MS", "ME", "QS-JAN"])
    names = ["a", "b c", 'q"x', "ü"][: rng.integers(1, 5)]
    targets = ("y", "z")[: rng.integers(1, 3)]
    columns = {
        name: own if rng.random() < 0.6 else ()
        for name, own in {"known": ("k", "text"), "past": ("p",), "static": ("s", "kind")}.items()
    }

    def number(missing):
        return rng.choice(["", "NA"]) if rng.random() < missing else f"{rng.normal(5, 3):.3f}"

    rows = []
    for name in names:
        steps, begin = rng.integers(6, 30), pd.Timestamp("2023-01-01") + pd.Timedelta(days=rng.integers(0, 500))
        constants = {"s": rng.choice(["", "2.5", "-1"]), "kind": rng.choice(["", "x", "y"])}
        for step, time in enumerate(pd.date_range(begin, periods=steps + 4, freq=frequency)):
            is_last = step == steps - 1
            if rng.random() < 0.06 and step not in (0, steps - 1, steps + 3):
                continue
            row = {"unique_id": name, "ds": time}
            row |= {target: number(0.1 * (not is_last)) if step < steps else "" for target in targets}
            row |= {
                "k": number(0.1 * (step < steps)),
                "text": rng.choice(["low", "high", "" if step < steps else "low"]),
            }
            rows += [row | {"p": number(0.1)} | constants] * (1 + (rng.random() < 0.02))
    if rng.random() < 0.3:
        rng.shuffle(rows)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    sizes = {"horizon": 4, "context": 8, "segment": 2, "seasons": (2,)}
    return Config(data=str(path), target=targets, calendar=bool(rng.random() < 0.8), **columns, **sizes)


def read_in_training(config):
    """What a forecaster reads at the end of all series, the times of its forecasts, and a runner's configuration."""
    panel, _ = data.read(config)
    ends = data.ends_of(panel)
    widths = {name: array.shape[-1] for name, array in data.WindowReader(panel, config).inputs(ends).items()}
    means = {name: np.arange(width) + 0.5 for name, width in widths.items() if name in ("past", "known")}
    own = ("id", "time", "target", "context", "horizon", "known", "past", "static")
    cycles = calendar_features(panel.times_of(0), panel.frequency)[1][::2] if config.calendar else []
    options = {
        **{name: getattr(config, name) for name in own},
        "levels": [0.5],
        "categories": {name: [*texts] for name, texts in panel.categories.items()},
        "calendar": [name.removesuffix("_sin") for name in cycles],
        "means": {name: own.tolist() for name, own in means.items()},
        "microseconds": None,
        "step": None if panel.frequency is None else frequency_of(panel.frequency).length,
        "has_even_steps": panel.frequency is None or frequency_of(panel.frequency).delta is not None,
    }
    times = panel.times(ends.series, ends.steps, config.horizon)[:: len(config.target)]
    return data.WindowReader(panel, config, means).inputs(ends), times, options, panel


@pytest.mark.parametrize("seed", range(20))
def test_windows_of_a_table_are_those_of_training(seed, tmp_path):
    expected, times, options, _ = read_in_training(random_table(seed, tmp_path / "table.csv"))
    inputs = []

    def run(**own):
        inputs.append(own)
        return {"quantiles": np.zeros((1, 1, 4))}

    opened = object.__new__(runner.Runner)
    opened.config, opened.run = options, run
    rows = [*opened.forecasting([tmp_path / "table.csv"])]
    assert [row["ds"] for row in rows] == [text for own in times for text in runner.shown(own)]
    for name, array in expected.items():
        np.testing.assert_allclose(np.concatenate([own[name] for own in inputs]), array, atol=1e-6, err_msg=name)
