"""All cells on all tasks at all lags, and what their gradients do, on one page."""

import base64
import csv
import dataclasses
import html
import io
import json
import multiprocessing
import os
import zlib
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..shared.allocator import keep_freed_memory
from ..shared.console import progress
from ..shared.errors import TrainingError
from ..shared.models import folders
from .config import Config

LAGS = (25, 50, 100, 200, 400)
KINDS = {
    "vanilla, tanh": {"cell": "simple_rnn"},
    "vanilla, ReLU from the unit matrix": {"cell": "simple_rnn", "activation": "relu", "start": "identity"},
    "LSTM, forget bias 1": {"cell": "lstm", "bias": "forget"},
    "LSTM, chrono": {"cell": "lstm", "bias": "chrono"},
    "GRU": {"cell": "gru"},
    "GRU, chrono": {"cell": "gru", "bias": "chrono"},
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
    "Clipping, ReLU from 1.05 times the unit matrix": {
        name: {"cell": "simple_rnn", "activation": "relu", "start": "identity", "scale": 1.05, "clip_norm": norm}
        for name, norm in {"gradients cut to a norm of 1": 1.0, "gradients not cut": UNCLIPPED}.items()
    },
    "How the recurrent weights start, tanh": {
        start: {"cell": "simple_rnn", "start": start} for start in ("orthogonal", "glorot", "identity")
    },
    "ReLU against tanh": {
        f"{activation} from {start}": {"cell": "simple_rnn", "activation": activation, "start": start}
        for start in ("orthogonal", "identity")
        for activation in ("tanh", "relu")
    },
    "The LSTM's biases": {
        "forget bias 0": {"cell": "lstm", "bias": "zeros"},
        "forget bias 1": {"cell": "lstm", "bias": "forget"},
        "chrono": {"cell": "lstm", "bias": "chrono"},
    },
}
# At the rates that gates are quickest with, the vanilla network does not even learn what it can.
VANILLA_RATE = 0.001
GATED_RATES = {"adding": 0.005, "copy": 0.02, "parity": 0.005}
# Training steps of a run times its lag, at most, so that all lags take as long.
READ = {"adding": 240_000, "copy": 60_000, "parity": 120_000}
COMPILED = 100  # the lag from which on XLA saves more than it takes
EFFECT_LAG = 100
SHOWN_LAG = 200  # whose gradients are drawn beside those of the longest


def experiments(lags, tasks, seed=0):
    """The configurations of all runs, by name: those of the tables, and those of the effects."""

    def config(task, lag, cell, **options):
        rate = VANILLA_RATE if cell == "simple_rnn" else GATED_RATES[task]
        options = {"learning_rate": rate, "jit": lag >= COMPILED, **options}
        epochs = READ[task] // (Config.steps_per_epoch * lag)
        return Config(task=task, lag=lag, cell=cell, epochs=epochs, seed=seed, **options)

    runs = {
        f"{task}, {kind}, lag {lag}": config(task, lag, **options)
        for task in tasks
        for kind, options in KINDS.items()
        for lag in lags
    }
    for group, kinds in EFFECTS.items():
        for kind, options in kinds.items():
            runs[f"{group}: {kind}"] = config("adding", min(EFFECT_LAG, max(lags)), **options)
    return runs


def run(config, path):
    """Runs an experiment, if its result is not in the file `path` yet.

    Returns:
        The result, a dictionary: what `Experiment.measure` found before training, `untrained`, and after it, of the
        best weights, `trained`; the training `steps`; after each epoch the validation's loss, `losses`; and `diverged`,
        whether it ended because the loss was no number any more. If that was so in the first epoch, there is nothing
        `trained`.
    """
    path = Path(path)
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    import keras

    from ..shared.errors import NotANumberError
    from .data import goal
    from .model import MARGIN, Experiment, build, train

    keras.utils.set_random_seed(config.seed)  # as `train` does
    result = {"config": dataclasses.asdict(config), "untrained": Experiment(config, build(config)).measure()}
    losses = []
    try:
        with folders.resumable(path.with_suffix(""), config, resume=True, overwrite=False) as partial:
            result["trained"] = train(config, partial).measure()
            with open(partial / "history.csv", newline="", encoding="utf-8") as file:
                losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    except NotANumberError:
        pass
    ended = len(losses) == config.epochs or (losses and losses[-1] < MARGIN * goal(config))
    result.update(steps=len(losses) * config.steps_per_epoch, losses=losses, diverged=not ended)
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
        except BrokenProcessPool as error:
            raise TrainingError("a process was killed, perhaps for its memory; fewer jobs need less") from error
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()  # what it trains goes on in the next report
            raise
    return {name: results[config] for name, config in runs.items()}


def _alone(jobs, log):
    """Gives a process its share of the cores, and a file for its chatter."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    keep_freed_memory()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(max(1, (os.cpu_count() or 1) // jobs))
    tf.config.threading.set_inter_op_parallelism_threads(1)


def page(results, lags, tasks):
    """The report as one HTML text that needs no other file."""
    from .data import TASKS

    parts = [f"<h1>What recurrent cells remember</h1>{_INTRODUCTION}"]
    for task in tasks:
        parts.append(f"<h2>{task}: {TASKS[task].what}</h2>")
        found = {kind: {lag: results[f"{task}, {kind}, lag {lag}"] for lag in lags} for kind in KINDS}
        for what, cell in _TABLES.items():
            parts.append(_table(f"{what} at lag", lags, {kind: map(cell, of.values()) for kind, of in found.items()}))
        for lag in sorted({min(SHOWN_LAG, max(lags)), max(lags)}):
            of_lag = {kind: of[lag] for kind, of in found.items()}
            parts.append(_plot({f"before training, lag {lag}": _flows(of_lag), "after it": _flows(of_lag, "trained")}))
    for group, kinds in EFFECTS.items():
        found = {kind: results[f"{group}: {kind}"] for kind in kinds}
        lag = min(EFFECT_LAG, max(lags))
        parts.append(f"<h2>{html.escape(group)}</h2><p>The adding problem at lag {lag}.</p>")
        parts.append(
            _table("", _TABLES, {kind: [cell(one) for cell in _TABLES.values()] for kind, one in found.items()})
        )
        parts.append(_plot({"before training": _flows(found), "after it": _flows(found, "trained")}))
        parts.append(_plot({"the error on new sequences": _learning(found)}))
    return f'<!doctype html><meta charset="utf-8"><title>Long memory</title><style>{_STYLE}</style>{"".join(parts)}\n'


_INTRODUCTION = f"""
<p>Each network has one recurrent layer, and one seed, and learns with Adam: the vanilla ones at a rate of
{VANILLA_RATE}, those with gates at {GATED_RATES["adding"]}, and on the copy task at {GATED_RATES["copy"]}. A run ends
where the task is solved, or at its last step, of which a short lag has more than a long one. The curves show the norm
of the derivative of the last answer's loss with respect to the state so many steps before the answer, as a share of
that one step before it, on new sequences (of an LSTM, to both its states, for what it remembers is in the cell state):
where it falls, gradients vanish, and what was read there can hardly be learned; where it rises, they explode. How much
of it is lost is said of the step that the answer asks for: the first one, and of the copy task that of the last symbol.
The spectral radius is that of the recurrent weights; of several gates, the largest. An arrow leads from before training
to after it.</p>
"""
_STYLE = """
body { font-family: sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; line-height: 1.4 }
table { border-collapse: collapse; margin: 1em 0 }
td, th { border: 1px solid #999; padding: .3em .6em; text-align: right }
td:first-child, th:first-child { text-align: left } .solved { background: #cfc } img { max-width: 100%; display: block }
"""


def _table(corner, heads, rows):
    """A table whose `rows`, by what stands before them, are lists of cells `<td>...</td>`."""
    heads = "".join(f"<th>{html.escape(str(head))}</th>" for head in (corner, *heads))
    rows = [f"<tr><td>{html.escape(name)}</td>{''.join(cells)}</tr>" for name, cells in rows.items()]
    return f"<table><tr>{heads}</tr>{''.join(rows)}</table>"


def _steps(result):
    if "trained" not in result:
        return "<td>diverged at once</td>"
    loss = result["trained"]["loss"]
    error = "no number" if loss is None else f"{loss:.2g}, {loss / result['trained']['guess']:.0%} of the guess"
    if result["trained"]["solved"]:
        return f'<td class="solved">{result["steps"]:,} (error {loss:.2g})</td>'
    ended = f"diverged after {result['steps']:,}" if result["diverged"] else "no"
    return f"<td>{ended} (error {error})</td>"


def _lost(result):
    def told(found):
        share = found["arrives"]
        if share is None:
            return "no number"
        if share > 1:
            return f"none, it grows {share:,.3g} times"
        return f"{1 - share:.1%}" if share > 0.001 else f"all but {share:.0e}"

    return _before_and_after(result, told)


def _radius(result):
    return _before_and_after(result, lambda found: f"{max(found['spectral_radii'].values()):.2f}")


def _before_and_after(result, told):
    return f"<td>{' → '.join(told(result[when]) for when in ('untrained', 'trained') if when in result)}</td>"


_TABLES = {"steps to solve it": _steps, "gradient lost": _lost, "spectral radius": _radius}


def _flows(found, when="untrained"):
    """The curves of the gradients of some results: steps back, and the norms as shares of that one step back."""
    curves = {}
    for name, result in found.items():
        if when in result:
            norms = np.array(result[when]["flow"], float)[::-1]  # None is NaN
            with np.errstate(divide="ignore", invalid="ignore"):
                shares = norms / norms[1]
            curves[name] = np.arange(len(norms)), np.where(shares > 0, shares, np.nan)
    return curves, "steps before the answer", "norm of the gradient"


def _learning(found):
    """The curves of the losses of some results over the steps of training."""
    curves = {}
    for name, result in found.items():
        steps = (1 + np.arange(len(result["losses"]))) * result["config"]["steps_per_epoch"]
        curves[name] = steps, result["losses"]
    return curves, "steps of training", "loss"


def _plot(panels):
    """Curves beside each other as a picture inside the page; `panels` are by their titles what `_flows` returns."""
    figure = Figure(figsize=(5.5 * len(panels), 3.4), layout="constrained")
    row = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, (curves, across, up)) in zip(row, panels.items(), strict=True):
        for name, (x, y) in curves.items():
            axes.semilogy(x, y, label=name)
        axes.set(title=title, xlabel=across, ylabel=up)
        if curves:
            axes.legend(fontsize="small")
    file = io.BytesIO()
    figure.savefig(file, format="svg")
    alt, picture = html.escape(", ".join(panels)), base64.b64encode(file.getvalue()).decode()
    return f'<img alt="{alt}" src="data:image/svg+xml;base64,{picture}">'


def write(results, lags, tasks, folder):
    """Writes the page, `figures/report.html`, and the numbers, `report.json`, into a folder."""
    folder = Path(folder)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    with folders.whole_file(folder / "figures" / "report.html") as partial:
        partial.write_text(page(results, lags, tasks), encoding="utf-8")
    with folders.whole_file(folder / "report.json") as partial:
        partial.write_text(json.dumps(results, indent=1), encoding="utf-8")
