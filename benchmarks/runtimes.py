"""Runs one exported model in its runtime, and times it in a process that imports nothing else.

    python benchmarks/runtimes.py RUNTIME PATH INPUTS THREADS

`RUNTIME` is a key of `RUNTIMES`, and `PATH` is the model. `INPUTS` is a `.npz` file with the inputs of a layer, which
is called 101 times, or a file with the texts for a translator, one per line. Prints one line of JSON: the outputs; the
seconds until the model is loaded, from the start of the process, and those of each call; the peak memory in kB.
"""

import contextlib
import json
import sys
import time


def keras(path, threads, jit_compile=False):
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    model = keras.saving.load_model(path)
    function = tf.function(lambda inputs: model(inputs, training=False), jit_compile=jit_compile, autograph=False)
    return lambda inputs: function([tf.constant(x) for x in inputs.values()]).numpy()


def keras_xla(path, threads):
    return keras(path, threads, jit_compile=True)


def saved_model(path, threads):
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    function = tf.saved_model.load(path).signatures["serving_default"]
    return lambda inputs: function(**{name: tf.constant(x) for name, x in inputs.items()})["output_0"].numpy()


def onnx(path, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options)
    return lambda inputs: session.run(None, inputs)[0]


def openvino(path, threads):
    import openvino

    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.compile_model(path, "CPU", options).create_infer_request()
    return lambda inputs: request.infer(inputs, share_inputs=True)[0]


def litert(path, threads):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(path, num_threads=threads).get_signature_runner("serving_default")
    return lambda inputs: runner(**inputs)["output_0"]


def translator_saved_model(folder, threads):
    import tensorflow as tf

    with contextlib.suppress(ImportError):
        import tensorflow_text  # noqa: F401  (the operations of subwords)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    nbest = tf.saved_model.load(folder).signatures["nbest"]
    return lambda text: nbest(text=tf.constant([text]))["texts"][0, 0].numpy().decode()


def translator(folder, threads):
    """The runner in the folder; `threads` is its own choice."""
    sys.path.insert(0, folder)
    from runner import Runner

    model = Runner(folder)
    return lambda text: next(model.predict([text]))["translations"][0]["text"]


RUNTIMES = {
    "keras": keras,
    "keras_xla": keras_xla,
    "saved_model": saved_model,
    "onnx": onnx,
    "openvino": openvino,
    "litert": litert,
    "translator_saved_model": translator_saved_model,
    "translator": translator,
}


def main():
    begin = time.perf_counter()
    runtime, path, inputs, threads = sys.argv[1:]
    call = RUNTIMES[runtime](path, int(threads))
    times = [time.perf_counter() - begin]
    if inputs.endswith(".npz"):
        import numpy

        examples = [dict(numpy.load(inputs))] * 101
    else:
        with open(inputs, encoding="utf-8") as file:
            examples = file.read().splitlines()
    outputs = []
    for example in examples:
        start = time.perf_counter()
        outputs.append(call(example))
        times.append(time.perf_counter() - start)
    if inputs.endswith(".npz"):
        outputs = outputs[-1].tolist()
    # `getrusage` would count the memory of the parent.
    with open("/proc/self/status") as file:
        (memory,) = (int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    print(json.dumps([outputs, times, memory]))


if __name__ == "__main__":
    main()
