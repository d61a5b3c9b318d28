"""Predictions of a split and their metrics, in constant memory."""

import dataclasses
import itertools
import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

from ...datasets import DataError
from .console import Stopwatch, note, progress_bar
from .errors import UsageError
from .memory import BATCH
from .metrics_table import metrics_table
from .models import folders, packaged
from .results import Results
from .verbs import compute, lines_of_file, open_results, parse_shard, shard_of, window_size

Example = TypeVar("Example")

# Function from examples, and from a function to call with numbers of completed ones, to parts of consecutive examples,
# each with the predictions.
Predict: TypeAlias = Callable[[Iterator[Example], Callable[[int], None]], Iterator[tuple[list[Example], Sequence[str]]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Large splits.

    Args:
        output: File for the predictions, in the order of the split. It appears when it is complete. The same command
            resumes an interrupted one.
        shard: Part of the split to evaluate, such as 2/4, the second of four consecutive parts of equal size. Its
            metrics are printed, but not written to the model's folder. The outputs of all parts, one after the other,
            are the output of the whole split.
        predictions: File of predictions, as --output writes it for the whole split. Prints their metrics; the model
            computes nothing.
    """

    output: str | None = None
    shard: str | None = None
    predictions: str | None = None

    @property
    def labels(self) -> dict[str, str]:
        """What the metrics are of, unless it is the model's predictions of the whole split."""
        values = {"shard": self.shard, "predictions": self.predictions}
        return {name: value for name, value in values.items() if value is not None}


class Evaluation(NamedTuple):
    """What an evaluation computed.

    Attributes:
        computed: The number of examples that the model predicted.
        seconds: The time that it took, without that of the metrics.
    """

    computed: int
    seconds: float

    def rates(self, **counts: int) -> dict[str, float]:
        """Divides counts by the time; an empty dictionary if nothing was computed."""
        return {name: round(count / self.seconds, 1) for name, count in counts.items()} if self.computed else {}


def evaluate_examples(
    predict: Predict,
    examples: Iterable[Example],
    item_of: Callable[[Example], str],
    update: Callable[[Sequence[Example], Sequence[str]], None],
    evaluation: EvaluationOptions,
    model: str,
    options: dict[str, Any],
    description: str,
    is_named: bool = False,
) -> Evaluation:
    """Predicts the examples of a split and updates metrics, without keeping examples or predictions.

    Args:
        predict: See `Predict`. A prediction has no line breaks.
        examples: The examples, which are iterated over several times.
        item_of: Function from an example to the input that its prediction depends on.
        update: Function of consecutive examples and their predictions. Each example of the shard is passed to it once,
            in the order of the split.
        evaluation: The options of the command.
        model: The model's folder.
        options: The options that determine the predictions. An interrupted command is resumed only with the same ones.
        description: What the progress bar says.
        is_named: Whether each line of an output begins with the item, which then has no line breaks, and a tab.

    Raises:
        DataError: If there is no example.
        UsageError: If options do not fit together, the output belongs to another command, or the file of predictions
            does not match the examples.
    """
    if evaluation.predictions is not None and (evaluation.output is not None or evaluation.shard is not None):
        raise UsageError("--predictions is of the whole split; it excludes --output and --shard")
    source = shard_of(lambda: map(item_of, examples), parse_shard(evaluation.shard))
    total = source.total or 0
    if not total:
        raise DataError(f"there is no example{'' if evaluation.shard is None else f' in shard {evaluation.shard}'}")
    remaining = itertools.islice(iter(examples), source.first, source.first + total)
    prefix_of = (lambda example: f"{item_of(example)}\t") if is_named else (lambda example: "")
    if evaluation.predictions is not None:
        _update_from(Path(evaluation.predictions), remaining, total, prefix_of, update)
        return Evaluation(0, 0.0)
    options, seconds = {"shard": evaluation.shard, **options}, 0.0
    with open_results(evaluation.output, source, model, options, Results) as results:
        written = results.state.inputs
        if written:
            _update_from(results.path, itertools.islice(remaining, written), written, prefix_of, update)
        with progress_bar(description, total, written) as advance:
            parts = predict(remaining, advance)
            while True:
                with Stopwatch() as watch:
                    part = next(parts, None)
                if part is None:
                    break
                seconds += watch.seconds
                batch, predictions = part
                lines = [prefix_of(example) + text for example, text in zip(batch, predictions, strict=True)]
                results.write([*map(item_of, batch)], lines)
                update(batch, predictions)
    return Evaluation(total - written, seconds)


def _update_from(
    path: Path, examples: Iterator[Example], count: int, prefix_of: Callable[[Example], str], update: Callable
) -> None:
    """Updates metrics with the predictions of `count` examples, which are in a file."""
    lines = lines_of_file(path)
    while batch := [*itertools.islice(examples, BATCH)]:
        predictions = []
        for prefix, line in zip(map(prefix_of, batch), lines, strict=False):
            if not line.startswith(prefix):
                raise UsageError(f"{path}: expected {prefix[:-1]!r} and a tab, got {line!r}")
            predictions.append(line.removeprefix(prefix))
        if len(predictions) < len(batch):
            raise UsageError(f"{path} has fewer lines than the {count:,} examples")
        update(batch, predictions)
    if next(lines, None) is not None:
        raise UsageError(f"{path} has more lines than the {count:,} examples")


def predict_by_length(
    function: Callable[[list[str]], Sequence[str]], text_of: Callable[[Any], str], batch_size: int = BATCH
) -> Predict:
    """Returns the argument `predict` of `evaluate_examples` for texts, of which those of similar length are batched.

    Args:
        function: Function from a list of texts, a batch, to their predictions.
        text_of: Function from an example to its text.
        batch_size: Maximum number of texts per batch.
    """

    def predict(examples: Iterator[Any], advance: Callable[[int], None]) -> Iterator[tuple[list[Any], Sequence[str]]]:
        while window := [*itertools.islice(examples, window_size(batch_size))]:
            texts = [*map(text_of, window)]
            yield window, compute(lambda batch, _: function(batch), texts, 0, True, advance, batch_size)

    return predict


def report(
    folder: str,
    split: str,
    metrics: dict[str, Any],
    data: str | None = None,
    evaluation: EvaluationOptions = EvaluationOptions(),
    baselines: Mapping[str, Mapping[str, float]] | None = None,
) -> None:
    """Prints the metrics of an evaluation, and writes those of a whole split to the model's folder.

    A table is printed on standard error, and one line of JSON on standard output.

    Args:
        folder: The model's folder.
        split: The name of the split.
        metrics: The metrics by name.
        data: The data set, or None if it is the one that the model was trained on.
        evaluation: The options of the command.
        baselines: For the name of a metric, its values by the names of the baselines, as they are in `metrics`.
    """
    part = "".join(f", {name} {value}" for name, value in evaluation.labels.items())
    note(f"{folder} on the split {split}{'' if data is None else f' of {data}'}{part}")
    print(textwrap.indent(metrics_table(metrics, baselines or {}), "  "), file=sys.stderr, flush=True)
    metrics = {**metrics, **evaluation.labels}
    print(json.dumps(metrics, ensure_ascii=False), flush=True)  # a folder that is read-only costs no result
    if evaluation.shard is None:
        folders.write_metrics(packaged.results_folder(folder), split if data is None else f"{split} of {data}", metrics)


def figure_path(folder: str, name: str, split: str, data: str | None = None) -> Path:
    """Returns the path of an evaluation's figure in the model's folder; `split` and `data` are those of `report`."""
    suffix = "" if data is None else f"-of-{Path(data).name}"
    return packaged.results_folder(folder) / "figures" / f"{name}-{split}{suffix}.png"
