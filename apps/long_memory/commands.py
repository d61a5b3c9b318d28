"""Measures how far back recurrent networks can learn from, and why: the long-term dependency problem."""

from json import dumps
from typing import Literal

from ..shared import evaluation
from ..shared.config import PositiveInt, Seed
from ..shared.console import Stopwatch, note
from ..shared.verbs import Streaming, stream
from .config import Lag


def evaluate(model: str) -> None:
    """Measures a network on new sequences of its task.

    Prints a table on standard error and one line of JSON on standard output: loss; guess, the loss of the best constant
    prediction; solved; flow, the norm of the gradient of the last output's loss with respect to the state after each
    step; arrives, the fraction of it that reaches the step that the output depends on; lost, the rest; and
    spectral_radii of the recurrent weights.

    Args:
        model: Folder or name of the model.
    """
    from .model import Experiment

    metrics = Experiment.load(model).measure()
    evaluation.report(model, "test", metrics, baselines={"loss": {"guess": metrics["guess"]}})


def predict(model: str, *texts: str, json: bool = False, streaming: Streaming) -> None:
    """Prints the network's answer for each sequence.

    A sequence of the adding problem consists of numbers, the marked ones with a star ("0.3 0.5* 0.1 0.7*"), one of the
    copy task of three letters from a to h ("a b c"), and one of the parity task of digits ("7 1 0 3").

    Args:
        model: Folder or name of the model.
        *texts: Sequences. Without any, the lines of --input or of standard input.
        json: Print one line of JSON per sequence.
        streaming: Options of many inputs.
    """
    from .model import Experiment

    experiment = Experiment.load(model)

    def solve(batch: list[str], index: int) -> list[str]:
        answers = zip(batch, experiment.solve(batch), strict=True)
        return [dumps({"text": text, "answer": answer}) if json else answer for text, answer in answers]

    stream(solve, texts, streaming, model, {"json": json})


def report(
    output: str,
    *,
    task: Literal["adding", "copy", "parity", "all"] = "adding",
    longest: Lag = 100,
    effects: bool = False,
    jobs: PositiveInt = 2,
    seed: Seed = 0,
) -> None:
    """Compares all cells at several lags, and writes a page with the results and their gradients.

    The page is figures/report.html in the output folder, and the numbers are in report.json. An interrupted report
    resumes where it stopped.

    Args:
        output: Folder to write to, such as saved_models/long_memory.
        task: Task of the networks, or all tasks.
        longest: Longest lag in steps. The lags are 25, 50, 100, 200 and 400.
        effects: Also show the effects of clipping, initialization and biases, on the adding problem.
        jobs: Number of networks to train in parallel. Lower it if memory is short.
        seed: Seed of all random numbers.
    """
    from ..shared.models.outputs import output_folder
    from .data import TASKS
    from .page import write
    from .report import LAGS, experiments, run_all

    output_folder(output)  # fails before the trainings
    tasks = [*TASKS] if task == "all" else [task]
    lags = [lag for lag in LAGS if lag <= longest] or [longest]
    with Stopwatch() as watch:
        results = run_all(experiments(lags, tasks, effects, seed), f"{output}/runs", jobs)
    write(results, lags, tasks, output)
    note(f"the report is {output}/figures/report.html, after {watch.seconds / 60:.1f} minutes")


VERBS = (evaluate, predict, report)
