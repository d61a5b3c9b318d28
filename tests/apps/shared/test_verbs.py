import gzip
import io
import json
import random
import signal
import subprocess
import sys
import time

import pytest
from keras_recurrent.apps.shared import console, results
from keras_recurrent.apps.shared.errors import UsageError
from keras_recurrent.apps.shared.verbs import BATCH, WINDOW, Streaming, stream
from keras_recurrent.datasets import DataError
from keras_recurrent.datasets.files import decode_lines

LINES = [f"{number} " + "x" * random.Random(number).randrange(100) for number in range(2 * WINDOW + 500)]


def upper(texts, index):
    return [text.upper() for text in texts]


EXPECTED = "".join(f"{line}\n" for line in map(str.upper, LINES))


@pytest.fixture
def model(tmp_path):
    """A folder with the files that identify a model."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.yaml", "model.keras"):
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def file(tmp_path):
    """A file of `LINES`."""
    file = tmp_path / "lines.txt"
    file.write_text("\n".join(LINES) + "\n")
    return file


@pytest.fixture
def run(model, monkeypatch):
    """`run(function, inputs=(), stdin=b"", options={}, by_length=True, **streaming)`."""
    monkeypatch.setattr(results, "CHECKPOINT_SECONDS", 0)

    def run(function=upper, inputs=(), stdin=b"", options=None, by_length=True, **streaming):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        paths = {name: value if name == "shard" else str(value) for name, value in streaming.items()}
        return stream(function, inputs, Streaming(**paths), str(model), options or {}, by_length)

    return run


@pytest.mark.parametrize("by_length", [True, False])
def test_results_are_in_the_order_of_the_inputs(run, file, tmp_path, capsys, by_length):
    batches = []

    def remember(texts, index):
        batches.append((index, texts))
        return upper(texts, index)

    zipped = tmp_path / "lines.txt.gz"
    zipped.write_bytes(gzip.compress(file.read_bytes()))
    for source in ({"input": file}, {"input": zipped}, {"stdin": file.read_bytes()}, {"inputs": LINES}):
        batches.clear()
        assert run(remember, by_length=by_length, **source) == len(LINES)
        assert capsys.readouterr().out == EXPECTED
        assert max(len(texts) for _, texts in batches) == BATCH
        assert [index for index, _ in batches[:: WINDOW // BATCH]] == [0, WINDOW, 2 * WINDOW]
    if by_length:
        padded = sum(len(texts) * len(max(texts, key=len)) for _, texts in batches)
        assert padded < 1.05 * sum(map(len, LINES))


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\n", b"a", b"a\r", b"a\r\nb", b"a\rb", b"a\nb\rc", b"a\n\n", b"\ra\n", b"a\n\r", b"a\r\r\nb\r\r"),
        *(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", b"a\n\xef\xbb\xbf", b"\xef\xbb\xbf"),
    ],
)
def test_lines_end_as_in_data_sets(run, capsys, content):
    run(stdin=content)
    assert capsys.readouterr().out == "".join(f"{line.upper()}\n" for line in decode_lines(content, ""))


def killed_at(batch, error):
    """`upper`, with an error in the given batch."""
    calls = iter(range(batch + 1))

    def function(texts, index):
        if next(calls) == batch:
            raise error
        return upper(texts, index)

    return function


@pytest.mark.parametrize("error", [SystemExit(143), KeyboardInterrupt(), RuntimeError()])
@pytest.mark.parametrize("source", ["file", "standard input"])
def test_an_interrupted_output_is_resumed(run, file, tmp_path, error, source):
    output, seen = tmp_path / "output.txt", []
    source = {"input": file} if source == "file" else {"stdin": file.read_bytes()}

    def remember(texts, index):
        seen.extend(texts)
        return upper(texts, index)

    for batch in (0, 40, 33):  # of 72; the first window has 32
        with pytest.raises(type(error)):
            run(killed_at(batch, error), output=output, **source)
        assert not output.exists()
    with open(tmp_path / ".output.txt.unfinished", "a") as unfinished:  # after the last record of a killed process
        unfinished.write("half a li")
    assert run(remember, output=output, **source) == len(LINES)
    assert output.read_text() == EXPECTED
    assert sorted(seen) == sorted(LINES[2 * WINDOW :])
    assert {path.name for path in tmp_path.iterdir()} == {"model", "lines.txt", "output.txt", ".output.txt.record.json"}


def test_a_complete_output_is_left(run, file, tmp_path, capsys):
    output = tmp_path / "output.txt"
    for function in (upper, None):
        run(function, input=file, output=output)
        assert output.read_text() == EXPECTED
    assert capsys.readouterr().err == f"keras-recurrent: {output} is complete; nothing was computed\n"


@pytest.mark.parametrize("shards", [1, 3, 7])
def test_shards_are_the_whole(run, file, capsys, shards):
    for shard in range(1, shards + 1):
        run(input=file, shard=f"{shard}/{shards}")
    assert capsys.readouterr().out == EXPECTED
    for shard in range(1, shards + 1):
        run(inputs=["a", "b"], shard=f"{shard}/{shards}")
    assert capsys.readouterr().out == "A\nB\n"


def test_shards_write_files(run, file, tmp_path):
    outputs = [tmp_path / f"{shard}.txt" for shard in (1, 2)]
    for shard, output in enumerate(outputs, 1):
        run(input=file, shard=f"{shard}/2", output=output)
    assert "".join(output.read_text() for output in outputs) == EXPECTED
    with pytest.raises(UsageError, match=r"1\.txt was written with another shard"):
        run(input=file, shard="2/2", output=outputs[0])


def test_failed_inputs_are_reported(run, tmp_path, capsys):
    def only_even(texts, index):
        return [text if int(text) % 2 == 0 else ValueError("odd") for text in texts]

    numbers, output = [str(number) for number in range(200)], tmp_path / "output.txt"
    for _ in range(2):  # computes them, and finds them complete
        with pytest.raises(UsageError, match="100 of 200 inputs could not be processed"):
            run(only_even, numbers, by_length=False, output=output)
        assert output.read_text() == "".join(f"{number}\n" for number in range(0, 200, 2))
    assert "keras-recurrent: 1: odd\nkeras-recurrent: 3: odd\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("streaming", "message"),
    [
        ({"shard": "5/4"}, "--shard takes I/N with I from 1 to N, such as 2/4, not '5/4'"),
        ({"shard": "0/4"}, "not '0/4'"),
        ({"shard": "2"}, "not '2'"),
        ({"shard": "2/x"}, "not '2/x'"),
        ({"shard": "1/2"}, "--shard requires --input"),
        ({"input": "lines.txt", "inputs": ["a"]}, "not both"),
        ({"input": "missing.txt"}, "No such file"),
        ({"input": "."}, "Is a directory"),
        ({"input": "latin.txt", "output": "new.txt"}, "latin.txt, line 3: not UTF-8 text"),
        ({"input": "broken.gz"}, "broken.gz: not a complete gzip file"),
        ({"inputs": ["a"], "output": "missing/output.txt"}, "no such folder"),
        ({"inputs": ["a"], "output": "model"}, "model is not a file"),
        ({"inputs": ["a"], "output": "lines.txt"}, "lines.txt exists already and is not an output of this command"),
        ({"inputs": ["a"], "output": "output.txt"}, "output.txt was written with another input"),
        ({"stdin": b"a\nb\nc\n", "output": "piped.txt"}, "piped.txt was written with another input"),
        ({"stdin": b"a\n", "output": "piped.txt"}, "piped.txt was written with another input"),
        ({"stdin": b"a\nc\n", "output": "piped.txt"}, "piped.txt was written with another input"),
        ({"inputs": ["a", "b"], "output": "output.txt", "options": {"beam": 2}}, "written with another beam"),
    ],
)
def test_mistakes_are_one_line(run, file, tmp_path, monkeypatch, streaming, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.txt").write_bytes(b"a\nb\n\xff\n")
    (tmp_path / "broken.gz").write_bytes(gzip.compress(b"a\n" * 9)[:-4])
    run(inputs=["a", "b"], output="output.txt")
    run(stdin=b"a\nb\n", output="piped.txt")
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises((UsageError, DataError, OSError), match=message):
        run(**streaming)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_the_model_and_the_written_part_are_checked(run, model, tmp_path):
    output, record = tmp_path / "output.txt", tmp_path / ".output.txt.record.json"
    run(inputs=["a"], output=output)
    (model / "model.keras").write_text("trained again")
    with pytest.raises(UsageError, match="with another model; delete it to start over"):
        run(inputs=["a"], output=output)
    (model / "model.keras").write_text("model.keras")
    for content in ("B\n", "A\nB\n", ""):
        output.write_text(content)
        with pytest.raises(UsageError, match="was changed after it was written"):
            run(inputs=["a"], output=output)
    for content in ("{", "[]", json.dumps({"command": []}), json.dumps({"command": 3})):
        record.write_text(content)
        with pytest.raises(UsageError, match=r"record\.json is damaged"):
            run(inputs=["a"], output=output)
    output.unlink()
    run(inputs=["b"], output=output)
    assert output.read_text() == "B\n"


def test_progress_without_a_terminal_is_a_line_per_minute(monkeypatch, capsys):
    clock = iter([0, 0, 30, 30, 100, 100, 100])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.progress_bar("predicting", 10_000, 1000) as advance:
        advance(1000)
        advance(1000)
    assert capsys.readouterr().err == "keras-recurrent: predicting: 3,000 of 10,000 (20.0/s, 0:05:50 left)\n"


SCRIPT = """
import resource, sys
from keras_recurrent.apps.shared.verbs import Streaming, stream
stream(lambda texts, index: texts, (), Streaming(input=sys.argv[1], output=sys.argv[3]), sys.argv[2], {})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.rest
def test_memory_does_not_grow_with_the_input(model, tmp_path):
    peaks = []
    for count in (10_000, 300_000):
        file, output = tmp_path / f"{count}.txt", tmp_path / f"{count}.output.txt"
        with open(file, "w") as lines:
            lines.writelines(f"{number} {'word ' * (number % 40)}\n" for number in range(count))
        command = [sys.executable, "-P", "-c", SCRIPT, str(file), str(model), str(output)]
        peaks.append(int(subprocess.run(command, capture_output=True, check=True, text=True).stdout))
        assert output.read_bytes() == file.read_bytes()
    assert peaks[1] - peaks[0] < 10_000  # kB, of a file of 30 MB


@pytest.mark.rest
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_is_resumed(run, file, model, tmp_path, number):
    output, unfinished = tmp_path / "output.txt", tmp_path / ".output.txt.unfinished"
    slow = "lambda texts, index: time.sleep(0.01) or [text.upper() for text in texts]"
    script = SCRIPT.replace("lambda texts, index: texts", slow).replace("import resource", "import time, resource")
    command = [sys.executable, "-P", "-c", script, str(file), str(model), str(output)]
    with subprocess.Popen(command) as process:
        while not (unfinished.exists() and unfinished.stat().st_size):
            time.sleep(0.01)
        process.send_signal(number)
    assert not output.exists()
    run(input=file, output=output)
    assert output.read_text() == EXPECTED
