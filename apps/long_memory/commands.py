"""Shows what recurrent networks remember, and why: the long-term dependency problem."""

from json import dumps

from jsonargparse.typing import PositiveInt

from ..shared import verbs
from ..shared.config import Seed
from ..shared.console import Stopwatch, note
from ..shared.verbs import input_batches
from .config import Lag


def evaluate(model: str):
    """Measures a network on new sequences of its task.

    Ends with one line of JSON: loss, guess (that of the best answer that reads nothing), solved, flow (the norm of the
    derivative of the last answer's loss with respect to the state after each step), arrives (the share of it that
    reaches the step which the answer asks for), lost (the rest), spectral_radii of the recurrent weights.

    Args:
        model: The model's folder.
    """
    from .model import Experiment

    verbs.report(model, "test", Experiment.load(model).measure())


def predict(model: str, *texts: str, json: bool = False):
    """Answers sequences, a line each.

    A sequence of the adding problem is numbers, the marked ones with a star ("0.3 0.5* 0.1 0.7*"); of the copy task
    three letters from a to h ("a b c"); of the parity task digits ("7 1 0 3").

    Args:
        model: The model's folder.
        *texts: The sequences; without any, the lines of standard input.
        json: Print a line of JSON for a sequence.
    """
    from .model import Experiment

    experiment = Experiment.load(model)
    for batch in input_batches(texts):
        for text, answer in zip(batch, experiment.solve(batch), strict=True):
            print(dumps({"text": text, "answer": answer}) if json else answer, flush=True)


def report(output: str, *, longest: Lag = 400, jobs: PositiveInt = 2, seed: Seed = 0):
    """Compares all cells on all tasks at all lags, and writes a page with what they solve and what their gradients do.

    The page is figures/report.html in the output folder, and the numbers are in report.json. An interrupted report goes
    on where it was.

    Args:
        output: The folder to write into, such as saved_models/long_memory.
        longest: The longest lag; the lags are 25, 50, 100, 200 and 400.
        jobs: How many networks to train at the same time.
        seed: Seed of all that is random.
    """
    from . import report as pages
    from .data import TASKS

    lags = [lag for lag in pages.LAGS if lag <= longest] or [longest]
    with Stopwatch() as watch:
        results = pages.run_all(pages.experiments(lags, TASKS, seed), f"{output}/runs", jobs)
    pages.write(results, lags, TASKS, output)
    note(f"the report is {output}/figures/report.html, after {watch.seconds / 60:.1f} minutes")


VERBS = (evaluate, predict, report)
