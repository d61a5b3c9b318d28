"""One page with all cells on all tasks at all lags, and with their gradients."""

import base64
import contextlib
import csv
import dataclasses
import html
import io
import json
import multiprocessing
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
from matplotlib.figure import Figure

from ...files import atomic_file
from ..shared.allocator import keep_freed_memory
from ..shared.console import progress
from ..shared.errors import TrainingError
from ..shared.models import folders
from .config import Config

Result: TypeAlias = dict[str, Any]  # what `run` returns
Curves: TypeAlias = tuple[dict[str, tuple[Any, Any]], str, str]  # `(x, y)` by name, and the labels of the axes

LAGS = (25, 50, 100, 200, 400)
KINDS: dict[str, dict[str, Any]] = {
    "vanilla, tanh": {"cell": "simple_rnn"},
    "vanilla, ReLU from the identity matrix": {"cell": "simple_rnn", "activation": "relu", "start": "identity"},
    "LSTM, forget bias 1": {"cell": "lstm", "bias": "forget"},
    "LSTM, chrono": {"cell": "lstm", "bias": "chrono"},
    "GRU": {"cell": "gru"},
    "GRU, chrono": {"cell": "gru", "bias": "chrono"},
}
UNCLIPPED = 1e9
# Groups of networks that show the effect of a choice on the adding problem.
EFFECTS: dict[str, dict[str, dict[str, Any]]] = {
    "The size of the recurrent weights, tanh": {
        f"weights x {scale:g}": {"cell": "simple_rnn", "scale": scale} for scale in (0.5, 1.0, 1.5)
    },
    "The size of the recurrent weights, ReLU": {
        f"weights x {scale:g}": {"cell": "simple_rnn", "activation": "relu", "scale": scale}
        for scale in (1.0, 1.4, 2.0)
    },
    "Clipping, ReLU from 1.05 times the identity matrix": {
        name: {"cell": "simple_rnn", "activation": "relu", "start": "identity", "scale": 1.05, "clip_norm": norm}
        for name, norm in {"gradients clipped to a norm of 1": 1.0, "gradients not clipped": UNCLIPPED}.items()
    },
    "The initial recurrent weights, tanh": {
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
# At the rates that suit gated cells best, the vanilla network learns less than it can.
VANILLA_RATE = 0.001
GATED_RATES = {"adding": 0.005, "copy": 0.02, "parity": 0.005}
# Maximum of the training steps of a run times its lag, so that all lags take the same time.
MAX_STEPS_TIMES_LAG = {"adding": 240_000, "copy": 60_000, "parity": 120_000}
COMPILED_LAG = 100  # the shortest lag at which XLA saves more time than it takes
EFFECT_LAG = 100
SHOWN_LAG = 200  # the lag whose gradients are drawn, in addition to the longest one


def experiments(lags: Sequence[int], tasks: Iterable[str], effects: bool = True, seed: int = 0) -> dict[str, Config]:
    """Returns the configurations of all runs by name: those of the tables, then with `effects` those of `EFFECTS`."""

    def config(task: Any, lag: int, cell: str, **options: Any) -> Config:
        rate = VANILLA_RATE if cell == "simple_rnn" else GATED_RATES[task]
        options = {"learning_rate": rate, "jit": lag >= COMPILED_LAG, **options}
        epochs = MAX_STEPS_TIMES_LAG[task] // (Config.steps_per_epoch * lag)
        return Config(task=task, lag=lag, cell=cell, epochs=epochs, seed=seed, **options)

    runs = {
        f"{task}, {kind}, lag {lag}": config(task, lag, **options)
        for task in tasks
        for kind, options in KINDS.items()
        for lag in lags
    }
    for group, kinds in EFFECTS.items() if effects else ():
        for kind, options in kinds.items():
            runs[f"{group}: {kind}"] = config("adding", min(EFFECT_LAG, max(lags)), **options)
    return runs


def run(config: Config, path: str | Path) -> Result:
    """Runs an experiment, unless its result is already in the file `path`.

    Returns:
        Dictionary of `config`; `untrained` and `trained`, the results of `Experiment.measure` before training and for
        the best weights; `steps`, the number of training steps; `losses`, the validation loss after each epoch; and
        `diverged`, whether training ended because the loss was not a number. `trained` is missing if that happened in
        the first epoch.
    """
    path = Path(path)
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    import keras

    from ..shared.errors import NotANumberError
    from .data import goal
    from .model import MARGIN, Experiment, build, train

    keras.utils.set_random_seed(config.seed)  # as `train` does
    result: Result = {"config": dataclasses.asdict(config), "untrained": Experiment(config, build(config)).measure()}
    losses: list[float] = []
    folder = path.with_suffix("")
    try:
        with (
            contextlib.suppress(folders.FinishedError),
            folders.resumable(folder, config, resume=True, overwrite=False) as partial,
        ):
            train(config, partial)
        result["trained"] = Experiment.load(folder).measure()
        with open(folder / "history.csv", newline="", encoding="utf-8") as file:
            losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    except NotANumberError:
        pass
    ended = len(losses) == config.epochs or (losses and losses[-1] < MARGIN * goal(config))
    result.update(steps=len(losses) * config.steps_per_epoch, losses=losses, diverged=not ended)
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def run_all(runs: Mapping[str, Config], folder: str | Path, jobs: int) -> dict[str, Result]:
    """Runs experiments in separate processes and returns their results by name.

    Experiments with the same configuration are run once. A result is written to a file in `folder` that is named by the
    checksum of the configuration. The output of the processes goes to `log.txt` there.

    Args:
        runs: The configurations by name.
        folder: The folder of the results.
        jobs: Number of parallel processes.

    Raises:
        TrainingError: If a process was killed.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    results = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        jobs, mp_context=context, initializer=_initialize, initargs=(jobs, folder / "log.txt")
    ) as pool:
        paths = {config: folder / f"{zlib.crc32(repr(config).encode()):08x}.json" for config in runs.values()}
        waiting = {pool.submit(run, config, path): config for config, path in paths.items()}
        try:
            for done in progress(as_completed(waiting), len(waiting), "experiments"):
                results[waiting[done]] = done.result()
        except BrokenProcessPool as error:
            raise TrainingError(
                "a process was killed, perhaps because memory was short; fewer jobs need less"
            ) from error
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()  # the next report resumes its training
            raise
    return {name: results[config] for name, config in runs.items()}


def _initialize(jobs: int, log: Path) -> None:
    """Gives a process its share of the cores, and redirects its output to a file."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    keep_freed_memory()
    if keras.config.backend() != "tensorflow":
        return
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(max(1, (os.cpu_count() or 1) // jobs))
    tf.config.threading.set_inter_op_parallelism_threads(1)


def page(results: Mapping[str, Result], lags: Sequence[int], tasks: Iterable[str]) -> str:
    """Returns the report as HTML with embedded figures."""
    from .data import TASKS

    parts = [f"<h1>What recurrent cells remember</h1>{_INTRODUCTION}"]
    for task in tasks:
        parts.append(f"<h2>{task}: {TASKS[task].description}</h2>")
        by_kind = {kind: {lag: results[f"{task}, {kind}, lag {lag}"] for lag in lags} for kind in KINDS}
        for title, cell in _COLUMNS.items():
            rows = {kind: map(cell, by_lag.values()) for kind, by_lag in by_kind.items()}
            parts.append(_table(f"{title} at lag", lags, rows))
        for lag in sorted({min(SHOWN_LAG, max(lags)), max(lags)}):
            of_lag = {kind: by_lag[lag] for kind, by_lag in by_kind.items()}
            curves = {f"before training, lag {lag}": _flows(of_lag), "after training": _flows(of_lag, "trained")}
            parts.append(_plot(curves))
    for group, kinds in EFFECTS.items():
        of_group = {kind: results[f"{group}: {kind}"] for kind in kinds if f"{group}: {kind}" in results}
        if not of_group:
            continue
        lag = min(EFFECT_LAG, max(lags))
        parts.append(f"<h2>{html.escape(group)}</h2><p>The adding problem at lag {lag}.</p>")
        cells = {kind: [cell(result) for cell in _COLUMNS.values()] for kind, result in of_group.items()}
        parts.append(_table("", _COLUMNS, cells))
        parts.append(_plot({"before training": _flows(of_group), "after training": _flows(of_group, "trained")}))
        parts.append(_plot({"loss on new sequences": _learning(of_group)}))
    return f'<!doctype html><meta charset="utf-8"><title>Long memory</title><style>{_STYLE}</style>{"".join(parts)}\n'


_INTRODUCTION = f"""
<p>Each network has one recurrent layer and is trained with Adam from a single seed. The learning rate is {VANILLA_RATE}
for vanilla networks, {GATED_RATES["adding"]} for gated ones, and {GATED_RATES["copy"]} for gated ones on the copy task.
A run ends when the task is solved or after a maximum number of steps, which is larger for short lags. The curves show
the norm of the gradient of the last output's loss with respect to the state a number of steps before the output,
relative to one step before it, on new sequences. For an LSTM it is the gradient with respect to both states, because
the cell state carries the memory. Where a curve falls, gradients vanish, and the network can hardly learn from those
steps; where it rises, they explode. The lost gradient refers to the step that the output depends on: the first step,
and for the copy task the step of the last symbol. The spectral radius is that of the recurrent weights, the largest one
for a cell with several gates. An arrow leads from before training to after training.</p>
"""
_STYLE = """
body { font-family: sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; line-height: 1.4 }
table { border-collapse: collapse; margin: 1em 0 }
td, th { border: 1px solid #999; padding: .3em .6em; text-align: right }
td:first-child, th:first-child { text-align: left } .solved { background: #cfc } img { max-width: 100%; display: block }
"""


def _table(corner: str, columns: Iterable[Any], rows: Mapping[str, Iterable[str]]) -> str:
    """Returns an HTML table. `rows` are lists of cells, `<td>...</td>`, by the title of the row."""
    head = "".join(f"<th>{html.escape(str(column))}</th>" for column in (corner, *columns))
    body = [f"<tr><td>{html.escape(name)}</td>{''.join(cells)}</tr>" for name, cells in rows.items()]
    return f"<table><tr>{head}</tr>{''.join(body)}</table>"


def _steps(result: Result) -> str:
    if "trained" not in result:
        return "<td>diverged at once</td>"
    loss = result["trained"]["loss"]
    error = "not a number" if loss is None else f"{loss:.2g}, {loss / result['trained']['guess']:.0%} of the guess"
    if result["trained"]["solved"]:
        return f'<td class="solved">{result["steps"]:,} (error {loss:.2g})</td>'
    ended = f"diverged after {result['steps']:,}" if result["diverged"] else "no"
    return f"<td>{ended} (error {error})</td>"


def _lost(result: Result) -> str:
    def describe(measured: Result) -> str:
        share = measured["arrives"]
        if share is None:
            return "not a number"
        if share > 1:
            return f"none, it grows {share:,.3g} times"
        return f"{1 - share:.1%}" if share > 0.001 else f"all but {share:.0e}"

    return _before_and_after(result, describe)


def _radius(result: Result) -> str:
    return _before_and_after(result, lambda measured: f"{max(measured['spectral_radii'].values()):.2f}")


def _before_and_after(result: Result, describe: Callable[[Result], str]) -> str:
    return f"<td>{' → '.join(describe(result[when]) for when in ('untrained', 'trained') if when in result)}</td>"


_COLUMNS = {"steps to solve it": _steps, "gradient lost": _lost, "spectral radius": _radius}


def _flows(results: Mapping[str, Result], when: str = "untrained") -> Curves:
    """Returns curves of the gradient norms, relative to one step back, over the steps back."""
    curves = {}
    for name, result in results.items():
        if when in result:
            norms = np.array(result[when]["flow"], float)[::-1]  # None is NaN
            with np.errstate(divide="ignore", invalid="ignore"):
                shares = norms / norms[1]
            curves[name] = np.arange(len(norms)), np.where(shares > 0, shares, np.nan)
    return curves, "steps before the output", "norm of the gradient"


def _learning(results: Mapping[str, Result]) -> Curves:
    """Returns curves of the validation loss over the training steps."""
    curves = {}
    for name, result in results.items():
        steps = (1 + np.arange(len(result["losses"]))) * result["config"]["steps_per_epoch"]
        curves[name] = steps, result["losses"]
    return curves, "training steps", "loss"


def _plot(panels: Mapping[str, Curves]) -> str:
    """Returns an HTML image with one panel for each title and its curves."""
    figure = Figure(figsize=(5.5 * len(panels), 3.4), layout="constrained")
    row = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, (curves, xlabel, ylabel)) in zip(row, panels.items(), strict=True):
        for name, (x, y) in curves.items():
            axes.semilogy(x, y, label=name)
        axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
        if curves:
            axes.legend(fontsize="small")
    file = io.BytesIO()
    figure.savefig(file, format="svg")
    alt, picture = html.escape(", ".join(panels)), base64.b64encode(file.getvalue()).decode()
    return f'<img alt="{alt}" src="data:image/svg+xml;base64,{picture}">'


def write(results: Mapping[str, Result], lags: Sequence[int], tasks: Iterable[str], folder: str | Path) -> None:
    """Writes the page, `figures/report.html`, and the numbers, `report.json`, to a folder."""
    folder = Path(folder)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / "figures" / "report.html") as partial:
        partial.write_text(page(results, lags, tasks), encoding="utf-8")
    with atomic_file(folder / "report.json") as partial:
        partial.write_text(json.dumps(results, indent=1), encoding="utf-8")
