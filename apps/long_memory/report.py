"""Trains all cells on all tasks at all lags, and measures their gradients. `page.py` writes the results as a page."""

import contextlib
import csv
import dataclasses
import json
import multiprocessing
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import keras

from ...files import atomic_file
from ..shared.allocator import keep_freed_memory
from ..shared.console import progress
from ..shared.errors import TrainingError
from ..shared.models import folders
from .config import Config

Result: TypeAlias = dict[str, Any]  # what `run` returns

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


class Effect(NamedTuple):
    """Networks that differ in one choice and show its effect on the adding problem.

    Attributes:
        description: What differs.
        kinds: The options of each network by its name.
    """

    description: str
    kinds: dict[str, dict[str, Any]]


EFFECTS = {
    "The size of the recurrent weights, tanh": Effect(
        "A vanilla network with tanh. The initial recurrent weights are an orthogonal matrix times a factor.",
        {f"weights x {scale:g}": {"cell": "simple_rnn", "scale": scale} for scale in (0.5, 1.0, 1.5)},
    ),
    "The size of the recurrent weights, ReLU": Effect(
        "A vanilla network with ReLU. The initial recurrent weights are an orthogonal matrix times a factor.",
        {
            f"weights x {scale:g}": {"cell": "simple_rnn", "activation": "relu", "scale": scale}
            for scale in (1.0, 1.4, 2.0)
        },
    ),
    "Clipping, ReLU from 1.05 times the identity matrix": Effect(
        "A vanilla network with ReLU whose gradients grow by 5 % per step before training. Clipping scales the "
        "gradient of all weights down to a norm of 1 if it is larger.",
        {
            name: {"cell": "simple_rnn", "activation": "relu", "start": "identity", "scale": 1.05, "clip_norm": norm}
            for name, norm in {"gradients clipped to a norm of 1": 1.0, "gradients not clipped": UNCLIPPED}.items()
        },
    ),
    "The initial recurrent weights, tanh": Effect(
        "A vanilla network with tanh. The initial recurrent weights are a random orthogonal matrix, Glorot's uniform "
        "random numbers, or the identity matrix.",
        {start: {"cell": "simple_rnn", "start": start} for start in ("orthogonal", "glorot", "identity")},
    ),
    "ReLU against tanh": Effect(
        "A vanilla network with either activation. The initial recurrent weights are a random orthogonal matrix or the "
        "identity matrix.",
        {
            f"{activation} from {start}": {"cell": "simple_rnn", "activation": activation, "start": start}
            for start in ("orthogonal", "identity")
            for activation in ("tanh", "relu")
        },
    ),
    "The LSTM's biases": Effect(
        "An LSTM whose initial biases are 0, or 1 in the forget gate, or chrono: time scales spread up to the lag.",
        {
            "forget bias 0": {"cell": "lstm", "bias": "zeros"},
            "forget bias 1": {"cell": "lstm", "bias": "forget"},
            "chrono": {"cell": "lstm", "bias": "chrono"},
        },
    ),
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
    for group, effect in EFFECTS.items() if effects else ():
        for kind, options in effect.kinds.items():
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
