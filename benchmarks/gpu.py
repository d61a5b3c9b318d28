"""Measures the layers and the training of the applications on a GPU, in one command of at most 8 minutes.

    python benchmarks/gpu.py --multi30k multi30k --json gpu.json      # a folder with train.de, train.en, val.de, ...
    python benchmarks/gpu.py --parts layers torch                     # some parts
    python benchmarks/gpu.py --tiny --minutes 3                       # small sizes, to try the script on a CPU

It requires JAX, and PyTorch for the comparison with `torch.nn`; it does not require TensorFlow. Each part is a process
with a time limit. A part that fails or runs out of time is reported, and the next one begins. Results are printed and
written as they come.

- device: the GPU and the versions.
- layers: LSTM and GRU of this package and of `keras.layers` on JAX, and which body of ours ran: `fused` is cuDNN,
  `loop` the loop over time. A training step is a forward pass with all outputs and the gradients of all weights and of
  the inputs. Masks are right-padded.
- torch: the same layers on PyTorch, against `torch.nn` and `keras.layers`. `torch.nn` gets masks as packed sequences.
- translation: `keras-recurrent translation train` with the recipe of Multi30k, then `evaluate`. `waiting` is the share
  of an epoch in which the training loop waits for a batch. The GPU waits less, since it computes meanwhile.
- questions: `keras-recurrent vqa train` on generated images.
- unroll: several time steps in one iteration of the loop, on JAX.

Times are medians of calls in turns, each until the device has finished; the calls that compile are not counted.
"""

import argparse
import concurrent.futures
import contextlib
import csv
import functools
import io
import itertools
import json
import os
import queue
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

MAXIMUM = 8  # minutes of all parts together

# The parts in their order: the Keras backend and the seconds that each may take, of these minutes.
PARTS = {
    "device": ("jax", 40),
    "layers": ("jax", 120),
    "torch": ("torch", 40),
    "translation": ("jax", 330),
    "questions": ("jax", 120),
    "unroll": ("jax", 40),
}
SHAPES = ("64x100x512", "128x50x1024")  # batch x steps x units, with as many features as units
VARIANTS = ("plain", "masked", "recurrent_dropout", "bidirectional", "layer_norm")
TARGETS = {"plain": 0.95, "masked": 4, "recurrent_dropout": 4}  # how many times as fast as Keras
TOKENS_PER_SECOND, WAITING, MINUTES = 300_000, 0.1, 5  # the targets of the translator
MARK = "@row "  # before a result on the standard output of a part


def emit(**row):
    """Hands a result to the process that runs the parts."""
    print(MARK + json.dumps(row), file=sys.__stdout__, flush=True)  # `_run` redirects the present one


# What is measured: a function per part.


def device(options):
    import jax
    import keras

    emit(
        jax=jax.__version__,
        keras=keras.__version__,
        devices=[f"{d.platform}: {d.device_kind}" for d in jax.devices()],
        cores=os.cpu_count(),
        nvidia=_nvidia("name,driver_version,memory.total,power.limit"),
    )


def layers(options):
    """Times our layers and those of Keras on JAX."""
    cases = [
        (variant, cell, dtype, shape)
        for dtype, variant in itertools.product(("float32", "bfloat16"), VARIANTS)
        for shape in (options.shapes if dtype == "float32" else options.shapes[:1])
        for cell in ("LSTM", "GRU")
    ]
    # All functions of some cases are compiled in parallel before the first one is timed.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, len(cases), 6):
            chunk = [(case, list(_compiling(case, pool))) for case in cases[first : first + 6]]
            for case, sides in chunk:
                _time_sides(case, [(side, body, _result(case, side, future)) for side, body, future in sides], options)


def _compiling(case, pool):
    """Yields `(side, bodies, future)`: the future has the compiled training step and inference of a side."""
    for side in ("ours", "keras") if case[0] != "layer_norm" else ("ours",):
        try:
            bodies, functions = _lower(side, *case)
        except Exception as error:  # Keras's GRU in bfloat16 does not run on JAX
            _emit_error(case, side, error)
        else:
            yield side, bodies, pool.submit(_compile, functions)


def _result(case, side, future):
    try:
        return future.result()
    except Exception as error:
        _emit_error(case, side, error)


def _emit_error(case, side, error):
    emit(**_named(case), side=side, error=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _time_sides(case, sides, options):
    """Times the training steps and the inferences `(side, bodies, functions)` of a case."""
    import jax

    sides = {side: (bodies, functions) for side, bodies, functions in sides if functions is not None}
    for index, kind in enumerate(("train", "infer")) if "ours" in sides else ():
        calls = {side: functions[index] for side, (_, functions) in sides.items()}
        try:
            times = medians(calls, jax.block_until_ready, options.runs)
        except Exception as error:
            _emit_error(case, " and ".join(calls), error)
        else:
            _emit_row(case, kind, sides["ours"][0][index], times)


def _named(case):
    return dict(zip(("variant", "cell", "dtype", "shape"), case, strict=True))


def _emit_row(case, kind, body, times):
    row = {**_named(case), "kind": kind, "body": body}
    row |= {f"{side}_ms": 1000 * seconds for side, seconds in times.items()}
    for side in times.keys() - {"ours"}:
        row[f"times_{side}"] = times[side] / times["ours"]
    if kind == "train" and case[0] in TARGETS and "keras" in times:
        row["target"] = TARGETS[case[0]]
    emit(**row)


def _layer(side, variant, cell, dtype, shape):
    """Returns `(layer, inputs, mask)`: a built layer of ours or of Keras, and arrays to call it with."""
    import keras
    import numpy as np
    from keras_recurrent import layers

    batch, steps, units = map(int, shape.split("x"))
    module = layers if side == "ours" else keras.layers
    arguments = {"return_sequences": True, "dtype": "mixed_bfloat16" if dtype == "bfloat16" else dtype}
    if variant == "layer_norm":
        cell_layer = getattr(layers, f"LayerNorm{cell}Cell")(units, dtype=arguments["dtype"])
        layer = layers.Recurrent(cell_layer, **arguments)
    else:
        dropout = {"recurrent_dropout": 0.2} if variant == "recurrent_dropout" else {}
        layer = getattr(module, cell)(units, **arguments, **dropout)
    if variant == "bidirectional":
        layer = module.Bidirectional(layer, dtype=arguments["dtype"])
    layer.build((batch, steps, units))
    random = np.random.default_rng(0)
    lengths = random.integers(steps // 2, steps + 1, batch)
    lengths[0] = steps
    mask = np.arange(steps) < lengths[:, None] if variant == "masked" else None
    return layer, random.normal(size=(batch, steps, units)).astype("float32"), mask


@contextlib.contextmanager
def recorded_body():
    """Yields a list with the string `"loop"`, which becomes `"fused"` when a fused kernel runs."""
    from keras_recurrent.layers import fused

    body, run = ["loop"], fused.run

    def record(*arguments):
        result = run(*arguments)
        body[0] = "fused"
        return result

    fused.run = record
    try:
        yield body
    finally:
        fused.run = run


def _lower(side, variant, cell, dtype, shape):
    """Traces the training step and the inference of a layer on JAX.

    Returns:
        `(bodies, functions)`: the body of each that runs, and pairs of a lowered function and its arguments.
    """
    import jax
    from keras_recurrent.layers.loop import loop_settings

    layer, inputs, mask = _layer(side, variant, cell, dtype, shape)
    inputs, mask = jax.numpy.asarray(inputs), None if mask is None else jax.numpy.asarray(mask)
    trainable = [variable.value for variable in layer.trainable_variables]
    others = [variable.value for variable in layer.non_trainable_variables]

    def call(trainable, inputs, mask, training):
        options = {} if mask is None else {"mask": mask}
        with loop_settings(right_padded=True):
            return layer.stateless_call(trainable, others, inputs, training=training, **options)[0]

    def loss(trainable, inputs, mask):
        outputs = call(trainable, inputs, mask, True).astype("float32")
        return (outputs * outputs).sum(), outputs

    train = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    infer = jax.jit(functools.partial(call, training=False))
    bodies, functions = [], []
    for function in (train, infer):
        with recorded_body() as body:
            functions.append((function.lower(trainable, inputs, mask), (trainable, inputs, mask)))
        bodies += body
    return bodies, functions


def _compile(functions):
    return [functools.partial(lowered.compile(), *arguments) for lowered, arguments in functions]


def medians(functions, wait, runs):
    """Returns the median seconds of each function, in turns. A first turn is not counted."""
    seconds = {name: [] for name in functions}
    for _ in range(runs + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            wait(function())
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def torch(options):
    """Times our layers, those of Keras and those of `torch.nn` on PyTorch."""
    variants = ("plain", "bidirectional", "masked")
    for dtype, variant, cell in itertools.product(("float32", "bfloat16"), variants, ("LSTM", "GRU")):
        for shape in options.shapes if dtype == "float32" else options.shapes[:1]:
            case = (variant, cell, dtype, shape)
            with recorded_body() as body:
                sides = {"ours": _torch_keras("ours", *case), "torch": _torch_nn(*case)}
                if variant != "masked":
                    sides["keras"] = _torch_keras("keras", *case)
                for index, kind in enumerate(("train", "infer")):
                    body[0] = "loop"
                    functions = {side: functions[index] for side, functions in sides.items()}
                    times = medians(functions, _wait_torch, options.runs)
                    _emit_row(case, kind, body[0], times)


def _wait_torch(_):
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _torch_passes(call, parameters, inputs):
    """Returns the training step and the inference of a function of the inputs and of `training`."""
    import torch

    inputs = inputs.requires_grad_()

    def train():
        outputs = call(inputs, True).float()
        return torch.autograd.grad((outputs * outputs).sum(), [*parameters, inputs])

    def infer():
        with torch.no_grad():
            return call(inputs, False)

    return train, infer


def _torch_keras(side, *case):
    import torch
    from keras_recurrent.layers.loop import loop_settings

    layer, inputs, mask = _layer(side, *case)
    variables = [variable.value for variable in layer.trainable_variables]
    to = functools.partial(torch.as_tensor, device=variables[0].device)
    masks = {} if mask is None else {"mask": to(mask)}

    def call(inputs, training):
        with loop_settings(right_padded=True):
            return layer(inputs, training=training, **masks)

    return _torch_passes(call, variables, to(inputs))


def _torch_nn(variant, cell, dtype, shape):
    import torch
    from torch.nn.utils import rnn

    _, inputs, mask = _layer("ours", variant, cell, dtype, shape)
    units, steps = inputs.shape[-1], inputs.shape[1]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    module = getattr(torch.nn, cell)(units, units, batch_first=True, bidirectional=variant == "bidirectional")
    module = module.to(device, getattr(torch, dtype))
    lengths = None if mask is None else torch.as_tensor(mask.sum(1))  # on the CPU, as packed sequences need them

    def call(inputs, training):
        if lengths is None:
            return module(inputs)[0]
        packed = rnn.pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
        return rnn.pad_packed_sequence(module(packed)[0], batch_first=True, total_length=steps)[0]

    return _torch_passes(call, list(module.parameters()), torch.as_tensor(inputs).to(device, getattr(torch, dtype)))


def unroll(options):
    """Times the loop with several time steps in one iteration, on JAX."""
    import jax

    scan = jax.lax.scan
    for variant, cell in (("masked", "GRU"), ("recurrent_dropout", "GRU"), ("recurrent_dropout", "LSTM")):
        functions, counts = {}, (1, 2, 4, 10)
        for count in counts:
            jax.lax.scan = functools.partial(scan, unroll=count)
            functions[count] = _compile(_lower("ours", variant, cell, "float32", options.shapes[0])[1])[0]
        jax.lax.scan = scan
        times = medians(functions, jax.block_until_ready, options.runs)
        emit(variant=variant, cell=cell, **{f"unroll_{count}_ms": 1000 * times[count] for count in counts})


def translation(options):
    """Trains a translator with the recipe of Multi30k, and evaluates it."""
    import keras_recurrent

    if options.multi30k is None:
        emit(skipped="--multi30k DIR names the folder of the data")
        return
    recipe = Path(keras_recurrent.__file__).parent / "apps" / "translation" / "multi30k.yaml"
    arguments = ["--config", str(recipe), "--data", options.multi30k]
    if options.tiny:
        sizes = ("embedding-dim", "encoder-units", "decoder-units")
        arguments += ["--epochs", "2", "--tokenizer", "words", *(f"--{size}=8" for size in sizes)]
    folder = _train("translation", "target_tokens", arguments, options)
    metrics = _run("translation", "evaluate", folder, "--data", options.multi30k, "--split", options.split)
    emit(split=options.split, **json.loads(metrics.splitlines()[-1]))


def questions(options):
    """Trains a model that answers questions about generated images."""
    sizes = ["--epochs", "2"]
    if options.tiny:
        sizes = ["--epochs", "1", "--question-units", "8", "--fusion-units", "8", "--blocks", "1"]
    _train("vqa", "questions", ["--data", options.questions, *sizes], options)


def _run(*arguments):
    """Runs the command `keras-recurrent` in this process, and returns what it prints."""
    from keras_recurrent.__main__ import main

    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = main(list(arguments))
    if status:
        raise SystemExit(status)
    return output.getvalue()


def _train(app, unit, arguments, options):
    """Runs the command `train` of an app, and emits its epochs and what it measured; returns the model's folder."""
    folder = str(Path(options.folder) / app)
    start = time.perf_counter()
    with watched_training(app, unit) as rates:
        _run(app, "train", *arguments, "--output", folder)
    minutes = (time.perf_counter() - start) / 60
    with open(Path(folder) / "history.csv", encoding="utf-8", newline="") as file:
        *_, last = csv.DictReader(file)
    summary = {"minutes": minutes, **{name: float(value) for name, value in last.items()}}
    if len(rates) > 1:  # the first epoch compiles
        summary[f"{unit}_per_second"] = statistics.median(rates[1:])
    emit(app=app, **summary)
    return folder


@contextlib.contextmanager
def watched_training(app, unit):
    """Emits a row per epoch of the training in this context: what was trained on per second, and the share of waiting.

    Yields:
        List to which each epoch adds its amount per second.
    """
    import keras
    import numpy as np
    from keras_recurrent.apps.shared.training.batches import EpochBatches

    fit, iterate = keras.Model.fit, EpochBatches.get_jax_iterator
    rates, epoch = [], {}

    def watched_iterator(batches):
        iterator = iterate(batches)
        while True:
            start = time.perf_counter()
            batch = next(iterator, None)
            epoch["waited"] = epoch.get("waited", 0) + time.perf_counter() - start
            if batch is None:
                return
            epoch["amount"] = epoch.get("amount", 0) + int(np.count_nonzero(batch[2]))  # the weights of the targets
            yield batch

    def watched_fit(model, *arguments, **options):
        epoch.clear()
        start = time.perf_counter()
        with sampled_utilization() as utilization:
            result = fit(model, *arguments, **options)
        seconds = time.perf_counter() - start
        rates.append(epoch.get("amount", 0) / seconds)
        emit(
            app=app,
            epoch=len(rates),
            seconds=seconds,
            **{f"{unit}_per_second": rates[-1]},
            waiting=epoch.get("waited", 0) / seconds,
            gpu_utilization=statistics.mean(utilization) / 100 if utilization else None,
        )
        return result

    keras.Model.fit, EpochBatches.get_jax_iterator = watched_fit, watched_iterator
    try:
        yield rates
    finally:
        keras.Model.fit, EpochBatches.get_jax_iterator = fit, iterate


@contextlib.contextmanager
def sampled_utilization():
    """Yields a list of the percentages of time in which the GPU computed, one per second, if there is `nvidia-smi`."""
    samples, is_over = [], threading.Event()

    def sample():
        while shutil.which("nvidia-smi") and not is_over.wait(1):
            with contextlib.suppress(ValueError, IndexError):
                samples.append(float(_nvidia("utilization.gpu")[0].split()[0]))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        is_over.set()
        thread.join()


def _nvidia(fields):
    """Returns what `nvidia-smi` says about each GPU, or an empty list."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.splitlines()
    return []


# The process that runs the parts.


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
    environment = {
        **os.environ,
        "KERAS_BACKEND": PARTS[name][0],
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONUNBUFFERED": "1",
    }
    process = subprocess.Popen(
        [sys.executable, __file__, *arguments, "--part", name, "--folder", options.folder],
        env=environment,
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
        yield f"stopped after {seconds:.0f} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def show(name, row):
    """Prints a result."""
    if "error" not in row and name in ("layers", "torch"):
        what = " | ".join(row[key] for key in ("cell", "variant", "dtype", "shape", "kind", "body"))
        sides = [side for side in ("ours", "keras", "torch") if f"{side}_ms" in row]
        times = ", ".join(f"{side} {row[f'{side}_ms']:.2f} ms" for side in sides)
        ratios = ", ".join(f"{row[f'times_{side}']:.2f} times {side}" for side in sides[1:])
        target = f" (target {row['target']})" if "target" in row else ""
        print(f"{what} | {times} | {ratios}{target}", flush=True)
        return
    values = ((key, f"{value:,.4g}" if isinstance(value, float) else value) for key, value in row.items())
    print(", ".join(f"{key} {value}" for key, value in values), flush=True)


def summarize(results):
    """Returns what the results say about the targets, as lines."""
    lines = []
    for variant, target in TARGETS.items():
        ratios = [
            (row["times_keras"], row["cell"], row["dtype"], row["shape"])
            for row in results.get("layers", {}).get("rows", [])
            if row["variant"] == variant and row.get("kind") == "train" and "times_keras" in row
        ]
        if ratios:
            least, *case = min(ratios)
            lines.append(f"{variant}: at least {least:.2f} times as fast as Keras ({' '.join(case)}); target {target}")
    of_torch = {_key(row): row["torch_ms"] for row in results.get("torch", {}).get("rows", []) if "torch_ms" in row}
    ours = [row for row in results.get("layers", {}).get("rows", []) if _key(row) in of_torch]
    for variant in dict.fromkeys(row["variant"] for row in ours):
        ratios = [of_torch[_key(row)] / row["ours_ms"] for row in ours if row["variant"] == variant]
        lines.append(f"{variant}: on JAX {min(ratios):.2f} to {max(ratios):.2f} times as fast as torch.nn")
    rows = results.get("translation", {}).get("rows", [])
    for row in rows:
        if "minutes" in row:
            lines.append(f"translator: {row['minutes']:.1f} minutes; target {MINUTES}")
        if "target_tokens_per_second" in row and "minutes" in row:
            rate = row["target_tokens_per_second"]
            lines.append(f"translator: {rate:,.0f} target tokens per second; target {TOKENS_PER_SECOND:,}")
        if "bleu" in row:
            lines.append(f"translator: BLEU {row['bleu']:.1f}; in the README 41.0")
    waiting = [row["waiting"] for row in rows if "waiting" in row][1:]
    if waiting:
        lines.append(f"translator: waits for data {statistics.median(waiting):.1%} of the time; target {WAITING:.0%}")
    return lines


def _key(row):
    """What a row of the layers and one of PyTorch have in common if they measure the same."""
    return tuple(row.get(name) for name in ("variant", "cell", "dtype", "shape", "kind"))


def run_parts(options, arguments):
    """Runs the parts until the time is over, and prints and writes their results."""
    results, deadline = {}, time.monotonic() + 60 * options.minutes
    for name in options.parts:
        print(f"\n{name}", flush=True)
        result = results[name] = {"rows": [], "status": "no time left"}
        left = deadline - time.monotonic()
        if left > 5:
            start = time.monotonic()
            for row in run_part(name, min(left, PARTS[name][1] * options.minutes / MAXIMUM), options, arguments):
                if isinstance(row, str):
                    result["status"] = row
                else:
                    result["rows"].append(row)
                    show(name, row)
                result["seconds"] = time.monotonic() - start
                write(options, results)
        print(result["status"], flush=True)
    print("\n" + "\n".join(summarize(results)))
    write(options, results)
    return 0


def write(options, results):
    """Writes all results so far."""
    path = Path(options.json)
    temporary = path.with_name(path.name + ".part")
    content = {**vars(options), "summary": summarize(results), "results": results}
    temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
    temporary.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--multi30k", metavar="DIR", help="folder with the splits of Multi30k; without it, no translator"
    )
    parser.add_argument("--split", default="test_2016_flickr", help="split of the translator's evaluation")
    parser.add_argument("--questions", default="shapes/relational", help="data set of the part questions")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--minutes", type=float, default=MAXIMUM, help="time limit of all parts together")
    parser.add_argument("--shapes", nargs="+", help="batch x steps x units; the first one also in bfloat16")
    parser.add_argument("--runs", type=int, help="number of timed turns")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to try the script")
    parser.add_argument("--json", default="gpu.json", metavar="FILE", help="the results; written as they come")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.shapes = options.shapes or (["4x6x8", "2x5x4"] if options.tiny else list(SHAPES))
    options.runs = options.runs or (3 if options.tiny else 15)
    if options.part is not None:
        return globals()[options.part](options)
    with tempfile.TemporaryDirectory() as options.folder:
        return run_parts(options, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
