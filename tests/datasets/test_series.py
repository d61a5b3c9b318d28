"""Reading time series: long and wide tables, regular steps, and what is wrong with a table."""

import gzip
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from keras_recurrent.datasets.errors import DataError
from keras_recurrent.datasets.series import calendar_features, long, read_series, read_splits

LONG = "unique_id,ds,y\na,2024-01-01,1\na,2024-01-02,2\nb,2024-01-05,3\nb,2024-01-06,4\nb,2024-01-07,5\n"
WIDE = '"V1","V2","V3","V4"\n"a","1","2",\n"b","3","4","5"\n'


@pytest.fixture
def write(tmp_path):
    """Function that writes a file and returns its path."""

    def write(content, name="data.csv"):
        content = content.encode() if isinstance(content, str) else content
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return tmp_path / name

    return write


def series(panel):
    return {id: panel.values_of(index).tolist() for index, id in enumerate(panel.ids)}


def days(*texts):
    return np.array(texts, "datetime64[D]")


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz"])
@pytest.mark.parametrize("table", [LONG, WIDE])
@pytest.mark.parametrize("change", [lambda table: table.encode("utf-8-sig"), lambda table: table.replace("\n", "\r\n")])
def test_long_and_wide(name, table, change, write):
    panel = read_series(write(change(table), name))
    assert series(panel) == {"a": [1, 2], "b": [3, 4, 5]}
    assert panel.offsets.tolist() == panel.known_offsets.tolist() == [0, 2, 5] and panel.lengths.tolist() == [2, 3]
    if table == LONG:
        assert panel.frequency == "D" and panel.times_of(1, extra=1).tolist()[-1].isoformat() == "2024-01-08T00:00:00"
    else:
        assert panel.frequency is None and panel.times_of(1, extra=1).tolist() == [1, 2, 3, 4]
    assert str(panel.report) == ""


def test_wide_rows_of_different_lengths(write):
    panel = read_series(write("id,V2\na,NA,1,,3,NA,\n\nb,2\n"))
    assert panel.ids == ["a", "b"] and panel.starts.tolist() == [2, 1]
    np.testing.assert_array_equal(panel.values, [1, np.nan, 3, 2])
    assert str(panel.report) == "missing values: 1"


def test_several_targets(write):
    table = "date,load,temperature\n2024-01-01 00:00:00,1,10\n2024-01-01 01:00:00,2,\n2024-01-01 02:00:00,3,30\n"
    panel = read_series(write(table), target=["load", "temperature"], time="date")
    assert panel.ids == ["load", "temperature"] and panel.frequency == "h"
    np.testing.assert_array_equal(panel.values_of(1), [10, np.nan, 30])

    table = "id,ds,u,v,p,s\na,1,1,2,.5,x\na,2,3,4,.6,x\nb,5,6,7,.7,\n"
    panel = read_series(write(table), target=["u", "v"], id="id", past=["p"], static=["s"])
    assert series(panel) == {"a/u": [1, 3], "a/v": [2, 4], "b/u": [6], "b/v": [7]}
    np.testing.assert_allclose(panel.past[:, 0], [0.5, 0.6, 0.5, 0.6, 0.7, 0.7])
    assert panel.static.tolist() == [[1], [1], [0], [0]] and panel.starts.tolist() == [1, 1, 5, 5]


def test_a_file_of_one_column(write):
    panel = read_series(write("y\n1\n\n3\n"))
    assert panel.ids == ["y"] and panel.starts.tolist() == [1]
    np.testing.assert_array_equal(panel.values, [1, np.nan, 3])


def test_rows_without_times_follow_each_other(write):
    panel = read_series(write("unique_id,y\na,1\nb,10\na,2\nb,20\nb,30\n"))
    assert series(panel) == {"a": [1, 2], "b": [10, 20, 30]} and panel.times_of(1).tolist() == [1, 2, 3]


def test_integer_times(write):
    panel = read_series(write("unique_id,ds,y\na,100,1\na,110,2\na,140,3\nb,7,1\n"))
    np.testing.assert_array_equal(panel.values_of(0), [1, 2, np.nan, np.nan, 3])
    assert (panel.frequency, panel.step) == (None, 10) and panel.times_of(0, extra=1).tolist()[-2:] == [140, 150]
    assert read_series(write("ds,y\n20240131,1\n20240201,2\n")).frequency == "D"  # dates
    assert read_series(write("ds,y\n1990,1\n1991,2\n"), frequency="YS").times_of(0).tolist()[1].year == 1991


def test_rows_are_sorted_filled_and_counted(write):
    table = (
        "unique_id,ds,y\nb,2024-01-02,6\na,2024-01-05,5\na,2024-01-01,1\n"
        "a,2024-01-02,\na,2024-01-05,5\nb,2024-01-01,7\n"
    )
    panel = read_series(write(table))
    assert panel.ids == ["b", "a"] and panel.values_of(0).tolist() == [7, 6]
    np.testing.assert_array_equal(panel.values_of(1), [1, np.nan, np.nan, np.nan, 5])
    assert panel.report == (2, 1, 2, 1, 0, 0)
    assert str(panel.report) == (
        "rows out of order: 2, repeated rows left out: 1, steps without a row: 2, missing values: 1"
    )


def test_columns_known_ahead_and_the_past(write):
    table = (
        "unique_id,ds,y,price,promotion,event\n"
        "a,2024-01-01,,0.5,0,\na,2024-01-02,1,1.5,0,fair\na,2024-01-04,2,2.5,1,\n"
        "a,2024-01-05,,,1,\na,2024-01-06,,,,\nb,2024-01-01,1,3.5,,\n"
    )
    panel = read_series(write(table), past=["price"], known=["promotion"])
    assert panel.known_steps_ahead.tolist() == [1, 0] and panel.starts.astype("datetime64[D]").tolist() == [
        *days("2024-01-02", "2024-01-01").tolist()
    ]
    np.testing.assert_array_equal(panel.past_of(0)[:, 0], [1.5, np.nan, 2.5])
    np.testing.assert_array_equal(panel.known_of(0)[:, 0], [0, np.nan, 1, 1])
    assert np.isnan(panel.known_of(1)).all()
    assert str(panel.report) == "steps without a row: 1, missing numbers in other columns: 1"

    panel = read_series(write(table), known=["promotion", "event"])
    assert panel.known_names == ("promotion", "event=fair")
    assert panel.known_steps_ahead.tolist() == [0, 0]  # no event is known


def test_categories(write):
    table = "unique_id,ds,y,region,open\na,1,1,north,True\na,2,1,north,False\nb,1,1,south,True\n"
    panel = read_series(write(table), static=["region"], known=["open"])
    assert panel.static_names == ("region=north", "region=south") and panel.static.tolist() == [[1, 0], [0, 1]]
    assert panel.known_names == ("open",) and panel.known[:, 0].tolist() == [1, 0, 1]
    assert panel.categories == {"region": ("north", "south")}

    other = write(table.replace("north", "east"))
    panel = read_series(other, static=["region"], known=["open"], categories=panel.categories)
    assert panel.static.tolist() == [[0, 0], [0, 1]] and panel.report.unknown == 2
    assert str(panel.report) == "unknown categories: 2"
    numbers = read_series(write("ds,y,code\n1,1,01\n2,2,\n"), past=["code"], categories={"code": ("01", "1")})
    reversed_names = read_series(write("ds,y,code\n1,1,a\n"), past=["code"], categories={"code": ("b", "a")}).past_names
    assert reversed_names == ("code=b", "code=a")
    assert numbers.past_names == ("code=01", "code=1") and numbers.past.tolist() == [[1, 0], [0, 0]]


MONTHLY = ["MS", "2MS", "ME", "QS-FEB", "QE-DEC", "YS-JAN", "YE-DEC"]
FREQUENCIES = ["15min", "h", "2h", "D", "2D", "B", "W-WED", "2W-FRI", *MONTHLY]


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_random_tables_equal_a_slow_reference(frequency, write, monkeypatch):
    random = np.random.default_rng(FREQUENCIES.index(frequency))
    monkeypatch.setattr(long, "CHUNK", 17)
    grid = pd.date_range("2019-12-28", periods=120, freq=frequency)
    frames = []
    for index in range(4):
        begin, length, ahead = random.integers(60), random.integers(15, 50), random.integers(5)
        frame = pd.DataFrame({"ds": grid[begin : begin + length + ahead], "unique_id": f"series {index}"})
        frame["y"] = random.normal(size=len(frame)).round(3)
        frame.loc[random.random(len(frame)) < 0.1, "y"] = np.nan
        frame.loc[length:, "y"] = np.nan
        frame.loc[[0, length - 1], "y"] = 1.0
        frame["known"] = random.normal(size=len(frame)).round(2).astype("float32")
        is_kept = random.random(len(frame)) < 0.9
        is_kept[[0, length - 1, -1]] = True
        frames.append(frame[is_kept])
    rows = pd.concat(frames)
    path = write("")
    pd.concat([rows, rows[:3]]).sample(frac=1, random_state=1).to_csv(path, index=False)

    panel = read_series(path, known=["known"])
    assert panel.frequency == frequency and panel.report.repeated == 3
    by_id = dict(zip(panel.ids, range(4), strict=True))
    for frame in frames:
        index = by_id[frame["unique_id"].iloc[0]]
        regular = frame.set_index("ds").asfreq(frequency)
        length = int(regular["y"].notna().to_numpy().nonzero()[0].max()) + 1
        np.testing.assert_array_equal(panel.values_of(index), regular["y"][:length])
        np.testing.assert_array_equal(panel.known_of(index)[:, 0], regular["known"].astype("float32"))
        assert panel.known_steps_ahead[index] == len(regular) - length
        times = panel.times_of(index, extra=panel.known_steps_ahead[index])
        np.testing.assert_array_equal(times, regular.index.to_numpy())


def test_weeks(write):
    """Weeks may begin on any day, also where the frequency is given as that of pandas' Sundays."""
    mondays = write("ds,y\n2024-01-01,1\n2024-01-08,1\n")
    assert read_series(mondays).frequency == read_series(mondays, frequency="W").frequency == "W-MON"
    different = write("unique_id,ds,y\na,2024-01-01,1\na,2024-01-08,1\nb,2024-01-02,1\nb,2024-01-16,1\n")
    panel = read_series(different)
    assert panel.frequency == "7D" and panel.times_of(1, extra=1)[-1] == np.datetime64("2024-01-23")


def test_offsets_from_utc_and_other_formats(write):
    panel = read_series(write("ds,y\n2024-01-01T01:00+01:00,1\n2024-01-01T01:00Z,2\n"))
    assert panel.frequency == "h" and panel.starts[0] == np.datetime64("2024-01-01T00:00")
    assert read_series(write("ds,y\n01/31/2024,1\n02/01/2024,2\n")).starts[0] == np.datetime64("2024-01-31")
    assert read_series(write("ds,y\n2024-01-01,1\n2024-01-01 12:00:00,2\n")).frequency == "12h"


def test_folder_with_a_test(tmp_path, write):
    write("unique_id,ds,y,k\na,2024-01-01,1,u\na,2024-01-02,2,v\nb,2024-01-01,3,u\n", "long/train.csv.gz")
    write("unique_id,ds,y,k\na,2024-01-04,4,w\na,2024-01-03,3,u\n", "long/test.csv")
    panel, test_starts = read_splits(tmp_path / "long", past=["k"])
    assert series(panel) == {"a": [1, 2, 3, 4], "b": [3]} and test_starts.tolist() == [2, 1]
    assert panel.past_names == ("k=u", "k=v") and panel.report.unknown == 1

    write(WIDE, "wide/train.csv")
    write("id,V2\nb,6\na,3\n", "wide/test.csv")
    panel, test_starts = read_splits(tmp_path / "wide")
    assert series(panel) == {"a": [1, 2, 3], "b": [3, 4, 5, 6]} and test_starts.tolist() == [2, 3]
    assert read_splits(tmp_path / "wide" / "train.csv").test_starts is None


def test_selection_and_earlier_times(write):
    table = "unique_id,ds,y,k\na,1,1,1\na,2,2,2\na,3,,3\nb,1,4,4\nb,2,5,5\nb,3,6,6\nc,1,7,7\n"
    panel = read_series(write(table), known=["k"], past=["y"])
    part = panel.select(np.array([2, 0]))
    assert series(part) == {"c": [7], "a": [1, 2]} and part.known_of(1)[:, 0].tolist() == [1, 2, 3]
    assert series(panel.select(panel.lengths > 1)) == {"a": [1, 2], "b": [4, 5, 6]}

    earlier = panel.without_last(2)
    assert series(earlier) == {"a": [], "b": [4], "c": []} and earlier.past.tolist() == [[4]]
    assert earlier.known_steps_ahead.tolist() == [3, 2, 1]
    assert series(panel.until(np.array([1, 9, 0]))) == {"a": [1], "b": [4, 5, 6], "c": []}


def test_windows(write):
    panel = read_series(
        write("unique_id,ds,y,k\na,1,1,1\na,2,2,2\na,3,,3\nb,5,4,4\nb,6,5,5\n"), known=["k"], past=["y"]
    )
    which, first = np.array([1, 0]), np.array([-1, 1])
    values, past, known = panel.windows(which, first, 3)
    np.testing.assert_array_equal(values, [[np.nan, 4, 5], [2, np.nan, np.nan]])
    np.testing.assert_array_equal(past[..., 0], values)
    np.testing.assert_array_equal(known[..., 0], [[np.nan, 4, 5], [2, 3, np.nan]])
    assert panel.times(which, first, 3).tolist() == [[4, 5, 6], [2, 3, 4]]


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_times_of_windows(frequency, write):
    grid = pd.date_range("2019-12-28 00:00", periods=40, freq=frequency)
    path = write("")
    pd.DataFrame({"unique_id": ["a"] * 3 + ["b"] * 2, "ds": grid[[20, 21, 22, 30, 31]], "y": 1.0}).to_csv(path)
    panel = read_series(path, frequency=frequency)
    times = panel.times(np.array([1, 0, 1]), np.array([0, 3, -5]), 5)
    np.testing.assert_array_equal(times, [grid[30:35], grid[23:28], grid[25:30]])


@pytest.mark.parametrize(
    ("frequency", "names"),
    {"15min": "day week year", "h": "day week year", "D": "week year", "W-SUN": "year", "YS": ""}.items(),
)
def test_calendar_features(frequency, names):
    times = pd.date_range("2023-12-31", periods=2000, freq=frequency) if frequency != "YS" else days("2024-01-01")
    features, found = calendar_features(np.asarray(times).reshape(-1, 1), frequency)
    assert found == tuple(f"{name}_{wave}" for name in names.split() for wave in ("sin", "cos"))
    assert features.shape == (len(times), 1, len(found)) and features.dtype == "float32"
    if found:
        times = pd.DatetimeIndex(times)
        cycles = {
            "day": (times - times.normalize()) / pd.Timedelta(days=1),
            "week": times.day_of_week / 7,
            "year": (times.day_of_year - 1) / np.where(times.is_leap_year, 366, 365),
        }
        for index, name in enumerate(names.split()):
            angle = 2 * np.pi * np.asarray(cycles[name])
            np.testing.assert_allclose(features[:, 0, 2 * index], np.sin(angle), atol=1e-6)
            np.testing.assert_allclose(features[:, 0, 2 * index + 1], np.cos(angle), atol=1e-6)
    assert calendar_features(np.arange(3), None)[0].shape == (3, 0)


MISTAKES = {
    "empty": ("", {}, "data.csv: the file is empty"),
    "only a header": ("unique_id,ds,y\n", {}, "data.csv: there are no rows below the header"),
    "only blank lines": ("unique_id,ds,y\n\n,,\n", {}, "no rows below the header"),
    "no column": (LONG, {"target": ["sales"]}, "no column 'sales'; the columns are unique_id, ds, y"),
    "no known column": (LONG, {"known": ["promotion"]}, "no column 'promotion'"),
    "no two columns": (LONG, {"target": ["x"], "known": ["z"]}, "no column 'x' or 'z'; the columns are"),
    "semicolons": ("ds;y\n1;2,5\n", {}, "no column 'y'; the columns are ds;y; columns are separated by commas"),
    "no id": (LONG, {"id": "shop"}, "no column 'shop'"),
    "no time": ("date,y\n2024-01-01,1\n", {}, "no column 'ds' of times; is it 'date'?"),
    "no time of a frequency": ("y\n1\n", {"frequency": "h"}, "no column 'ds' of times, which a frequency requires"),
    "no timestamp of a frequency": ("ds,y\n1,1\n", {"frequency": "h"}, "line 2, column 'ds': '1' is not a time"),
    "column twice": ("ds,y,y\n1,1,1\n", {}, "the column 'y' occurs twice"),
    "text": ("ds,y\n1,1\n2,1\n\n3,many\n4,1\n", {}, "data.csv, line 5, column 'y': 'many' is not a number"),
    "text in a covariate": (
        "ds,y,k\n1,1,1\n2,1,x\n3,1,1\n",
        {"known": ["k"]},
        "line 3, column 'k': 'x' is not a number",
    ),
    "decimal comma": ("ds,y\n1,1\n2,1,5\n", {}, "line 3: more than 2 values"),
    "decimal comma first": ("ds,y\n1,1,5\n", {}, "line 2: more than 2 values"),
    "comma and blank": ("ds,y\n1,1,\n2,1,\n\n3,1,4,5\n", {}, "line 5: more than 2 values"),
    "underscore": ("ds,y\n1,1_000\n", {}, "'1_000' is not a number"),
    "infinite": ("ds,y\n1,1\n2,-inf\n", {}, "line 3, column 'y': '-inf' is infinite"),
    "large": ("ds,y\n1,1\n2,-1e39\n", {}, "line 3, column 'y': '-1e\\+39' is too large; .* the magnitude 1e\\+18"),
    "no value": ("unique_id,ds,y\na,1,1\nb,1,\n", {}, "series 'b': no value in the column 'y'"),
    "no series": ("unique_id,ds,y\na,1,1\n,2,1\n", {}, "line 3: no series in the column 'unique_id'"),
    "no date": ("ds,y\n2024-01-01,1\n2024-02-30,1\n", {}, "line 3, column 'ds': '2024-02-30' is not a time such as"),
    "other format": (
        "ds,y\n01/02/2024,1\n13/02/2024,1\n",
        {},
        "line 3, .*: '13/02/2024' is not a time of the format %m/%d",
    ),
    "no integer": ("ds,y\n1,1\nx,1\n", {}, "line 3, column 'ds': 'x' is not an integer"),
    "twice": (LONG + "b,2024-01-06,9\n", {}, "series 'b': two different rows of the time 2024-01-06"),
    "integer twice": ("ds,y\n1,1\n1,2\n", {}, "data.csv: two different rows of the time 1$"),
    "static": ("ds,y,s\n1,1,x\n2,1,z\n", {"static": ["s"]}, "the static column 's' has several values"),
    "wrong frequency": (LONG, {"frequency": "W"}, "'a': 2024-01-02 .* at the given frequency 'W'"),
    "no frequency": (LONG, {"frequency": "often"}, "'often' is not a frequency of pandas"),
    "backwards": (LONG, {"frequency": "-1D"}, "'-1D' does not move forward"),
    "one row": ("ds,y\n2024-01-01,1\n", {}, "no series has two times .*; give the frequency"),
    "irregular": (
        "ds,y\n2024-01-01 00:00,1\n2024-01-01 01:00,1\n2024-01-01 02:00,1\n2024-01-01 02:07,1\n",
        {},
        "2024-01-01 02:07:00 is no whole number of steps .* at the inferred frequency 'h'",
    ),
    "no month": (
        "ds,y\n" + "".join(f"2023-{month:02}-01,1\n" for month in range(1, 13)) + "2024-01-02,1\n",
        {},
        "2024-01-02 is no whole number of steps .* at the inferred frequency 'MS'",
    ),
    "two frequencies": (
        "unique_id,ds,y\n"
        + "".join(f"daily,2024-01-{day:02},1\n" for day in range(1, 32))
        + "".join(
            f"weekly,2024-{date},1\n" for date in pd.date_range("2024-01-01", periods=10, freq="W").strftime("%m-%d")
        ),
        {},
        "series 'weekly': its times are 7 steps of the frequency 'D' of other series apart; give the frequency",
    ),
    "century": ("ds,y\n1924-01-01,1\n2024-01-01,1\n2024-01-02,1\n2024-01-03,1\n", {}, "4 rows .* 36,528 steps"),
    "wide twice": (WIDE + '"a","1"\n', {}, "the series 'a' occurs twice"),
    "wide text": (WIDE + '"c","1","?"\n', {}, "line 4, column 'V3': '\\?' is not a number"),
    "wide text in the first row": (
        "id" + ",V" * 20 + "\na,x" + ",1" * 19 + "\n",
        {},
        "line 2, column 'V': 'x' is not a number",
    ),
    "many columns": (",".join(f"V{i}" for i in range(99)) + "\n1,1\n", {}, "are V0, .*, V19, ... .99 in all"),
    "wide infinite": (WIDE + '"c","1","inf"\n', {}, "line 4, column 'V3': 'inf' is infinite"),
    "wide large": (WIDE + '"c","1","2e18"\n', {}, "line 4, column 'V3': '2e18' is too large"),
    "wide without value": (WIDE + '"c",,\n', {}, "the series 'c' has no value"),
    "wide without name": (WIDE + ',"1"\n', {}, "line 4: the series has no name"),
    "wide frequency": (WIDE, {"frequency": "h"}, "no times of the frequency 'h': the table has one row per series"),
    "wide columns": (WIDE, {"static": ["s"]}, "no column 's': the table has one row per series"),
    "not UTF-8": (b"ds,y\n1,1\n\xff,1\n", {}, "line 3: not UTF-8"),
}


@pytest.mark.parametrize("chunk", [1, 200_000])  # rows that are converted at once
@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name, chunk, write, monkeypatch):
    monkeypatch.setattr(long, "CHUNK", chunk)
    content, options, message = MISTAKES[name]
    with pytest.raises(DataError, match=message) as error:
        read_series(write(content), **options)
    assert "\n" not in str(error.value)


def test_too_many_categories(write, monkeypatch):
    monkeypatch.setattr(long, "MAX_CATEGORIES", 2)
    assert len(read_series(write("ds,y,k\n1,1,a\n2,1,b\n"), past=["k"]).past_names) == 2
    with pytest.raises(DataError, match="the column 'k' has more than 2 different texts"):
        read_series(write("ds,y,k\n1,1,a\n2,1,b\n3,1,c\n"), past=["k"])


def test_mistakes_of_files(tmp_path, write):
    with pytest.raises(DataError, match=r"nothing\.csv: there is no such file or folder"):
        read_series("nothing.csv")
    write(LONG, "split/train.csv"), write(LONG, "split/val.csv")
    with pytest.raises(DataError, match=r"val.csv: append its rows to train.csv"):
        read_series(tmp_path / "split")
    with pytest.raises(DataError, match=r"no file train.csv or train.csv.gz; the files are none"):
        read_series(tmp_path)
    path = write(LONG, "cut.csv.gz")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="not a complete gzip file"):
        read_series(path)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (LONG, "unique_id,ds,y\nc,2024-01-09,1\n", "test.csv: the series 'c' has no training values"),
        (LONG, "unique_id,ds,y\na,2024-01-01,1\na,2024-01-03,1\n", None),  # a repeated row is no test
        ("ds,y\n1,1\n5,1\n", "ds,y\n3,1\n", "its test begins before its training values end"),
        (WIDE, "id,V2\nc,1\n", "test.csv: the series 'c' has no training values"),
        (WIDE, "id,V2\na,1\na,2\n", "test.csv: the series 'a' occurs twice"),
    ],
)
def test_mistakes_of_a_test(train, test, message, tmp_path, write):
    write(train, "train.csv"), write(test, "test.csv")
    if message is None:
        assert read_splits(tmp_path).test_starts.tolist() == [2, 3]
        return
    with pytest.raises(DataError, match=message):
        read_splits(tmp_path)


MEMORY = """
import resource, sys
from keras_recurrent.datasets.series import read_series
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
panel = read_series(sys.argv[1])
print(len(panel), int(panel.values.sum()), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1000)
"""


def test_memory_of_many_series(write):
    """Of 20,000 series, a few have 10,000 values: a table of all cells takes 1.6 GB, their values 11 MB."""
    rows = [f'"M{index}","{index}"' + ',"1"' * (9_999 if index % 5000 == 0 else 50) for index in range(20_000)]
    path = write("id,V2\n" + "\n".join(rows))
    output = subprocess.run([sys.executable, "-c", MEMORY, path], capture_output=True, text=True, check=True).stdout
    count, total, megabytes = map(int, output.split())
    assert count == 20_000 and total == sum(range(20_000)) + 4 * 9_999 + 19_996 * 50
    assert megabytes < (100 if sys.platform == "linux" else 100_000)  # macOS counts in bytes


@pytest.mark.rest
def test_memory_of_many_rows(write):
    """Two million rows take 16 MB as numbers, and 400 MB as the texts of a table in memory."""
    dates = [f"{np.datetime64('2020-01-01') + day},{day % 7}.5\n" for day in range(1000)]
    path = write("unique_id,ds,y\n" + "".join(f"s{series},{date}" for series in range(2000) for date in dates))
    output = subprocess.run([sys.executable, "-c", MEMORY, path], capture_output=True, text=True, check=True).stdout
    count, total, megabytes = map(int, output.split())
    assert count == 2000 and total == 2000 * sum(day % 7 + 0.5 for day in range(1000))
    assert megabytes < (200 if sys.platform == "linux" else 200_000)  # macOS counts in bytes
