"""All cells on all tasks at all lags, and what their gradients do, on one page."""

import base64
import dataclasses
import html
import io
import json
import math
import multiprocessing
import os
import zlib
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from matplotlib.figure import Figure

from .. import folders
from ..console import progress
from .config import Config

LAGS = (25, 50, 100, 200, 400)
KINDS = {
    "vanilla, tanh": {"cell": "simple_rnn"},
    "vanilla, ReLU from the unit matrix": {"cell": "simple_rnn", "activation": "relu", "start": "identity"},
    "LSTM, forget bias 1": {"cell": "lstm", "bias": "forget"},
    "LSTM, chrono": {"cell": "lstm", "bias": "chrono"},
    "GRU": {"cell": "gru"},
}
# What a choice does to the gradient before any training, and to learning: groups of kinds on the adding problem.
UNCLIPPED = 1e9
EFFECTS = {
    "The size of the recurrent weights, tanh": {
        f"weights x {scale:g}": {"cell": "simple_rnn", "scale": scale} for scale in (0.5, 1.0, 1.5)
    },
    "The size of the recurrent weights, ReLU": {
        f"weights x {scale:g}": {"cell": "simple_rnn", "activation": "relu", "scale": scale}
        for scale in (1.0, 1.4, 2.0)
    },
    "Clipping, ReLU from the unit matrix": {
        "gradients cut to a norm of 1": {"cell": "simple_rnn", "activation": "relu", "start": "identity"},
        "gradients not cut": {
            "cell": "simple_rnn",
            "activation": "relu",
            "start": "identity",
            "clip_norm": UNCLIPPED,
        },
    },
    "How the recurrent weights start, tanh": {
        start: {"cell": "simple_rnn", "start": start} for start in ("orthogonal", "glorot", "identity")
    },
    "The LSTM's biases": {
        "forget bias 0": {"cell": "lstm", "bias": "zeros"},
        "forget bias 1": {"cell": "lstm", "bias": "forget"},
        "chrono": {"cell": "lstm", "bias": "chrono"},
    },
}
EFFECT_LAG = 100


def experiments(lags, tasks):
    """The configurations of all runs, by name: those of the tables, and those of the effects."""
    runs = {
        f"{task}, {kind}, lag {lag}": Config(task=task, lag=lag, **options)
        for task in tasks
        for kind, options in KINDS.items()
        for lag in lags
    }
    for group, kinds in EFFECTS.items():
        for kind, options in kinds.items():
            runs[f"{group}: {kind}"] = Config(lag=EFFECT_LAG, **options)
    return runs


def run(config, path):
    """Runs an experiment, if its result is not in the file `path` yet.

    Returns:
        The result, a dictionary: what `Experiment.measure` found before training, `untrained`, and after it, `trained`;
        the training `steps`; and why it ended where it did not end well, `diverged`.
    """
    path = Path(path)
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    import keras

    from .model import Experiment, build, train

    keras.utils.set_random_seed(config.seed)  # as `train` does
    result = {"config": dataclasses.asdict(config), "untrained": Experiment(config, build(config)).measure()}
    folder = path.with_suffix("")
    try:
        with folders.resumable(folder, config, resume=True, overwrite=False) as partial:
            experiment = train(config, partial)
            rows = (partial / "history.csv").read_text(encoding="utf-8").count("\n") - 1
        trained = experiment.measure()
        if trained["loss"] is None or (rows < config.epochs and not trained["solved"]):
            raise folders.TrainingError(f"the loss is not a number after {rows * config.steps_per_epoch} steps")
        result.update(trained=trained, steps=rows * config.steps_per_epoch)
    except folders.TrainingError as error:
        result["diverged"] = str(error)
    with folders.whole_file(path) as partial:
        partial.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def run_all(runs, folder, jobs):
    """Runs experiments, `jobs` at a time in processes of their own, and returns their results by name.

    Those with one configuration are one run. Its result has a file in `folder`, named by the configuration's checksum;
    what the processes have to say goes into `log.txt` there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    results = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_alone, initargs=(jobs, folder / "log.txt")) as pool:
        paths = {config: folder / f"{zlib.crc32(repr(config).encode()):08x}.json" for config in runs.values()}
        waiting = {pool.submit(run, config, path): config for config, path in paths.items()}
        try:
            for done in progress(as_completed(waiting), len(waiting), "experiments"):
                results[waiting[done]] = done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return {name: results[config] for name, config in runs.items()}


def _alone(jobs, log):
    """Gives a process its share of the cores, and a file for its chatter."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(max(1, (os.cpu_count() or 1) // jobs))
    tf.config.threading.set_inter_op_parallelism_threads(1)


def page(results, lags, tasks):
    """The report as one HTML text that needs no other file."""
    from .data import TASKS

    parts = [f"<h1>What recurrent cells remember</h1>{_INTRODUCTION}"]
    for task in tasks:
        parts.append(f"<h2>{task}: {TASKS[task].what}</h2>")
        parts.append(_table(task, results, lags))
        longest = max(lags)
        curves = {kind: results[f"{task}, {kind}, lag {longest}"]["untrained"]["flow"] for kind in KINDS}
        parts.append(_plot(f"before training, lag {longest}", curves))
        trained = {
            kind: found["trained"]["flow"]
            for kind in KINDS
            if "trained" in (found := results[f"{task}, {kind}, lag {longest}"])
        }
        parts.append(_plot(f"after training, lag {longest}", trained))
    for group, kinds in EFFECTS.items():
        found = {kind: results[f"{group}: {kind}"] for kind in kinds}
        parts.append(f"<h2>{html.escape(group)}</h2><p>The adding problem at lag {EFFECT_LAG}.</p>")
        parts.append(_effects(found))
        parts.append(_plot("before training", {kind: one["untrained"]["flow"] for kind, one in found.items()}))
    return f'<!doctype html><meta charset="utf-8"><title>Long memory</title><style>{_STYLE}</style>{"".join(parts)}\n'


_INTRODUCTION = """
<p>Each network has one recurrent layer. A run ends where the task is solved, or at its last step. The curves show the
norm of the derivative of the last answer's loss with respect to the state after each step, on new sequences (of an
LSTM, to both its states, for what it remembers is in the cell state): where it falls towards the first steps, gradients
vanish, and what was read there can hardly be learned; where it rises, they explode. The spectral radius is that of the
recurrent weights; of several gates, the largest.</p>
"""
_STYLE = """
body { font-family: sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; line-height: 1.4 }
table { border-collapse: collapse; margin: 1em 0 }
td, th { border: 1px solid #999; padding: .3em .6em; text-align: right }
td:first-child, th:first-child { text-align: left } .solved { background: #cfc } img { max-width: 100% }
"""


def _table(task, results, lags):
    rows = ["<tr><th>steps to solve it at lag</th>" + "".join(f"<th>{lag}</th>" for lag in lags) + "</tr>"]
    for kind in KINDS:
        cells = [_outcome(results[f"{task}, {kind}, lag {lag}"]) for lag in lags]
        rows.append(f"<tr><td>{html.escape(kind)}</td>{''.join(cells)}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _outcome(result):
    if "diverged" in result:
        return "<td>diverged</td>"
    if result["trained"]["solved"]:
        return f'<td class="solved">{result["steps"]:,}</td>'
    return f"<td>no ({result['trained']['loss'] / result['trained']['guess']:.0%} of the guess)</td>"


def _effects(found):
    rows = [
        "<tr><th></th><th>spectral radius at first</th><th>gradient lost at first</th><th>steps to solve it</th></tr>"
    ]
    for kind, one in found.items():
        first = one["untrained"]
        radius = max(first["spectral_radii"].values())
        rows.append(
            f"<tr><td>{html.escape(kind)}</td><td>{radius:.2f}</td><td>{_lost(first['lost'])}</td>{_outcome(one)}</tr>"
        )
    return f"<table>{''.join(rows)}</table>"


def _lost(share):
    if share is None:
        return "too much to count"
    return f"{share:.2%}" if share >= 0 else f"none: it grows {1 - share:,.3g} times"


def _plot(title, curves):
    """Curves over the steps as a picture inside the page."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, norms in curves.items():
        numbers = [math.nan if norm is None else max(norm, 1e-30) for norm in norms]
        axes.semilogy(range(1, len(norms) + 1), numbers, label=name)
    axes.set(title=title, xlabel="step", ylabel="norm of the gradient")
    axes.legend(fontsize="small")
    file = io.BytesIO()
    figure.savefig(file, format="svg")
    return (
        f'<img alt="{html.escape(title)}" src="data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}">'
    )


def write(results, lags, tasks, folder):
    """Writes the page, `figures/report.html`, and the numbers, `report.json`, into a folder."""
    folder = Path(folder)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    with folders.whole_file(folder / "figures" / "report.html") as partial:
        partial.write_text(page(results, lags, tasks), encoding="utf-8")
    with folders.whole_file(folder / "report.json") as partial:
        partial.write_text(json.dumps(results, indent=1), encoding="utf-8")
