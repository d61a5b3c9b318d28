"""How the benchmarks of the apps time two models side by side, and the tables that they print."""

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
    """The seconds of `runs` calls of each function, all taking turns. A first turn, which traces, does not count."""
    turns = [[timeit.timeit(call, number=1) for call in calls] for _ in range(runs + 1)]
    return list(zip(*turns[1:], strict=True))


def head():
    """The first two lines of a table whose rows `row` prints."""
    print("\n| | ours | keras.layers | ratio | of a turn |\n|---|---|---|---|---|")


def row(what, call, sides, runs, amount=None):
    """Times `call(side)`; prints and returns how much of an amount that makes a second, or else the milliseconds."""
    seconds = interleaved([functools.partial(call, side) for side in sides], runs)
    medians = [statistics.median(of) for of in seconds]
    ours, twin = (amount / median if amount else 1000 * median for median in medians)
    ratio, *turns = (b / a for a, b in (medians, *zip(*seconds, strict=True)))
    print(f"| {what} | {ours:,.1f} | {twin:,.1f} | {ratio:.2f} | {min(turns):.2f} to {max(turns):.2f} |", flush=True)
    return {"what": what, "ours": ours, "keras": twin, "ratio": ratio, "seconds": seconds}


def training_row(what, sides, loss, dataset, runs, amount):
    """Times `model.fit` of each side over a dataset, compiled with `loss(side)`."""
    for side in sides:
        side.model.compile(ADAM(), loss(side))
    return row(what, lambda side: side.model.fit(dataset, shuffle=False, verbose=0), sides, runs, amount)


def parser(description):
    """The options that the benchmarks share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--json", metavar="FILE", help="file to write the tables into as JSON")
    return parser


def begin():
    print(f"Keras {keras.__version__}, TensorFlow {tf.__version__}, {platform.machine()}, {os.cpu_count()} cores")
    tf.get_logger().setLevel("ERROR")  # it takes the graphs of the two sides for one that is traced again and again


def write(options, results):
    """Writes the tables where `--json` says."""
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({**vars(options), "keras": keras.__version__, **results}, file, indent=2)
