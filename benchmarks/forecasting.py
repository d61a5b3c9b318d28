"""Compares forecasters with those of neuralforecast and statsforecast, on one split and with the same metrics.

    pip install neuralforecast statsforecast
    python benchmarks/forecasting.py --data M4 --model saved_models/m4-hourly
    python benchmarks/forecasting.py --data M4 --steps 20

`M4` is a folder with `train.csv` and `test.csv` in the wide form of the M4 competition, such as its `Hourly-train.csv`
and `Hourly-test.csv`. The forecast begins after the values of `train.csv`.

The first command prints errors, minutes and sizes. The networks of neuralforecast have their default settings but for
the context, the windows per step, the loss, which yields intervals of 80 and 95 %, and a robust scaling of DeepAR, too;
their training stops after `--minutes`. `--model` is a trained model; if there is no such folder, the recipe `--recipe`
is trained and written to it.

The second command prints the median seconds of a training step of 64 windows with one layer of 128 units. Our decoder
is recurrent; that of neuralforecast is a dense network with 128 units that forecasts each step of the horizon.

Minutes and seconds are those of the processor: other work on the machine does not count. To compare, run it on one core
(`taskset -c 0`).
"""

import argparse
import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
import torch
from keras_recurrent.apps.forecasting.metrics import ForecastMetrics
from keras_recurrent.datasets.series import read_splits
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import DistributionLoss, MQLoss
from neuralforecast.models import GRU, LSTM, DeepAR
from pytorch_lightning.callbacks import LambdaCallback
from statsforecast import StatsForecast
from statsforecast.models import AutoARIMA, AutoETS, AutoTheta, SeasonalNaive

COVERAGES = (80, 95)  # percent, of central intervals
COLUMNS = {0.025: "lo-95", 0.1: "lo-80", 0.9: "hi-80", 0.975: "hi-95"}  # what both libraries call the quantiles
METRICS = ("smape", "mase", "owa", "msis")
STATISTICAL = {"SeasonalNaive": SeasonalNaive, "AutoETS": AutoETS, "AutoTheta": AutoTheta, "AutoARIMA": AutoARIMA}
NEURAL = {  # the models, and their arguments; without scaling, the default, DeepAR learns little in minutes
    "LSTM": (LSTM, {"loss": MQLoss(level=[*COVERAGES])}),
    "DeepAR": (DeepAR, {"loss": DistributionLoss("StudentT", level=[*COVERAGES]), "scaler_type": "robust"}),
}
MODULE = [sys.executable, "-P", "-m", "keras_recurrent", "forecasting"]


def timer(minutes=np.inf):
    """Returns a callback that ends the training after some minutes, and the list to which it adds the times of steps.

    Both are times of the processor.
    """
    times, end = [], time.process_time() + 60 * minutes

    def note(trainer, *arguments):
        times.append(time.process_time())
        trainer.should_stop = times[-1] > end

    return LambdaCallback(on_train_batch_end=note), times


def long_form(panel, ends):
    """Returns the first values of each series as a table with rows for each value, as Nixtla's libraries read it."""
    series = [panel.values_of(index)[:end] for index, end in enumerate(ends)]
    names = [f"{index:06}" for index in range(len(series))]  # both libraries sort by them
    return pd.DataFrame(
        {
            "unique_id": np.repeat(names, ends),
            "ds": np.concatenate([np.arange(end) for end in ends]),
            "y": np.concatenate(series),
        }
    )


def network(model, options, callback, **changes):
    """Returns a network of neuralforecast that trains on the processor without messages."""
    silent = {name: False for name in ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing")}
    sizes = {"h": options.horizon, "input_size": options.context, "windows_batch_size": options.windows}
    return model(**sizes, accelerator="cpu", callbacks=[callback], **silent, **changes)


def neural_forecasts(name, table, options):
    """Trains a network of neuralforecast, and returns its forecasts and its size in MB."""
    model, arguments = NEURAL[name]
    callback, times = timer(options.minutes)
    forecaster = NeuralForecast([network(model, options, callback, max_steps=options.max_steps, **arguments)], freq=1)
    forecaster.fit(table)
    print(f"{name}: {len(times)} steps of {options.windows} windows", file=sys.stderr)
    weights = forecaster.models[0].state_dict().values()
    return forecaster.predict(), sum(weight.numel() * weight.element_size() for weight in weights) / 1e6


def statistical_forecasts(name, table, options):
    """Fits a model of statsforecast to each series, and returns its forecasts. It has no size."""
    forecaster = StatsForecast([STATISTICAL[name](season_length=options.season)], freq=1)
    return forecaster.forecast(options.horizon, table, level=[*COVERAGES]), None


def quantiles_of(forecasts, name, count):
    """Returns the point forecasts `(series, horizon)` and the quantiles `(series, levels, horizon)` of a table."""
    forecasts = forecasts.sort_values(["unique_id", "ds"])
    point = next(column for column in (f"{name}-median", name) if column in forecasts)
    columns = [
        forecasts[column].to_numpy().reshape(count, -1)
        for column in (point, *(f"{name}-{suffix}" for suffix in COLUMNS.values()))
    ]
    return columns[0], np.stack(columns[1:], axis=1)


def ours(options):
    """Evaluates a trained model, or trains it before, and returns its metrics, minutes and size in MB."""
    folder, minutes = Path(options.model), None
    if not folder.exists():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        recipe = ["--recipe", options.recipe, "--data", options.data, "--output", options.model]
        subprocess.run([*MODULE, "train", *recipe], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        minutes = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 60
    command = [*MODULE, "evaluate", options.model, "--data", options.data]
    line = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
    return json.loads(line), minutes, (folder / "model.keras").stat().st_size / 1e6


def row(name, metrics, minutes, size):
    """Prints a row of the table, and returns it as a dictionary."""
    errors = [f"{metrics[metric]:.3f}" for metric in METRICS]
    numbers = ["–" if number is None else f"{number:.1f}" for number in (minutes, size)]
    print(f"| {name} | {' | '.join([*errors, *numbers])} |", flush=True)
    return {"name": name, **{metric: metrics[metric] for metric in METRICS}, "minutes": minutes, "size": size}


def compare(options):
    """Prints the table of errors, minutes and sizes, and returns its rows."""
    panel, starts = read_splits(options.data)
    table = long_form(panel, starts)
    histories = [panel.values_of(index)[:start] for index, start in enumerate(starts)]
    actual = panel.windows(np.arange(len(panel)), starts, options.horizon).values
    print("\n| | sMAPE | MASE | OWA | MSIS | minutes | MB |\n|---|---|---|---|---|---|---|")
    rows = []
    for name in options.rivals:
        began = time.process_time()
        forecasts, size = (neural_forecasts if name in NEURAL else statistical_forecasts)(name, table, options)
        minutes = (time.process_time() - began) / 60
        metrics = ForecastMetrics(options.horizon, options.season, [*COLUMNS])
        metrics.update(histories, actual, *quantiles_of(forecasts, name, len(panel)))
        rows.append(row(name, metrics.result(), minutes, size))
    if options.model:
        rows.append(row(f"ours, {Path(options.model).name}", *ours(options)))
    return rows


def our_steps(options, segment):
    """Returns the seconds of the processor of training steps of an encoder and a decoder with GRUs."""
    import keras
    from keras_recurrent.apps.forecasting import data
    from keras_recurrent.apps.forecasting.config import Config
    from keras_recurrent.apps.forecasting.model import ForecastLoss, build
    from keras_recurrent.apps.forecasting.networks import distribution_of

    lengths = {
        "horizon": options.horizon,
        "context": options.context,
        "segment": segment,
        "batch_size": options.windows,
    }
    units = {"encoder_units": 128, "decoder_units": 128, "cell": "gru", "scaling": "standard", "calendar": False}
    windows = options.windows * (options.steps + 1)
    config = Config(data=options.data, seasons=(options.season,), windows_per_epoch=windows, **lengths, **units)
    panel, split = data.read(config)
    series = data.usable_series(split, config)
    reader = data.WindowReader(panel, config)
    model = build(config, data.input_specs(reader), data.statistics(panel, config, split, series))
    model.compile("adam", ForecastLoss(distribution_of(config)))
    times = []
    note = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: times.append(time.process_time()))
    model.fit(data.batches(reader, split, series, config, "train"), verbose=0, shuffle=False, callbacks=[note])
    return np.diff(times)


def their_steps(options, model):
    """Returns the seconds of the processor of training steps of a network of neuralforecast."""
    panel, starts = read_splits(options.data)
    callback, times = timer()
    units = {"encoder_n_layers": 1, "encoder_hidden_size": 128, "decoder_hidden_size": 128}
    loss = MQLoss(level=[*COVERAGES])
    steps = {"max_steps": options.steps + 1, "loss": loss}
    NeuralForecast([network(model, options, callback, **steps, **units)], freq=1).fit(long_form(panel, starts))
    return np.diff(times)


def time_steps(options):
    """Prints the table of training steps, and returns its rows."""
    print("\n| a training step | seconds |\n|---|---|")
    rows = []
    for name, steps in {
        "ours, GRU, 24 values per recurrent step": lambda: our_steps(options, 24),
        "ours, GRU, one value per recurrent step": lambda: our_steps(options, 1),
        "neuralforecast, GRU": lambda: their_steps(options, GRU),
        "neuralforecast, LSTM": lambda: their_steps(options, LSTM),
    }.items():
        rows.append({"name": name, "seconds": statistics.median(steps())})
        print(f"| {name} | {rows[-1]['seconds']:.3f} |", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with train.csv and test.csv")
    parser.add_argument("--horizon", type=int, default=48)
    parser.add_argument("--context", type=int, default=336)
    parser.add_argument("--season", type=int, default=24)
    parser.add_argument("--model", help="folder of our model")
    parser.add_argument("--recipe", default="m4-hourly", help="recipe to train if the folder does not exist")
    parser.add_argument("--minutes", type=float, default=10, help="longest training of a network of neuralforecast")
    parser.add_argument("--max-steps", type=int, default=1000, help="most training steps of neuralforecast")
    parser.add_argument("--windows", type=int, default=64, help="windows per training step")
    names = [*STATISTICAL, *NEURAL]
    fast = [name for name in names if name != "AutoARIMA"]
    parser.add_argument("--rivals", nargs="*", choices=names, default=fast, help="all but AutoARIMA, which takes hours")
    parser.add_argument("--steps", type=int, help="time this many training steps, and nothing else")
    parser.add_argument("--json", metavar="FILE", help="write the table to this file as JSON")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in ("pytorch_lightning", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    rows = time_steps(options) if options.steps else compare(options)
    if options.json:
        Path(options.json).write_text(json.dumps({**vars(options), "rows": rows}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
