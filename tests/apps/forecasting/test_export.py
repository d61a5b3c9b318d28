"""Exports of forecasters to other runtimes forecast what the Python object forecasts."""

import csv
import gzip
import io
import itertools
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras_recurrent.apps import cli
from keras_recurrent.apps.forecasting import data, model
from keras_recurrent.apps.forecasting.config import Config
from keras_recurrent.apps.shared.models.runner import InputError, Runner

pytestmark = pytest.mark.deploy
HORIZON, DAYS = 4, 40
OPTIONS = {
    **{"horizon": HORIZON, "context": 12, "seasons": (4,), "season_lags": 2, "segment": 2, "cell": "gru"},
    **{"encoder_units": 8, "decoder_units": 8, "samples": 10},
}
COLUMNS = {"known": ("promotion", "event"), "static": ("kind",), "past": ("visitors",)}
NETWORKS = {
    "quantiles": {},
    "gaussian": {"distribution": "gaussian", "scaling": "last"},
    "student_t": {"distribution": "student_t", "cell": "lstm", "attention": True},
    "copying": {"network": "copying", "members": 2, "scaling": "standard"},
    "autoregressive": {"network": "autoregressive", "distribution": "gaussian"},
    "smoothing": {"scaling": "smoothing"},
}


def table(time=lambda day: str(np.datetime64("2024-01-20") + day)):
    """Three series with gaps, missing cells, and known columns beyond the end, out of order."""
    generator = np.random.default_rng(0)
    rows = []
    for index, (name, days) in enumerate((("b,c", DAYS), ("a", 7), ("d", DAYS - 3))):
        kind = ("small", "large", "")[index]
        for day in range(days + HORIZON):
            value = f"{20 + 5 * index + [1, 2, 4, 3][day % 4] + generator.normal():.3f}" if day < days else ""
            promotion = "" if day % 9 == 5 and day < days else day % 3
            event = "" if day % 7 == 2 and day < days else ("fair", "none")[day % 5 > 0]
            if day % 11 == 4:
                value = ""
            rows.append([name, time(day), value, promotion, event, kind, "NA" if day % 6 == 1 else day * 1.5])
        del rows[-HORIZON - 3]  # a step without a row
        rows[-1], rows[-2] = rows[-2], rows[-1]
    return rows


def write(path, rows, header=("unique_id", "ds", "y", "promotion", "event", "kind", "visitors")):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def untrained(folder, path, **options):
    """Writes a forecaster with random weights for a table, and returns it."""
    folder.mkdir()
    config = Config(**{**OPTIONS, "data": str(path), **options})
    keras.utils.set_random_seed(1)
    panel, split = data.read(config)
    statistics = data.statistics(panel, config, split, np.arange(len(panel)))
    reader = data.WindowReader(panel, config, {name: mean for name, (mean, _) in statistics.items()})
    network = model.build(config, data.input_specs(reader), statistics)
    forecaster = model.Forecaster.of_panel(config, network, panel)
    forecaster.save_assets(folder)
    network.save(folder / "model.keras")
    return forecaster


def export(folder, format, *options):
    to = folder / f"export-{format}"
    assert cli.main(["forecasting", "export", str(folder), "--format", format, "--to", str(to), *options]) == 0
    return to


def run(folder, *arguments, **options):
    return subprocess.run([sys.executable, folder / "runner.py", *arguments], capture_output=True, text=True, **options)


def assert_same_tables(text, expected):
    """Names and times are equal, numbers to five digits."""
    tables = [[*csv.reader(io.StringIO(own))] for own in (text, expected)]
    assert len(tables[0]) == len(tables[1]) > 1 and tables[0][0] == tables[1][0]
    first = tables[0][0].index("ds") + 1
    for row, wanted in zip(*tables, strict=True):
        assert row[:first] == wanted[:first]
        if row is not tables[0][0]:
            np.testing.assert_allclose([*map(float, row[first:])], [*map(float, wanted[first:])], rtol=2e-5, atol=1e-4)


def predicted(folder, path, capsys):
    capsys.readouterr()
    assert cli.main(["forecasting", "predict", str(folder), "--data", str(path)]) == 0
    return capsys.readouterr().out


WITH_OPENVINO = ["student_t", "copying", "autoregressive"]  # it takes longest


@pytest.mark.parametrize(
    ("network", "format"),
    [*itertools.product(NETWORKS, ["onnx", "litert"]), *itertools.product(WITH_OPENVINO, ["openvino"])],
)
def test_quantiles_are_those_of_the_python_object(network, format, tmp_path):
    path = write(tmp_path / "table.csv", table())
    forecaster = untrained(tmp_path / "model", path, **COLUMNS, **NETWORKS[network])
    panel, _ = forecaster.read()
    inputs = forecaster.reader(panel).inputs(data.ends_of(panel))
    values = np.where(inputs["observed"] > 0, inputs["values"], np.nan)
    assert 5 < np.isnan(values).sum() < values.size / 2
    runner = Runner(export(tmp_path / "model", format))
    actual = runner.quantiles(values, past=inputs["past"], known=inputs["known"])
    expected = forecaster.quantiles(inputs)
    assert expected.std() > 0.5
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("format", "precision"), [("litert", "mixed_bfloat16"), ("onnx", "mixed_bfloat16")])
def test_mixed_precision_becomes_float32(format, precision, tmp_path):
    path = write(tmp_path / "table.csv", table())
    forecasters = [untrained(tmp_path / name, path, precision=name) for name in ("float32", precision)]
    assert forecasters[1].model.get_layer("encoder").compute_dtype == "bfloat16"
    panel, _ = forecasters[0].read()
    inputs = forecasters[0].reader(panel).inputs(data.ends_of(panel))
    values = np.where(inputs["observed"] > 0, inputs["values"], np.nan)
    actual = Runner(export(tmp_path / precision, format)).quantiles(values, known=inputs["known"])
    np.testing.assert_allclose(actual, forecasters[0].quantiles(inputs), rtol=1e-4, atol=1e-4)


def test_the_runner_prints_what_predict_prints(tmp_path, capsys):
    path = write(tmp_path / "table.csv", table())
    untrained(tmp_path / "model", path, **COLUMNS)
    expected = predicted(tmp_path / "model", path, capsys)
    folder = export(tmp_path / "model", "onnx")
    result = run(folder, path)
    assert result.returncode == 0 and not result.stderr, result.stderr
    assert_same_tables(result.stdout, expected)
    assert run(folder, input=f"\ufeff{path.read_text()}").stdout == result.stdout


def test_several_targets_without_names(tmp_path, capsys):
    rows = [[time, value, promotion] for _, time, value, promotion, *_ in table()[: DAYS + HORIZON - 1]]
    path = write(tmp_path / "table.csv", rows, ("ds", "sales", "promotion"))
    untrained(tmp_path / "model", path, target=("promotion", "sales"))
    expected = predicted(tmp_path / "model", path, capsys)
    assert_same_tables(run(export(tmp_path / "model", "litert"), path).stdout, expected)


def test_a_table_with_a_row_for_each_series(tmp_path, capsys):
    values = [value for _, _, value, *_ in table()[: DAYS - 1]]
    rows = [["b,c", *values], ["d", "", "", *values[:20], "NA", ""], ["e", *values[5:30]]]
    path = write(tmp_path / "table.csv", rows, ("id", *(f"V{step}" for step in range(1, DAYS))))
    untrained(tmp_path / "model", path)
    lines = [*csv.reader(predicted(tmp_path / "model", path, capsys).splitlines())]
    folder = export(tmp_path / "model", "onnx")
    result = [*csv.reader(run(folder, path).stdout.splitlines())]
    assert result[0] == lines[0] == ["id", "F1", "F2", "F3", "F4"] and len(result) == len(lines) == 4
    for row, expected in zip(result[1:], lines[1:], strict=True):
        assert row[0] == expected[0]
        np.testing.assert_allclose([*map(float, row[1:])], [*map(float, expected[1:])], rtol=2e-5)
    path.write_text("id,V1,V2\na,1,2\nb,1,x\n")
    assert "line 3, column 'y': 'x' is not a number" in run(folder, path).stderr


@pytest.mark.parametrize("quantize", ["float16", "int8"])
@pytest.mark.parametrize("format", ["onnx", "litert"])
def test_smaller_weights(format, quantize, tmp_path):
    path = write(tmp_path / "table.csv", table())
    forecaster = untrained(tmp_path / "model", path, encoder_units=64, decoder_units=64)
    panel, _ = forecaster.read()
    inputs = forecaster.reader(panel).inputs(data.ends_of(panel))
    folder = export(tmp_path / "model", format, "--quantize", quantize)
    size = sum(file.stat().st_size for file in folder.iterdir() if file.name.startswith("model."))
    assert size < {"float16": 0.75, "int8": 0.5}[quantize] * 4 * forecaster.model.count_params() + 60_000
    actual = Runner(folder).quantiles(np.where(inputs["observed"] > 0, inputs["values"], np.nan), known=inputs["known"])
    expected = forecaster.quantiles(inputs)
    error = np.abs(actual - expected).max() / expected.std()
    assert 1e-6 < error < {"float16": 0.005, "int8": 0.1}[quantize]


HEADER = "unique_id,ds,y,promotion,event,kind,visitors\n"
ROWS = "".join(f"a,2024-01-{day:02},{day},0,none,small,1\n" for day in range(1, 11))
EVERY_OTHER_DAY = "".join(f"a,2024-01-{day:02},{day},0,none,small,1\n" for day in range(1, 30, 2))
BUSINESS_DAYS = "".join(f"a,2024-01-{day:02},{day},0,none,small,1\n" for day in range(1, 20) if (day - 1) % 7 < 5)
AHEAD = "".join(f"a,2024-01-{day},,0,none,small,\n" for day in range(11, 15))
MISTAKES = [
    ("", "no column 'y'; the columns are "),
    (HEADER, "no rows below the header"),
    (
        HEADER.replace("kind", "sort") + ROWS,
        "no column 'kind'; the columns are unique_id, ds, y, promotion, event, sort",
    ),
    (HEADER + ROWS.replace("-03,3,", "-03,three,"), "line 4, column 'y': 'three' is not a number"),
    (HEADER + ROWS.replace("-03,3,", "-03,1e999,"), "line 4, column 'y': '1e999' is too large; numbers have at most"),
    (HEADER + ROWS.replace("-03,3,", "-03,NAN,"), "line 4, column 'y': 'NAN' is not a number"),
    (HEADER + ROWS.replace("-03,3,", "-03,1_0,"), "line 4, column 'y': '1_0' is not a number"),
    (HEADER + ROWS.replace("2024-01-03", "3.1.24"), "line 4, column 'ds': '3.1.24' is neither a time such as"),
    (HEADER + ROWS.replace("2024-01-03", "3"), "some times are integers and others are not"),
    (HEADER + ROWS.replace("-04,4,", "-03,4,"), "line 5: another row of the time 2024-01-03"),
    (
        HEADER + ROWS.replace("-03,3,", "-03 12:00,3,"),
        "2024-01-03 12:00:00 is no whole number of steps after 2024-01-01",
    ),
    (HEADER + ROWS.replace("-03,3,0", "-03,3,0,0,0,0"), "line 4: more than 7 values"),
    (HEADER + ROWS.replace("a,2024-01-", "a,"), "the times have another frequency than in training"),
    (HEADER + ROWS.replace("2024-01-", "2024-01-01 "), "the times have another frequency than in training"),
    (HEADER + BUSINESS_DAYS, "the times have another frequency than in training"),
    (HEADER + EVERY_OTHER_DAY, "the times have another frequency than in training"),
    (HEADER + ROWS, "the series 'a': the columns known ahead end 0 steps after its last value; a forecast needs 4"),
    (HEADER + ROWS + AHEAD[:-30], "the columns known ahead end 3 steps after its last value"),
    (HEADER + ROWS.replace("-03,3,0,none,small", "-03,3,0,none,large") + AHEAD, "column 'kind' has several values"),
    (HEADER + AHEAD, "the series 'a': no value in the column 'y'"),
    (HEADER + "a,2024-01-01,1,0,none,small,1\n", "no series has two times"),
]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    path = write(folder / "table.csv", table())
    untrained(folder / "model", path, **COLUMNS)
    return Runner(export(folder / "model", "litert"))


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_gives_one_clear_line(text, message, opened):
    with pytest.raises(InputError) as error:
        list(opened.predict([io.StringIO(text)]))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_unknown_categories_and_files(opened, tmp_path, capsys):
    rows = HEADER + ROWS + AHEAD
    expected = [*opened.predict([io.StringIO(rows)])]
    assert len(expected) == HORIZON and not capsys.readouterr().err
    other = [*opened.predict([io.StringIO(rows.replace("none", "strike"))])]
    assert capsys.readouterr().err == "runner.py: the column 'event' has unknown texts: strike\n" and other != expected
    with pytest.raises(InputError, match=r"missing\.csv: not a readable file of UTF-8 text"):
        list(opened.predict([tmp_path / "missing.csv"]))
    (tmp_path / "table.csv.gz").write_bytes(gzip.compress(f"\ufeff{rows}".replace("\n", "\r\n").encode()))
    assert [*opened.predict([tmp_path / "table.csv.gz"])] == expected
    (tmp_path / "broken.csv.gz").write_bytes(gzip.compress(rows.encode())[:100])
    with pytest.raises(InputError, match=r"broken\.csv\.gz: not a readable file of UTF-8 text"):
        list(opened.predict([tmp_path / "broken.csv.gz"]))
    (tmp_path / "latin.csv").write_bytes(rows.replace("none", "fête").encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.csv: not a readable file of UTF-8 text"):
        list(opened.predict([tmp_path / "latin.csv"]))
