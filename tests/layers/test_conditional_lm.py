"""Encoder and decoder as one model: it learns, and its search answers."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent.layers import AlignedHypotheses, ConditionalLM, Decoder, TextEncoder

PADDING, START, END = 0, 2, 3
VOCABULARY, LENGTH = 12, 4


# Options of the decoder.
ATTENTIONS = {"after_step": {"query": "after_step"}, "before_step": {"query": "before_step"}, "none": {"score": "none"}}


def model_of(attention="after_step", units=8, **options):
    encoder = TextEncoder(VOCABULARY, 8, units, **options)
    return ConditionalLM(encoder, Decoder(VOCABULARY, 8, units, **ATTENTIONS[attention], **options))


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


@pytest.mark.slow_on_jax
def test_several_targets_of_a_source(rng, assert_close, monkeypatch):
    """Their logits are those of each alone, and the source is encoded once."""
    sources, _ = reversals(3, rng)
    targets = rng.integers(4, VOCABULARY, (3, 2, LENGTH))
    targets[0, 1, 2:] = PADDING
    model = model_of()
    encoded = []
    call = model.encoder.call
    monkeypatch.setattr(model.encoder, "call", lambda x, **options: encoded.append(x.shape[0]) or call(x, **options))
    several = model((ops.convert_to_tensor(sources), ops.convert_to_tensor(targets)))
    assert encoded == [3]
    assert tuple(several.shape) == (3, 2, LENGTH, VOCABULARY)
    for place in range(2):
        alone = model((ops.convert_to_tensor(sources), ops.convert_to_tensor(targets[:, place])))
        assert_close(several[:, place], alone, atol=1e-6)


def test_encoder_and_decoder_share_no_variables(rng):
    model = model_of()
    model.build([(None, None), (None, None)])
    ids = [{id(variable) for variable in part.variables} for part in (model.encoder, model.decoder, model)]
    assert ids[0] and ids[1]
    assert not ids[0] & ids[1]
    assert ids[0] | ids[1] == ids[2]


@pytest.mark.parametrize("attention", ["after_step", "none"])
@pytest.mark.slow_on_jax
def test_padding_of_the_source_changes_nothing(attention, rng, assert_close):
    sources, targets = reversals(4, rng)
    model = model_of(attention)
    padded = np.pad(sources, ((0, 0), (0, 3)))
    tokens = ops.convert_to_tensor(shifted(targets))
    logits, again = (model((ops.convert_to_tensor(x), tokens)) for x in (sources, padded))
    assert_close(logits, again, atol=1e-5)
    found, again = (model.search(ops.convert_to_tensor(x), beam_size=2, max_length=5).tokens for x in (sources, padded))
    assert_close(found, again)


def log_probabilities(model, sources, targets):
    """The log-probability of each token of the targets, `(batch, targets, steps)`, as `search` sees the vocabulary."""
    tokens = np.pad(targets[:, :, :-1], ((0, 0), (0, 0), (1, 0)), constant_values=START)
    logits = model((ops.convert_to_tensor(sources), ops.convert_to_tensor(tokens)))
    # Padding, unknown and start are never written, so the others share the probability.
    logits = ops.convert_to_numpy(logits)[..., END:]
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    indices = np.maximum(targets - END, 0)[..., np.newaxis]  # padding counts for nothing
    return np.take_along_axis(log_probs, indices, axis=-1)[..., 0]


@pytest.mark.parametrize(("cell", "attention"), [("lstm", "after_step"), ("gru", "before_step"), ("lstm", "none")])
def test_search_scores_are_the_models(cell, attention, rng):
    sources, _ = reversals(3, rng)
    model = model_of(attention, cell=cell, num_layers=2)
    model.build([(None, None), (None, None)])
    model.set_weights([rng.normal(0, 0.7, weight.shape) for weight in model.weights])
    tokens, lengths, scores = map(
        ops.convert_to_numpy, model.search(ops.convert_to_tensor(sources), beam_size=3, max_length=6, alpha=0.5)
    )
    assert np.all((tokens == PADDING) | (tokens >= END))
    log_probs = log_probabilities(model, sources, tokens)
    for row, beam in np.ndindex(3, 3):
        length = lengths[row, beam]
        assert length == 6 or tokens[row, beam, length - 1] == END
        assert scores[row, beam] == pytest.approx(
            log_probs[row, beam, :length].sum() / ((5 + length) / 6) ** 0.5, abs=1e-4
        )


def random_model(rng, **options):
    model = model_of(**options)
    model.build([(None, None), (None, None)])
    model.set_weights([rng.normal(0, 0.7, weight.shape) for weight in model.weights])
    return model


@pytest.mark.slow_on_jax
def test_alignment_is_of_each_target(rng, assert_close):
    sources, targets = reversals(3, rng)
    model = random_model(rng)
    pair = np.stack([targets, np.roll(targets, 1, axis=0)], axis=1)
    found = model.align(ops.convert_to_tensor(sources), ops.convert_to_tensor(pair))
    assert tuple(found.shape) == (3, 2, LENGTH + 1, LENGTH + 1)
    for index in range(2):
        memory = model.encoder(ops.convert_to_tensor(sources))
        assert_close(
            found[:, index], model.decoder.align(ops.convert_to_tensor(shifted(pair[:, index])), memory), atol=1e-6
        )
    nothing = random_model(rng, attention="none").align(ops.convert_to_tensor(sources), ops.convert_to_tensor(pair))
    assert tuple(nothing.shape) == (3, 2, LENGTH + 1, 0)


@pytest.mark.slow_on_jax
@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_search_returns_the_alignments_of_its_hypotheses(beta, rng, assert_close):
    sources, _ = reversals(4, rng)
    model, sources = random_model(rng), ops.convert_to_tensor(sources)
    options = {"beam_size": 4, "max_length": 6, "alpha": 1.0, "beta": beta}
    tokens, lengths, _, alignments = map(ops.convert_to_numpy, model.search(sources, alignments=True, **options))
    assert np.array_equal(tokens, ops.convert_to_numpy(model.search(sources, **options).tokens))
    assert (lengths < 6).any()
    assert_close(alignments, expected_alignments(model, sources, tokens, lengths), atol=1e-5)


@pytest.mark.slow_on_jax
def test_samples_have_alignments(rng, assert_close):
    sources, _ = reversals(3, rng)
    model, sources = random_model(rng), ops.convert_to_tensor(sources)
    draws = ops.convert_to_tensor(rng.random((3, 2, 5), "float32"))
    tokens, lengths, _, alignments = map(ops.convert_to_numpy, model.sample(sources, draws, alignments=True))
    assert_close(alignments, expected_alignments(model, sources, tokens, lengths), atol=1e-5)


def expected_alignments(model, sources, tokens, lengths):
    weights = ops.convert_to_numpy(model.align(sources, ops.convert_to_tensor(tokens)))
    is_token = np.arange(tokens.shape[2]) < lengths[..., np.newaxis]
    return np.where(is_token[..., np.newaxis], weights, 0)


def test_search_without_attention_has_no_alignments(rng):
    sources, _ = reversals(2, rng)
    hypotheses = random_model(rng, attention="none").search(
        ops.convert_to_tensor(sources), beam_size=2, max_length=3, alignments=True
    )
    assert not isinstance(hypotheses, AlignedHypotheses)


@pytest.mark.slow_on_jax
def test_coverage_penalty_is_the_papers(rng):
    sources, _ = reversals(4, rng)
    model, beta = random_model(rng), 0.5
    sources = ops.convert_to_tensor(sources)
    options = {"beam_size": 4, "max_length": 6, "alpha": 1.0}
    tokens, lengths, scores = map(ops.convert_to_numpy, model.search(sources, beta=beta, **options))
    weights = ops.convert_to_numpy(model.align(sources, ops.convert_to_tensor(tokens)))
    mask = ops.convert_to_numpy(sources) != PADDING
    plain = ops.convert_to_numpy(model.search(sources, **options).tokens)
    assert (plain != tokens).any()
    log_probs = log_probabilities(model, sources, tokens)
    for row, beam in np.ndindex(4, 4):
        length = lengths[row, beam]
        covered = weights[row, beam, :length].sum(axis=0)[mask[row]]
        total = log_probs[row, beam, :length].sum()
        expected = total / ((5 + length) / 6) + beta * np.log(np.minimum(covered, 1)).sum()
        assert scores[row, beam] == pytest.approx(expected, abs=1e-3)


@pytest.mark.slow_on_jax
def test_lengths_are_relative_to_the_source(rng):
    sources = ops.convert_to_tensor(np.array([[5, 6, 7, 8, END], [4, END, 0, 0, 0]]))
    model = random_model(rng)

    def lengths(**ratios):
        return ops.convert_to_numpy(model.search(sources, beam_size=2, max_length=11, **ratios).lengths)

    first, second = lengths(min_ratio=1.5, max_ratio=2.0)
    assert np.all((first >= 7) & (first <= 10))
    assert np.all((second >= 3) & (second <= 4))
    # More than there may be at all, and fewer than one.
    assert np.all(lengths(min_ratio=9.0, max_ratio=9.0) == 11)
    assert np.all(lengths(max_ratio=0.01)[:, 0] == 1)


@pytest.mark.slow_on_jax
def test_samples_are_within_the_limits(rng):
    sources, _ = reversals(3, rng)
    model = random_model(rng)
    draws = ops.convert_to_tensor(rng.random((3, 2, 6)).astype("float32"))
    prefix = ops.array([[5, 6], [7, 0], [0, 0]])
    found = model.sample(ops.convert_to_tensor(sources), draws, prefix=prefix, no_repeat_ngram=1, temperature=2.0)
    tokens = ops.convert_to_numpy(found.tokens)
    assert tokens.shape == (3, 2, 6)
    assert np.all(tokens[0, :, :2] == [5, 6])
    assert np.all(tokens[1, :, 0] == 7)
    for row in tokens.reshape(-1, 6):
        written = row[row != PADDING]
        assert np.all(written >= END)
        assert len(set(written)) == len(written)
    cold = model.sample(ops.convert_to_tensor(sources), draws, temperature=0)
    greedy = model.search(ops.convert_to_tensor(sources), beam_size=1, max_length=6)
    np.testing.assert_array_equal(ops.convert_to_numpy(cold.tokens)[:, :1], ops.convert_to_numpy(greedy.tokens))


def test_tied_embeddings(rng, tmp_path, assert_close):
    sources, targets = reversals(3, rng)
    encoder, decoder = TextEncoder(VOCABULARY, 8, 8), Decoder(VOCABULARY, 8, 8, tie_softmax=True)
    model = ConditionalLM(encoder, decoder, tie_embeddings=True)
    inputs = ops.convert_to_tensor(sources), ops.convert_to_tensor(shifted(targets))
    model(inputs)
    apart = model_of()
    apart(inputs)
    shape = (VOCABULARY, 8)
    assert [tuple(weight.shape) for weight in apart.weights].count(shape) == 2
    assert [tuple(weight.shape) for weight in model.weights].count(shape) == 1
    model.set_weights([rng.normal(0, 0.7, weight.shape) for weight in model.weights])
    logits = model(inputs)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert_close(again(inputs), logits, atol=1e-6)
    assert len(again.weights) == len(model.weights)
    assert again.encoder.embedding is again.decoder.embedding


def test_tied_embeddings_are_of_one_size():
    with pytest.raises(ValueError, match="of one size"):
        ConditionalLM(TextEncoder(VOCABULARY, 8, 8), Decoder(VOCABULARY + 1, 8, 8), tie_embeddings=True)


def test_scheduled_sampling_reads_the_models_own_tokens(rng, assert_close):
    sources, targets = reversals(5, rng)
    encoder = TextEncoder(VOCABULARY, 8, 8)
    model = ConditionalLM(encoder, Decoder(VOCABULARY, 8, 8), scheduled_sampling=True)
    inputs = ops.convert_to_tensor(sources), ops.convert_to_tensor(shifted(targets))
    logits = model(inputs)
    assert_close(model(inputs, training=True), logits)  # at first the rate is 0
    model.sampling_rate.assign(1.0)
    assert_close(model(inputs), logits)  # and it is for training alone
    own = np.argmax(ops.convert_to_numpy(logits)[:, :-1, END:], axis=-1) + END
    read = shifted(targets)
    read[:, 1:] = np.where(read[:, 1:] == PADDING, PADDING, own)
    assert_close(model(inputs, training=True), model((inputs[0], ops.convert_to_tensor(read))), atol=1e-5)


@pytest.mark.slow_on_jax
@pytest.mark.rest
def test_learns_to_reverse(rng):
    sources, targets = reversals(1024, rng)
    model = model_of("after_step", units=32)
    model = ConditionalLM(model.encoder, model.decoder, scheduled_sampling=True)
    model.sampling_rate.assign(0.2)
    model.compile(
        keras.optimizers.Adam(0.02),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
        jit_compile=False,  # compiling would take longer than the training
    )
    history = model.fit(
        (sources, shifted(targets)),
        targets,
        sample_weight=(targets != PADDING).astype("float32"),
        epochs=4,
        batch_size=32,
        verbose=0,
    )
    assert history.history["accuracy"][-1] > 0.95
    unseen, expected = reversals(100, np.random.default_rng(9))
    found = ops.convert_to_numpy(model.search(ops.convert_to_tensor(unseen), beam_size=1, max_length=LENGTH + 1).tokens)
    assert np.mean(np.all(found[:, 0] == expected, axis=1)) > 0.9
