"""Times our layers against `keras.layers`, interleaved in one process, and against the matrix products alone.

    python benchmarks/layers.py                                     # TensorFlow; all shapes and cells
    python benchmarks/layers.py --backend jax --json table.json     # needs Keras and JAX only
    python benchmarks/layers.py --recurrent-dropout 0.2 --cells lstm --shapes 64x50x256x256

A training step is a forward pass with all outputs and the gradients of all weights and of the input. On TensorFlow each
side runs as it is and under XLA, and the better counts; a time is the shortest of `--runs`. Before anything is timed,
outputs and gradients of both sides are compared. The floor is the time that a training step's matrix products would
take at the rate of one large product, measured in the same run.
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

    # On a GPU a call returns before its work is done.
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
    """The shortest time of each `(call, wait)`, all taking turns."""
    best = dict.fromkeys(functions, math.inf)
    for _ in range(runs):
        for name, (call, wait) in functions.items():
            start = time.perf_counter()
            wait(call())
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def product_rate(backend):
    """Floating-point operations a second of one large matrix product."""
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


def compare(cell, shape, arguments, runs, backend):
    """A row of the table: times in milliseconds of both sides, and their ratios."""
    import keras
    import numpy as np
    from keras import ops
    from keras_recurrent import layers

    batch, steps, features, units = shape
    random = np.random.default_rng(0)
    inputs = random.normal(size=(batch, steps, features)).astype("float32")
    upstream = random.normal(size=(batch, steps, units)).astype("float32")
    sides = {}
    for side, module in (("ours", layers), ("keras", keras.layers)):
        sides[side] = getattr(module, CELLS[cell])(units, return_sequences=True, **arguments)
        sides[side].build(inputs.shape)
    sides["ours"].set_weights(sides["keras"].get_weights())

    trains, infers, found = {}, {}, {}
    for (side, layer), jit in itertools.product(sides.items(), (False, True) if backend == "tensorflow" else (False,)):
        train, infer, wait = PASSES[backend](layer, inputs, upstream, jit)
        outputs, gradients = train()
        found[side, jit] = [ops.convert_to_numpy(x) for x in (outputs, *gradients)]
        infer()
        trains[side, jit], infers[side, jit] = (train, wait), (infer, wait)
    if not arguments:
        for ours, theirs in zip(found["ours", False], found["keras", False], strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())

    row = {"cell": cell, "shape": "x".join(map(str, shape))}
    for name, functions in (("train", trains), ("infer", infers)):
        times = shortest(functions, runs)
        for side in sides:
            row[f"{name}_{side}_ms"] = 1000 * min(t for (s, _), t in times.items() if s == side)
        row[f"{name}_ratio"] = row[f"{name}_keras_ms"] / row[f"{name}_ours_ms"]
    return row


def floor_ms(cell, shape, rate):
    """A training step's matrix products: for each of the two kernels one forward and two backward."""
    batch, steps, features, units = shape
    return 1000 * 3 * 2 * batch * steps * GATES[cell] * units * (features + units) / rate


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="tensorflow", choices=list(PASSES))
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=list(CELLS))
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="batch x steps x features x units")
    parser.add_argument("--recurrent-dropout", type=float, default=0.0)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", help="file to write the table into as JSON")
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"] = options.backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    arguments = {"recurrent_dropout": options.recurrent_dropout} if options.recurrent_dropout else {}
    rate = product_rate(options.backend)
    print(f"Keras {keras.__version__}, {options.backend}, {platform.machine()}, {os.cpu_count()} cores; {arguments}")
    print(f"a large product: {rate / 1e9:.0f} GFLOP/s; times in ms, the shortest of {options.runs}\n")
    print("| cell | shape | train ours | Keras | ratio | floor | infer ours | Keras | ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    rows = []
    for cell, shape in itertools.product(options.cells, options.shapes):
        shape = tuple(map(int, shape.split("x")))
        row = compare(cell, shape, arguments, options.runs, options.backend)
        row["floor_ms"] = floor_ms(cell, shape, rate)
        rows.append(row)
        print(
            f"| {cell} | {row['shape']} | {row['train_ours_ms']:.1f} | {row['train_keras_ms']:.1f} | "
            f"{row['train_ratio']:.2f} | {row['floor_ms']:.1f} | {row['infer_ours_ms']:.1f} | "
            f"{row['infer_keras_ms']:.1f} | {row['infer_ratio']:.2f} |",
            flush=True,
        )
    mean, least = (
        {name: f([row[f"{name}_ratio"] for row in rows]) for name in ("train", "infer")}
        for f in (lambda xs: math.prod(xs) ** (1 / len(xs)), min)
    )
    print(f"\ngeometric mean: train {mean['train']:.2f}, infer {mean['infer']:.2f}", end="; ")
    print(f"least: train {least['train']:.2f}, infer {least['infer']:.2f}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"backend": options.backend, "arguments": arguments, "rate": rate, "rows": rows}, file, indent=2)


if __name__ == "__main__":
    sys.exit(main())
