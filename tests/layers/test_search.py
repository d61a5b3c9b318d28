"""Beam search against scripted steps with a known answer, and against the enumeration of all sequences."""

import itertools
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent.layers import Hypotheses, beam_search, constraints, greedy_search, sample
from keras_recurrent.layers.search import _top_k

END, START = 0, 1


def log(probabilities):
    return np.log(np.maximum(probabilities, 1e-30)).astype("float32")


def markov(logits):
    """A step of logits by the token before the last and the last; its state is the former."""
    logits = ops.convert_to_tensor(np.asarray(logits, "float32"))
    size = logits.shape[0]

    def step(token, state):
        return ops.take(ops.reshape(logits, (size * size, -1)), state * size + token, axis=0), token

    return step


def first_order(probabilities):
    """A step of probabilities by the last token; it has no need of its state."""
    table = ops.convert_to_tensor(log(probabilities))
    return lambda token, state: (ops.take(table, token, axis=0), state)


def start_state(batch=1):
    return ops.full((batch,), START, dtype="int32")


def arrays(hypotheses):
    return Hypotheses(*(ops.convert_to_numpy(x) for x in hypotheses))


def penalty(length, alpha):
    return ((5 + length) / 6) ** alpha


def log_probability(logits, tokens):
    log_softmax = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    total, before, last = 0.0, START, START
    for token in tokens:
        total, before, last = total + log_softmax[before, last, token], last, token
    return total


def all_sequences(logits, vocabulary, max_length, alpha):
    """Each sequence that ends, or is cut at `max_length`, with its score; the best first."""
    words = range(1, vocabulary)
    found = [(*body, END) for n in range(max_length) for body in itertools.product(words, repeat=n)]
    found += itertools.product(words, repeat=max_length)
    return sorted(((log_probability(logits, s) / penalty(len(s), alpha), s) for s in found), reverse=True)


def random_logits(seed, vocabulary, size=None):
    """Of the tokens after the vocabulary none is possible: they make room for a beam wider than it."""
    size = size or vocabulary
    logits = np.full((size, size, size), -1e9)
    logits[:, :, :vocabulary] = 2 * np.random.default_rng(seed).normal(size=(size, size, vocabulary))
    return logits


# Greedily 2 (0.6), then 3 or 4 (0.5 each), then the end (0.9): 0.27. Better: 3 (0.4), then the end (0.9): 0.36.
TRAP = [[1, 0, 0, 0, 0], [0, 0, 0.6, 0.4, 0], [0, 0, 0, 0.5, 0.5], [0.9, 0.1, 0, 0, 0], [0.9, 0.1, 0, 0, 0]]


def test_beam_finds_what_greed_misses():
    step = first_order(TRAP)
    options = {"start": START, "end": END, "max_length": 4}
    greedy = arrays(greedy_search(step, start_state(), **options))
    assert greedy.tokens.shape == (1, 1, 4)
    assert greedy.tokens[0, 0, 0] == 2
    beam = arrays(beam_search(step, start_state(), beam_size=2, **options))
    np.testing.assert_array_equal(beam.tokens[0, 0], [3, END, 0, 0])
    assert beam.lengths[0, 0] == 2
    assert beam.scores[0, 0] == pytest.approx(np.log(0.36), abs=1e-5)
    assert beam.scores[0, 0] > greedy.scores[0, 0]


def test_greedy_takes_the_likeliest_token():
    logits = random_logits(3, 5)
    logits[:, :, END] = -1e9
    found = arrays(greedy_search(markov(logits), start_state(), start=START, end=END, max_length=6))
    expected, before, last = [], START, START
    for _ in range(6):
        before, last = last, int(np.argmax(logits[before, last]))
        expected.append(last)
    np.testing.assert_array_equal(found.tokens[0, 0], expected)


@pytest.mark.parametrize(("seed", "alpha"), [(0, 0.0), (1, 1.0), (2, 0.0), (3, 0.6)])
def test_wide_beam_is_exhaustive(seed, alpha):
    vocabulary, max_length, beam_size = 4, 4, 128  # of 3 + ... + 3^4 open and 1 + ... + 3^3 ended hypotheses
    logits = random_logits(seed, vocabulary, size=beam_size)
    options = {"start": START, "end": END, "max_length": max_length, "beam_size": beam_size, "alpha": alpha}
    found = arrays(beam_search(markov(logits), start_state(), **options))
    expected = all_sequences(logits[:vocabulary, :vocabulary, :vocabulary], vocabulary, max_length, alpha)
    np.testing.assert_allclose(found.scores[0, : len(expected)], [score for score, _ in expected], atol=1e-4)
    assert np.all(found.scores[0, len(expected) :] < -1e8)
    for row, (_, sequence) in enumerate(expected[:5]):
        assert tuple(found.tokens[0, row, : found.lengths[0, row]]) == sequence


@pytest.mark.parametrize(("seed", "alpha"), [(0, 0.0), (1, 0.6), (2, 1.0)])
def test_hypotheses_are_what_they_say(seed, alpha):
    vocabulary, max_length, beam_size = 6, 7, 4
    logits = random_logits(seed, vocabulary)
    options = {"start": START, "end": END, "max_length": max_length, "beam_size": beam_size, "alpha": alpha}
    tokens, lengths, scores = (x[0] for x in arrays(beam_search(markov(logits), start_state(), **options)))
    assert np.all(np.diff(scores) <= 0)
    assert len({tuple(row) for row in tokens}) == beam_size
    for row, length, score in zip(tokens, lengths, scores, strict=True):
        ends = np.flatnonzero(row == END)
        assert length == (ends[0] + 1 if ends.size else max_length)
        assert np.all(row[length:] == 0)
        expected = log_probability(logits, row[:length]) / penalty(length, alpha)
        assert score == pytest.approx(expected, abs=1e-4)


def test_cut_at_max_length():
    found = arrays(
        beam_search(
            first_order([[0.5, 0, 0.5], [0, 0, 1], [1e-4, 0, 1 - 1e-4]]),
            start_state(),
            start=START,
            end=END,
            max_length=5,
            beam_size=2,
        )
    )
    np.testing.assert_array_equal(found.tokens[0, 0], [2, 2, 2, 2, 2])
    assert found.lengths[0, 0] == 5


def test_end_other_than_zero():
    step = first_order([[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0]])
    found = arrays(greedy_search(step, start_state(), start=START, end=3, max_length=5))
    np.testing.assert_array_equal(found.tokens, [[[2, 3, 0, 0, 0]]])
    np.testing.assert_array_equal(found.lengths, [[2]])


@pytest.mark.parametrize("k", [1, 5])
def test_top_k_of_a_long_axis(k):
    """As `ops.top_k`, also at the end of an axis that no blocks fill."""
    x = np.random.default_rng(0).integers(0, 300, (4, 3, 3001)).astype("float32")
    x[0, 0] = -1e9
    x[1, 0, -1] = 1000
    found = _top_k(ops.convert_to_tensor(x), k)
    assert 2 * k * 128 < 3001
    values, indices = map(ops.convert_to_numpy, found)
    expected, first = map(ops.convert_to_numpy, ops.top_k(ops.convert_to_tensor(x), k))
    np.testing.assert_array_equal(values, expected)
    if keras.config.backend() != "torch":  # which makes no order among equals
        np.testing.assert_array_equal(indices, first)
    np.testing.assert_array_equal(np.take_along_axis(x, indices, axis=-1), expected)
    assert all(len(set(row)) == k for row in indices.reshape(-1, k))


@pytest.mark.parametrize("beam_size", [1, 3])
def test_rows_do_not_mix(beam_size):
    batch, vocabulary = 5, 6
    logits = np.stack([random_logits(seed, vocabulary)[START] for seed in range(batch)])

    def search(rows):
        def step(token, state):
            return ops.squeeze(ops.take_along_axis(state, ops.reshape(token, (-1, 1, 1)), axis=1), 1), state

        state = ops.convert_to_tensor(logits[rows].astype("float32"))
        return arrays(beam_search(step, state, start=START, end=END, max_length=6, beam_size=beam_size, alpha=0.5))

    together = search(range(batch))
    for row in range(batch):
        alone = search([row])
        np.testing.assert_array_equal(alone.tokens[0], together.tokens[row])
        np.testing.assert_array_equal(alone.lengths[0], together.lengths[row])
        np.testing.assert_allclose(alone.scores[0], together.scores[row], atol=1e-5)


@pytest.mark.skipif(keras.config.backend() == "jax", reason="JAX calls the step once, to trace it")
def test_stops_when_all_have_ended():
    calls = []
    # 1 -> 2 -> the end, for certain.
    table = first_order([[1, 0, 0], [0, 0, 1], [1, 0, 0]])

    def step(token, state):
        calls.append(token)
        return table(token, state)

    greedy_search(step, start_state(2), start=START, end=END, max_length=50)
    assert len(calls) == 2


@pytest.mark.parametrize("beam_size", [1, 3])
def test_no_rows(beam_size):
    options = {"start": START, "end": END, "max_length": 4, "beam_size": beam_size}
    found = arrays(beam_search(markov(random_logits(0, 4)), start_state(0), **options))
    assert [x.shape for x in found] == [(0, beam_size, 4), (0, beam_size), (0, beam_size)]


class Trail(NamedTuple):
    total: Any
    rest: Any


def test_state_follows_its_hypothesis():
    """The logits depend on the sum of the tokens so far, which the state alone knows."""
    vocabulary = 5
    table = 2 * np.random.default_rng(4).normal(size=(64, vocabulary)).astype("float32")

    def step(token, state):
        total = state.total + token
        tokens = [ops.concatenate([state.rest["tokens"][0][:, 1:], ops.expand_dims(token, 1)], axis=1)]
        again = ops.sum(tokens[0], axis=1)
        # Zero unless two parts of the state went separate ways.
        difference = ops.expand_dims(ops.cast(total - again, "float32"), 1) * ops.arange(vocabulary, dtype="float32")
        return ops.take(ops.convert_to_tensor(table), total, axis=0) + difference, Trail(total, {"tokens": tokens})

    state = Trail(ops.zeros((2,), "int32"), {"tokens": [ops.zeros((2, 8), "int32")]})
    found = arrays(beam_search(step, state, start=START, end=END, max_length=6, beam_size=4))
    log_softmax = table - np.log(np.exp(table).sum(axis=-1, keepdims=True))
    for tokens, length, score in zip(found.tokens[0], found.lengths[0], found.scores[0], strict=True):
        totals = np.cumsum([START, *tokens[: length - 1]])
        assert score == pytest.approx(log_softmax[totals, tokens[:length]].sum(), abs=1e-4)


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        (lambda: [constraints.min_length(ops.array([3]), END)], lambda s: len(s) >= 3),
        (lambda: [constraints.max_length(ops.array([2]), END)], lambda s: len(s) <= 2 and s[-1] == END),
        (lambda: [constraints.prefix(ops.array([[2, 3, 0]]))], lambda s: s[:2] == (2, 3)),
        (lambda: [constraints.no_repeated_ngrams(1)], lambda s: len(set(s)) == len(s)),
        (lambda: [constraints.no_repeated_ngrams(2)], lambda s: len(set(itertools.pairwise(s))) == len(s) - 1),
        (
            lambda: [constraints.no_repeated_ngrams(2), constraints.min_length(ops.array([3]), END)],
            lambda s: len(set(itertools.pairwise(s))) == len(s) - 1 and len(s) >= 3,
        ),
    ],
    ids=["min_length", "max_length", "prefix", "unigrams", "bigrams", "two"],
)
def test_wide_beam_is_exhaustive_among_what_is_allowed(limits, allowed):
    """Scores stay the model's log-probabilities: what is forbidden gives its share to nobody."""
    vocabulary, max_length, beam_size, alpha = 4, 4, 128, 1.0
    logits = random_logits(5, vocabulary, size=beam_size)
    options = {"start": START, "end": END, "max_length": max_length, "beam_size": beam_size, "alpha": alpha}
    found = arrays(beam_search(markov(logits), start_state(), constraints=limits(), **options))
    everything = all_sequences(logits[:vocabulary, :vocabulary, :vocabulary], vocabulary, max_length, alpha)
    expected = [(score, sequence) for score, sequence in everything if allowed(sequence)]
    np.testing.assert_allclose(found.scores[0, : len(expected)], [score for score, _ in expected], atol=1e-4)
    assert np.all(found.scores[0, len(expected) :] < -1e8)
    for row, (_, sequence) in enumerate(expected[:5]):
        assert tuple(found.tokens[0, row, : found.lengths[0, row]]) == sequence


def test_a_prefix_is_free_of_what_comes_after_it():
    step = first_order(np.tile([0.1, 0, 0.5, 0.4], (4, 1)))
    options = {"start": START, "end": END, "max_length": 6}
    limits = constraints.all_of([constraints.no_repeated_ngrams(1), constraints.max_length(ops.array([2]), END)], END)
    found = arrays(
        greedy_search(step, start_state(), constraints=[constraints.prefix(ops.array([[2, 2, 2]]), limits)], **options)
    )
    np.testing.assert_array_equal(found.tokens, [[[2, 2, 2, END, 0, 0]]])
    assert found.scores[0, 0] == pytest.approx(3 * np.log(0.5) + np.log(0.1), abs=1e-4)


def test_a_hypothesis_without_a_token_left_ends():
    step = first_order(np.tile([0.1, 0, 0.9], (3, 1)))
    limits = [constraints.no_repeated_ngrams(1), constraints.min_length(ops.array([4]), END)]
    options = {"start": START, "end": END, "max_length": 6, "constraints": [constraints.all_of(limits, END)]}
    found = arrays(greedy_search(step, start_state(), **options))
    assert found.scores[0, 0] > -1e3
    assert found.tokens[0, 0, found.lengths[0, 0] - 1] == END


def test_constraints_are_each_rows_own():
    step = first_order([[1, 0, 0], [0.6, 0, 0.4], [0.6, 0, 0.4]])
    options = {"start": START, "end": END, "max_length": 5}
    lengths = ops.array([1, 3, 4])
    limits = [constraints.min_length(lengths, END), constraints.max_length(lengths, END)]
    found = arrays(greedy_search(step, start_state(3), constraints=limits, **options))
    np.testing.assert_array_equal(found.lengths[:, 0], [1, 3, 4])
    forced = constraints.prefix(ops.array([[0, 0], [2, 0], [2, 2]]))
    found = arrays(greedy_search(step, start_state(3), constraints=[forced], **options))
    np.testing.assert_array_equal(found.tokens[:, 0], [[0, 0, 0, 0, 0], [2, 0, 0, 0, 0], [2, 2, 0, 0, 0]])


def test_bonus_is_that_of_the_state_in_which_a_hypothesis_ended():
    """A bonus of 0.1 for each step taken, whatever the search does after a hypothesis has ended."""
    logits = random_logits(2, 4, size=128)

    def step(token, state):
        before, steps = state
        logits_, before = markov(logits)(token, before)
        return logits_, (before, steps + 1)

    options = {"start": START, "end": END, "max_length": 4, "beam_size": 128}
    state = (start_state(), ops.zeros((1,), "int32"))
    found = arrays(beam_search(step, state, bonus=lambda state: 0.1 * ops.cast(state[1], "float32"), **options))
    expected = [(score + 0.1 * len(s), s) for score, s in all_sequences(logits[:4, :4, :4], 4, 4, 0.0)]
    expected.sort(reverse=True)
    np.testing.assert_allclose(found.scores[0, : len(expected)], [score for score, _ in expected], atol=1e-4)
    assert tuple(found.tokens[0, 0, : found.lengths[0, 0]]) == expected[0][1]


DISTRIBUTION = np.array([0.1, 0.0, 0.4, 0.3, 0.2])  # of the end, the start and three more
SAMPLES = 4000


def sampled_shares(**options):
    """The share of each token among many first tokens."""
    draws = np.random.default_rng(0).random((2, SAMPLES // 2, 1)).astype("float32")
    step = first_order(np.tile(DISTRIBUTION, (5, 1)))
    found = arrays(sample(step, start_state(2), ops.convert_to_tensor(draws), start=START, end=END, **options))
    return np.bincount(found.tokens.ravel(), minlength=5) / SAMPLES


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, DISTRIBUTION),
        ({"temperature": 0.5}, DISTRIBUTION**2 / (DISTRIBUTION**2).sum()),
        ({"top_k": 2}, np.array([0, 0, 4, 3, 0]) / 7),
        ({"top_k": 50}, DISTRIBUTION),
        ({"top_p": 0.6}, np.array([0, 0, 4, 3, 0]) / 7),  # 0.4 is not enough, 0.7 is
        ({"top_p": 0.95, "top_k": 3}, np.array([0, 0, 4, 3, 2]) / 9),
        ({"temperature": 0}, [0, 0, 1, 0, 0]),
        ({"constraints": [constraints.min_length(ops.array([2, 2]), END)]}, np.array([0, 0, 4, 3, 2]) / 9),
    ],
    ids=["plain", "cold", "top_k", "all_k", "top_p", "both", "zero", "constrained"],
)
def test_samples_have_the_models_distribution(options, expected):
    np.testing.assert_allclose(sampled_shares(**options), expected, atol=0.025)


def test_a_temperature_below_zero():
    with pytest.raises(ValueError, match="must be 0 or more"):
        sampled_shares(temperature=-1.0)


def test_samples_follow_their_draws_and_score_as_the_model_does():
    logits = random_logits(7, 6)
    draws = np.random.default_rng(1).random((3, 2, 8)).astype("float32")
    options = {"start": START, "end": END, "alpha": 0.7}
    found = arrays(sample(markov(logits), start_state(3), ops.convert_to_tensor(draws), **options))
    again = arrays(sample(markov(logits), start_state(3), ops.convert_to_tensor(draws), **options))
    alone = arrays(sample(markov(logits), start_state(1), ops.convert_to_tensor(draws[1:2, 1:]), **options))
    np.testing.assert_array_equal(found.tokens, again.tokens)
    np.testing.assert_array_equal(found.tokens[1, 1], alone.tokens[0, 0])
    assert len({tuple(tokens) for tokens in found.tokens.reshape(-1, 8)}) > 3
    for tokens, length, score in zip(*(x.reshape(6, *x.shape[2:]) for x in found), strict=True):
        ends = np.flatnonzero(tokens == END)
        assert length == (ends[0] + 1 if ends.size else 8)
        assert np.all(tokens[length:] == 0)
        assert score == pytest.approx(log_probability(logits, tokens[:length]) / penalty(length, 0.7), abs=1e-4)


def test_draws_at_the_edges():
    draws = ops.convert_to_tensor(np.array([[[0.0], [np.nextafter(np.float32(1), np.float32(0))]]]))
    step = first_order(np.tile(DISTRIBUTION, (5, 1)))
    found = arrays(sample(step, start_state(), draws, start=START, end=END, top_p=0.6))
    np.testing.assert_array_equal(found.tokens.ravel(), [2, 3])


class Searcher(keras.Model):
    """Every search with everything in it."""

    def call(self, inputs):
        state, draws = inputs
        limits = [
            constraints.prefix(ops.tile(ops.array([[3, 0]]), (3, 1))),
            constraints.no_repeated_ngrams(2),
            constraints.min_length(ops.array([2, 3, 4]), END),
            constraints.max_length(ops.array([6, 5, 4]), END),
        ]
        options = {"start": START, "end": END, "alpha": 0.7, "constraints": limits}
        step = markov(random_logits(1, 6))
        found = beam_search(
            step, state, max_length=7, beam_size=4, bonus=lambda state: 0.1 * ops.cast(state, "float32"), **options
        )
        return (*found, *sample(step, state, draws, top_k=4, top_p=0.9, temperature=0.8, **options))


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.rest)], ids=["graph", "jit"])
def test_compiled(jit_compile):
    model = Searcher()
    # PyTorch's compiler takes minutes.
    model.compile(jit_compile=jit_compile and keras.config.backend() != "torch")
    inputs = np.full((3,), START, "int32"), np.random.default_rng(0).random((3, 2, 7)).astype("float32")
    found = model.predict_on_batch(inputs)
    for x, expected in zip(found, model(tuple(map(ops.convert_to_tensor, inputs))), strict=True):
        np.testing.assert_allclose(x, ops.convert_to_numpy(expected), atol=1e-5)
