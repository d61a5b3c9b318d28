"""Times exported layers against `keras.layers` in TensorFlow, and a translator in each format.

    python benchmarks/deploy.py
    python benchmarks/deploy.py --cells gru --shapes 1x50x128 --mask --json table.json
    python benchmarks/deploy.py --translator saved_models/de-en --texts test.de --beam-size 1 --threads 1

Layers, one sequence per call, in turns in one process:

A layer runs over a sequence of `steps` vectors of `units` numbers and returns its last output. Our layers run in ONNX
Runtime, OpenVINO (float32) and LiteRT, from the files of `export_model`. Keras's layer has the same weights and runs in
`tf.function`, with and without XLA. The last column is the time in ONNX Runtime divided by the better of these two.

Before anything is timed, the outputs of all are compared. In each of `--runs` turns, each side makes `--calls` calls
in a row; the time of a turn is the median call, and figures are the shortest turns in milliseconds. All runtimes use
`--threads` threads.

With `--translator`, each format runs in a separate process that translates the texts, one per call, with alignments:
the SavedModel by its signature `nbest` in TensorFlow, the others by `runner.py`. `load` is the time from the start of
the process to the loaded model, with all imports, and `memory` the peak of the process (Linux only).
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import timeit
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import timing
from keras_recurrent import layers
from keras_recurrent.apps import load
from keras_recurrent.apps.shared.models.runtimes import write_runtime
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


# Each format is timed in a process that imports nothing else.
TRANSLATE = """
import json, sys, time
begin = time.perf_counter()
folder, texts = sys.argv[1], open(sys.argv[2], encoding="utf-8").read().splitlines()
if folder.endswith("saved_model"):
    import tensorflow as tf
    try:
        import tensorflow_text  # the operations of subwords
    except ImportError:
        pass
    tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[3]))
    model = tf.saved_model.load(folder)
    translate = lambda text: model.signatures["nbest"](text=tf.constant([text]))["texts"][0, 0].numpy().decode()
else:
    sys.path.insert(0, folder)
    from runner import Runner
    model = Runner(folder)
    translate = lambda text: next(model.predict([text]))["translations"][0]["text"]
times, results = [time.perf_counter() - begin], []
for text in texts:
    start = time.perf_counter()
    results.append(translate(text))
    times.append(time.perf_counter() - start)
# `getrusage` would count the memory of the parent.
(memory,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([results, times, int(memory)]))
"""
EXPORTS = ("saved_model", "onnx", "onnx-float16", "onnx-int8", "openvino", "litert", "litert-float16", "litert-int8")


def translator_table(options):
    """Prints the table of the translator and returns its rows."""
    translator = load(options.translator, beam_size=options.beam_size)
    columns = "file, MB | load, s | first, ms | median, ms | texts per second | memory, MB | texts as the first"
    print(f"\n| format | {columns} |\n|---|---|---|---|---|---|---|---|")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in EXPORTS:
            export = Path(folder) / name
            format, _, quantize = name.partition("-")
            if format == "saved_model":
                translator.export(export)
            else:
                write_runtime(export, translator, format, quantize or None)
            command = [sys.executable, "-c", TRANSLATE, str(export), options.texts, str(options.threads)]
            environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "TF_CPP_MIN_LOG_LEVEL": "3"}
            output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
            texts, (start, first, *times), memory = json.loads(output.splitlines()[-1])
            size = sum(file.stat().st_size for file in export.rglob("*") if not file.name.startswith("runner."))
            row = {
                "format": name,
                "megabytes": size / 1e6,
                "load": start,
                "first": 1000 * first,
                "median": 1000 * statistics.median(times),
                "per_second": len(times) / sum(times),
                "memory": memory / 1000,
                "texts": texts,
            }
            rows.append(row)
            same = sum(map(str.__eq__, texts, rows[0]["texts"]))
            figures = [f"{row[key]:.1f}" for key in ("megabytes", "load", "first", "median", "per_second", "memory")]
            print(f"| {name} | {' | '.join(figures)} | {same} of {len(texts)} |", flush=True)
    return rows


def main():
    parser = timing.parser(__doc__)
    parser.add_argument("--calls", type=int, default=20, help="calls per turn and side")
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--shapes", nargs="+", default=["1x50x128", "1x50x512"], help="batch x steps x units")
    parser.add_argument("--mask", action="store_true", help="with a mask of right padding, a fifth of the steps")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--translator", metavar="MODEL", help="folder of a translator, which is timed instead")
    parser.add_argument("--texts", metavar="FILE", help="texts to translate, one per line")
    parser.add_argument("--beam-size", type=int, default=5)
    options = parser.parse_args()
    if (options.translator is None) != (options.texts is None):
        parser.error("--translator and --texts go together")
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    timing.setup()
    if options.translator:
        timing.write_json(options, {"translator": translator_table(options)})
    else:
        timing.write_json(options, {"layers": layers_table(options)})


if __name__ == "__main__":
    main()
