"""The encoders: what padding may not change, and what the summary is."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent.layers import TextEncoder

UNITS = 5
CELLS = ["simple_rnn", "lstm", "gru"]
SENTENCES = np.array([[5, 6, 7, 3], [8, 4, 9, 3]])


@pytest.fixture(params=CELLS)
def cell(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["bidirectional", "forward"])
def bidirectional(request):
    return request.param


@pytest.fixture(params=[1, 2])
def num_layers(request):
    return request.param


@pytest.fixture
def encoder(cell, bidirectional, num_layers):
    return TextEncoder(20, 4, UNITS, cell=cell, bidirectional=bidirectional, num_layers=num_layers)


def arrays(memory):
    return [ops.convert_to_numpy(x) for x in memory]


def test_shapes(encoder, bidirectional):
    memory = encoder(ops.convert_to_tensor(SENTENCES))
    features = 2 * UNITS if bidirectional else UNITS
    shapes = (2, 4, features), (2, 4), (2, features)
    assert tuple(tuple(x.shape) for x in memory) == shapes
    assert tuple(encoder.compute_output_shape((2, 4))) == shapes
    assert keras.backend.standardize_dtype(memory.mask.dtype) == "bool"


@pytest.mark.parametrize(("before", "after"), [(0, 3), (2, 1)], ids=["right", "both"])
def test_padding_changes_nothing(encoder, before, after):
    values, _, summary = arrays(encoder(ops.convert_to_tensor(SENTENCES)))
    padded = np.pad(SENTENCES, ((0, 0), (before, after)))
    padded_values, mask, padded_summary = arrays(encoder(ops.convert_to_tensor(padded)))
    np.testing.assert_array_equal(mask, padded != 0)
    np.testing.assert_allclose(padded_values[:, before : before + 4], values, atol=1e-6)
    np.testing.assert_allclose(padded_summary, summary, atol=1e-6)


def test_summary_is_the_last_state_of_each_direction(encoder, bidirectional):
    values, _, summary = arrays(encoder(ops.convert_to_tensor(np.pad(SENTENCES, ((0, 0), (0, 2))))))
    np.testing.assert_allclose(summary[:, :UNITS], values[:, 3, :UNITS], atol=1e-6)
    if bidirectional:
        np.testing.assert_allclose(summary[:, UNITS:], values[:, 0, UNITS:], atol=1e-6)


def test_each_direction_reads_its_side(cell):
    encoder = TextEncoder(20, 4, UNITS, cell=cell)
    values = arrays(encoder(ops.convert_to_tensor(SENTENCES)))[0]
    changed = SENTENCES.copy()
    changed[:, 2] = 11
    differ = np.any(arrays(encoder(ops.convert_to_tensor(changed)))[0] != values, axis=0)
    assert [bool(np.any(position)) for position in differ[:, :UNITS]] == [False, False, True, True]
    assert [bool(np.any(position)) for position in differ[:, UNITS:]] == [True, True, True, False]


def test_dropout_in_training_only(cell):
    encoder = TextEncoder(20, 4, UNITS, cell=cell, num_layers=2, dropout=0.5)
    tokens = ops.convert_to_tensor(SENTENCES)
    values = arrays(encoder(tokens))[0]
    np.testing.assert_array_equal(arrays(encoder(tokens, training=False))[0], values)
    assert np.any(arrays(encoder(tokens, training=True))[0] != values)


def test_wholly_padded_row_is_finite(cell):
    encoder = TextEncoder(20, 4, UNITS, cell=cell)
    tokens = np.array([[5, 6, 3], [0, 0, 0]])
    assert all(np.all(np.isfinite(x)) for x in arrays(encoder(ops.convert_to_tensor(tokens))))


def test_config_round_trip():
    encoder = TextEncoder(20, 4, UNITS, cell="lstm", num_layers=2, bidirectional=False, dropout=0.1, name="encoder")
    config = encoder.get_config()
    assert TextEncoder.from_config(config).get_config() == config


def test_unknown_cell():
    with pytest.raises(ValueError, match="cell"):
        TextEncoder(20, 4, UNITS, cell="rnn")
