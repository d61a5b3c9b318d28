"""Random masks: their share, their scale, and that XLA compiles them to something quick."""

import time

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent.layers.dropout import dropout, keep_mask


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_share_of_a_mask(rate):
    mask = ops.convert_to_numpy(keep_mask((100, 20, 50), rate, keras.random.SeedGenerator(1)))
    assert mask.dtype == bool
    assert mask.mean() == pytest.approx(1 - rate, abs=0.01)


def test_draws_differ_from_call_to_call_and_along_every_axis():
    generator = keras.random.SeedGenerator(1)
    first, second = (ops.convert_to_numpy(keep_mask((8, 8), 0.5, generator)) for _ in range(2))
    assert (first != second).any()
    assert (first != first[:1]).any()
    assert (first != first[:, :1]).any()


def test_dropout_keeps_the_expectation(rng, assert_close):
    x = np.abs(rng.normal(size=(200, 300))).astype("float32")
    dropped = ops.convert_to_numpy(dropout(ops.convert_to_tensor(x), 0.2, keras.random.SeedGenerator(1)))
    kept = dropped != 0
    assert_close(dropped[kept], x[kept] / 0.8, atol=1e-6)
    assert dropped.mean() == pytest.approx(x.mean(), rel=0.01)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="it is TensorFlow whose compiled draws are slow")
@pytest.mark.parametrize("shape", [(100, 200, 20), (2000, 200)])
def test_xla_does_not_slow_it_down(shape):
    import tensorflow as tf

    generator = keras.random.SeedGenerator(1)
    times = {}
    for jit in (False, True):
        call = tf.function(lambda x: tf.where(keep_mask(shape, 0.5, generator), x, 0), jit_compile=jit)
        x = tf.ones(shape)
        call(x)
        times[jit] = min(_time(call, x) for _ in range(5))
    assert times[True] < 10 * times[False]  # 40 times, where the draw is fused with the comparison


def _time(call, x):
    start = time.perf_counter()
    call(x)
    return time.perf_counter() - start
