"""Saved models give the same answers in a process that knows of this package's layers nothing but their import."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent import layers

STEPS, FEATURES, UNITS, VOCABULARY = 5, 3, 4, 9

LAYERS = {
    "simple_rnn": lambda: layers.SimpleRNN(UNITS, activation="relu", activity_regularizer="l2"),
    "lstm": lambda: layers.LSTM(UNITS, dropout=0.5, unit_forget_bias=False, use_cudnn=False, seed=3),
    "gru": lambda: layers.GRU(UNITS, reset_after=False, kernel_regularizer="l2", go_backwards=True),
    "gru_without_bias": lambda: layers.GRU(UNITS, use_bias=False, bias_constraint="non_neg"),
    "cell": lambda: layers.Recurrent(layers.GRUCell(UNITS), zero_output_for_mask=True),
    "cells": lambda: layers.Recurrent([layers.LSTMCell(UNITS), layers.SimpleRNNCell(UNITS)]),
    "cell_in_keras": lambda: keras.layers.RNN(layers.LSTMCell(UNITS, recurrent_dropout=0.5)),
    "bidirectional": lambda: keras.layers.Bidirectional(layers.LSTM(UNITS)),
}
# The options of the decoder; the last model searches, too.
ATTENTIONS = {"none": {"score": "none"}, "before_step": {"query": "before_step"}, "after_step": {"query": "after_step"}}

LOAD = """
    import sys

    import keras
    import keras_recurrent.layers
    import numpy as np

    data = dict(np.load(sys.argv[1] + "/data.npz"))
    found = {}
    for name in sys.argv[2].split(","):
        model = keras.models.load_model(f"{sys.argv[1]}/{name}.keras")
        found[name] = model(data["sequences"])
    for name in sys.argv[3].split(","):
        model = keras.models.load_model(f"{sys.argv[1]}/{name}.keras")
        found[name] = model((data["sources"], data["tokens"]))
    found["search"] = model.search(data["sources"], beam_size=2, max_length=4).tokens
    np.savez(sys.argv[1] + "/found.npz", **{name: keras.ops.convert_to_numpy(x) for name, x in found.items()})
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What every model answered before it was saved, and after it was loaded: one process loads them all."""
    folder = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(0)
    data = {
        "sequences": rng.normal(size=(2, STEPS, FEATURES)).astype("float32"),
        "sources": np.array([[5, 6, 3, 0], [4, 8, 7, 3]]),
        "tokens": np.array([[2, 7, 8], [2, 5, 3]]),
    }
    # A masked step, which the layer before the recurrent one finds.
    data["sequences"][:, 3] = 0
    np.savez(folder / "data.npz", **data)
    before = {}
    for name, make in LAYERS.items():
        model = keras.Sequential([keras.Input((None, FEATURES)), keras.layers.Masking(), make()])
        model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
        before[name] = model(data["sequences"])
        model.save(folder / f"{name}.keras")
    for attention, cell in zip(ATTENTIONS, ("simple_rnn", "lstm", "gru"), strict=True):
        encoder = layers.TextEncoder(VOCABULARY, FEATURES, UNITS, cell=cell, num_layers=2)
        decoder = layers.Decoder(VOCABULARY, FEATURES, UNITS, cell=cell, num_layers=2, **ATTENTIONS[attention])
        model = layers.ConditionalLM(encoder, decoder)
        model.build([(None, None), (None, None)])
        model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
        before[attention] = model((data["sources"], data["tokens"]))
        model.save(folder / f"{attention}.keras")
    sources = ops.convert_to_tensor(data["sources"])
    before["search"] = model.search(sources, beam_size=2, max_length=4).tokens
    command = [sys.executable, "-c", textwrap.dedent(LOAD), str(folder), ",".join(LAYERS), ",".join(ATTENTIONS)]
    process = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert process.returncode == 0, process.stderr[-2000:]
    return {name: ops.convert_to_numpy(x) for name, x in before.items()}, np.load(folder / "found.npz")


@pytest.mark.parametrize("name", [*LAYERS, *ATTENTIONS, "search"])
@pytest.mark.rest
def test_saved_model_answers_the_same(name, answers):
    before, after = answers
    np.testing.assert_allclose(after[name], before[name], atol=1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_saved_config_is_the_same(name):
    layer = LAYERS[name]()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
