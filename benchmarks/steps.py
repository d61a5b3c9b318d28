"""Shows by a trace what the device and the host do in each training step, on JAX.

    python benchmarks/steps.py translation train --data DIR --source de --target en --output model
    python benchmarks/steps.py --epoch 3 --steps 50 --folder trace translation train ...

Runs a training command and traces steps of an epoch. A row shows the time in which the device completed a step, and the
shares of this time in which

- the device was idle,
- the host waited for the next batch,
- the host was blocked because it read a value from the device, up to what it did next,
- the host compiled a new shape of batches.

The host runs ahead, so it may wait for data while the device is busy: only an idle device costs time. TensorBoard and
https://ui.perfetto.dev show the trace in `--folder`.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np

STEP, COMPLETE, DATA = "training step", "step complete", "next batch"  # events of the trace
# Events of JAX and of its runtime in which a thread reads a value from the device. A test notices if a release of JAX
# renames them.
READS = ("np.asarray(jax.Array)", "Await")
COMPILATION = "backend_compile"
SHARES = ("idle", "data", "blocked", "compiling")


class Step(NamedTuple):
    """The time between the completions of two training steps.

    Attributes:
        seconds: The seconds.
        idle, data, blocked, compiling: The shares of this time in which the device was idle, and in which the host
            waited for a batch, was blocked by a read, and compiled.
        reads: How often the host read from the device.
    """

    seconds: float
    idle: float
    data: float
    blocked: float
    compiling: float
    reads: int


class StepTrace(keras.callbacks.Callback):
    """Traces some of the steps of an epoch of `model.fit`.

    Args:
        folder: The folder of the trace.
        epoch: The epoch, counted from 1.
        first: The first step of the epoch to trace, counted from 0.
        steps: The number of steps.
    """

    def __init__(self, folder, epoch, first, steps):
        super().__init__()
        self.folder, self.epoch, self.first, self.steps = folder, epoch, first, steps
        self.is_epoch, self.begun, self.completed, self.annotation = False, 0, [], None

    def on_epoch_begin(self, epoch, logs=None):
        self.is_epoch = epoch + 1 == self.epoch

    def on_train_batch_begin(self, batch, logs=None):
        is_traced = self.is_epoch and self.first <= batch < self.first + self.steps
        if is_traced and self.annotation is None:
            self._wait()
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # its events would take longer than the steps
            jax.profiler.start_trace(self.folder, profiler_options=options)
        self._end_step(is_last=not is_traced)
        if is_traced:
            self.annotation = jax.profiler.StepTraceAnnotation(STEP, step_num=batch)
            self.annotation.__enter__()
        self.begun += 1

    def on_train_batch_end(self, batch, logs=None):
        # `fit` calls it in a thread when the results of the step are there.
        with jax.profiler.TraceAnnotation(COMPLETE):
            self.completed.append(batch)

    def on_train_end(self, logs=None):
        self._end_step(is_last=True)

    def _end_step(self, is_last):
        if self.annotation is not None:
            self.annotation.__exit__(None, None, None)
            self.annotation = None
            if is_last:
                self._wait()
                jax.profiler.stop_trace()

    def _wait(self):
        """Waits for the steps that have begun."""
        jax.block_until_ready([variable.value for variable in self.model.variables])
        while len(self.completed) < self.begun:
            time.sleep(0.001)


@contextlib.contextmanager
def traced_training(folder, epoch, first, steps):
    """Traces steps of the training in this context.

    Args:
        folder, epoch, first, steps: See `StepTrace`.
    """
    from keras_recurrent.apps.shared.training.batches import EpochBatches

    fit, iterate = keras.Model.fit, EpochBatches.get_jax_iterator
    trace = StepTrace(str(folder), epoch, first, steps)

    def annotated(batches):
        iterator = iterate(batches)
        while True:
            with jax.profiler.TraceAnnotation(DATA):
                batch = next(iterator, None)
            if batch is None:
                return
            yield batch

    def traced_fit(model, *arguments, callbacks, **options):
        trace.set_model(model)
        callbacks.callbacks.append(trace)
        return fit(model, *arguments, callbacks=callbacks, **options)

    keras.Model.fit, EpochBatches.get_jax_iterator = traced_fit, annotated
    try:
        yield
    finally:
        keras.Model.fit, EpochBatches.get_jax_iterator = fit, iterate


def read_steps(folder):
    """Returns a list of the `Step`s of the newest trace in a folder; an empty one if no step was traced."""
    paths = sorted(Path(folder).glob("plugins/profile/*/*.xplane.pb"))
    if not paths:
        return []
    trace = jax.profiler.ProfileData.from_file(str(paths[-1]))
    lines = [(plane.name, line.name, _intervals(line)) for plane in trace.planes for line in plane.lines]
    host = next(intervals for _, _, intervals in lines if STEP in intervals)
    device = min((plane for plane, _, _ in lines if plane.startswith("/device:GPU")), default=None)
    computing = _union(
        interval
        for plane, line, intervals in lines
        for name, of_name in intervals.items()
        # On a CPU, threads of XLA are the device.
        if (plane == device and line.startswith("Stream"))
        or (device is None and line.startswith("tf_XLA") and name.startswith("ThunkExecutor"))
        for interval in of_name
    )
    data, reads, compilations = (_of_names(host, names) for names in ((DATA,), READS, (COMPILATION,)))
    ends = sorted(end for _, _, intervals in lines for _, end in intervals.get(COMPLETE, ()))
    # On a CPU, the event of a read ends before the thread waits.
    starts = np.unique([start for intervals in host.values() for start, _ in intervals] + ends[-1:])
    reads = [(start, starts[min(np.searchsorted(starts, end), len(starts) - 1)]) for start, end in reads]
    waits = [_union(intervals) for intervals in (data, reads, compilations)]
    steps = []
    for window in zip([host[STEP][0][0], *ends], ends, strict=False):
        count = sum(window[0] <= start < window[1] for start, _ in reads)
        shares = (_share(intervals, window) for intervals in waits)
        steps.append(Step((window[1] - window[0]) / 1e9, 1 - _share(computing, window), *shares, count))
    return steps


def _intervals(line):
    """Returns the intervals `(start, end)` of a thread's events in nanoseconds, by the name of the event."""
    intervals = {}
    for event in line.events:
        intervals.setdefault(event.name, []).append((event.start_ns, event.start_ns + event.duration_ns))
    return intervals


def _of_names(intervals, names):
    """Returns the intervals of the events whose names contain one of `names`."""
    return [interval for name in intervals if any(part in name for part in names) for interval in intervals[name]]


def _union(intervals):
    """Returns the union of intervals as disjoint ones, an array `(intervals, 2)`."""
    ordered = np.array(sorted(intervals), float).reshape(-1, 2)
    ends = np.maximum.accumulate(ordered[:, 1])
    firsts = np.flatnonzero(np.append(True, ordered[1:, 0] > ends[:-1])[: len(ordered)])
    return np.stack([ordered[firsts, 0], np.append(ends[firsts[1:] - 1], ends[-1:])], axis=1)


def _share(intervals, window):
    """Returns the share of a window that disjoint intervals cover."""
    return float(np.diff(np.clip(intervals, *window)).sum() / (window[1] - window[0]))


def summarize(steps):
    """Returns the shares of the time of all steps, and the number of reads."""
    seconds = np.array([step.seconds for step in steps])
    shares = {name: float(np.dot([getattr(step, name) for step in steps], seconds) / seconds.sum()) for name in SHARES}
    return {"steps": len(steps), "seconds": float(seconds.sum()), **shares, "reads": sum(step.reads for step in steps)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epoch", type=int, default=2, help="the epoch, counted from 1; the first one compiles")
    parser.add_argument("--first", type=int, default=2, help="the first step of the epoch to trace, counted from 0")
    parser.add_argument("--steps", type=int, default=20, help="number of steps to trace")
    parser.add_argument("--folder", help="folder of the trace; by default it is deleted")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="training command of `keras-recurrent`")
    options = parser.parse_args()
    from keras_recurrent.__main__ import main as run

    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or temporary
        with traced_training(folder, options.epoch, options.first, options.steps):
            status = run(options.command)
        steps = read_steps(folder)
    if not steps:
        print(f"there was no step {options.first} in epoch {options.epoch}")
        return status or 1
    columns = ("step", "ms", *SHARES, "reads")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for number, step in enumerate(steps, options.first):
        shares = " | ".join(f"{getattr(step, name):.1%}" for name in SHARES)
        print(f"| {number} | {1000 * step.seconds:.2f} | {shares} | {step.reads} |")
    print(", ".join(f"{name} {value:.4g}" for name, value in summarize(steps).items()))
    return status


if __name__ == "__main__":
    sys.exit(main())
