import dataclasses
import importlib
import io
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras_recurrent
import pytest
from keras_recurrent.apps import cli, load
from keras_recurrent.apps.long_memory.data import TASKS
from keras_recurrent.apps.shared.models import folders
from keras_recurrent.datasets.generated import generated_set

COMMAND = [sys.executable, "-P", "-c", "import sys; from keras_recurrent.apps.cli import main; sys.exit(main())"]
TRAIN = ["translation", "train", "--output", "x"]


@pytest.fixture
def call(capfd, monkeypatch):
    """`call(*arguments, stdin=b"")`: a command in this process, with what a process of its own would have written."""

    def call(*arguments, stdin=b""):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        status = cli.main(list(map(str, arguments)))
        return subprocess.CompletedProcess(arguments, status, *capfd.readouterr())

    return call


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cooking"], "unknown app 'cooking'; choose translation, captioning,"),
        (["captionning", "train"], "unknown app 'captionning'; did you mean captioning?"),
        (["translation", "fry"], "unknown verb of translation 'fry'; choose train, evaluate, predict or export"),
        (["translation", "train"], "missing: --output"),
        ([*TRAIN, "--colour", "red"], "unknown option --colour"),
        (
            ["translation", "train", "--output", "x", "--cell", "quantum"],
            "--cell takes simple_rnn, lstm or gru, not 'quantum'",
        ),
        (
            ["translation", "train", "--output", "x", "--dropout", "1.0"],
            "--dropout takes a number of at least 0 and below 1, not '1.0'",
        ),
        (
            ["translation", "train", "--output", "x", "--batch-size", "0"],
            "--batch-size takes a positive integer, not '0'",
        ),
        (
            ["translation", "train", "--output", "x", "--seed", "-1"],
            "--seed takes an integer from 0 to 4,294,967,295, not '-1'",
        ),
        (
            ["translation", "train", "--output", "x", "--vocabulary-size", "4"],
            "--vocabulary-size takes an integer of 5 or more",
        ),
        ([*TRAIN, "--source", "ko"], "the same language, 'ko'"),
        ([*TRAIN, "--config", "no.yaml"], "no.yaml: No such file"),
        ([*TRAIN, "--epohcs", "3"], "unknown option --epohcs; did you mean --epochs?"),
        ([*TRAIN, "--epochs", "ten"], "--epochs takes a positive integer, not 'ten'"),
        (
            ["translation", "train", "--output", "x", "--epochs", "9" * 23],
            "takes a positive integer up to 2,147,483,647",
        ),
        ([*TRAIN, "--epochs"], "--epochs takes a value"),
        ([*TRAIN, "--epochs=--"], "--epochs does not take '--'"),
        ([*TRAIN, "--epochs.x", "3"], "unknown option --epochs.x"),
        ([*TRAIN, "--swap=true"], "--swap takes no value, not 'true'"),
        ([*TRAIN, "--max-length", "1000000000"], "takes an integer from 2 to 100,000"),
        ([*TRAIN, "--learning-rate", "inf"], "takes a positive number, not 'inf'"),
        ([*TRAIN, "more"], "unexpected argument: more"),
        (["captioning", "train", "--output", "x", "--input-feeding", "maybe"], "takes true or false, not 'maybe'"),
        (["captioning", "train", "--output", "x", "--image-size", "9999"], "takes a positive integer up to 4,096"),
        (["generation", "generate", "x", "--length", "1000000000"], "takes a positive integer up to 100,000"),
        (["generation", "generate", "x", "--samples", "100000"], "--samples takes an integer from 1 to 10,000"),
        (["translation", "predict"], "missing: model"),
        ([*TRAIN, "--swap"], "--swap needs --pairs"),
        ([*TRAIN, "--score", "none", "--input-feeding"], "--input-feeding needs attention, which --score none omits"),
        ([*TRAIN, "--score", "none", "--embeddings-in-memory"], "--embeddings-in-memory needs attention"),
        ([*TRAIN, "--score", "none", "--coverage-penalty", "1"], "--coverage-penalty needs attention"),
        ([*TRAIN, "--min-ratio", "2", "--max-ratio", "1"], "--min-ratio 2 exceeds --max-ratio 1"),
        ([*TRAIN, "--min-ratio", "inf"], "--min-ratio takes a non-negative number, not 'inf'"),
        ([*TRAIN, "--max-ratio", "inf"], "--max-ratio takes a positive number, not 'inf'"),
        ([*TRAIN, "--beam-size", "999", "--max-length", "9999"], "--beam-size 999 times --max-length 9999 exceeds"),
        (["vqa", "train", "--output", "x", "--answers", "1"], "--answers 1 leaves nothing to choose"),
        (
            ["captioning", "train", "--output", "x", "--conditioning", "merge", "--attention-penalty", "1"],
            "--attention-penalty needs --conditioning attention, not merge",
        ),
        (
            ["captioning", "train", "--output", "x", "--conditioning", "init", "--score", "additive"],
            "--score needs --conditioning attention, not init",
        ),
        ([*TRAIN, "--data", "/no/data"], "'/no/data' is neither a folder nor"),
        (["translation", "train", "--output", "."], "exists already; --overwrite replaces it"),
        (["translation", "train", "--output", "x/y", "--data", "/no/data"], "'/no/data' is neither a folder nor"),
        (
            [*TRAIN, "--schedule", "plateau", "--warmup-steps", "5"],
            "not for plateau",
        ),
        (["translation", "predict", "no-model", "hello"], "no-model: no such model folder"),
        (["translation", "evaluate", "no-model"], "no-model: no such model folder"),
        (["translation", "export", "no-model", "--to", "x"], "no-model: no such model folder"),
    ],
)
def test_a_mistake_gives_one_clear_line_and_status_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("keras-recurrent: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert list(tmp_path.iterdir()) == []


def test_without_arguments_the_help_is_shown(capsys):
    for arguments in ([], ["vqa"]):
        with pytest.raises(SystemExit, match="0"):
            cli.main(arguments)
        assert capsys.readouterr().out.startswith("usage: keras-recurrent")


def test_the_help_keeps_the_commands_of_a_description_on_their_lines(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["vqa", "train", "--help"])
    assert "\n\n    keras-recurrent vqa train --output saved_models/answers\n\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", cli.APPS)
def test_the_help_of_train_fits_a_screen(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    pages = {}
    for option in ("--help", "--help-all"):
        with pytest.raises(SystemExit, match="0"):
            cli.main([name, "train", option])
        pages[option] = capsys.readouterr().out
    config = importlib.import_module(f"keras_recurrent.apps.{name}.config").Config
    options = {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(config)} - {"--app"}
    common = {f"--{field.replace('_', '-')}" for field in config.common_options}
    shown, all_shown = (set(re.findall(r"--[a-z-]+", page)) for page in pages.values())
    assert len(pages["--help"].splitlines()) <= 60
    assert 8 <= len(common) <= 12
    assert common < options
    assert common | {"--output", "--resume", "--help-all"} <= shown
    assert options | {"--backend", "--devices"} <= all_shown
    assert "\nTraining:\n" in pages["--help-all"]


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"keras-recurrent {keras_recurrent.__version__}\n"


@pytest.mark.parametrize("name", cli.APPS)
def test_a_command_has_the_configurations_defaults(name):
    config = importlib.import_module(f"keras_recurrent.apps.{name}.config").Config()
    options = cli._parse([name, "train", "--output", "x"]).keywords
    defaults = {field: value for field, value in options.items() if field in dataclasses.asdict(config)}
    assert type(config)(**defaults) == config
    assert len(defaults) == len(dataclasses.fields(config))


@pytest.mark.parametrize("name", cli.APPS)
def test_by_default_an_app_trains_on_a_generated_data_set(name):
    config = importlib.import_module(f"keras_recurrent.apps.{name}.config").Config()
    assert name == "long_memory" or generated_set(config.data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("colour: red", "unknown option 'colour'"),
        ("epoch: 3", "unknown option 'epoch'; did you mean epochs?"),
        ("epochs: ten", "epochs takes a positive integer, not 'ten'"),
        ("epochs: true", "epochs takes a positive integer, not True"),
        ("epochs: 1.5", "epochs takes a positive integer, not 1.5"),
        ("data: null", "data takes text, not null"),
        ("source: no", "source takes text in quotation marks, not False"),
        ("bidirectional: 3", "bidirectional takes true or false, not 3"),
        ("learning_rate: .nan", "learning_rate takes a positive number, not nan"),
        ("max_length: 1000000000", "max_length takes an integer from 2 to 100,000"),
        ("- 1", "must have one `option: value` per line"),
        ("data: [", "not a YAML file"),
        ("[" * 9999, "not a YAML file (nested too deeply)"),
        ("a: &a [x, x]\nb: [*a, *a]", "anchors and aliases are not supported"),
        ("data: !!python/object/apply:os.system [exit]", "could not determine a constructor for the tag"),
        ("data: 2000-99-99", "not a YAML file (month must be in"),
        (b"\xff\xfe", "not UTF-8"),
        ("#" * 200_000, "has 200,000 bytes"),
    ],
)
def test_mistakes_in_a_config_file(content, message, tmp_path, capsys):
    path = tmp_path / "config.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert cli.main(["translation", "train", "--config", str(path), "--output", str(tmp_path / "x")]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"keras-recurrent: {path}: {message}") or f"{path}: not a YAML" in captured.err
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_a_config_file_must_be_a_regular_file(tmp_path, capsys):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, "/dev/zero"):
        assert cli.main(["translation", "train", "--config", str(path), "--output", str(tmp_path / "x")]) == 2
        assert capsys.readouterr().err == f"keras-recurrent: {path}: not a regular file\n"


def test_a_folder_that_is_no_model_is_never_replaced(data, tmp_path, capsys):
    arguments = ["translation", "train", "--data", str(data), "--output", str(data), "--overwrite"]
    assert cli.main(arguments) == 2
    assert "is not replaced" in capsys.readouterr().err
    assert (data / "train.de").exists()


@pytest.mark.faults
@pytest.mark.parametrize("seconds", [0.3, 0.6, 1.2, 2.4])
def test_an_interrupt_during_the_imports(seconds, tmp_path):
    command = [sys.executable, "-P", "-m", "keras_recurrent", *TRAIN]
    # Tests that run in the background of a shell ignore interrupts, and so would their children.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    signal.signal(signal.SIGINT, handler)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == "keras-recurrent: stopped\n"
    assert process.returncode == 130


@pytest.mark.rest
def test_a_process_prints_nothing_but_the_line():
    arguments = ["translation", "train", "--output", "x", "--data", "/no/data"]
    result = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1


def test_help_is_quick_and_loads_no_tensorflow():
    script = """
import sys, time
from keras_recurrent.apps import APPS, cli
commands = [["translation", "train"], [], *([name, *verb] for name in APPS for verb in ([], ["train"], ["evaluate"]))]
for index, arguments in enumerate(commands):
    try: cli.main([*arguments, "--help"])
    except SystemExit: pass
    if not index: seconds = time.process_time()  # of the whole process, which no other process slows down
assert seconds < 0.7, seconds
assert not {"tensorflow", "keras"} & sys.modules.keys()
"""
    result = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.count("usage: keras-recurrent") == 2 + 3 * len(cli.APPS)


def test_all_verbs_on_a_folder_of_ones_own(data, saved, exported, eagerly, call, tmp_path):
    folder = tmp_path / "model"
    (tmp_path / "config.yaml").write_text(f"data: {data}\nsource: de\ntarget: en\nepochs: 3\n")
    sizes = [
        "--embedding-dim",
        "8",
        "--encoder-units",
        "8",
        "--decoder-units",
        "8",
        "--epochs",
        "2",
        "--max-length",
        "8",
    ]
    trained = call("translation", "train", "--config", tmp_path / "config.yaml", "--output", folder, *sizes)
    assert trained.returncode == 0, trained.stderr
    assert len((folder / "history.csv").read_text().splitlines()) == 3  # an option overrides the file
    assert trained.stdout == ""
    lines = trained.stderr.splitlines()
    assert all(line.startswith(("keras-recurrent: ", "  keras-recurrent translation ")) for line in lines)
    assert lines[-2] == f"  keras-recurrent translation evaluate {folder}"

    evaluated = call("translation", "evaluate", folder, "--lowercase")
    metrics = json.loads(evaluated.stdout.splitlines()[-1])
    assert metrics["sentences"] == 48
    assert "case:lc" in metrics["signature"]
    assert json.loads((folder / "metrics.json").read_text())["test"] == metrics
    hypotheses = tmp_path / "hypotheses.txt"
    again = json.loads(call("translation", "evaluate", folder, "--lowercase", "--output", hypotheses).stdout)
    assert again["bleu"] == metrics["bleu"]
    assert hypotheses.read_text().count("\n") == 48
    scored = json.loads(call("translation", "evaluate", folder, "--lowercase", "--predictions", hypotheses).stdout)
    assert (scored["bleu"], scored["chrf"], scored["sentences"]) == (metrics["bleu"], metrics["chrf"], 48)

    texts = ["ein Hund schläft hier.", "ein Kind\u2028rennt dort."]
    beam = ["--beam-size", "50"]  # more than there are tokens
    arguments = call("translation", "predict", folder, *texts, *beam)
    lines = call("translation", "predict", folder, *beam, stdin=("\n".join(texts) + "\n").encode())
    assert arguments.stdout == lines.stdout
    assert arguments.stdout.count("\n") == 2
    assert call("translation", "predict", folder).stdout == ""
    file, outputs = tmp_path / "lines.txt", [tmp_path / f"{part}.txt" for part in (1, 2)]
    file.write_text("\n".join(texts))
    for part, output in enumerate(outputs, 1):
        options = ["--input", file, "--shard", f"{part}/2", "--output", output]
        assert call("translation", "predict", folder, *beam, *options).stdout == ""
    assert "".join(output.read_text() for output in outputs) == lines.stdout
    again = call("translation", "predict", folder, *options)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "2.txt was written with another beam_size" in again.stderr
    latin = call("translation", "predict", folder, stdin="ja\nschön\n".encode("latin-1"))
    assert latin.returncode == 2
    assert "standard input, line 2: not UTF-8" in latin.stderr

    assert (exported / "saved_model.pb").exists()  # by the command
    again = call("translation", "export", saved, "--to", exported)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("name", cli.APPS)
def test_train_suggests_commands(name, tmp_path):
    package = f"keras_recurrent.apps.{name}"
    commands, config = (importlib.import_module(f"{package}.{module}") for module in ("commands", "config"))
    for suggested, verb in zip(cli._next_commands(config.Config(), "m x"), ("evaluate", None), strict=True):
        _, app, *arguments = shlex.split(suggested)
        parsed, options = cli._parse_verb(app, commands, config.Config, arguments)
        assert app == name
        assert parsed == verb or parsed in ("predict", "generate")
        assert options["model"] == "m x"
    if name == "long_memory":
        for task, definition in TASKS.items():
            *_, sequence = config.Config(task=task).example
            assert definition.parse(sequence, 4) is not None
    if name != "long_memory":
        (tmp_path / "train.tsv").touch()
        evaluate, _ = cli._next_commands(config.Config(data=str(tmp_path)), "m")
        assert evaluate.endswith("evaluate m --split validation")
        (tmp_path / "test.tsv").touch()
        evaluate, _ = cli._next_commands(config.Config(data=str(tmp_path)), "m")
        assert evaluate.endswith("evaluate m")


@pytest.mark.rest
def test_predict_shows_more_than_the_best(saved, eagerly, call, tmp_path):
    picture = tmp_path / "alignment.png"
    empty = call("translation", "predict", saved, "", "--alignment", picture)
    assert (empty.returncode, empty.stderr.count("\n")) == (2, 1)
    bad = call("translation", "predict", saved, os.fsdecode(b"\xff"))
    assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)
    result = call("translation", "predict", saved, "ein Hund schläft hier.", "", "--json", "--alignment", picture)
    assert result.returncode == 0, result.stderr
    first, second = map(json.loads, result.stdout.splitlines())
    assert first["source_tokens"] == ["ein", "Hund", "schläft", "hier", "￭.", "<end>"]
    assert first["translations"][0]["text"] == "a dog sleeps here."
    assert len(first["translations"]) == 5
    assert second["translations"][0] == {"text": "", "score": 0, "tokens": [], "alignment": []}
    assert picture.read_bytes().startswith(b"\x89PNG")

    apart = ["--json", saved, "--beam-size=2", "ein Hund schläft hier.", "--max-length", "9", "eine Katze rennt dort."]
    lines = map(json.loads, call("translation", "predict", *apart).stdout.splitlines())
    assert [line["translations"][0]["text"] for line in lines] == ["a dog sleeps here.", "a cat runs there."]
    assert call("translation", "predict", "--no-json", "--", saved, "ein Hund", "--json").stdout.count("\n") == 2

    options = ["--samples", "3", "--temperature", "2", "--prefix", "a cat", "--top-p", "0.9", "--top-k", "9"]
    result = call("translation", "predict", saved, "ein Hund", *options)
    assert result.stdout.count("\n") == 3
    assert all(line.startswith("a cat") for line in result.stdout.splitlines())


@pytest.mark.rest
def test_a_person_at_a_terminal_is_answered_line_by_line(saved):
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "translation", "predict", str(saved)], stdin=end, stdout=subprocess.PIPE, encoding="utf-8"
    )
    for text, answer in (
        ("ein Hund schläft hier.", "a dog sleeps here."),
        ("eine Katze rennt dort.", "a cat runs there."),
    ):
        os.write(terminal, f"{text}\n".encode())
        assert process.stdout.readline() == f"{answer}\n"  # before there is more to read
    os.write(terminal, b"\x04")
    assert process.wait(60) == 0


def test_mistakes_in_predicting(saved, eagerly, tmp_path, capsys):
    for options, message in {
        ("--alignment", str(tmp_path / "x.mp3")): "the name of a figure ends in",
        ("--alignment", str(tmp_path / "no" / "x.png")): "no such folder",
        ("--top-p", "0"): "--top-p takes a number above 0 and of at most 1, not '0'",
        ("--temperature", "-1"): "--temperature takes a non-negative number, not '-1'",
        ("--top-k", "3"): "--samples sets their number",
        ("--prefix", "dinosaur"): "cannot write: dinosaur",
        ("--max-length", "1"): "--max-length takes an integer from 2 to 100,000, not '1'",
    }.items():
        assert cli.main(["translation", "predict", str(saved), "ein Hund", *options]) == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.err.count("\n") == 1


@pytest.mark.rest
def test_an_interrupted_training_is_resumed(killed_after, call, tmp_path):
    options = ["--lag", "4", "--units", "4", "--steps-per-epoch", "2", "--epochs", "3"]
    folder, whole = tmp_path / "model", tmp_path / "whole"
    assert call("long_memory", "train", "--output", whole, *options).returncode == 0
    with killed_after(1):
        call("long_memory", "train", "--output", folder, *options)
    assert not folder.exists()
    assert_resumed(["long_memory", "train", "--output", folder, *options], whole, call)


def assert_resumed(command, whole, call):
    """Asserts that `--resume` alone ends an interrupted training, with the weights of `whole`."""
    folder = command[3]
    again = call(*command)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "--resume" in again.stderr
    other = call(*command, "--resume", "--learning-rate", "0.5")
    assert other.returncode == 2
    assert "was trained with learning_rate" in other.stderr
    resumed = call(*command, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert not folders.unfinished_folder(folder).exists()
    assert (folder / "history.csv").read_text() == (whole / "history.csv").read_text()
    weights = [load(path).model.get_weights() for path in (folder, whole)]
    assert all((a == b).all() for a, b in zip(*weights, strict=True))


@pytest.mark.faults
def test_a_killed_training_is_resumed(data, call, tmp_path):
    folder = tmp_path / "model"
    sizes = ["--embedding-dim", "8", "--encoder-units", "8", "--decoder-units", "8", "--batch-size", "4"]
    options = ["--data", data, "--source", "de", "--target", "en", "--epochs", "8", "--patience", "8", *sizes]
    command = ["translation", "train", "--output", folder, *options]
    whole = call("translation", "train", "--output", tmp_path / "whole", *options)
    assert whole.returncode == 0, whole.stderr

    unfinished = folders.unfinished_folder(folder)
    process = subprocess.Popen([*COMMAND, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while process.poll() is None and not (unfinished / folders.STATES / "epoch-0002.npz").exists():
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not folder.exists()
    assert_resumed(command, tmp_path / "whole", call)


def test_a_bad_line_in_the_data_leaves_nothing_behind(data, call, tmp_path):
    bad = tmp_path / "data"
    bad.mkdir()
    for path in data.iterdir():
        (bad / path.name).write_bytes(path.read_bytes())
    (bad / "val.en").write_text("only one line\n")
    result = call("translation", "train", "--data", bad, "--source", "de", "--target", "en", "--output", tmp_path / "m")
    assert result.returncode == 2
    assert "val.de has 48 lines, but" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_paths_are_those_of_the_folder_where_training_began(monkeypatch, tmp_path):
    """A cache that does not exist yet is the same when it is there; a folder that is called like a backbone is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    seen = []
    monkeypatch.setattr("keras_recurrent.apps.captioning.model.train", lambda config, folder: seen.append(config))
    options = ["--backbone", "small", "--cache", "features", "--overwrite"]
    for _ in range(2):
        assert cli.main(["captioning", "train", "--output", "x", *options]) == 0
        (tmp_path / "features").mkdir(exist_ok=True)
    assert {(config.cache, config.backbone) for config in seen} == {(str(tmp_path / "features"), "small")}


@pytest.mark.parametrize(
    ("arguments", "variable", "message"),
    [
        ([*TRAIN, "--backend", "torch"], "tensorflow", "--backend takes tensorflow or jax, not 'torch'"),
        (TRAIN, "torch", "KERAS_BACKEND is 'torch'; the backend of a command is tensorflow or jax"),
        (
            [*TRAIN, "--backend", "jax"],
            "tensorflow",
            "this needs jax; install it with `pip install 'keras-recurrent[jax]'`",
        ),
        (TRAIN, "jax", "this needs jax"),
    ],
)
def test_a_backend_that_cannot_be_used(arguments, variable, message, call, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", variable)
    monkeypatch.setitem(sys.modules, "jax", None)
    result = call(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert message in line


def test_an_export_chooses_tensorflow(call, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setitem(sys.modules, "jax", None)
    result = call(
        "translation", "export", Path(__file__).parent / "data" / "translation", "--format", "web", "--runtime", "no"
    )
    assert result.returncode == 2
    assert "ort.wasm.min.mjs is missing" in result.stderr


def test_reader_that_ends_before_the_output():
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [sys.executable, "-m", "keras_recurrent", "models"], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (process.returncode, process.stderr) == (141, b"")
