"""Timing of two models side by side, and the tables that the benchmarks of the apps print."""

import argparse
import functools
import json
import os
import platform
import statistics
import timeit

import keras
import tensorflow as tf

ADAM = functools.partial(keras.optimizers.Adam, 0.002, global_clipnorm=1.0)


def interleaved(calls, runs):
    """Returns the seconds of `runs` calls of each function, in turns. A first turn, which traces, is not counted."""
    turns = [[timeit.timeit(call, number=1) for call in calls] for _ in range(runs + 1)]
    return list(zip(*turns[1:], strict=True))


def print_header():
    """Prints the header of a table whose rows `row` prints."""
    print("\n| | ours | keras.layers | ratio | per turn |\n|---|---|---|---|---|")


def row(what, call, sides, runs, amount=None):
    """Times `call(side)` for both sides and prints a row.

    Args:
        what: Description of the row.
        call: Function of a side.
        sides: Our model and the twin.
        runs: Number of turns.
        amount: What a call processes; the row then shows the amount per second, otherwise milliseconds.

    Returns:
        The row as a dictionary.
    """
    seconds = interleaved([functools.partial(call, side) for side in sides], runs)
    medians = [statistics.median(of) for of in seconds]
    ours, baseline = (amount / median if amount else 1000 * median for median in medians)
    ratio, *turns = (b / a for a, b in (medians, *zip(*seconds, strict=True)))
    print(
        f"| {what} | {ours:,.1f} | {baseline:,.1f} | {ratio:.2f} | {min(turns):.2f} to {max(turns):.2f} |", flush=True
    )
    return {"what": what, "ours": ours, "keras": baseline, "ratio": ratio, "seconds": seconds}


def training_row(what, sides, loss, dataset, runs, amount):
    """Times an epoch of `model.fit` for both sides, each compiled with `loss(side)`."""
    for side in sides:
        side.model.compile(ADAM(), loss(side))
    return row(what, lambda side: side.model.fit(dataset, shuffle=False, verbose=0), sides, runs, amount)


def parser(description):
    """Returns a parser with the options that the benchmarks share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9, help="number of timed turns")
    parser.add_argument("--json", metavar="FILE", help="write the tables to this file as JSON")
    return parser


def setup():
    """Prints the versions and silences warnings."""
    print(f"Keras {keras.__version__}, TensorFlow {tf.__version__}, {platform.machine()}, {os.cpu_count()} cores")
    tf.get_logger().setLevel("ERROR")  # it mistakes the graphs of the two sides for retracing


def write_json(options, results):
    """Writes the tables to the file given with `--json`."""
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({**vars(options), "keras": keras.__version__, **results}, file, indent=2)
