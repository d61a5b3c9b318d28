"""The tasks, networks that learn them in seconds, and the report."""

import base64
import dataclasses
import html
import json
import re
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from keras_recurrent.apps import cli, load
from keras_recurrent.apps.long_memory import data, model, page, report
from keras_recurrent.apps.long_memory.config import Config
from keras_recurrent.apps.long_memory.signatures import GRAPHS
from keras_recurrent.apps.shared.errors import TrainingError, UsageError
from keras_recurrent.apps.shared.models import folders
from keras_recurrent.layers import gradient_flow

PARITY = Config(task="parity", lag=6, cell="gru", units=16, learning_rate=0.02, steps_per_epoch=10, epochs=60)
PLAIN = """
solve = tf.saved_model.load(export).signatures["serving_default"]
print(json.dumps([[text.decode() for text in solve(text=tf.constant(rows, tf.string))["text"].numpy()]
                  for rows in (texts, [])]))
"""


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "parity"
    with folders.resumable(folder, PARITY, resume=False, overwrite=False) as partial:
        model.train(PARITY, partial)
    return folder


def drawn(task, lag=9, count=50):
    return data.TASKS[task].draw(np.random.default_rng(4), count, lag)


def test_adding():
    inputs, targets = drawn("adding")
    assert inputs.shape == (50, 9, 2) and inputs.dtype == np.float32
    for sequence, target in zip(inputs, targets, strict=True):
        (first,), (second,) = (np.flatnonzero(half) for half in (sequence[:4, 1], sequence[4:, 1]))
        np.testing.assert_allclose(target, sequence[first, 0] + sequence[4 + second, 0])
        assert set(sequence[:, 1]) == {0, 1}
    many, sums = drawn("adding", 200, 20_000)
    np.testing.assert_allclose(np.var(sums), data.TASKS["adding"].guess(200), rtol=0.03)
    assert set(np.flatnonzero(many[:, :, 1].sum(axis=0))) == set(range(200))


def test_copy():
    inputs, targets = drawn("copy")
    assert inputs.shape == (50, 15, 10) and targets.shape == (50, 15)
    read = inputs.argmax(axis=-1)
    assert (inputs.sum(axis=-1) == 1).all()
    np.testing.assert_array_equal(targets[:, -3:], read[:, :3])
    assert (read[:, :3] < 8).all() and (read[:, 3:11] == 8).all() and (read[:, 11] == 9).all()
    assert (read[:, 12:] == 8).all() and (targets[:, :-3] == 8).all()
    # Blanks for certain, and any symbol with the same probability, where symbols are to come.
    steps = targets.shape[1]
    np.testing.assert_allclose(data.TASKS["copy"].guess(9), 3 * np.log(8) / steps)


def test_parity():
    inputs, targets = drawn("parity")
    np.testing.assert_array_equal(targets, inputs[:, 0].argmax(axis=-1) % 2)
    assert inputs.shape == (50, 9, 10) and (inputs.sum(axis=-1) == 1).all()


def written(task, sequence):
    """A sequence as people write it."""
    if task == "adding":
        return " ".join(f"{value:.7f}{'*' * int(mark)}" for value, mark in sequence)
    symbols = sequence.argmax(axis=-1)
    return " ".join(data.SYMBOLS[s] for s in symbols[:3]) if task == "copy" else " ".join(map(str, symbols))


@pytest.mark.parametrize("task", data.TASKS)
def test_written_sequences_are_those_of_training(task):
    inputs, _ = drawn(task)
    texts = [written(task, sequence) for sequence in inputs]
    np.testing.assert_allclose([data.TASKS[task].parse(text, 9) for text in texts], inputs, atol=1e-6)
    parse, _ = GRAPHS[task]
    read, is_valid = parse(tf.constant(texts), 9)
    assert is_valid.numpy().all()
    np.testing.assert_allclose(read.to_tensor().numpy(), inputs, atol=1e-6)


@pytest.mark.parametrize(
    ("task", "valid", "invalid"),
    [
        (
            "adding",
            ["0.5* .25 1*", "1e-3* 0* 2E-1"],
            ["", "0.1* 2*", "0* nan*", "1* 1* 1e999", "0** 0.2*", "٣* 0*"],
        ),
        ("copy", ["a b h", " c  c c"], ["", "a b", "a b c d", "a b i", "abc"]),
        ("parity", ["1 2 3", "07"], ["", "17", "-1", "1.0", "x", "²", "99999999999"]),
    ],
)
def test_invalid_sequences_do_not_change_the_valid_ones(task, valid, invalid):
    assert not any(data.TASKS[task].parse(text, 5) is None for text in valid)
    assert all(data.TASKS[task].parse(text, 5) is None for text in invalid)
    parse, _ = GRAPHS[task]
    inputs, is_valid = parse(tf.constant([valid[0], *invalid, *valid[1:]]), 5)
    assert is_valid.numpy().tolist() == [True, *[False] * len(invalid), *[True] * (len(valid) - 1)]
    alone, _ = parse(tf.constant(valid), 5)
    assert tf.ragged.boolean_mask(inputs, is_valid).to_list() == alone.to_list()


def test_tested_sequences_are_always_the_same():
    config = Config(task="adding", lag=12)
    first, again = data.test_sequences(config), data.test_sequences(dataclasses.replace(config, seed=7, cell="gru"))
    np.testing.assert_array_equal(first[0], again[0])
    assert len(first[0]) == data.TEST_SEQUENCES


def test_training_ends_where_the_task_is_solved(solved):
    rows = (solved / "history.csv").read_text().splitlines()[1:]
    assert 1 < len(rows) < PARITY.epochs
    found = load(solved).measure()
    assert found["solved"] and found["loss"] < data.goal(PARITY) < found["guess"]
    assert len(found["flow"]) == PARITY.lag
    np.testing.assert_allclose(found["arrives"], found["flow"][0] / found["flow"][-2])
    np.testing.assert_allclose(found["lost"], 1 - found["arrives"])
    assert set(found["spectral_radii"]) == {"update", "reset", "candidate"}


def test_flow_is_that_of_the_sequences_alone(solved):
    experiment = load(solved)
    inputs, targets = data.test_sequences(PARITY)
    alone = [
        next(iter(gradient_flow(experiment.model, x[None], y[None], model.loss(PARITY)).values()))[0]
        for x, y in zip(inputs[: model.FLOW_SEQUENCES], targets[: model.FLOW_SEQUENCES], strict=True)
    ]
    np.testing.assert_allclose(experiment.measure()["flow"], np.mean(alone, axis=0), rtol=1e-4)


def test_of_the_copy_task_the_last_symbol_is_asked_for():
    config = Config(task="copy", lag=5, units=8)
    found = model.measure_flow(model.build(config), config)
    assert len(found["flow"]) == 11
    np.testing.assert_allclose(found["arrives"], found["flow"][2] / found["flow"][-2])


@pytest.mark.parametrize("task", data.TASKS)
def test_no_constant_answer_is_better_than_the_guess(task):
    """Of constant logits, those of the shares of the answers are the best, and of constant sums the mean."""
    config = Config(task=task, lag=20)
    _, targets = drawn(task, 20, 20_000)
    if task == "adding":
        constant = np.full_like(targets, targets.mean())
    else:
        classes = data.TASKS[task].outputs
        steps = np.reshape(targets, (len(targets), -1))
        shares = np.stack([np.mean(steps == each, axis=0) for each in range(classes)], axis=-1)
        constant = np.log(np.maximum(shares, 1e-12)) * np.ones((len(targets), 1, 1))
        constant = constant if data.TASKS[task].is_sequence else constant[:, 0]
    found = float(model.loss(config)(targets, constant.astype("float32")))
    np.testing.assert_allclose(found, data.TASKS[task].guess(20), rtol=0.02)


def test_label_smoothing_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="label_smoothing"):
        model.train(dataclasses.replace(PARITY, label_smoothing=0.1), tmp_path)


def test_answers(solved):
    experiment = load(solved)
    assert experiment.solve(["7 1 0 3 2 2", "4 1 1 1 9 3"]) == ["odd", "even"]
    assert experiment.solve([]) == []
    for text in ("17 1 1", "x 1", "-1 2", ""):
        with pytest.raises(UsageError, match=r"not a sequence of the task parity: .*(digits|convert)"):
            experiment.solve([text])


@pytest.mark.parametrize("task", ["adding", "copy"])
def test_answers_of_the_other_tasks_are_those_of_the_network(task):
    config = Config(task=task, lag=9, units=8)
    network = model.build(config)
    experiment = model.Experiment(config, network)
    inputs, _ = drawn(task, count=5)
    outputs = network.predict(inputs, verbose=0)
    found = experiment.solve([written(task, sequence) for sequence in inputs])
    if task == "adding":
        np.testing.assert_allclose([float(text) for text in found], outputs[:, 0], atol=1e-3)
        for text in ("", "0.1 0.2", "0.1* 0.2* 0.3*", "0.1* nan*", "0.1* 1e9*", "0.1* -0.5*"):
            with pytest.raises(UsageError, match="two of them with a star"):
                experiment.solve([text])
    else:
        symbols = [*data.SYMBOLS, "-"]
        assert found == [" ".join(symbols[s] for s in row[-3:].argmax(axis=-1)) for row in outputs]
        with pytest.raises(UsageError, match="3 of the letters"):
            experiment.solve(["a b c d"])


def test_a_gap_of_lengths_changes_nothing():
    config = Config(task="adding", lag=9, units=8)
    experiment = model.Experiment(config, model.build(config))
    texts = ["0.5* 0.1 0.2*", "0.1 0.2 0.3* 0.4 0.5*"]
    assert experiment.solve(texts) == [experiment.solve([text])[0] for text in texts]


def test_starts():
    radii = {}
    for start, scale in (("orthogonal", 1.0), ("orthogonal", 1.5), ("identity", 0.5), ("glorot", 1.0)):
        config = Config(lag=8, cell="simple_rnn", start=start, scale=scale)
        radii[start, scale] = model.measure_flow(model.build(config), config)["spectral_radii"]["state"]
    np.testing.assert_allclose(radii["orthogonal", 1.0], 1, rtol=1e-5)
    np.testing.assert_allclose(radii["orthogonal", 1.5], 1.5, rtol=1e-5)
    np.testing.assert_allclose(radii["identity", 0.5], 0.5, rtol=1e-5)
    assert 0.7 < radii["glorot", 1.0] < 1.3
    forgetting, remembering = (model.build(Config(cell="lstm", bias=bias)).layers[0] for bias in ("zeros", "forget"))
    assert np.unique(forgetting.get_weights()[2]).tolist() == [0]
    assert remembering.get_weights()[2].reshape(4, -1).mean(axis=1).tolist() == [0, 1, 0, 0]
    chrono = model.build(Config(cell="lstm", bias="chrono", lag=50)).layers[0].get_weights()[2].reshape(4, -1)
    np.testing.assert_array_equal(chrono[0], -chrono[1])
    assert 0 <= chrono[1].min() < chrono[1].max() <= np.log(49)


@pytest.mark.parametrize("options", [{"cell": "gru", "bias": "forget"}, {"cell": "simple_rnn", "bias": "chrono"}])
def test_biases_that_a_cell_does_not_have(options):
    with pytest.raises(TrainingError, match="has no"):
        model.build(Config(**options))


@pytest.mark.deploy
def test_export_in_plain_tensorflow(solved, plain_tensorflow, check_rows, tmp_path):
    load(solved).export(tmp_path / "export")
    texts = ["7 1 0 3 2 2", "4 1 1 1 9 3"]
    assert plain_tensorflow(PLAIN, export=tmp_path / "export", texts=texts) == [["odd", "even"], []]
    error = "not a sequence of the task parity: a sequence is digits with spaces between them"
    texts = [texts[0], "", "1 x", b"1 \xff", "9" * 500, texts[1]]
    check_rows(tmp_path / "export", "serving_default", {"text": texts}, ["", *[error] * 4, ""])


def test_command_line(solved, capsys):
    assert cli.main(["long_memory", "predict", str(solved), "7 1 0 3 2 2"]) == 0
    assert capsys.readouterr().out == "odd\n"
    assert cli.main(["long_memory", "predict", str(solved), "seven"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "not a sequence of the task parity" in line
    assert cli.main(["long_memory", "evaluate", str(solved)]) == 0
    assert json.loads(capsys.readouterr().out)["solved"]


@pytest.mark.rest
def test_report(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "KINDS", {"GRU": {"cell": "gru"}})
    growing = {"cell": "simple_rnn", "activation": "relu", "scale": 1e9, "learning_rate": 1e9}
    monkeypatch.setattr(report, "EFFECTS", {"Size": report.Effect("The <size>.", {"large": growing})})
    small = {"units": 8, "epochs": 2, "steps_per_epoch": 3}
    runs = report.experiments([5], ["parity", "adding"])
    runs = {name: dataclasses.replace(config, **small) for name, config in runs.items()}
    runs["the same"] = runs["adding, GRU, lag 5"]
    assert set(runs) == {"parity, GRU, lag 5", "adding, GRU, lag 5", "Size: large", "the same"}
    results = report.run_all(runs, tmp_path / "runs", jobs=1)
    page.write(results, [5], ["parity", "adding"], tmp_path)
    numbers = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)  # not Infinity, not NaN
    assert numbers == json.loads(json.dumps(results))
    untrained = results["Size: large"]["untrained"]
    assert None in untrained["flow"] and untrained["arrives"] is None and untrained["lost"] is None
    text = (tmp_path / "figures" / "report.html").read_text()
    sources = re.findall(r"""(?:src|href)=["']?([^"' >]*)""", text)
    assert len(sources) == 4 and all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert "because the training diverged at once: large." in text and "trained" not in results["Size: large"]
    assert text.count(">no (error ") == 2 and text.count("<table>") == 2 * 3 + 1
    opening, after = text.split("</b></p>")
    sentences = page.finding(results, [5], ["parity", "adding"])
    assert html.unescape(opening).endswith(" ".join(sentences)) and sentences[1].startswith("No cell solves the parity")
    assert after.index("<table>") < after.index("<img")
    assert "<h3>Size</h3><p>The &lt;size&gt;. The task at lag 5 is solved with: none of them.</p>" in after
    assert re.findall("<(img|figcaption)", text) == ["img", "figcaption"] * 4  # a caption under each plot
    assert results["the same"] == results["adding, GRU, lag 5"] != results["parity, GRU, lag 5"]

    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*.json")}
    assert len(done) == 3
    # What is done already is read, whatever else is asked for.
    other = {"one": dataclasses.replace(PARITY, **small), "two": runs["adding, GRU, lag 5"]}
    again = report.run_all(other, tmp_path / "runs", jobs=1)
    assert again["two"] == results["adding, GRU, lag 5"] and again["one"]["config"]["task"] == "parity"
    now = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*.json")}
    assert len(now) == 4 and done.items() <= now.items()


@pytest.mark.rest
def test_a_run_whose_loss_is_no_number_any_more_has_diverged(tmp_path, monkeypatch):
    config = dataclasses.replace(PARITY, units=4, epochs=4, steps_per_epoch=2)
    drawn = data.TASKS["parity"].draw

    def draw(generator, count, lag):
        inputs, targets = drawn(generator, count, lag)
        if any((tmp_path / name / "history.csv").exists() for name in (".run.unfinished", "run")):
            inputs = np.full_like(inputs, np.nan)
        return inputs, targets

    task = dataclasses.replace(data.TASKS["parity"], draw=draw)
    monkeypatch.setitem(data.TASKS, "parity", task)
    result = report.run(config, tmp_path / "run.json")
    assert result["diverged"] and result["steps"] == 2 and len(result["losses"]) == 1 and result["trained"]["flow"]
    assert "diverged after 2 (error not a number)" in page._steps(result)


@pytest.mark.rest
def test_what_a_page_says_of_a_result(solved, tmp_path):
    result = report.run(PARITY, tmp_path / "run.json")
    assert result["trained"]["solved"] and not result["diverged"]
    assert result["losses"][-1] < model.MARGIN * data.goal(PARITY) < min(result["losses"][:-1])
    assert f'class="solved">{result["steps"]:,} (error 0.0' in page._steps(result)
    for factors, cell in {(0.251, 3141.5): "0.251 → 3.14e+03", (4.2e-26, None): "4.2e-26 → not a number"}.items():
        before, after = ({"arrives": factor} for factor in factors)
        assert page._gradient_factor({"untrained": before, "trained": after}) == f"<td>{cell}</td>"
    losses = page._learning_plot({"GRU": result}, "Parity")
    picture = base64.b64decode(re.search('base64,([^"]+)', losses)[1]).decode()
    assert "<!-- solved -->" in picture and "<!-- best constant prediction -->" in picture
    curves, *_ = page._flows({"x": {"untrained": {"flow": [0.0, None, 4.0, 2.0, 3.0]}}})
    np.testing.assert_array_equal(curves["x"], [range(5), [1.5, 1, 2, np.nan, np.nan]])


@pytest.mark.rest
def test_new_sequences_that_are_a_little_harder_are_no_divergence(tmp_path, monkeypatch):
    monkeypatch.setattr(model.Experiment, "measure", lambda self: {"loss": 1.0, "solved": False})
    assert not report.run(PARITY, tmp_path / "run.json")["diverged"]


@pytest.mark.faults
def test_a_report_that_is_stopped_goes_on_where_it_was(tmp_path):
    """A process that is ended in the middle of long trainings ends at once, and leaves what was trained."""
    code = f"""
import dataclasses, sys
from keras_recurrent.apps import cli
from keras_recurrent.apps.long_memory import report
if __name__ == "__main__":
    report.KINDS, report.EFFECTS = {{"GRU": {{"cell": "gru"}}}}, {{}}
    sys.exit(cli.main(["long_memory", "report", {str(tmp_path / "out")!r}, "--longest", "25", "--jobs", "1"]))
"""
    (tmp_path / "long.py").write_text(code)
    process = subprocess.Popen([sys.executable, tmp_path / "long.py"], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(tmp_path.glob("out/runs/.*/history.csv")):
        time.sleep(0.2)
    process.terminate()
    assert process.wait(20) == 143
    assert list(tmp_path.glob("out/runs/.*/history.csv")) and not (tmp_path / "out" / "report.json").exists()


@pytest.mark.rest
def test_a_run_that_fails_ends_the_report(tmp_path):
    wrong = {"wrong": dataclasses.replace(PARITY, cell="simple_rnn", bias="chrono")}
    many = {
        str(seed): dataclasses.replace(PARITY, epochs=2, units=4, steps_per_epoch=1, seed=seed) for seed in range(40)
    }
    with pytest.raises(TrainingError, match="chrono"):
        report.run_all({**wrong, **many}, tmp_path, jobs=1)
    assert len(list(tmp_path.glob("*.json"))) < 10


def result(solved, steps=100, arrives=0.5):
    trained = {"trained": {"solved": solved, "arrives": arrives}} if solved is not None else {}
    return {"untrained": {"arrives": 1.0}, "steps": steps, **trained}


def test_finding_is_that_of_the_results():
    tanh, relu, *_ = report.KINDS
    kinds = [page._cell_name(kind) for kind in report.KINDS]
    assert kinds[0] == "vanilla (tanh)" and kinds[4] == "GRU"
    results = {f"adding, {kind}, lag {lag}": result(True, 400) for kind in report.KINDS for lag in (25, 50)}
    results[f"adding, {tanh}, lag 50"] = result(False, 900, 3e-7)
    results[f"adding, {relu}, lag 50"] = result(True, 1200, 8.0)
    results["adding, GRU, lag 50"] = result(True, 300)
    assert page.finding(results, [25, 50], ["adding"]) == [
        f"At lag 50, the longest one of this report, the adding task is solved by {', '.join(kinds[1:5])} and "
        f"{kinds[5]}, and not by {kinds[0]}.",
        f"GRU solves the adding task at lag 50 in 300 training steps, the fewest, and {kinds[1]} in 1,200, the most.",
        "After training, at lag 50, the gradient of the adding task is multiplied on its way back over the lag by "
        f"3e-07 in {kinds[0]}, which does not solve it, and by 8 in {kinds[1]}, which solves it.",
    ]


def test_finding_if_no_cell_solves_the_task_at_the_longest_lag():
    results = {f"copy, {kind}, lag 50": result(None) for kind in report.KINDS}  # diverged at once
    results |= {f"copy, {kind}, lag 25": result(False) for kind in report.KINDS}
    assert page.finding(results, [25, 50], ["copy"]) == [
        "At lag 50, the longest one of this report, no cell solves the copy task.",
        "No cell solves the copy task at any lag.",
        "After training, at lag 50, the gradient of the copy task is not a number in any cell.",
    ]
    results |= {f"copy, {kind}, lag 25": result(True) for kind in report.KINDS}
    _, fastest, _ = page.finding(results, [25, 50], ["copy"])
    assert fastest.startswith("Vanilla (tanh) solves the copy task at lag 25 in 100 training steps, and no other")
    first, *_ = page.finding(results, [25], ["copy"])
    assert first == "At lag 25, the longest one of this report, every cell solves the copy task."
