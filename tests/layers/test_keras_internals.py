"""The private names of Keras that the layers use exist and do what the layers rely on; one test for each name."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent import layers
from keras_recurrent.layers import keras_internals


def test_keras_resets_the_dropout_masks_of_cells():
    """`DropoutRNNCell`: without it `keras.layers.RNN` would keep a cell's dropout mask of the first batch for ever."""
    rnn = keras.layers.RNN(layers.SimpleRNNCell(64, dropout=0.5), return_sequences=True)
    sequences = np.ones((2, 3, 8), "float32")
    first, second = (ops.convert_to_numpy(rnn(sequences, training=True)) for _ in range(2))
    assert np.any(first[:, 0] != second[:, 0])


@pytest.mark.parametrize("method", ["get_dropout_mask", "get_recurrent_dropout_mask"])
def test_masks_are_drawn_by_the_cell(method):
    """`_create_dropout_mask`: without it Keras would draw the masks, slowly under XLA."""
    cell = layers.SimpleRNNCell(4, dropout=0.5, recurrent_dropout=0.5)
    drawn = []
    cell.dropout_mask = lambda like, rate: drawn.append(rate) or ops.ones_like(like)
    getattr(cell, method)(ops.ones((2, 4)))
    getattr(cell, method)(ops.ones((2, 4)))
    assert drawn == [0.5]  # once per sequence
    cell.reset_dropout_mask()
    cell.reset_recurrent_dropout_mask()
    getattr(cell, method)(ops.ones((2, 4)))
    assert drawn == [0.5, 0.5]


def test_no_mask_is_drawn_before_the_loop_of_ours():
    """`_maybe_config_dropout_masks`: without it a cell in `Recurrent` would draw each mask twice."""
    layer = layers.SimpleRNN(4, dropout=0.5, recurrent_dropout=0.5)
    layer.build((2, 3, 4))
    drawn = []
    layer.cell.dropout_mask = lambda like, rate: drawn.append(rate) or ops.ones_like(like)
    layer(ops.ones((2, 3, 4)), training=True)
    assert drawn == [0.5, 0.5]


def test_keras_calls_the_loop(monkeypatch):
    """`inner_loop`: without it `keras.layers.RNN` would run our cells step by step, and slowly."""
    parameters = list(inspect.signature(keras.layers.RNN.inner_loop).parameters)
    assert parameters == ["self", "sequences", "initial_state", "mask", "training"]
    calls = []
    run = layers.GRUCell.run
    monkeypatch.setattr(
        layers.GRUCell, "run", lambda self, *args, **options: calls.append(1) or run(self, *args, **options)
    )
    layers.GRU(4)(ops.ones((2, 3, 4)))
    assert calls == [1]
    theirs = layers.Recurrent(keras.layers.GRUCell(4))  # a cell without `run`
    assert theirs(ops.ones((2, 3, 4))).shape == (2, 4)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_kernels_of_keras(name, monkeypatch):
    """`cudnn_ok`, `lstm` and `gru`: without them no layer would run in cuDNN on TensorFlow."""
    tanh, sigmoid = keras.activations.tanh, keras.activations.sigmoid
    states = {"lstm": ["initial_state_h", "initial_state_c"], "gru": ["initial_state"]}[name]
    backend = keras_internals.backend
    assert not backend.cudnn_ok(keras.activations.relu, sigmoid, unroll=False, use_bias=True)
    arguments, kernel = [], inspect.signature(getattr(backend, name))
    if "inputs" not in kernel.parameters:
        pytest.skip("Keras has no kernel on this backend")

    def record(*args, **options):
        arguments.append(kernel.bind(*args, **options).arguments)
        return "last output", "outputs", "states"

    monkeypatch.setattr(backend, "cudnn_ok", lambda *args, **options: True)
    monkeypatch.setattr(backend, name, record)
    run = keras_internals.keras_kernel(name)
    assert run("inputs", states, "mask", ["kernel", "recurrent kernel", "bias"]) == ("last output", "outputs", "states")
    assert arguments == [
        {
            "inputs": "inputs",
            **{state: state for state in states},
            "mask": "mask",
            "kernel": "kernel",
            "recurrent_kernel": "recurrent kernel",
            "bias": "bias",
            "activation": tanh,
            "recurrent_activation": sigmoid,
            "return_sequences": True,
        }
    ]


def test_sublayers_are_found_without_getattr():
    """`_modules`: without it `layer.units` would recurse without end on PyTorch."""
    layer = layers.LSTM(4)
    assert keras_internals.tracked_layer(layer, "cell") is layer.cell
    assert keras_internals.tracked_layer(keras.layers.Dense(1), "cell") is None
    assert layer.units == 4
    assert not hasattr(layer, "no_such")


def test_no_other_file_uses_private_names():
    folder = inspect.getsourcefile(layers).removesuffix("__init__.py")
    from pathlib import Path

    for path in Path(folder).glob("*.py"):
        if path.name != "keras_internals.py":
            assert "keras.src" not in path.read_text(encoding="utf-8"), path.name
