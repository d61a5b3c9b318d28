"""Times our layers against `keras.layers`, in turns in one process, and against the matrix products alone.

    python benchmarks/layers.py                                     # TensorFlow; all shapes and cells
    python benchmarks/layers.py --backend jax --json table.json     # requires Keras and JAX only
    python benchmarks/layers.py --recurrent-dropout 0.2 --cells lstm --shapes 64x50x256x256
    python benchmarks/layers.py --table options                     # layer normalization and zoneout
    python benchmarks/layers.py --table steps                       # 50 to 800 time steps

A training step is a forward pass with all outputs and the gradients of all weights and of the inputs. On TensorFlow,
each side runs with and without XLA, and the faster one counts. Times are the shortest of `--runs`. Before anything is
timed, outputs and gradients of both sides are compared. The floor is the time that the matrix products of a training
step would take at the speed of one large product, measured in the same run.
"""

import argparse
import itertools
import json
import math
import os
import platform
import sys
import time

SHAPES = ("64x50x256x256", "32x20x128x128", "64x50x512x512", "32x100x64x64", "128x25x512x512", "16x200x128x256")
CELLS = {"simple_rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}
GATES = {"simple_rnn": 1, "lstm": 4, "gru": 3}


def passes_tensorflow(layer, inputs, upstream, jit):
    import tensorflow as tf

    inputs, upstream = tf.constant(inputs), tf.constant(upstream)
    variables = [variable.value for variable in layer.trainable_variables]

    @tf.function(jit_compile=jit)
    def train():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
            loss = tf.reduce_sum(outputs * upstream)
        return outputs, tape.gradient(loss, [*variables, inputs])

    @tf.function(jit_compile=jit)
    def infer():
        return layer(inputs)

    # On a GPU, calls return before the computation is complete.
    wait = tf.test.experimental.sync_devices if tf.config.list_physical_devices("GPU") else lambda: None
    return train, infer, lambda _: wait()


def passes_jax(layer, inputs, upstream, jit):
    import jax

    inputs, upstream = jax.numpy.asarray(inputs), jax.numpy.asarray(upstream)
    trainable = [variable.value for variable in layer.trainable_variables]
    others = [variable.value for variable in layer.non_trainable_variables]

    def loss(trainable, inputs):
        outputs, _ = layer.stateless_call(trainable, others, inputs, training=True)
        return (outputs * upstream).sum(), outputs

    gradients = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    forward = jax.jit(lambda trainable, inputs: layer.stateless_call(trainable, others, inputs)[0])

    def train():
        (_, outputs), (of_weights, of_inputs) = gradients(trainable, inputs)
        return outputs, [*of_weights, of_inputs]

    return train, lambda: forward(trainable, inputs), jax.block_until_ready


def passes_torch(layer, inputs, upstream, jit):
    import torch

    device = next(iter(layer.trainable_variables)).value.device
    inputs = torch.tensor(inputs, device=device, requires_grad=True)
    upstream = torch.tensor(upstream, device=device)
    variables = [variable.value for variable in layer.trainable_variables]

    def train():
        outputs = layer(inputs, training=True)
        return outputs, torch.autograd.grad((outputs * upstream).sum(), [*variables, inputs])

    def infer():
        with torch.no_grad():
            return layer(inputs)

    return train, infer, lambda _: torch.cuda.synchronize() if torch.cuda.is_available() else None


PASSES = {"tensorflow": passes_tensorflow, "jax": passes_jax, "torch": passes_torch}


def shortest(functions, runs):
    """Returns the shortest time of each `(call, wait)`, in turns."""
    best = dict.fromkeys(functions, math.inf)
    for _ in range(runs):
        for name, (call, wait) in functions.items():
            start = time.perf_counter()
            wait(call())
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def product_rate(backend):
    """Returns the floating-point operations per second of one large matrix product."""
    import numpy as np
    from keras import ops

    size = 2048
    a = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(size, size)).astype("float32"))
    _, _, wait = PASSES[backend](_tiny_layer(), np.ones((1, 1, 1), "float32"), np.ones((1, 1, 1), "float32"), False)
    times = shortest({"product": (lambda: ops.matmul(a, a), wait)}, 20)
    return 2 * size**3 / times["product"]


def _tiny_layer():
    import keras

    layer = keras.layers.SimpleRNN(1, return_sequences=True)
    layer.build((1, 1, 1))
    return layer


def measure(sides, shape, units, runs, backend, agree=False):
    """Measures layers side by side.

    Args:
        sides: Dict of built layers by name.
        shape: `(batch, steps, features)` of the inputs.
        units: Dimension of the outputs.
        runs: Number of turns.
        backend: Name of the backend.
        agree: Whether the outputs and gradients of all layers must be equal.

    Returns:
        `{"train": {name: ms}, "infer": {name: ms}}`, the shortest times with and without XLA.
    """
    import numpy as np
    from keras import ops

    random = np.random.default_rng(0)
    inputs = random.normal(size=shape).astype("float32")
    upstream = random.normal(size=(*shape[:2], units)).astype("float32")
    trains, infers, results = {}, {}, {}
    for (name, layer), jit in itertools.product(sides.items(), (False, True) if backend == "tensorflow" else (False,)):
        train, infer, wait = PASSES[backend](layer, inputs, upstream, jit)
        outputs, gradients = train()
        results[name] = [ops.convert_to_numpy(x) for x in (outputs, *gradients)]
        infer()
        trains[name, jit], infers[name, jit] = (train, wait), (infer, wait)
    first, *others = results.values()
    for other in others if agree else []:
        for ours, theirs in zip(first, other, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())

    best = {}
    for kind, functions in (("train", trains), ("infer", infers)):
        times = shortest(functions, runs)
        best[kind] = {name: 1000 * min(t for (n, _), t in times.items() if n == name) for name in sides}
    return best


def against_keras(options):
    """Compares our layers with those of Keras."""
    import keras
    from keras_recurrent import layers

    arguments = {"recurrent_dropout": options.recurrent_dropout} if options.recurrent_dropout else {}
    rate = product_rate(options.backend)
    print(f"{arguments}; one large product: {rate / 1e9:.0f} GFLOP/s\n")
    print("| cell | shape | train ours | Keras | ratio | floor | infer ours | Keras | ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    for cell, shape in itertools.product(options.cells, options.shapes):
        *shape, units = map(int, shape.split("x"))
        sides = {
            side: getattr(module, CELLS[cell])(units, return_sequences=True, **arguments)
            for side, module in (("ours", layers), ("keras", keras.layers))
        }
        for layer in sides.values():
            layer.build(tuple(shape))
        sides["ours"].set_weights(sides["keras"].get_weights())
        times = measure(sides, tuple(shape), units, options.runs, options.backend, agree=not arguments)
        row = {"cell": cell, "shape": "x".join(map(str, (*shape, units))), "rate": rate}
        for kind, side_times in times.items():
            row |= {f"{kind}_ours_ms": side_times["ours"], f"{kind}_keras_ms": side_times["keras"]}
            row[f"{kind}_ratio"] = side_times["keras"] / side_times["ours"]
        row["floor_ms"] = floor_ms(cell, *shape, units, rate)
        print(
            f"| {cell} | {row['shape']} | {row['train_ours_ms']:.1f} | {row['train_keras_ms']:.1f} | "
            f"{row['train_ratio']:.2f} | {row['floor_ms']:.1f} | {row['infer_ours_ms']:.1f} | "
            f"{row['infer_keras_ms']:.1f} | {row['infer_ratio']:.2f} |",
            flush=True,
        )
        yield row


def options_against_plain(options):
    """Compares training with layer normalization and zoneout with our plain cells."""
    from keras_recurrent import layers

    print("| cell | shape | plain | layer norm | ratio | zoneout | ratio |\n|---|---|---|---|---|---|---|")
    for cell, shape in itertools.product(options.cells, options.shapes):
        *shape, units = map(int, shape.split("x"))
        plain = getattr(layers, f"{CELLS[cell]}Cell")
        cells = {
            "plain": plain(units),
            "layer_norm": getattr(layers, f"LayerNorm{CELLS[cell]}Cell")(units),
            "zoneout": layers.ZoneoutCell(plain(units), rates=0.1),
        }
        sides = {name: layers.Recurrent(cell_layer, return_sequences=True) for name, cell_layer in cells.items()}
        for layer in sides.values():
            layer.build(tuple(shape))
        times = measure(sides, tuple(shape), units, options.runs, options.backend)["train"]
        ratios = {name: times[name] / times["plain"] for name in cells}
        row = {"cell": cell, "shape": "x".join(map(str, (*shape, units))), "train_ms": times, "ratios": ratios}
        print(
            f"| {cell} | {row['shape']} | {times['plain']:.1f} | {times['layer_norm']:.1f} | "
            f"{ratios['layer_norm']:.2f} | {times['zoneout']:.1f} | {ratios['zoneout']:.2f} |",
            flush=True,
        )
        yield row


def steps_against_time(options):
    """Measures training steps by the number of time steps, with batch 32, 64 features and 64 units."""
    from keras_recurrent import layers

    print("| cell | steps | train | per time step |\n|---|---|---|---|")
    for cell, steps in itertools.product(options.cells, (50, 100, 200, 400, 800)):
        layer = getattr(layers, CELLS[cell])(64, return_sequences=True)
        layer.build((32, steps, 64))
        times = measure({"ours": layer}, (32, steps, 64), 64, options.runs, options.backend)["train"]
        row = {"cell": cell, "steps": steps, "train_ms": times["ours"], "train_ms_per_step": times["ours"] / steps}
        print(f"| {cell} | {steps} | {row['train_ms']:.1f} | {row['train_ms_per_step']:.3f} |", flush=True)
        yield row


TABLES = {"keras": against_keras, "options": options_against_plain, "steps": steps_against_time}


def floor_ms(cell, batch, steps, features, units, rate):
    """Returns the time of the matrix products of a training step: one forward and two backward per kernel."""
    return 1000 * 3 * 2 * batch * steps * GATES[cell] * units * (features + units) / rate


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default="keras", choices=list(TABLES), help="the comparison to run")
    parser.add_argument("--backend", default="tensorflow", choices=list(PASSES))
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=list(CELLS))
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="batch x steps x features x units")
    parser.add_argument("--recurrent-dropout", type=float, default=0.0)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", help="write the table to this file as JSON")
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"] = options.backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    print(f"Keras {keras.__version__}, {options.backend}, {platform.machine()}, {os.cpu_count()} cores")
    print(f"times in ms, shortest of {options.runs} runs\n")
    rows = list(TABLES[options.table](options))
    if options.table == "keras":
        mean, least = (
            {name: f([row[f"{name}_ratio"] for row in rows]) for name in ("train", "infer")}
            for f in (lambda xs: math.prod(xs) ** (1 / len(xs)), min)
        )
        print(f"\ngeometric mean: train {mean['train']:.2f}, infer {mean['infer']:.2f}", end="; ")
        print(f"least: train {least['train']:.2f}, infer {least['infer']:.2f}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({**vars(options), "keras": keras.__version__, "rows": rows}, file, indent=2)


if __name__ == "__main__":
    sys.exit(main())
