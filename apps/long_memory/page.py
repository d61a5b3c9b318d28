"""The page with the results of a report: its finding, tables and plots."""

import base64
import html
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from matplotlib.figure import Figure

from ...files import atomic_file
from . import report
from .config import Config
from .data import TASKS, goal
from .report import GATED_RATES, VANILLA_RATE, Result

Curves: TypeAlias = tuple[dict[str, tuple[Any, Any]], str, str]  # `(x, y)` by name, and the labels of the axes


def page(results: Mapping[str, Result], lags: Sequence[int], tasks: Sequence[str]) -> str:
    """Returns the report as HTML with embedded figures."""
    sentences = " ".join(finding(results, lags, tasks))
    parts = [f"<h1>What recurrent cells remember</h1><p><b>{html.escape(sentences)}</b></p>{_LEGEND}"]
    for task in tasks:
        parts.append(f"<h2>{task}: {TASKS[task].description}</h2>")
        by_kind = {kind: {lag: results[f"{task}, {kind}, lag {lag}"] for lag in lags} for kind in report.KINDS}
        for title, cell in _COLUMNS.items():
            rows = {kind: map(cell, by_lag.values()) for kind, by_lag in by_kind.items()}
            parts.append(_table(f"{title} at lag", lags, rows))
        for lag in sorted({min(report.SHOWN_LAG, max(lags)), max(lags)}):
            of_lag = {kind: by_lag[lag] for kind, by_lag in by_kind.items()}
            parts.append(_flow_plot(of_lag, f"The {task} task at lag {lag}"))
    if effects := [*_effects(results, min(report.EFFECT_LAG, max(lags)))]:
        parts += ["<h2>The effects of single choices on the adding task</h2>", *effects]
    parts.append(_METHOD)
    title = "<title>What recurrent cells remember</title>"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">{title}<style>{_STYLE}</style>{"".join(parts)}</html>\n'
    )


def _effects(results: Mapping[str, Result], lag: int) -> Iterator[str]:
    """Yields the parts of the page about the effects of single choices at a lag, if these were measured."""
    name = f"The adding task at lag {lag}"
    for group, effect in report.EFFECTS.items():
        of_group = {kind: results[f"{group}: {kind}"] for kind in effect.kinds if f"{group}: {kind}" in results}
        if of_group:
            solvers = [kind for kind, result in of_group.items() if _is_solved(result)]
            solved = "all of them" if len(solvers) == len(of_group) else ", ".join(solvers) or "none of them"
            text = html.escape(f"{effect.description} The task at lag {lag} is solved with: {solved}.")
            yield f"<h3>{html.escape(group)}</h3><p>{text}</p>"
            cells = {kind: [cell(result) for cell in _COLUMNS.values()] for kind, result in of_group.items()}
            yield _table("network", _COLUMNS, cells)
            yield _flow_plot(of_group, name)
            yield _learning_plot(of_group, name)


def finding(results: Mapping[str, Result], lags: Sequence[int], tasks: Sequence[str]) -> list[str]:
    """Returns three sentences: which cells solve the tasks at the longest lag, the fastest ones, and the gradients."""
    solved, fastest, gradients = [], [], []
    for task in tasks:
        by_lag = {lag: {kind: results[f"{task}, {kind}, lag {lag}"] for kind in report.KINDS} for lag in lags}
        solved.append(_solved_clause(task, by_lag[max(lags)]))
        fastest.append(_fastest_clause(task, by_lag))
        gradients.append(_gradient_clause(task, by_lag[max(lags)]))
    comparison = "; ".join(fastest)
    return [
        f"At lag {max(lags)}, the longest one of this report, {'; '.join(solved)}.",
        f"{comparison[0].upper()}{comparison[1:]}.",
        f"After training, at lag {max(lags)}, {'; '.join(gradients)}.",
    ]


def _solved_clause(task: str, of_lag: Mapping[str, Result]) -> str:
    solvers = [_cell_name(kind) for kind, result in of_lag.items() if _is_solved(result)]
    others = [_cell_name(kind) for kind, result in of_lag.items() if not _is_solved(result)]
    if not solvers or not others:
        return f"{'every' if solvers else 'no'} cell solves the {task} task"
    return f"the {task} task is solved by {_enumerated(solvers)}, and not by {_enumerated(others)}"


def _fastest_clause(task: str, by_lag: Mapping[int, Mapping[str, Result]]) -> str:
    """Compares the training steps at the longest lag that any cell solves."""
    for lag in sorted(by_lag, reverse=True):
        steps = {kind: result["steps"] for kind, result in by_lag[lag].items() if _is_solved(result)}
        if steps:
            fastest, slowest = min(steps, key=steps.__getitem__), max(steps, key=steps.__getitem__)
            clause = f"{_cell_name(fastest)} solves the {task} task at lag {lag} in {steps[fastest]:,} training steps"
            if steps[slowest] == steps[fastest]:
                return f"{clause}, and no other cell in fewer"
            return f"{clause}, the fewest, and {_cell_name(slowest)} in {steps[slowest]:,}, the most"
    return f"no cell solves the {task} task at any lag"


def _gradient_clause(task: str, of_lag: Mapping[str, Result]) -> str:
    """Compares how much of the gradient arrives at the step that the output depends on."""
    arrives = {kind: result["trained"]["arrives"] for kind, result in of_lag.items() if "trained" in result}
    numbers = {kind: share for kind, share in arrives.items() if share is not None}
    if not numbers:
        return f"the gradient of the {task} task is not a number in any cell"

    def describe(kind: str) -> str:
        outcome = "solves" if _is_solved(of_lag[kind]) else "does not solve"
        return f"by {numbers[kind]:.2g} in {_cell_name(kind)}, which {outcome} it"

    least, most = min(numbers, key=numbers.__getitem__), max(numbers, key=numbers.__getitem__)
    clause = f"the gradient of the {task} task is multiplied on its way back over the lag {describe(least)}"
    return clause if least == most else f"{clause}, and {describe(most)}"


def _is_solved(result: Result) -> bool:
    return "trained" in result and result["trained"]["solved"]


def _cell_name(kind: str) -> str:
    """Returns the name of a cell for a sentence: the commas of the table separate cells there."""
    name, _, variant = kind.partition(", ")
    return f"{name} ({variant})" if variant else name


def _enumerated(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


_LEGEND = """
<p>In the tables, the error is the loss on new sequences, and the guess is the best constant prediction. The gradient
factor is what the norm of the gradient is multiplied by on its way from the output back to the step that the output
depends on: far below 1 the gradient vanishes, far above 1 it explodes. An arrow leads from before training to after
training.</p>
"""
_METHOD = f"""
<h2>How it was measured</h2>
<p>A vanilla network is a <code>SimpleRNN</code>. "From the identity matrix" means that this matrix is its initial
recurrent weights (Le et al. 2015), "chrono" that the initial biases spread the time scales of the gates up to the lag
(Tallec and Ollivier 2018).</p>
<p>Each network has one recurrent layer and is trained with Adam from a single seed. The learning rate is {VANILLA_RATE}
for vanilla networks, {GATED_RATES["adding"]} for gated ones, and {GATED_RATES["copy"]} for gated ones on the copy task.
A run ends when the task is solved or after a maximum number of steps, which is larger for short lags. The gradient is
that of the last output's loss with respect to the state, on new sequences. For an LSTM it is the gradient with respect
to both states, because the cell state carries the memory. The output depends on the
first step, and in the copy task on the step of the last symbol. The spectral radius is that of the recurrent weights,
the largest one for a cell with several gates.</p>
"""
_STYLE = """
body { font-family: sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; line-height: 1.4 }
table { border-collapse: collapse; margin: 1em 0 }
td, th { border: 1px solid #999; padding: .3em .6em; text-align: right }
td:first-child, th:first-child { text-align: left } .solved { background: #cfc } figure { margin: 1em 0 }
img { max-width: 100%; display: block } figcaption { max-width: 50em; color: #444 }
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


def _gradient_factor(result: Result) -> str:
    def describe(measured: Result) -> str:
        return "not a number" if measured["arrives"] is None else f"{measured['arrives']:.3g}"

    return _before_and_after(result, describe)


def _radius(result: Result) -> str:
    return _before_and_after(result, lambda measured: f"{max(measured['spectral_radii'].values()):.2f}")


def _before_and_after(result: Result, describe: Callable[[Result], str]) -> str:
    return f"<td>{' → '.join(describe(result[when]) for when in ('untrained', 'trained') if when in result)}</td>"


_COLUMNS = {"steps to solve it": _steps, "gradient factor": _gradient_factor, "spectral radius": _radius}


def _flows(results: Mapping[str, Result], when: str = "untrained") -> Curves:
    """Returns curves of the gradient norms, relative to one step back, over the steps back."""
    curves = {}
    for name, result in results.items():
        if when in result:
            norms = np.array(result[when]["flow"], float)[::-1]  # None is NaN
            with np.errstate(divide="ignore", invalid="ignore"):
                shares = norms / norms[1]
            curves[name] = np.arange(len(norms)), np.where(shares > 0, shares, np.nan)
    return curves, "steps before the output", "relative norm of the gradient"


def _flow_plot(results: Mapping[str, Result], name: str) -> str:
    caption = (
        f"{name}. The norm of the gradient with respect to the state, relative to the one a step before the output. "
        "Where a curve falls, gradients vanish: those steps hardly influence an update. Where it rises, they explode."
    )
    panels = {"before training": _flows(results), "after training": _flows(results, "trained")}
    return _plot(panels, caption + _without_curve(results))


def _learning_plot(results: Mapping[str, Result], name: str) -> str:
    curves = {}
    for kind, result in results.items():
        steps = (1 + np.arange(len(result["losses"]))) * result["config"]["steps_per_epoch"]
        curves[kind] = steps, result["losses"]
    config = Config(**next(iter(results.values()))["config"])
    levels = {"best constant prediction": TASKS[config.task].guess(config.lag), "solved": goal(config)}
    caption = (
        f"{name}. The loss on new sequences during training. A curve ends where the task is solved or the training "
        "diverges."
    )
    return _plot({"during training": (curves, "training steps", "loss")}, caption + _without_curve(results), levels)


def _without_curve(results: Mapping[str, Result]) -> str:
    """Returns the end of a caption that names the networks whose training diverged in the first epoch, if any."""
    diverged = ", ".join(kind for kind, result in results.items() if "trained" not in result)
    return f" Without a curve, because the training diverged at once: {diverged}." if diverged else ""


def _plot(panels: Mapping[str, Curves], caption: str, levels: Mapping[str, float] | None = None) -> str:
    """Returns an HTML figure with one panel for each title and its curves, and a caption.

    Args:
        panels: The curves by the titles of the panels.
        caption: The caption.
        levels: Values of y that a line marks, by their names.
    """
    figure = Figure(figsize=(5.5 * len(panels), 3.8), layout="constrained")
    row = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (title, (curves, xlabel, ylabel)) in zip(row, panels.items(), strict=True):
        for style, (name, (x, y)) in zip(itertools.cycle(("-", "--", "-.", ":")), curves.items(), strict=False):
            axes.semilogy(x, y, style, label=name)  # an equal curve below is seen through the gaps
        for name, level in (levels or {}).items():
            axes.axhline(level, color="grey", linewidth=0.8)
            axes.annotate(
                name, (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize="small"
            )
        axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
        axes.grid(alpha=0.3)
    handles, labels = row[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small")
    file = io.BytesIO()
    figure.savefig(file, format="svg")
    alt, picture = html.escape(", ".join(panels)), base64.b64encode(file.getvalue()).decode()
    image = f'<img alt="{alt}" src="data:image/svg+xml;base64,{picture}">'
    return f"<figure>{image}<figcaption>{html.escape(caption)}</figcaption></figure>"


def write(results: Mapping[str, Result], lags: Sequence[int], tasks: Sequence[str], folder: str | Path) -> None:
    """Writes the page, `figures/report.html`, and the numbers, `report.json`, to a folder."""
    folder = Path(folder)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / "figures" / "report.html") as partial:
        partial.write_text(page(results, lags, tasks), encoding="utf-8")
    with atomic_file(folder / "report.json") as partial:
        partial.write_text(json.dumps(results, indent=1), encoding="utf-8")
