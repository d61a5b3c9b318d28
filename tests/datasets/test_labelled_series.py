"""Series with labels: every format, and what is wrong with a file in one line."""

import gzip

import numpy as np
import pytest
from keras_recurrent.datasets import DataError
from keras_recurrent.datasets.columns import Arrays
from keras_recurrent.datasets.labelled_series import iter_series_file, read_labelled_series

TS = """# A comment: with colons
@problemName waves
@timeStamps false
@missing true
@univariate false
@classLabel true up down
@data
1,2,3:4,?,6:up
-1,0.5:2e1,NaN:down
"""
TSV = "1\t0.5\t1.5\tNaN\n-1\t2\t?\t3\n"
WIDE = "label,t1,t2,t3\nup,1,2,3\ndown,4,,\n"
LONG = """unique_id,ds,label,x,y
b,2,down,3,30
a,2024-01-02 10:00,up,2,
b,1,down,1,
a,2024-01-01,up,1,10
"""
nan = np.nan
EXPECTED = {
    "ts": [("up", [[1, 4], [2, nan], [3, 6]]), ("down", [[-1, 20], [0.5, nan]])],
    "tsv": [("1", [[0.5], [1.5]]), ("-1", [[2], [nan], [3]])],
    "wide": [("up", [[1], [2], [3]]), ("down", [[4]])],
    "long": [("down", [[1, nan], [3, 30]]), ("up", [[1, 10], [2, nan]])],
}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("train.ts", TS, "ts"),
        ("Waves_TRAIN.ts", TS, "ts"),
        ("train.tsv", TSV, "tsv"),
        ("train.csv", WIDE, "wide"),
        ("Waves_TRAIN.csv", LONG, "long"),
        ("train.csv.gz", "\ufeff" + LONG.replace("\n", "\r\n"), "long"),
    ],
)
def test_formats(name, text, expected, tmp_path):
    content = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    (tmp_path / "other_TEST.csv").write_text(WIDE)
    rows = read_labelled_series(tmp_path, "train")
    assert [label for _, label in rows] == [label for label, _ in EXPECTED[expected]]
    for (values, _), (_, wanted) in zip(rows, EXPECTED[expected], strict=True):
        assert values.dtype == "float32"
        np.testing.assert_array_equal(values, np.array(wanted, "float32"))
    assert len(read_labelled_series(tmp_path, "test")) == 2


def test_labels_may_be_missing_in_a_file_but_not_in_a_split(tmp_path):
    path = tmp_path / "new.ts"
    path.write_text("@classLabel false\n@data\n1,2\n")
    ((values, label, origin),) = iter_series_file(path)
    assert (values.tolist(), label, origin) == ([[1.0], [2.0]], None, f"{path}, line 3")
    with pytest.raises(DataError, match=r"line 3: the series has no label"):
        read_labelled_series(tmp_path, "new")


MISTAKES = {
    "a.ts": [
        ("1,2:x\n", r"a\.ts, line 1: expected a line that begins with @"),
        ("@classLabel true x\n", r"no line @data"),
        ("@timeStamps true\n@data\n(0,1):x\n", r"line 1: files with timestamps are not supported"),
        ("@targetLabel true\n@data\n1:2\n", r"line 1: files with targets that are numbers"),
        ("@classLabel true x\n@data\n1,2:3,b:x\n", r"line 3, channel 2, step 2: 'b' is not a finite number"),
        ("@classLabel true x\n@data\n1,2:3:x\n", r"line 3: its channels have 1 to 2 steps"),
        ("@classLabel true x\n@data\nx\n", r"line 3: it has no channel"),
        ("@classLabel true x\n@data\n1:2:x\n1:x\n", r"line 4: the series has 1 channels, but 2 in .*line 3"),
        ("@classLabel true x\n@data\n?,?:x\n", r"line 3: there is no number"),
        ("@classLabel true x\n@data\n1,2:?\n", r"line 3: the series has no label"),
        ("@classLabel true x\n@data\n", r"there is no series"),
    ],
    "a.tsv": [
        ("1\t2\n1\tx\n", r"line 2, column 2: 'x' is not a finite number"),
        ("1\t2\n\t3\n", r"line 2: the series has no label"),
        ("1\tinf\n", r"line 1, column 2: 'inf' is not a finite number"),
        ("1\t1e39\n", r"line 1, column 2: '1e39' is not a finite number"),
        ("1\t1_000\n", r"'1_000' is not a finite number"),
    ],
    "a.csv": [
        ("x,y\n1,2\n", r"line 2: the series has no label"),
        ("label,t1\nup,high\n", r"line 2, column 't1': 'high' is not a finite number"),
        ("label,t1\nup,1,2\n", r"line 2: expected 2 cells, got 3"),
        ("label,t1,t1\nup,1,2\n", r"two columns have the name 't1'"),
        ("label,t1\n,1\n", r"line 2: the series has no label"),
        ("unique_id,ds,label\na,1,up\n", r"no column of numbers"),
        ("unique_id,ds,label,y\na,1,up,1\na,2,down,2\n", r"line 3: the series 'a' has a second label"),
        ("unique_id,ds,label,y\na,1,up,1\na,1,up,2\n", r"line 3: the series 'a' has a second row of the time 1"),
        ("unique_id,ds,label,y\na,soon,up,1\n", r"line 2, column 'ds': 'soon' is neither a number nor a timestamp"),
        ("unique_id,ds,y\na,1,1\n", r"series 'a': the series has no label"),
    ],
}


@pytest.mark.parametrize(
    ("name", "text", "message"), [(name, *case) for name, cases in MISTAKES.items() for case in cases]
)
def test_mistakes(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message) as error:
        read_labelled_series(tmp_path, "a")
    assert "\n" not in str(error.value)


def test_folders_and_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match=r"there is no such folder; expected a folder with train\.ts"):
        read_labelled_series(tmp_path / "none", "train")
    (tmp_path / "Waves_TRAIN.ts").write_text(TS)
    with pytest.raises(DataError, match="is a file"):
        read_labelled_series(tmp_path / "Waves_TRAIN.ts", "train")
    with pytest.raises(DataError, match="no split 'test'; available splits: train"):
        read_labelled_series(tmp_path, "test")
    (tmp_path / "train.csv").write_text(WIDE)
    with pytest.raises(DataError, match=r"Waves_TRAIN.ts and train.csv are both the split 'train'"):
        read_labelled_series(tmp_path, "train")
    for name, message in (("x.ts", "there is no such file"), ("x.txt", "expected a file that ends in .ts, .tsv, .csv")):
        with pytest.raises(DataError, match=message):
            next(iter_series_file(tmp_path / name))


def test_arrays_are_a_column():
    arrays = [np.arange(6.0).reshape(3, 2), np.ones((1, 2)), np.zeros((2, 2))]
    column = Arrays(arrays)
    np.testing.assert_array_equal(column[-1], arrays[2])
    part = column[np.array([2, 0])]
    assert [len(array) for array in part] == part.lengths.tolist() == [2, 3]
    assert column.checksum() == Arrays(arrays).checksum()
    assert column.checksum() != Arrays(arrays[::-1]).checksum()
    assert Arrays([np.zeros((2, 3))]).checksum() != Arrays([np.zeros((3, 2))]).checksum()
