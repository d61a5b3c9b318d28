"""Forecasts time series with a recurrent encoder and decoder."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

from ..shared.config import OpenUnitInterval, PositiveInt
from ..shared.console import note, progress_bar
from ..shared.errors import UsageError
from ..shared.evaluation import figure_path, report
from ..shared.options import alternatives
from .baselines import Baseline

if TYPE_CHECKING:
    import numpy as np

    from ...datasets.series import Panel
    from .config import Config
    from .data import Origins, Split, WindowReader
    from .figures import SeriesForecast
    from .metrics import ForecastMetrics
    from .model import Forecaster

SIMPLEST: tuple[Baseline, ...] = ("naive", "seasonal_naive")  # what an evaluation always compares with
METRICS = (
    "smape",
    "mase",
    "owa",
    "msis",
    "weighted_quantile_loss",
    "coverage_80",
    "coverage_95",
    "mae",
    "mse",
    "standardized_mae",
    "standardized_mse",
)


def evaluate(
    model: str,
    *,
    data: str | None = None,
    split: Literal["test", "validation"] = "test",
    windows: PositiveInt = 1,
    baseline: tuple[Baseline, ...] = (),
) -> None:
    """Measures the errors of a model's forecasts at rolling origins.

    Prints a table on standard error and one line of JSON on standard output: sMAPE, MASE, OWA, MSIS, the weighted
    quantile loss, the coverage of the intervals of 80 and 95 %, the mean absolute and squared errors, and all of them
    for the naive forecasts and the other baselines on the same windows. Draws the errors by the step of the horizon,
    and some forecasts, into the model's folder.

    Args:
        model: Folder or name of the model.
        data: CSV file or folder. The default is the data that the model was trained on.
        split: Part of each series to forecast, test or validation.
        windows: Number of origins per series, evenly spaced, of which the last forecasts the last steps.
        baseline: Further baselines, separated by commas: naive2; linear, a linear map from the context that is fitted
            to the training data; and auto_ets, auto_theta and auto_arima of statsforecast, which take seconds per
            window. All but naive2 require the extra `baseline`.
    """
    import numpy as np

    from .data import rolling_origins
    from .figures import MOST_SERIES, draw_error_by_horizon, draw_forecasts
    from .metrics import ForecastMetrics
    from .model import Forecaster

    forecaster = Forecaster.load(model)
    config = forecaster.config
    panel, parts = forecaster.read(data)
    first, last = (parts.validation, parts.length) if split == "test" else (parts.train, parts.validation)
    origins = rolling_origins(first, last, np.arange(len(panel)), config.horizon, windows)
    if not len(origins):
        raise UsageError(f"no series has {config.horizon} steps in the split {split}")
    if len(origins) < windows * len(panel):
        note(
            f"some series have room for fewer than {windows} windows: {len(origins):,} windows of {len(panel):,} "
            f"series; for {windows} that do not overlap, train with --{split}-size {windows * config.horizon}"
        )
    names = tuple(dict.fromkeys((*SIMPLEST, *baseline)))
    metrics = {name: ForecastMetrics(config.horizon, config.season, config.levels) for name in ("model", *names)}
    reader = forecaster.reader(panel)
    _update(metrics, names, forecaster, reader, parts, origins)
    if remark := metrics["model"].remark():
        note(remark)
    results = {name: own.result() for name, own in metrics.items()}
    model_results = results.pop("model")
    baselines = {
        metric: {name: own[metric] for name, own in results.items() if own.get(metric) is not None}
        for metric in METRICS
    }
    report(model, split, {**model_results, "baselines": baselines}, data, baselines=baselines)
    errors, examples = (figure_path(model, name, split, data) for name in ("errors", "forecasts"))
    draw_error_by_horizon({name: own.by_horizon() for name, own in metrics.items()}, errors)
    latest = origins[np.flatnonzero(np.diff(origins.series, append=-1))[:MOST_SERIES]]
    drawn = _drawn(reader, latest, forecaster.quantiles(reader.inputs(latest)))
    draw_forecasts(drawn, config.levels, examples, _target_name(panel, config), len(panel))
    note(f"the errors by the step of the horizon are in {errors}, forecasts in {examples}")


def _update(
    metrics: dict[str, "ForecastMetrics"],
    baselines: Sequence[Baseline],
    forecaster: "Forecaster",
    reader: "WindowReader",
    split: "Split",
    origins: "Origins",
) -> None:
    """Adds the forecasts of the model and of the baselines at all origins to their metrics, batch by batch."""
    from ..shared.training.batches import slices
    from .baselines import NAIVE, STATISTICAL, Method, forecast_windows
    from .data import BATCH
    from .linear import fit_linear
    from .metrics import reference

    panel, config = reader.panel, forecaster.config
    batches = slices(origins, BATCH)
    methods: Mapping[str, Method] = NAIVE
    if "linear" in baselines:
        methods = {**NAIVE, "linear": fit_linear(reader, split)}

    def histories() -> "Iterator[list[np.ndarray]]":
        for batch in batches:
            yield [panel.values_of(series)[:step] for series, step in zip(batch.series, batch.steps, strict=True)]

    def model_forecasts() -> "Iterator[tuple[np.ndarray, np.ndarray]]":
        for batch in batches:
            quantiles = forecaster.quantiles(reader.inputs(batch))
            yield quantiles[:, forecaster.median], quantiles

    def update(forecasts: dict[str, Iterable], advance: Callable[[int], None]) -> None:
        for batch, history, *results in zip(batches, histories(), *forecasts.values(), strict=True):
            known = reference(history, config.horizon, config.season, split.train[batch.series])
            target = panel.windows(batch.series, batch.steps, config.horizon).values
            for name, (forecast, quantiles) in zip(forecasts, results, strict=True):
                metrics[name].update(known, target, forecast, quantiles)
            advance(len(batch))

    baseline = partial(
        forecast_windows, horizon=config.horizon, season=config.season, levels=config.levels, methods=methods
    )
    # Each of the models of statsforecast, which take seconds per window, has its own progress.
    slow = [name for name in baselines if name in STATISTICAL]
    with progress_bar("forecasting", len(origins)) as advance:
        fast = {str(name): baseline(name, histories()) for name in baselines if name not in slow}
        update({"model": model_forecasts(), **fast}, advance)
    for name in slow:
        with progress_bar(name, len(origins)) as advance:
            update({name: baseline(name, histories(), advance=advance)}, lambda count: None)


def predict(
    model: str,
    *,
    data: str | None = None,
    output: str | None = None,
    figure: str | None = None,
    reliance: str | None = None,
    level: OpenUnitInterval = 0.5,
) -> None:
    """Forecasts the steps after the last value of each series, and prints them as CSV in the form of the data.

    In the long form, a row has the name of the series, the time, the median in the column of the target, and a column
    for each other quantile, such as y-0.975. In the wide form, a row has the name of the series and the quantile
    --level of each step.

    Args:
        model: Folder or name of the model.
        data: CSV file or folder. The default is the data that the model was trained on.
        output: File to write instead of standard output.
        figure: Picture to draw of the last values and the forecasts of the first series, with intervals.
        reliance: Picture to draw of how much the forecast of the first series changes with each value before it.
        level: Level of the quantile in the wide form, one of the model's.
    """
    from ..shared.figures import check_picture
    from .data import check_known, ends_of
    from .figures import MOST_SERIES, draw_forecasts, draw_reliance
    from .model import Forecaster
    from .writing import table_rows, write_forecasts

    for picture in (figure, reliance):
        if picture is not None:
            check_picture(picture)
    forecaster = Forecaster.load(model)
    if level not in forecaster.config.levels:
        raise UsageError(f"--level takes {alternatives(map(str, forecaster.config.levels))}, not {level:g}")
    panel, _ = forecaster.read(data)
    check_known(panel, forecaster.config.horizon)
    ends = ends_of(panel)
    forecasts = forecaster.forecast(panel)
    target = _target_name(panel, forecaster.config)
    if figure is not None:
        quantiles = [forecast.quantiles for forecast in forecasts[:MOST_SERIES]]
        drawn = _drawn(forecaster.reader(panel), ends[:MOST_SERIES], quantiles)
        draw_forecasts(drawn, forecaster.config.levels, figure, target, len(panel))
        note(f"the forecasts are drawn in {figure}")
    if reliance is not None:
        context = slice(-forecaster.config.context, None)
        history, times = panel.values_of(0)[context], panel.times_of(0)[context]
        derivatives = forecaster.reliance(panel, ends[:1])[0, -len(history) :]
        draw_reliance(panel.ids[0], times, history, derivatives, reliance, target)
        note(f"what the forecast of {panel.ids[0]} relies on is drawn in {reliance}")
    # Last, because `head` may end before all is written.
    write_forecasts(table_rows(panel, forecasts, forecaster.config, level), output)


def _target_name(panel: "Panel", config: "Config") -> str:
    """Returns the label of the axis of the values in a figure."""
    return "value" if panel.wide_id is not None or len(config.target) > 1 else config.target[0]


def _drawn(reader: "WindowReader", origins: "Origins", quantiles: Iterable["np.ndarray"]) -> list["SeriesForecast"]:
    """Returns what `figures.draw_forecasts` draws of forecasts, given their origins and quantiles."""
    from .figures import SeriesForecast

    panel, config = reader.panel, reader.config
    _, targets = reader.read(origins)
    return [
        SeriesForecast(
            panel.ids[series],
            panel.times_of(series, config.horizon)[: step + config.horizon],
            panel.values_of(series)[:step],
            own[config.levels.index(0.5)],
            own,
            target,
        )
        for series, step, own, target in zip(origins.series, origins.steps, quantiles, targets, strict=True)
    ]


VERBS = (evaluate, predict)
