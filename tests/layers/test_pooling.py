import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent.layers import Memory
from keras_recurrent.layers.pooling import AttentionPooling, last_pooling, max_pooling, mean_pooling

VALUES = np.random.default_rng(1).normal(size=(3, 5, 4)).astype("float32")
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 0, 1, 0]], bool)


def memory_of(values, mask=None):
    mask = None if mask is None else ops.convert_to_tensor(mask)
    return Memory(ops.convert_to_tensor(values), mask, ops.convert_to_tensor(values[:, 0]))


@pytest.mark.parametrize("mask", [None, MASK], ids=["no_mask", "mask"])
def test_poolings_by_hand(mask, assert_close):
    memory = memory_of(VALUES, mask)
    rows = [values[row] for values, row in zip(VALUES, np.ones_like(MASK) if mask is None else mask, strict=True)]
    assert_close(last_pooling(memory), VALUES[:, 0])
    assert_close(mean_pooling(memory), np.stack([row.mean(axis=0) for row in rows]), atol=1e-6)
    assert_close(max_pooling(memory), np.stack([row.max(axis=0) for row in rows]))
    layer = AttentionPooling(6)
    pooled, weights = layer(memory)
    kernel, bias, score = (ops.convert_to_numpy(weight) for weight in layer.weights)
    scores = np.tanh(VALUES @ kernel + bias) @ score[:, 0]
    exponentials = np.exp(scores) * (1 if mask is None else mask)
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    assert_close(weights, expected, atol=1e-6)
    assert_close(pooled, np.einsum("bp,bpf->bf", expected, VALUES), atol=1e-6)


def test_nothing_to_pool(assert_close):
    memory = memory_of(VALUES, np.zeros_like(MASK))
    assert_close(mean_pooling(memory), np.zeros((3, 4)))
    pooled, weights = AttentionPooling(6)(memory)
    assert np.isfinite(ops.convert_to_numpy(pooled)).all() and np.isfinite(ops.convert_to_numpy(weights)).all()


def test_half_precision():
    memory = memory_of(VALUES.astype("float16"), MASK)
    assert np.isfinite(ops.convert_to_numpy(max_pooling(memory))).all()
    pooled, _ = AttentionPooling(6, dtype="mixed_float16")(memory)
    assert keras.backend.standardize_dtype(pooled.dtype) == "float16"


def test_config_round_trip():
    layer = AttentionPooling(6, name="pooling")
    assert AttentionPooling.from_config(layer.get_config()).get_config() == layer.get_config()
