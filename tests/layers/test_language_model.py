"""The language model: all steps at once, step by step and in pieces are the same function."""

import keras
import numpy as np
import pytest
from keras import ops, tree
from keras_recurrent.layers import LanguageModel

VOCABULARY, UNITS = 9, 5
TOKENS = np.array([[2, 4, 5, 6, 3, 0], [2, 7, 8, 4, 4, 5], [6, 6, 0, 7, 8, 3]], "int32")
BATCH, STEPS = TOKENS.shape
KINDS = {
    "lstm": {"cell": "lstm"},
    "gru": {"cell": "gru", "embedding_dim": 3},
    "simple_rnn": {"cell": "simple_rnn", "num_layers": 2},
    "stacked": {"cell": "lstm", "num_layers": 2, "embedding_dim": 4},
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def kind(request):
    return request.param


def build(rng, **options):
    model = LanguageModel(VOCABULARY, UNITS, **options)
    model.build(None)
    # States that are carried along are weights, too, and begin at zero.
    model.set_weights([rng.normal(0, 0.8, weight.shape) * ("carried" not in weight.path) for weight in model.weights])
    return model


def test_call_is_step_unrolled(kind, rng, assert_close):
    model = build(rng, **kind)
    logits = model(ops.convert_to_tensor(TOKENS))
    assert tuple(logits.shape) == (BATCH, STEPS, VOCABULARY)
    state = model.initial_state(BATCH)
    for time in range(STEPS):
        found, new_state = model.step(ops.convert_to_tensor(TOKENS[:, time]), state)
        assert_close(found, logits[:, time], atol=1e-5)
        tree.assert_same_structure(new_state, state)
        state = new_state


def test_one_hot_vectors_and_zeros_for_padding(rng, assert_close):
    model = build(rng)
    vectors = ops.convert_to_numpy(model._embed(ops.convert_to_tensor(TOKENS)))
    expected = np.eye(VOCABULARY)[TOKENS] * (TOKENS != 0)[..., np.newaxis]
    np.testing.assert_array_equal(vectors, expected)
    embedded = build(rng, embedding_dim=3)
    vectors = ops.convert_to_numpy(embedded._embed(ops.convert_to_tensor(TOKENS)))
    assert np.all(vectors[TOKENS == 0] == 0) and np.all(vectors[TOKENS != 0] != 0)


def test_pieces_are_read_as_one_text(kind, rng, assert_close):
    model = build(rng, batch_size=BATCH, **kind)
    whole = LanguageModel(VOCABULARY, UNITS, **kind)
    whole.build(None)
    whole.set_weights([weight for weight in model.get_weights() if weight.shape != (BATCH, UNITS)])
    expected = whole(ops.convert_to_tensor(TOKENS))

    def read(tokens, goes_on):
        return model((ops.convert_to_tensor(tokens), ops.convert_to_tensor(np.array(goes_on, "float32"))))

    for _ in range(2):  # what was read before is forgotten where a text begins
        assert_close(read(TOKENS[:, :2], [0, 0, 0]), expected[:, :2], atol=1e-5)
        assert_close(read(TOKENS[:, 2:], [1, 1, 1]), expected[:, 2:], atol=1e-5)
    read(TOKENS[:, :2], [0, 0, 0])
    model.carried[0].assign(model.carried[0] * np.array([[np.nan], [1], [1]]))  # is forgotten, too
    mixed = ops.convert_to_numpy(read(TOKENS[:, :2], [0, 1, 0]))
    np.testing.assert_allclose(mixed[::2], ops.convert_to_numpy(expected)[::2, :2], atol=1e-5)
    assert np.any(np.abs(mixed[1] - ops.convert_to_numpy(expected)[1, :2]) > 1e-3)


@pytest.mark.rest
def test_trains_on_pieces(rng):
    model = build(rng, batch_size=BATCH)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [ops.convert_to_numpy(state) for state in model.carried]
    inputs = TOKENS[:, :-1], np.ones(BATCH, "float32")
    first = model.fit(inputs, TOKENS[:, 1:], epochs=1, batch_size=BATCH, verbose=0).history["loss"]
    last = model.fit(inputs, TOKENS[:, 1:], epochs=30, batch_size=BATCH, verbose=0).history["loss"]
    assert last[-1] < first[0]
    assert all(np.any(ops.convert_to_numpy(x) != y) for x, y in zip(model.carried, before, strict=True))


def greedy(model, tokens, length, reads, allowed):
    """The likeliest token after each, in plain Python."""
    state, written = model.initial_state(1), []
    read = 2
    for time in range(length):
        logits, state = model.step(ops.convert_to_tensor(np.array([read], "int32")), state)
        logits = ops.convert_to_numpy(logits)[0]
        best = tokens[time] if time < len(tokens) else max(allowed, key=lambda token: logits[token])
        written.append(best)
        if best == 3:
            break
        read = best if reads is None or time + 1 < reads else 0
    return written


@pytest.mark.parametrize(
    ("name", "reads", "ends"),
    [
        ("lstm", None, True),
        pytest.param("gru", 1, False, marks=pytest.mark.slow_on_jax),
        pytest.param("simple_rnn", 2, True, marks=pytest.mark.slow_on_jax),
        ("stacked", None, False),
    ],
)
def test_likeliest_continuation(name, reads, ends, rng):
    model = build(rng, **KINDS[name])
    draws = np.zeros((2, 1, 7), "float32")
    options = {"temperature": 0, "reads": reads, "ends": ends}
    found = model.sample(ops.convert_to_tensor(np.array([[7, 8], [5, 0]], "int32")), draws, **options)
    tokens = ops.convert_to_numpy(found.tokens)[:, 0]
    for row, prompt in zip(tokens, ([7, 8], [5]), strict=True):
        expected = greedy(model, prompt, 7, reads, range(3 if ends else 4, VOCABULARY))
        assert row.tolist() == expected + [0] * (7 - len(expected))


def test_samples_are_of_the_models_distribution(rng):
    model = build(rng)
    draws = rng.random((1, 4000, 1)).astype("float32")
    found = model.sample(ops.zeros((1, 0), dtype="int32"), draws, start=5)
    logits, _ = model.step(ops.convert_to_tensor(np.array([5], "int32")), model.initial_state(1))
    shares = np.exp(ops.convert_to_numpy(logits)[0])
    shares[:3] = 0  # padding, unknown and start are never written
    counts = np.bincount(ops.convert_to_numpy(found.tokens)[0, :, 0], minlength=VOCABULARY)
    np.testing.assert_allclose(counts / 4000, shares / shares.sum(), atol=0.03)


def test_read_back_from_a_file(kind, rng, tmp_path, assert_close):
    model = build(rng, batch_size=BATCH, dropout=0.1, **kind)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    inputs = ops.convert_to_tensor(TOKENS), ops.zeros(BATCH)
    assert_close(again(inputs), model(inputs), atol=1e-6)
    assert again.get_config() == model.get_config()
