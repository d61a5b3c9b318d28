"""Measures the layers and the training of the applications on a GPU, in one command of at most 8 minutes.

    python benchmarks/gpu.py --multi30k multi30k --json gpu.json      # a folder with train.de, train.en, val.de, ...
    python benchmarks/gpu.py --parts layers torch                     # some parts

It requires JAX and SentencePiece, and PyTorch for the comparison with `torch.nn`; it does not require TensorFlow. Each
part is a process with a time limit. A part that fails or runs out of time is reported, and the next one begins. Results
are printed and written as they come. The last lines say which targets are met.

- device: the GPU and the versions.
- torch: LSTM and GRU of this package on PyTorch, against `torch.nn` and `keras.layers`. `torch.nn` gets masks as packed
  sequences.
- layers: the same layers on JAX, against `keras.layers`, and which body of ours ran: `fused` is cuDNN, `loop` the loop
  over time. A training step is a forward pass with all outputs and the gradients of all weights and of the inputs.
  Masks are right-padded.
- unroll: several time steps in one iteration of the loop, on JAX.
- questions: `keras-recurrent vqa train` on generated images.
- translation: `keras-recurrent translation train` with the recipe of Multi30k, then `evaluate`. `waiting` is the share
  of an epoch in which the training loop waits for a batch. The GPU waits less, since it computes meanwhile: see the
  `traced_` figures, which are those of `steps.py`.

Times are medians of calls in turns, each until the device has finished; the calls that compile are not counted.

On a CPU, the script can be tried with small sizes:

    python benchmarks/gpu.py --minutes 40 --shapes 4x6x8 --runs 3 --multi30k multi30k \\
        --translation-options="--epochs 2 --batch-size 1000 --vocabulary-size 500 --decoder-units 8 --beam-size 2" \\
        --questions-options="--batch-size 256 --question-units 8 --fusion-units 8"
"""

import argparse
import contextlib
import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

MINUTES = 8  # of all parts together
# The module of each part, its Keras backend, and its share of `MINUTES` in seconds. What a part does not use is left to
# the next ones.
PARTS = {
    "device": (None, "jax", 20),
    "torch": ("gpu_layers", "torch", 25),
    "layers": ("gpu_layers", "jax", 110),
    "unroll": ("gpu_layers", "jax", 20),
    "questions": ("gpu_training", "jax", 45),
    "translation": ("gpu_training", "jax", 260),
}
SHAPES = ("64x100x512", "128x50x1024")  # batch x steps x units, with as many features as units
LAYER_TARGETS = {"plain": 0.95, "masked": 4, "recurrent_dropout": 4}  # how many times as fast as Keras
# A figure of the part translation: its description, its target, and whether the target is a maximum.
TRANSLATION_TARGETS = {
    "minutes": ("minutes from the command to the model", 5, True),
    "bleu": ("BLEU", 40.5, False),  # of the README, 41.0, less what seeds differ by
    "target_tokens_per_second": ("target tokens per second", 300_000, False),
    "waiting": ("share of the time waiting for data", 0.1, True),
}
MARK = "@row "  # before a result on the standard output of a part


def emit(**row):
    """Hands a result to the process that runs the parts."""
    print(MARK + json.dumps(row), file=sys.__stdout__, flush=True)  # a part may redirect `sys.stdout`


def device(options):
    import jax
    import keras

    fields = "--query-gpu=name,driver_version,memory.total,power.limit"
    nvidia = []
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["nvidia-smi", fields, "--format=csv,noheader"]
        nvidia = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.splitlines()
    devices = [f"{device.platform}: {device.device_kind}" for device in jax.devices()]
    emit(jax=jax.__version__, keras=keras.__version__, devices=devices, cores=os.cpu_count(), nvidia=nvidia)


def run_part(name, seconds, options, arguments):
    """Runs a part in a separate process.

    Args:
        name: Name of the part.
        seconds: Time limit.
        options: The options of the command.
        arguments: The arguments of the command.

    Yields:
        The rows of the part, then a string: what became of it.
    """
    environment = {"KERAS_BACKEND": PARTS[name][1], "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, __file__, *arguments, "--part", name, "--folder", options.folder],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    lines = queue.Queue()
    threading.Thread(target=lambda: [*map(lines.put, process.stdout), lines.put(None)], daemon=True).start()
    deadline, log = time.monotonic() + seconds, []
    try:
        while (line := lines.get(timeout=max(deadline - time.monotonic(), 0.01))) is not None:
            if line.startswith(MARK):
                yield json.loads(line.removeprefix(MARK))
            else:
                log = [*log[-19:], line.rstrip()]
        status = process.wait(timeout=10)
        yield "complete" if status == 0 else "\n".join([f"failed with status {status}; its last lines:", *log])
    except queue.Empty:
        yield "\n".join([f"stopped after {seconds:.0f} s; its last lines:", *log])
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def show(row):
    """Prints a result."""
    row, words = dict(row), []
    if "variant" in row:  # of a layer
        words = [str(row.pop(key)) for key in ("cell", "variant", "dtype", "shape", "kind", "body") if key in row]
    values = ((key, f"{value:,.4g}" if isinstance(value, float) else value) for key, value in row.items())
    print(" ".join([*words, ", ".join(f"{key} {value}" for key, value in values)]), flush=True)


def summarize(results):
    """Returns what the results say about the targets.

    Returns:
        List of dictionaries with `target`, `measured`, or None if it was not measured, and `is_met`.
    """
    targets = []
    for variant, target in LAYER_TARGETS.items():
        rows = [row for row in _rows(results, "layers") if row["variant"] == variant and row.get("kind") == "train"]
        ratios = [
            (row["times_keras"], f"{row['cell']} {row['dtype']} {row['shape']}") for row in rows if "times_keras" in row
        ]
        least, case = min(ratios, default=(None, ""))
        what = f"training step of a layer, {variant}: at least {target} times as fast as Keras"
        targets.append(_target(what, least, least is not None and least >= target, case))
    rows = _rows(results, "translation")
    for name, (what, target, is_maximum) in TRANSLATION_TARGETS.items():
        # The last row is that of the whole training, or of the last epoch that was complete.
        value = next((row[name] for row in reversed(rows) if name in row), None)
        is_met = value is not None and (value <= target if is_maximum else value >= target)
        what = f"translator, {what}: at {'most' if is_maximum else 'least'} {target:,}"
        targets.append(_target(what, value, is_met))
    return targets


def _rows(results, part):
    return results.get(part, {}).get("rows", [])


def _target(target, measured, is_met, case=""):
    return {"target": target, "measured": measured, "case": case, "is_met": is_met}


def show_summary(results):
    """Prints which parts are complete, and which targets are met."""
    devices = [device for row in _rows(results, "device") for device in row["devices"]]
    print(f"\nparts, on {', '.join(devices) or 'an unknown device'}")
    for name, result in results.items():
        print(
            f"  {name}: {result['status'].splitlines()[0]} ({result['seconds']:.0f} s, {len(result['rows'])} results)"
        )
    print("targets, for an NVIDIA H100 and the default options")
    for target in summarize(results):
        measured = target["measured"]
        status = "not measured" if measured is None else "met" if target["is_met"] else "NOT MET"
        value = "" if measured is None else f"; measured {measured:,.4g} {target['case']}".rstrip()
        print(f"  {status}: {target['target']}{value}")


def run_parts(options, arguments):
    """Runs the parts, prints and writes their results, and returns the exit status: 0 if all are complete."""
    results, deadline = {}, time.monotonic()
    for name in options.parts:
        print(f"\n{name}", flush=True)
        start = time.monotonic()
        deadline += PARTS[name][2] * options.minutes / MINUTES
        result = results[name] = {"rows": [], "status": "running", "seconds": 0.0}
        for row in run_part(name, deadline - start, options, arguments):
            result["seconds"] = time.monotonic() - start
            if isinstance(row, str):
                result["status"] = row
            else:
                result["rows"].append(row)
                show(row)
            write(options, results)
        print(result["status"], flush=True)
    show_summary(results)
    return 0 if all(result["status"] == "complete" for result in results.values()) else 1


def write(options, results):
    """Writes all results so far."""
    path = Path(options.json)
    temporary = path.with_name(path.name + ".part")
    content = {**vars(options), "targets": summarize(results), "results": results}
    temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
    temporary.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--multi30k", metavar="DIR", help="folder with the splits of Multi30k")
    parser.add_argument("--split", default="test_2016_flickr", help="split of the translator's evaluation")
    parser.add_argument("--translation-options", default="", help="further options of the translator's training")
    parser.add_argument("--questions", default="shapes/relational", help="data set of the part questions")
    parser.add_argument("--questions-options", default="", help="further options of the training of questions")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--minutes", type=float, default=MINUTES, help="time limit of all parts together")
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="batch x steps x units; the first also in bfloat16")
    parser.add_argument("--runs", type=int, default=11, help="number of timed turns")
    parser.add_argument("--json", default="gpu.json", metavar="FILE", help="the results; written as they come")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part is not None:
        module = PARTS[options.part][0]
        return getattr(importlib.import_module(module) if module else sys.modules[__name__], options.part)(options)
    with tempfile.TemporaryDirectory() as options.folder:
        return run_parts(options, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
