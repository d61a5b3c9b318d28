"""Encoder and decoder as one model: it learns, and its search answers."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent.layers import ConditionalLM, Decoder, TextEncoder

PADDING, START, END = 0, 2, 3
VOCABULARY, LENGTH = 12, 4


def model_of(attention="luong", units=8, **options):
    encoder = TextEncoder(VOCABULARY, 8, units, **options)
    return ConditionalLM(encoder, Decoder(VOCABULARY, 8, units, attention=attention, **options))


def reversals(count, rng):
    """Sequences of 1 to 4 digits (tokens from 4 on) to read, and the same backwards to write."""
    sources, targets = np.zeros((2, count, LENGTH + 1), "int32")
    for source, target in zip(sources, targets, strict=True):
        digits = rng.integers(4, VOCABULARY, size=rng.integers(1, LENGTH + 1))
        source[: len(digits) + 1] = [*digits, END]
        target[: len(digits) + 1] = [*digits[::-1], END]
    return sources, targets


def shifted(targets):
    return np.concatenate([np.full_like(targets[:, :1], START), targets[:, :-1]], axis=1)


def test_logits(rng):
    sources, targets = reversals(3, rng)
    model = model_of()
    logits = model((ops.convert_to_tensor(sources), ops.convert_to_tensor(shifted(targets))))
    assert tuple(logits.shape) == (3, LENGTH + 1, VOCABULARY)


def test_encoder_and_decoder_share_no_variables(rng):
    model = model_of()
    model.build([(None, None), (None, None)])
    ids = [{id(variable) for variable in part.variables} for part in (model.encoder, model.decoder, model)]
    assert ids[0] and ids[1]
    assert not ids[0] & ids[1]
    assert ids[0] | ids[1] == ids[2]


@pytest.mark.parametrize("attention", ["luong", "bahdanau", "none"])
def test_padding_of_the_source_changes_nothing(attention, rng, assert_close):
    sources, targets = reversals(4, rng)
    model = model_of(attention)
    padded = np.pad(sources, ((0, 0), (0, 3)))
    tokens = ops.convert_to_tensor(shifted(targets))
    logits, again = (model((ops.convert_to_tensor(x), tokens)) for x in (sources, padded))
    assert_close(logits, again, atol=1e-5)
    found, again = (model.search(ops.convert_to_tensor(x), beam_size=2, max_length=5).tokens for x in (sources, padded))
    assert_close(found, again)


@pytest.mark.parametrize("attention", ["luong", "bahdanau", "none"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_search_scores_are_the_models(cell, attention, rng):
    sources, _ = reversals(3, rng)
    model = model_of(attention, cell=cell, num_layers=2)
    model.build([(None, None), (None, None)])
    model.set_weights([rng.normal(0, 0.7, weight.shape) for weight in model.weights])
    tokens, lengths, scores = map(
        ops.convert_to_numpy, model.search(ops.convert_to_tensor(sources), beam_size=3, max_length=6, alpha=0.5)
    )
    assert np.all((tokens == PADDING) | (tokens >= END))
    for beam in range(3):
        logits = model((ops.convert_to_tensor(sources), ops.convert_to_tensor(shifted(tokens[:, beam]))))
        # Padding, unknown and start are never answers, so the others share the probability.
        logits = ops.convert_to_numpy(logits)[..., END:]
        log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        for row in range(3):
            length = lengths[row, beam]
            assert length == 6 or tokens[row, beam, length - 1] == END
            total = log_probs[row, np.arange(length), tokens[row, beam, :length] - END].sum()
            assert scores[row, beam] == pytest.approx(total / ((5 + length) / 6) ** 0.5, abs=1e-4)


def test_learns_to_reverse(rng):
    sources, targets = reversals(2048, rng)
    model = model_of("luong", units=32)
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
    )
    history = model.fit(
        (sources, shifted(targets)),
        targets,
        sample_weight=(targets != PADDING).astype("float32"),
        epochs=8,
        batch_size=64,
        verbose=0,
    )
    assert history.history["accuracy"][-1] > 0.95
    unseen, expected = reversals(100, np.random.default_rng(9))
    found = ops.convert_to_numpy(model.search(ops.convert_to_tensor(unseen), beam_size=1, max_length=LENGTH + 1).tokens)
    assert np.mean(np.all(found[:, 0] == expected, axis=1)) > 0.9
