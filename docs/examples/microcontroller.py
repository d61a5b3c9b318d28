"""Recognizes gestures on a microcontroller: trains a GRU, writes one time step of it in int8, runs it in tflite-micro.

    pip install "keras-recurrent[litert]" tflite-micro
    python microcontroller.py gestures.tflite

An accelerometer measures three axes 25 times per second. The data here are generated; replace `gestures` by your own.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from keras_recurrent.export import export_step
from keras_recurrent.layers import GRU
from tflite_micro.python.tflite_micro import runtime

LABELS = ["rest", "shake", "circle", "tap"]
STEPS = 50
ARENA_SIZE = 10 * 1024  # bytes of memory for activations and the interpreter's own data


def gestures(examples, seed):
    """Returns accelerations in units of gravity `(examples, STEPS, 3)`, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(LABELS), size=examples)
    x = rng.normal(0, 0.1, (examples, STEPS, 3))
    x[..., 2] += 1  # gravity
    time = np.arange(STEPS)
    angle = 2 * np.pi * rng.uniform(2, 3, (examples, 1)) / 25 * time + rng.uniform(0, 2 * np.pi, (examples, 1))
    amplitude = rng.uniform(0.6, 1.2, (examples, 1))
    x[..., 0] += np.isin(labels, [1, 2])[:, None] * amplitude * np.sin(angle)
    x[..., 1] += (labels == 2)[:, None] * amplitude * np.cos(angle)
    since_tap = time - rng.integers(5, STEPS - 5, (examples, 1))
    x[..., 2] += (labels == 3)[:, None] * (since_tap >= 0) * 3 * amplitude * np.exp(-np.abs(since_tap) / 3)
    return x.astype("float32"), labels


def train(x, labels, layer):
    """Returns a trained classifier of sequences."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, 3), name="acceleration")
    outputs = keras.layers.Dense(len(LABELS), activation="softmax")(layer(inputs))
    model = keras.Model(inputs, {"probabilities": outputs})
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x, labels, batch_size=50, epochs=8, verbose=0)
    return model


class Step:
    """One time step in tflite-micro, which knows the inputs and outputs of a file by their indices alone."""

    def __init__(self, content, arena_size=ARENA_SIZE):
        self.interpreter = runtime.Interpreter.from_bytes(content, arena_size=arena_size)
        litert = Interpreter(model_content=content)
        signature = litert.get_signature_runner()
        inputs = [details["index"] for details in litert.get_input_details()]
        outputs = [details["index"] for details in litert.get_output_details()]
        self.inputs = {name: inputs.index(x["index"]) for name, x in signature.get_input_details().items()}
        self.outputs = {name: outputs.index(x["index"]) for name, x in signature.get_output_details().items()}

    def __call__(self, **inputs):
        for name, index in self.inputs.items():
            self.interpreter.set_input(inputs[name], index)
        self.interpreter.invoke()
        return {name: self.interpreter.get_output(index) for name, index in self.outputs.items()}


def probabilities(step, sequence, states):
    """Returns the probabilities of the labels after a sequence, read step by step."""
    for acceleration in sequence:
        outputs = step(acceleration=acceleration[None], **states)
        states = {name: outputs[f"next_{name}"] for name in states}
    return outputs["probabilities"][0]


def main(path):
    x, labels = gestures(2000, seed=0)
    model = train(x, labels, GRU(16, name="gru"))
    states = export_step(model, path, "litert", quantize="int8", representative_data=x[:50])

    content = Path(path).read_bytes()
    step = Step(content)
    x, labels = gestures(500, seed=1)
    expected = model.predict(x, verbose=0)["probabilities"]
    outputs = np.array([probabilities(step, sequence, states) for sequence in x])
    print(f"{path}: {len(content):,} bytes, arena {ARENA_SIZE:,} bytes")
    print(f"indices of the inputs {step.inputs} and of the outputs {step.outputs}")
    print(f"accuracy: Keras {(expected.argmax(1) == labels).mean():.3f}, ", end="")
    print(f"tflite-micro {(outputs.argmax(1) == labels).mean():.3f}; ", end="")
    print(f"same label {(outputs.argmax(1) == expected.argmax(1)).mean():.3f}, ", end="")
    print(f"largest difference of a probability {np.abs(outputs - expected).max():.3f}")


if __name__ == "__main__":
    main(sys.argv[1])
