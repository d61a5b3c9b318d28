"""The decoder: teacher forcing and single steps are the same function, and it looks at the past only."""

import keras
import numpy as np
import pytest
from keras import ops, tree
from keras_recurrent.layers import Decoder, Memory
from keras_recurrent.layers.reader import DecoderState

VOCABULARY, UNITS, FEATURES, POSITIONS = 11, 5, 6, 4
CELLS = ["simple_rnn", "lstm", "gru"]
ATTENTIONS = {"after_step": {"query": "after_step"}, "before_step": {"query": "before_step"}, "none": {"score": "none"}}
# Each pair of a cell, a way to attend and a conditioning occurs once at least; scores, layers and tying alternate.
DECODERS = {
    "init-after_step": {"cell": "simple_rnn", "query": "after_step", "num_layers": 2},
    "init-before_step": {"cell": "lstm", "query": "before_step", "score": "multiplicative"},
    "init-none": {"cell": "gru", "score": "none", "tie_softmax": True},
    "init-fed": {"cell": "lstm", "input_feeding": True, "num_layers": 2, "tie_softmax": True},
    "pre-after_step": {"cell": "gru", "query": "after_step", "conditioning": "pre", "score": "multiplicative"},
    "pre-before_step": {"cell": "simple_rnn", "query": "before_step", "conditioning": "pre", "num_layers": 2},
    "pre-none": {"cell": "lstm", "score": "none", "conditioning": "pre", "num_layers": 2},
    "pre-fed": {"cell": "gru", "input_feeding": True, "conditioning": "pre"},
    "par-after_step": {"cell": "gru", "query": "after_step", "conditioning": "par", "num_layers": 2},
    "par-before_step": {"cell": "lstm", "query": "before_step", "conditioning": "par", "tie_softmax": True},
    "par-none": {"cell": "simple_rnn", "score": "none", "conditioning": "par"},
    "par-fed": {
        "cell": "lstm",
        "input_feeding": True,
        "conditioning": "par",
        "score": "multiplicative",
    },
    "merge-after_step": {"cell": "lstm", "query": "after_step", "conditioning": "merge"},
    "merge-before_step": {"cell": "gru", "query": "before_step", "conditioning": "merge", "num_layers": 2},
    "merge-none": {"cell": "gru", "score": "none", "conditioning": "merge"},
    "merge-fed": {"cell": "simple_rnn", "input_feeding": True, "conditioning": "merge"},
}
# Each option at least once, for the properties that hardly depend on how options combine.
SOME = ["init-after_step", "init-none", "init-fed", "pre-before_step", "par-before_step", "merge-after_step"]


def on_jax(name):
    """JAX, where a test is all compilation, runs two decoders: one that reads all steps at once, one step by step."""
    return () if name in ("init-after_step", "par-before_step") else pytest.mark.slow_on_jax


TOKENS = np.array([[2, 7, 8, 9, 4], [2, 5, 5, 10, 6], [2, 9, 0, 0, 0]])
BATCH, STEPS = TOKENS.shape


@pytest.fixture(params=CELLS)
def cell(request):
    return request.param


@pytest.fixture(params=[pytest.param(name, marks=on_jax(name)) for name in SOME])
def kind(request):
    return DECODERS[request.param]


@pytest.fixture
def memory(rng):
    values, summary = (rng.normal(size=(BATCH, *shape)) for shape in ((POSITIONS, FEATURES), (FEATURES,)))
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 1, 0]], dtype="bool")
    return Memory(ops.cast(values, "float32"), ops.convert_to_tensor(mask), ops.cast(summary, "float32"))


def build(rng, **options):
    decoder = Decoder(VOCABULARY, 3, UNITS, **options)
    decoder.build((BATCH, STEPS), Memory((BATCH, POSITIONS, FEATURES), (BATCH, POSITIONS), (BATCH, FEATURES)))
    decoder.set_weights([rng.normal(0, 0.7, weight.shape) for weight in decoder.weights])
    return decoder


def logits_of(decoder, tokens, memory, **options):
    return ops.convert_to_numpy(decoder(ops.convert_to_tensor(tokens), memory, **options))


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        *(pytest.param(name, True, marks=on_jax(name)) for name in DECODERS),
        pytest.param("init-after_step", False, marks=pytest.mark.slow_on_jax),
        pytest.param("init-before_step", False, marks=pytest.mark.slow_on_jax),
    ],
)
def test_call_is_step_unrolled(name, masked, memory, rng, assert_close):
    kind = DECODERS[name]
    memory = memory if masked else memory._replace(mask=None)
    decoder = build(rng, **kind)
    logits = logits_of(decoder, TOKENS, memory)
    alignment = decoder.align(ops.convert_to_tensor(TOKENS), memory)
    assert logits.shape == (BATCH, STEPS, VOCABULARY)
    state = decoder.initial_state(memory)
    for time in range(STEPS):
        step_logits, new_state, weights = decoder.step(ops.convert_to_tensor(TOKENS[:, time]), state, memory)
        assert_close(step_logits, logits[:, time], atol=1e-5)
        tree.assert_same_structure(new_state, state)
        state = new_state
        if kind.get("score") == "none":
            assert weights is None
            assert alignment is None
        else:
            assert_close(weights, alignment[:, time], atol=1e-5)
            weights = ops.convert_to_numpy(weights)
            np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-5)
            if masked:
                assert np.all(weights[~ops.convert_to_numpy(memory.mask)] == 0)


@pytest.mark.slow_on_jax
def test_several_hypotheses_read_one_memory(kind, memory, rng, assert_close):
    decoder = build(rng, **kind)
    several = tree.map_structure(lambda x: ops.repeat(x, 2, axis=0), memory)
    tokens = ops.array([7, 8, 9, 7, 8, 8])
    state = decoder.initial_state(several)
    expected = decoder.step(tokens, state, several)
    found = decoder.reader(memory, 2)(tokens, state)
    tree.assert_same_structure(found, expected)
    for x, y in zip(tree.flatten(found), tree.flatten(expected), strict=True):
        if x is not None:  # there are no weights without attention
            assert_close(x, y, atol=1e-5)


def test_several_targets_read_one_memory(kind, memory, rng, assert_close):
    """Their logits and their attention are those of each alone."""
    decoder = build(rng, **kind)
    targets = np.stack([TOKENS, TOKENS[::-1]], axis=1)
    logits, weights = logits_of(decoder, targets, memory), decoder.align(ops.convert_to_tensor(targets), memory)
    assert logits.shape == (BATCH, 2, STEPS, VOCABULARY)
    for place in range(2):
        assert_close(logits[:, place], logits_of(decoder, targets[:, place], memory), atol=1e-6)
        alone = decoder.align(ops.convert_to_tensor(targets[:, place]), memory)
        if weights is None:
            assert alone is None
        else:
            assert_close(weights[:, place], alone, atol=1e-6)


def test_logits_see_the_past_only(kind, memory, rng):
    decoder = build(rng, **kind)
    logits = logits_of(decoder, TOKENS, memory)
    for time in (1, 3):
        changed = TOKENS.copy()
        changed[:, time] = (TOKENS[:, time] + 1) % VOCABULARY
        differ = np.any(logits_of(decoder, changed, memory) != logits, axis=(0, 2))
        np.testing.assert_array_equal(differ, np.arange(STEPS) >= time)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_every_part_of_the_memory_is_read(attention, memory, rng):
    decoder = build(rng, **ATTENTIONS[attention])
    logits = logits_of(decoder, TOKENS, memory)
    assert np.any(logits_of(decoder, TOKENS, memory._replace(summary=-memory.summary))[:, 0] != logits[:, 0])
    values_matter = np.any(logits_of(decoder, TOKENS, memory._replace(values=-memory.values)) != logits)
    assert values_matter == (attention != "none")


@pytest.mark.parametrize(
    ("cell", "query", "num_layers"),
    [("simple_rnn", "after_step", 2), ("gru", "before_step", 2), ("lstm", "after_step", 1), ("lstm", "before_step", 1)],
)
def test_query_is_the_papers(cell, query, num_layers, memory, rng, assert_close):
    decoder = build(rng, cell=cell, query=query, num_layers=num_layers)
    # Not the first state, where the two states of an LSTM come from one summary.
    _, state, _ = decoder.step(ops.convert_to_tensor(TOKENS[:, 0]), decoder.initial_state(memory), memory)
    _, new_state, weights = decoder.step(ops.convert_to_tensor(TOKENS[:, 1]), state, memory)
    # After the step: the top layer's output. Before it: the bottom layer's.
    queries = new_state.layers[-1][0] if query == "after_step" else state.layers[0][0]
    _, expected = decoder.attention(ops.expand_dims(queries, 1), memory, decoder.attention.keys(memory))
    assert_close(weights, ops.squeeze(expected, 1), atol=1e-5)


@pytest.mark.slow_on_jax
def test_every_variable_learns(kind, memory, rng, gradients):
    decoder = build(rng, **kind)
    weights = rng.normal(size=(BATCH, STEPS, VOCABULARY)).astype("float32")

    def loss(values, summary):
        logits = decoder(ops.convert_to_tensor(TOKENS), Memory(values, memory.mask, summary))
        return ops.sum(ops.multiply(logits, weights))

    # The embedding has sparse gradients on TensorFlow.
    variables = [variable for variable in decoder.trainable_variables if "embedding" not in variable.path]
    inputs = [ops.convert_to_numpy(x) for x in (memory.values, memory.summary)]
    if kind.get("score") == "none":
        found = gradients(lambda summary: loss(memory.values, summary), variables, inputs[1:])
    else:
        found = gradients(loss, variables, inputs)
    assert all(np.all(np.isfinite(gradient)) and np.any(gradient != 0) for gradient in found)


def test_dropout_in_training_only(kind, memory, rng):
    decoder = build(rng, dropout=0.5, **kind)
    logits = logits_of(decoder, TOKENS, memory, training=False)
    np.testing.assert_array_equal(logits_of(decoder, TOKENS, memory), logits)
    first, second = (logits_of(decoder, TOKENS, memory, training=True) for _ in range(2))
    assert np.any(first != logits)
    assert np.any(first != second)


@pytest.mark.slow_on_jax
def test_outputs_are_dropped_once_where_they_are_the_readout(memory, rng):
    decoder = Decoder(40, 3, 40, score="none", dropout=0.5)
    decoder.build((BATCH, STEPS), Memory((BATCH, POSITIONS, FEATURES), (BATCH, POSITIONS), (BATCH, FEATURES)))
    decoder.set_weights([rng.normal(0, 0.7, weight.shape) for weight in decoder.weights])
    decoder.output_projection.set_weights([np.eye(40), np.zeros(40)])
    dropped = [np.mean(logits_of(decoder, TOKENS, memory, training=True) == 0) for _ in range(10)]
    assert 0.45 < np.mean(dropped) < 0.55


@pytest.mark.parametrize(
    ("cell", "query", "layers"), [("simple_rnn", "after_step", 1), ("lstm", "before_step", 2), ("gru", "after_step", 2)]
)
def test_recurrent_dropout_is_of_the_states(cell, query, layers, memory, rng):
    """The first state of this decoder is zero, so that the first step has nothing to drop."""
    options = {"cell": cell, "query": query, "num_layers": layers, "conditioning": "par"}
    decoder = build(rng, recurrent_dropout=0.5, **options)
    logits = logits_of(decoder, TOKENS, memory, training=False)
    first, second = (logits_of(decoder, TOKENS, memory, training=True) for _ in range(2))
    np.testing.assert_allclose(first[:, 0], logits[:, 0], atol=1e-5)
    assert np.any(np.abs(first[:, 1:] - logits[:, 1:]) > 1e-3)
    assert np.any(np.abs(first[:, 1:] - second[:, 1:]) > 1e-3)
    assert Decoder.from_config(decoder.get_config()).recurrent_dropout == 0.5


@pytest.mark.parametrize(
    ("cell", "states", "num_layers"), [("simple_rnn", 1, 2), ("lstm", 2, 2), ("gru", 1, 1), ("lstm", 2, 1)]
)
def test_initial_state(cell, states, num_layers, memory, rng):
    state = build(rng, cell=cell, num_layers=num_layers).initial_state(memory)
    assert [len(layer_state) for layer_state in state.layers] == [states] * num_layers
    assert {tuple(x.shape) for x in tree.flatten(state)} == {(BATCH, UNITS)}
    assert all(np.any(ops.convert_to_numpy(x) != 0) for x in tree.flatten(state))


@pytest.mark.parametrize(
    ("name", "half"),
    [
        *(pytest.param(name, "bfloat16", marks=on_jax(name)) for name in SOME),
        pytest.param("init-before_step", "float16", marks=pytest.mark.slow_on_jax),
        pytest.param("merge-fed", "float16", marks=pytest.mark.slow_on_jax),
    ],
)
@pytest.mark.slow_on_jax
def test_mixed_precision(name, half, memory, rng, assert_close):
    decoder = build(rng, dtype=f"mixed_{half}", **DECODERS[name])
    memory = Memory(ops.cast(memory.values, half), memory.mask, ops.cast(memory.summary, half))
    logits = decoder(ops.convert_to_tensor(TOKENS), memory)
    assert keras.backend.standardize_dtype(logits.dtype) == half
    step_logits, *_ = decoder.step(ops.convert_to_tensor(TOKENS[:, 0]), decoder.initial_state(memory), memory)
    assert keras.backend.standardize_dtype(step_logits.dtype) == half
    assert_close(ops.cast(step_logits, "float32"), ops.cast(logits[:, 0], "float32"), atol=0.1)


def test_config_round_trip(kind):
    options = {"dropout": 0.1, **kind}
    decoder = Decoder(VOCABULARY, 3, UNITS, name="decoder", **options)
    config = decoder.get_config()
    assert {name: config[name] for name in options} == options
    assert Decoder.from_config(config).get_config() == config


def test_summary_enters_at_its_place(cell, memory, rng, assert_close):
    """With `pre` as a first input, with `par` beside each, and with `merge` behind the recurrence, by their weights."""
    token = ops.convert_to_tensor(TOKENS[:, 0])
    for conditioning in ("pre", "par", "merge"):
        decoder = build(rng, cell=cell, score="none", conditioning=conditioning)
        (layer,) = decoder.layers
        zeros = [ops.zeros((BATCH, UNITS)) for _ in layer.state_size]
        (first,) = decoder.initial_state(memory).layers
        if conditioning == "pre":
            assert_close(first, layer.cell(decoder.first_input(memory.summary), zeros)[1], atol=1e-6)
        else:
            assert_close(first, zeros)
        _, ((state,), _), _ = decoder.step(token, DecoderState((first,)), memory)
        embedded = decoder.embedding(token)
        if conditioning == "par":
            embedded = ops.concatenate([embedded, memory.summary], axis=-1)
        output, expected = layer.cell(embedded, first)
        assert_close(state, expected, atol=1e-6)
        if conditioning == "merge":
            output = decoder.readout(ops.concatenate([output, memory.summary], axis=-1))
        assert_close(
            decoder.step(token, DecoderState((first,)), memory)[0], decoder.output_projection(output), atol=1e-6
        )


@pytest.mark.slow_on_jax
def test_attention_penalty(memory, rng):
    decoder = build(rng, attention_penalty=0.5)
    weights = ops.convert_to_numpy(decoder.align(ops.convert_to_tensor(TOKENS), memory))
    logits_of(decoder, TOKENS, memory)
    assert decoder.losses == []  # in training only
    logits_of(decoder, TOKENS, memory, training=True)
    looked = np.sum(weights * (TOKENS != 0)[:, :, np.newaxis], axis=1)
    missing = np.where(ops.convert_to_numpy(memory.mask), 1 - looked, 0)
    (found,) = decoder.losses
    np.testing.assert_allclose(ops.convert_to_numpy(found), 0.5 * np.mean(np.sum(missing**2, axis=1)), rtol=1e-5)
    logits_of(decoder, np.stack([TOKENS, TOKENS], axis=1), memory, training=True)  # of several, their mean
    np.testing.assert_allclose(ops.convert_to_numpy(decoder.losses[0]), ops.convert_to_numpy(found), rtol=1e-5)
    lacking = np.zeros_like(TOKENS)
    lacking[:, 0] = TOKENS[:, 0]
    logits_of(decoder, np.stack([TOKENS, lacking], axis=1), memory, training=True)  # a source with fewer targets
    np.testing.assert_allclose(ops.convert_to_numpy(decoder.losses[0]), ops.convert_to_numpy(found), rtol=1e-5)
    with pytest.raises(ValueError, match="`attention_penalty` needs attention"):
        Decoder(VOCABULARY, 3, UNITS, score="none", attention_penalty=1.0)


@pytest.mark.parametrize("score", ["additive", "none"])
def test_tied_softmax(score, memory, rng, assert_close):
    decoder = build(rng, score=score, tie_softmax=True)
    assert not any(weight.path.endswith("output_projection/kernel") for weight in decoder.weights)
    logits = logits_of(decoder, TOKENS, memory)
    # A token that is never read changes its own logit alone: its embedding is a column of the softmax.
    embeddings = ops.convert_to_numpy(decoder.embedding.embeddings.value).copy()
    embeddings[1] += 1
    decoder.embedding.embeddings.assign(embeddings)
    changed = (logits_of(decoder, TOKENS, memory) != logits).any(axis=(0, 1))
    np.testing.assert_array_equal(np.flatnonzero(changed), [1])
    # A constant readout shows the formula: readout E^T / sqrt(embedding_dim) + bias.
    kernel, bias = decoder.readout.get_weights()
    decoder.readout.set_weights([0 * kernel, bias])
    expected = np.tanh(bias) @ embeddings.T / np.sqrt(3) + ops.convert_to_numpy(decoder.output_bias.value)
    assert_close(logits_of(decoder, TOKENS, memory), np.broadcast_to(expected, logits.shape), atol=1e-5)
    again = Decoder.from_config(decoder.get_config())
    assert again.tie_softmax


def test_fed_readout_is_that_of_the_step_before(memory, rng, assert_close):
    decoder = build(rng, input_feeding=True)
    state = decoder.initial_state(memory)
    assert not ops.convert_to_numpy(state.readout).any()
    token = ops.convert_to_tensor(TOKENS[:, 0])
    logits, state, _ = decoder.step(token, state, memory)
    assert np.any(ops.convert_to_numpy(state.readout) != 0)
    assert_close(decoder.output_projection(state.readout), logits, atol=1e-5)
    expected, *_ = decoder.step(token, state, memory)
    other, *_ = decoder.step(token, state._replace(readout=-state.readout), memory)
    assert np.any(ops.convert_to_numpy(other) != ops.convert_to_numpy(expected))


@pytest.mark.parametrize("options", [{"query": "before_step"}, {"score": "none"}], ids=str)
def test_input_feeding_needs_a_query_after_the_step(options):
    with pytest.raises(ValueError, match="`input_feeding` needs attention with query='after_step'"):
        Decoder(VOCABULARY, 3, UNITS, input_feeding=True, **options)


@pytest.mark.parametrize(
    ("former", "score", "query"),
    [
        ({"attention": "luong", "score": "multiplicative"}, "multiplicative", "after_step"),
        ({"attention": "luong", "score": "additive"}, "additive", "after_step"),
        ({"attention": "bahdanau", "score": "additive"}, "additive", "before_step"),
        ({"attention": "none", "score": "additive"}, "none", "after_step"),
    ],
)
def test_former_configuration_loads(former, score, query):
    """What `get_config` returned before `attention` was replaced by `query` and `score="none"`."""
    config = {
        "name": "decoder",
        "trainable": True,
        "dtype": "float32",
        "vocabulary_size": 11,
        "embedding_dim": 3,
        "units": 5,
        "cell": "lstm",
        "num_layers": 2,
        "input_feeding": False,
        "tie_softmax": True,
        "conditioning": "par",
        "attention_penalty": 0.0,
        "dropout": 0.1,
        "recurrent_dropout": 0.2,
        **former,
    }
    decoder = Decoder.from_config(config)
    assert (decoder.score, decoder.query, decoder.conditioning, decoder.cell) == (score, query, "par", "lstm")
    assert "attention" in config  # the caller's dictionary stays as it is


@pytest.mark.parametrize("argument", ["query", "score", "cell", "conditioning"])
def test_unknown_name(argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be one of"):
        Decoder(VOCABULARY, 3, UNITS, **{argument: "no_such"})
