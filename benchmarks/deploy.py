"""Times exported layers against `keras.layers` in TensorFlow, one sequence per call, in turns in one process.

    python benchmarks/deploy.py
    python benchmarks/deploy.py --cells gru --shapes 1x50x128 --mask --json table.json

A layer runs over a sequence of `steps` vectors of `units` numbers and returns its last output. Our layers run in ONNX
Runtime, OpenVINO (float32) and LiteRT, from the files of `export_model`. Keras's layer has the same weights and runs in
`tf.function`, with and without XLA. The last column is the time in ONNX Runtime divided by the better of these two.

Before anything is timed, the outputs of all are compared. In each of `--runs` turns, each side makes `--calls` calls
in a row; the time of a turn is the median call, and figures are the shortest turns in milliseconds. All runtimes use
`--threads` threads.
"""

import itertools
import os
import statistics
import tempfile
import timeit
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import timing
from keras_recurrent import layers
from keras_recurrent.export import export_model

CELLS = {"simple_rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}
COLUMNS = ("Keras", "Keras, XLA", "ONNX Runtime", "OpenVINO", "LiteRT")


def build(module, cell, shape, mask):
    """Returns a model with one layer of `keras.layers` or of this package."""
    batch, steps, units = shape
    inputs = [keras.Input((steps, units), batch_size=batch, name="sequences")]
    if mask:
        inputs.append(keras.Input((steps,), batch_size=batch, dtype="bool", name="mask"))
    return keras.Model(inputs, getattr(module, CELLS[cell])(units)(inputs[0], mask=inputs[1] if mask else None))


def keras_call(model, inputs, jit):
    """Returns a function that runs a model in TensorFlow."""
    tensors = [tf.constant(x) for x in inputs.values()]
    function = tf.function(lambda: model(tensors, training=False), jit_compile=jit, autograph=False)
    return lambda: function().numpy()


def onnx_call(path, inputs, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options)
    return lambda: session.run(None, inputs)[0]


def openvino_call(path, inputs, threads):
    import openvino

    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.compile_model(path, "CPU", options).create_infer_request()
    return lambda: request.infer(inputs, share_inputs=True)[0]


def litert_call(path, inputs, threads):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(path), num_threads=threads).get_signature_runner("serving_default")
    return lambda: runner(**inputs)["output_0"]


RUNTIMES = {"onnx": (".onnx", onnx_call), "openvino": (".xml", openvino_call), "litert": (".tflite", litert_call)}


def calls(cell, shape, mask, threads, folder):
    """Returns a function per column that runs the layer there."""
    twin, ours = (build(module, cell, shape, mask) for module in (keras.layers, layers))
    ours.set_weights(twin.get_weights())
    random = np.random.default_rng(0)
    inputs = {"sequences": random.normal(size=shape).astype("float32")}
    if mask:
        inputs["mask"] = np.arange(shape[1])[None] < np.full((shape[0], 1), shape[1] * 4 // 5)
    functions = [keras_call(twin, inputs, jit) for jit in (False, True)]
    for format, (ending, call) in RUNTIMES.items():
        path = Path(folder) / f"model{ending}"
        export_model(ours, path, format, right_padded_masks=mask)
        functions.append(call(path, inputs, threads))
    expected = functions[0]()
    for name, function in zip(COLUMNS, functions, strict=True):
        np.testing.assert_allclose(function(), expected, atol=1e-5, rtol=0, err_msg=f"{cell} {shape} {name}")
    return functions


def interleaved(functions, turns, calls):
    """Returns the milliseconds of a call of each function; see above."""
    times = [
        [1000 * statistics.median(timeit.repeat(function, number=1, repeat=calls)) for function in functions]
        for _ in range(turns)
    ]
    return [min(of) for of in zip(*times, strict=True)]


def layers_table(options):
    """Prints the table of the layers and returns its rows."""
    print(f"\n| cell | shape | {' | '.join(COLUMNS)} | ONNX / Keras |\n|---|---|{'---|' * len(COLUMNS)}---|")
    rows = []
    for cell, text in itertools.product(options.cells, options.shapes):
        shape = tuple(map(int, text.split("x")))
        with tempfile.TemporaryDirectory() as folder:
            functions = calls(cell, shape, options.mask, options.threads, folder)
            times = dict(zip(COLUMNS, interleaved(functions, options.runs, options.calls), strict=True))
        ratio = times["ONNX Runtime"] / min(times["Keras"], times["Keras, XLA"])
        rows.append({"cell": cell, "shape": text, "ms": times, "ratio": ratio})
        print(f"| {cell} | {text} | {' | '.join(f'{t:.3f}' for t in times.values())} | {ratio:.2f} |", flush=True)
    return rows


def main():
    parser = timing.parser(__doc__)
    parser.add_argument("--calls", type=int, default=20, help="calls per turn and side")
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--shapes", nargs="+", default=["1x50x128", "1x50x512"], help="batch x steps x units")
    parser.add_argument("--mask", action="store_true", help="with a mask of right padding, a fifth of the steps")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    timing.setup()
    timing.write_json(options, {"layers": layers_table(options)})


if __name__ == "__main__":
    main()
