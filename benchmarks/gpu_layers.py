"""The parts of `gpu.py` that time layers, on JAX and on PyTorch.

A case is `(variant, cell, dtype, shape)`. A side is `ours`, `keras` or `torch`. It has two passes, a training
step (`train`) and an inference (`infer`).
"""

import concurrent.futures
import contextlib
import functools
import itertools
import os
import statistics
import time

import keras
import numpy as np
from gpu import emit
from keras_recurrent import layers as ours
from keras_recurrent.layers import fused
from keras_recurrent.layers.loop import loop_settings

VARIANTS = ("plain", "masked", "recurrent_dropout", "bidirectional", "layer_norm")
COMPILED = 8  # cases whose functions are compiled in parallel, before any of them is timed


def layers(options):
    """Times our layers and those of Keras on JAX."""
    import jax

    cases = list(_cases(options, VARIANTS))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, len(cases), COMPILED):
            compiled = {case: {} for case in cases[first : first + COMPILED]}
            for case, sides in compiled.items():
                for side in ("ours",) if case[0] == "layer_norm" else ("ours", "keras"):
                    with _reported(case, side):
                        passes = _lower(side, *case)
                        sides[side] = passes, pool.submit(_compile, passes)
            concurrent.futures.wait([future for sides in compiled.values() for _, future in sides.values()])
            for case, sides in compiled.items():
                functions = {}
                for side, (_, future) in sides.items():
                    with _reported(case, side):
                        functions[side] = future.result()
                if "ours" in functions:
                    bodies = {kind: body for kind, (body, *_) in sides["ours"][0].items()}
                    _time(case, functions, bodies, jax.block_until_ready, options.runs)


def torch(options):
    """Times our layers, those of Keras and those of `torch.nn` on PyTorch."""
    import torch

    wait = (lambda _: torch.cuda.synchronize()) if torch.cuda.is_available() else lambda _: None
    for case in _cases(options, ("plain", "bidirectional", "masked")):
        functions, bodies = {}, {}
        with _reported(case, "ours"):
            functions["ours"] = _torch_keras("ours", *case)
            for kind, call in functions["ours"].items():
                with _recorded_body() as body:
                    call()
                bodies[kind] = body[0]
            functions["torch"] = _torch_nn(*case)
        if case[0] != "masked":
            with _reported(case, "keras"):
                functions["keras"] = _torch_keras("keras", *case)
        if "torch" in functions:
            _time(case, functions, bodies, wait, options.runs)


def unroll(options):
    """Times the loop with several time steps in one iteration, on JAX."""
    import jax

    scan, counts = jax.lax.scan, (1, 2, 4, 10)
    for variant, cell in (("masked", "GRU"), ("recurrent_dropout", "GRU"), ("recurrent_dropout", "LSTM")):
        functions = {}
        for count in counts:
            jax.lax.scan = functools.partial(scan, unroll=count)
            passes = _lower("ours", variant, cell, "float32", options.shapes[0])
            functions[count] = _compile({"train": passes["train"]})["train"]
        jax.lax.scan = scan
        times = medians(functions, jax.block_until_ready, options.runs)
        emit(variant=variant, cell=cell, **{f"unroll_{count}_ms": 1000 * times[count] for count in counts})


def _cases(options, variants):
    """Yields the cases: all shapes in float32, the first one also in bfloat16."""
    for dtype, variant in itertools.product(("float32", "bfloat16"), variants):
        for shape, cell in itertools.product(options.shapes[: None if dtype == "float32" else 1], ("LSTM", "GRU")):
            yield variant, cell, dtype, shape


@contextlib.contextmanager
def _reported(case, side):
    """Emits an error in the block as a row: Keras's GRU in bfloat16 does not run on JAX."""
    try:
        yield
    except Exception as error:
        emit(**_named(case), side=side, error=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _named(case):
    return dict(zip(("variant", "cell", "dtype", "shape"), case, strict=True))


def _time(case, functions, bodies, wait, runs):
    """Times the sides of a case, and emits a row for each kind of pass."""
    for kind, body in bodies.items():
        with _reported(case, " and ".join(functions)):
            times = medians({side: passes[kind] for side, passes in functions.items()}, wait, runs)
            row = {f"{side}_ms": 1000 * seconds for side, seconds in times.items()}
            row |= {f"times_{side}": times[side] / times["ours"] for side in times if side != "ours"}
            emit(**_named(case), kind=kind, body=body, **row)


def medians(functions, wait, runs):
    """Returns the median seconds of each function, in turns. A first turn is not counted."""
    seconds = {name: [] for name in functions}
    for _ in range(runs + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            wait(function())
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def _layer(side, variant, cell, dtype, shape):
    """Returns `(layer, inputs, mask)`: a built layer of ours or of Keras, and arrays to call it with."""
    batch, steps, units = map(int, shape.split("x"))
    module = ours if side == "ours" else keras.layers
    arguments = {"return_sequences": True, "dtype": "mixed_bfloat16" if dtype == "bfloat16" else dtype}
    if variant == "layer_norm":
        cell_layer = getattr(ours, f"LayerNorm{cell}Cell")(units, dtype=arguments["dtype"])
        layer = ours.Recurrent(cell_layer, **arguments)
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
def _recorded_body():
    """Yields a list with the string `"loop"`, which becomes `"fused"` when a fused kernel runs."""
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


def _lower(side, *case):
    """Traces a layer on JAX.

    Returns:
        For each kind of pass `(body, lowered, arguments)`: the body that runs, the lowered function, its arguments.
    """
    import jax

    layer, inputs, mask = _layer(side, *case)
    inputs, masks = jax.numpy.asarray(inputs), {} if mask is None else {"mask": jax.numpy.asarray(mask)}
    trainable = [variable.value for variable in layer.trainable_variables]
    others = [variable.value for variable in layer.non_trainable_variables]

    def call(trainable, inputs, masks, training=False):
        with loop_settings(right_padded=True):
            return layer.stateless_call(trainable, others, inputs, training=training, **masks)[0]

    def loss(trainable, inputs, masks):
        outputs = call(trainable, inputs, masks, True).astype("float32")
        return (outputs * outputs).sum(), outputs

    passes = {}
    for kind, function in (("train", jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)), ("infer", call)):
        with _recorded_body() as body:
            lowered = jax.jit(function).lower(trainable, inputs, masks)
        passes[kind] = body[0], lowered, (trainable, inputs, masks)
    return passes


def _compile(passes):
    return {kind: functools.partial(low.compile(), *arguments) for kind, (_, low, arguments) in passes.items()}


def _torch_passes(call, parameters, inputs):
    """Returns the passes of a function of the inputs and of `training`."""
    import torch

    inputs = inputs.requires_grad_()

    def train():
        outputs = call(inputs, True).float()
        return torch.autograd.grad((outputs * outputs).sum(), [*parameters, inputs])

    def infer():
        with torch.no_grad():
            return call(inputs, False)

    return {"train": train, "infer": infer}


def _torch_keras(side, *case):
    import torch

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
