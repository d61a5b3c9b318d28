"""The attentions against their scores in plain NumPy, and their treatment of the mask."""

import numpy as np
import pytest
from keras import ops
from keras_recurrent.layers import BahdanauAttention, LuongAttention, Memory

BATCH, QUERIES, POSITIONS, QUERY_SIZE, FEATURES, UNITS = 4, 3, 6, 5, 2, 7

# Row by row: every position, padding at the right, a gap at the left and in the middle, no position at all.
MASK = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0], [0, 1, 1, 0, 1, 1], [0, 0, 0, 0, 0, 0]], dtype="bool")


def luong_score(query, value, kernel):
    return query @ kernel.T @ value / np.sqrt(len(query))


def bahdanau_score(query, value, query_kernel, key_kernel, bias, scale):
    return np.tanh(query @ query_kernel + value @ key_kernel + bias) @ scale[:, 0]


ATTENTIONS = [
    pytest.param(LuongAttention, luong_score, id="luong"),
    pytest.param(lambda: BahdanauAttention(UNITS), bahdanau_score, id="bahdanau"),
]


@pytest.fixture
def queries(rng):
    return rng.normal(size=(BATCH, QUERIES, QUERY_SIZE)).astype("float32")


@pytest.fixture
def values(rng):
    return rng.normal(size=(BATCH, POSITIONS, FEATURES)).astype("float32")


def build(make, rng):
    attention = make()
    attention.build((BATCH, QUERIES, QUERY_SIZE), (BATCH, POSITIONS, FEATURES))
    attention.set_weights([rng.normal(size=weight.shape) for weight in attention.weights])
    return attention


def attend(attention, queries, values, mask):
    memory = Memory(
        ops.convert_to_tensor(values), None if mask is None else ops.convert_to_tensor(mask), ops.zeros((BATCH, 1))
    )
    return attention(ops.convert_to_tensor(queries), memory, attention.keys(memory))


@pytest.mark.parametrize("mask", [None, MASK], ids=["no_mask", "mask"])
@pytest.mark.parametrize(("make", "score"), ATTENTIONS)
def test_oracle(make, score, mask, queries, values, rng):
    attention = build(make, rng)
    weights = attention.get_weights()
    context, alignment = (ops.convert_to_numpy(x) for x in attend(attention, queries, values, mask))
    for row in range(BATCH):
        positions = np.arange(POSITIONS) if mask is None else np.flatnonzero(mask[row])
        if not positions.size:
            continue  # nothing to weigh; `test_row_without_positions` says what is asked of it
        for index, query in enumerate(queries[row]):
            exponentials = np.exp([score(query, values[row, position], *weights) for position in positions])
            expected = np.zeros(POSITIONS)
            expected[positions] = exponentials / exponentials.sum()
            np.testing.assert_allclose(alignment[row, index], expected, atol=1e-5)
            np.testing.assert_allclose(context[row, index], expected @ values[row], atol=1e-5)


@pytest.mark.parametrize(("make", "score"), ATTENTIONS)
def test_masked_positions_have_no_weight(make, score, queries, values, rng):
    _, alignment = attend(build(make, rng), queries, values, MASK)
    alignment = ops.convert_to_numpy(alignment)
    np.testing.assert_allclose(alignment.sum(axis=-1), 1, rtol=1e-5)
    some = MASK.any(axis=1)
    hidden = np.broadcast_to(~MASK[:, None], alignment.shape)[some]
    assert np.all(alignment[some][hidden] == 0)
    assert np.all(alignment[some][~hidden] > 0)


@pytest.mark.parametrize(("make", "score"), ATTENTIONS)
def test_row_without_positions(make, score, queries, values, rng, gradients):
    attention = build(make, rng)
    assert all(np.all(np.isfinite(ops.convert_to_numpy(x))) for x in attend(attention, queries, values, MASK))

    def loss(queries, values):
        context, alignment = attend(attention, queries, values, MASK)
        return ops.sum(ops.square(context)) + ops.sum(ops.square(alignment))

    found = gradients(loss, attention.trainable_variables, [queries, values])
    assert all(np.all(np.isfinite(gradient)) for gradient in found)
    assert all(np.any(gradient != 0) for gradient in found)


@pytest.mark.parametrize(("make", "score"), ATTENTIONS)
def test_masked_values_are_not_read(make, score, queries, values, rng):
    attention = build(make, rng)
    context, _ = attend(attention, queries, values, MASK)
    garbage = np.where(MASK[..., None], values, 100.0).astype("float32")
    some = MASK.any(axis=1)
    again, _ = attend(attention, queries, garbage, MASK)
    np.testing.assert_allclose(ops.convert_to_numpy(again)[some], ops.convert_to_numpy(context)[some], atol=1e-6)


def test_config_round_trip():
    for attention in (LuongAttention(name="attention"), BahdanauAttention(UNITS, name="attention", dtype="float64")):
        config = attention.get_config()
        assert type(attention).from_config(config).get_config() == config
