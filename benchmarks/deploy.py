"""Times exported layers against `keras.layers` in TensorFlow, and a translator in each format.

    python benchmarks/deploy.py
    python benchmarks/deploy.py --cells gru --shapes 1x50x128 --mask --json table.json
    python benchmarks/deploy.py --translator saved_models/de-en --texts test.de --beam-size 1 --threads 1

A layer runs over a sequence of `steps` vectors of `units` numbers and returns its last output. Keras's layer has the
same weights and runs in `tf.function`, with and without XLA. Our layer runs from the files of `export_model`. A call
takes and returns NumPy arrays. Before anything is timed, the outputs of all are compared. All runtimes use `--threads`
threads. There are two tables:

- Latency: all sides take turns in one process. In each of `--runs` turns, each side makes `--calls` calls in a row; the
  time of a turn is the median call, and figures are the shortest turns in milliseconds. The last column is the time in
  ONNX Runtime divided by the better of Keras with and without XLA.
- Formats: each runs in a separate process. `load` is the time from the start of the process to the loaded model, with
  all imports, `first` the first call, `median` that of 100 more, and `memory` the peak of the process (Linux only).

With `--translator`, the second table is that of a translator. It translates the texts, one per call, with alignments:
the SavedModel by its signature `nbest` in TensorFlow, the others by `runner.py`, which chooses the number of threads.
"""

import functools
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
import runtimes
import tensorflow as tf
import timing
from keras_recurrent import layers
from keras_recurrent.apps import load
from keras_recurrent.apps.shared.models.runtimes import write_runtime
from keras_recurrent.export import export_model

CELLS = {"simple_rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}
# Of the table of latencies, with the names of `runtimes.py`.
COLUMNS = {
    "Keras": "keras",
    "Keras, XLA": "keras_xla",
    "ONNX Runtime": "onnx",
    "OpenVINO": "openvino",
    "LiteRT": "litert",
}
ENDINGS = {"onnx": ".onnx", "openvino": ".xml", "litert": ".tflite", "saved_model": ""}
LAYER_FORMATS = ("saved_model", "onnx", "onnx-int8", "openvino", "openvino-float16", "litert", "litert-int8")
TRANSLATOR_FORMATS = (
    "saved_model",
    "onnx",
    "onnx-float16",
    "onnx-int8",
    "openvino",
    "litert",
    "litert-float16",
    "litert-int8",
)
FIGURES = {"megabytes": 2, "load": 1, "first": 2, "median": 2, "per_second": 1, "memory": 0}
FIGURE_COLUMNS = "file, MB | load, s | first, ms | median, ms | {} per second | memory, MB"


def build(module, cell, shape, mask):
    """Returns a model with one layer of `keras.layers` or of this package."""
    batch, steps, units = shape
    inputs = [keras.Input((steps, units), batch_size=batch, name="sequences")]
    if mask:
        inputs.append(keras.Input((steps,), batch_size=batch, dtype="bool", name="mask"))
    return keras.Model(inputs, getattr(module, CELLS[cell])(units)(inputs[0], mask=inputs[1] if mask else None))


def export_layer(cell, shape, mask, folder):
    """Writes the layer in all formats, and its inputs. Returns the paths by the formats' names, and the inputs."""
    twin, ours = (build(module, cell, shape, mask) for module in (keras.layers, layers))
    ours.set_weights(twin.get_weights())
    inputs = {"sequences": np.random.default_rng(0).normal(size=shape).astype("float32")}
    if mask:
        inputs["mask"] = np.arange(shape[1])[None] < np.full((shape[0], 1), shape[1] * 4 // 5)
    paths = {"keras": folder / "model.keras"}
    twin.save(paths["keras"])
    paths["keras_xla"] = paths["keras"]
    for name in LAYER_FORMATS:
        format, _, quantize = name.partition("-")
        paths[name] = folder / name / f"model{ENDINGS[format]}"
        paths[name].parent.mkdir()
        export_model(ours, paths[name], format, quantize=quantize or None, right_padded_masks=mask)
    return paths, inputs


def interleaved(functions, turns, calls):
    """Returns the milliseconds of a call of each function; see above."""
    times = [
        [1000 * statistics.median(timeit.repeat(function, number=1, repeat=calls)) for function in functions]
        for _ in range(turns)
    ]
    return [min(of) for of in zip(*times, strict=True)]


def latencies(paths, inputs, options):
    """Returns the milliseconds of a call for each of `COLUMNS`."""
    calls = [runtimes.RUNTIMES[name](str(paths[name]), options.threads) for name in COLUMNS.values()]
    expected = calls[0](inputs)
    for name, call in zip(COLUMNS, calls, strict=True):
        np.testing.assert_allclose(call(inputs), expected, atol=1e-5, rtol=0, err_msg=f"{paths[COLUMNS[name]]}")
    functions = [functools.partial(call, inputs) for call in calls]
    return dict(zip(COLUMNS, interleaved(functions, options.runs, options.calls), strict=True))


def layers_tables(options):
    """Prints both tables of the layers and returns their rows."""
    print(f"\n| cell | shape | {' | '.join(COLUMNS)} | ONNX / Keras |\n|---|---|{'---|' * len(COLUMNS)}---|")
    latency_rows, format_rows = [], []
    for cell, text in itertools.product(options.cells, options.shapes):
        shape = tuple(map(int, text.split("x")))
        with tempfile.TemporaryDirectory() as folder:
            paths, inputs = export_layer(cell, shape, options.mask, Path(folder))
            times = latencies(paths, inputs, options)
            ratio = times["ONNX Runtime"] / min(times["Keras"], times["Keras, XLA"])
            latency_rows.append({"cell": cell, "shape": text, "ms": times, "ratio": ratio})
            print(f"| {cell} | {text} | {' | '.join(f'{t:.3f}' for t in times.values())} | {ratio:.2f} |", flush=True)
            file = Path(folder) / "inputs.npz"
            np.savez(file, **inputs)
            for name, path in paths.items():
                _, figures = measure(name.partition("-")[0], path, file, options.threads)
                format_rows.append({"cell": cell, "shape": text, "format": name, **figures})
    print(f"\n| cell | shape | format | {FIGURE_COLUMNS.format('sequences')} |\n{'|---' * 9}|")
    for row in format_rows:
        print(f"| {row['cell']} | {row['shape']} | {row['format']} | {as_cells(row)} |", flush=True)
    return {"layers": latency_rows, "formats": format_rows}


def measure(runtime, path, inputs, threads):
    """Runs a model in a separate process. Returns its outputs and a dictionary of `FIGURES`."""
    command = [sys.executable, runtimes.__file__, runtime, str(path), str(inputs), str(threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "3"}
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    outputs, (start, first, *times), memory = json.loads(output.splitlines()[-1])
    # OpenVINO's model is two files.
    files = path.rglob("*") if path.is_dir() else [path, *path.parent.glob(f"{path.stem}.bin")]
    return outputs, {
        "megabytes": sum(file.stat().st_size for file in files if not file.name.startswith("runner.")) / 1e6,
        "load": start,
        "first": 1000 * first,
        "median": 1000 * statistics.median(times),
        "per_second": len(times) / sum(times),
        "memory": memory / 1000,
    }


def as_cells(figures):
    return " | ".join(f"{figures[key]:.{digits}f}" for key, digits in FIGURES.items())


def translator_table(options):
    """Prints the table of the translator and returns its rows."""
    translator = load(options.translator, beam_size=options.beam_size)
    print(f"\n| format | {FIGURE_COLUMNS.format('texts')} | texts as the first |\n{'|---' * 8}|")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in TRANSLATOR_FORMATS:
            export = Path(folder) / name
            format, _, quantize = name.partition("-")
            if format == "saved_model":
                translator.export(export)
            else:
                write_runtime(export, translator, format, quantize or None)
            runtime = "translator_saved_model" if format == "saved_model" else "translator"
            texts, figures = measure(runtime, export, options.texts, options.threads)
            rows.append({"format": name, **figures, "texts": texts})
            same = sum(map(str.__eq__, texts, rows[0]["texts"]))
            print(f"| {name} | {as_cells(figures)} | {same} of {len(texts)} |", flush=True)
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
        timing.write_json(options, layers_tables(options))


if __name__ == "__main__":
    main()
