"""Decoders of series against their equations, step by step."""

import keras
import numpy as np
import pytest
import scipy.stats
from keras import ops
from keras_recurrent.layers import AutoregressiveRNN, Memory, SeasonalLags, SeriesDecoder, WindowScaling
from keras_recurrent.layers.distributions import DISTRIBUTIONS
from keras_recurrent.layers.loop import gradients, loop_settings


def memory(batch=2):
    generator = np.random.default_rng(1)
    values, summary = (generator.normal(size=shape).astype("float32") for shape in [(batch, 5, 3), (batch, 4)])
    return Memory(ops.convert_to_tensor(values), None, ops.convert_to_tensor(summary))


@pytest.mark.parametrize("cell", ["gru", "lstm", "simple_rnn"])
def test_the_decoder_computes_its_equations(cell):
    decoder = SeriesDecoder(outputs=2, units=4, cell=cell, segment=3)
    inputs = np.random.default_rng(2).normal(size=(2, 6, 5)).astype("float32")
    outputs = ops.convert_to_numpy(decoder(inputs, memory()))
    state = [bridge(memory().summary) for bridge in decoder.bridges]
    for segment in range(2):
        step = inputs[:, 3 * segment : 3 * segment + 3].reshape(2, 15)
        output, state = decoder.layers[0].cell(ops.convert_to_tensor(step), state)
        readout = decoder.output_projection(decoder.readout(output))
        expected = ops.reshape(readout, (2, 3, 2)) + decoder.shortcut(inputs[:, 3 * segment : 3 * segment + 3])
        expected = ops.convert_to_numpy(expected)
        np.testing.assert_allclose(outputs[:, 3 * segment : 3 * segment + 3], expected, rtol=1e-4, atol=1e-5)


def test_attention_reads_the_memory():
    decoder = SeriesDecoder(outputs=1, units=4, attention=True, num_layers=2, dropout=0.5)
    inputs, read = np.ones((2, 3, 5), "float32"), memory()
    first = ops.convert_to_numpy(decoder(inputs, read))
    second = ops.convert_to_numpy(decoder(inputs, read._replace(values=2 * read.values)))
    assert first.shape == (2, 3, 1) and np.abs(first - second).max() > 1e-4


def test_the_horizon_must_be_a_multiple_of_the_segment():
    with pytest.raises(ValueError, match="multiple of segment=4"):
        SeriesDecoder(outputs=1, units=4, segment=4)(np.ones((2, 6, 5), "float32"), memory())


def test_saving_a_decoder(tmp_path):
    window = np.random.default_rng(0).normal(5, 3, (2, 3, 12)).astype("float32")
    values, observed = keras.Input((12,), name="values"), keras.Input((12,), name="observed")
    location, scale = WindowScaling("seasonal", season=3)(values, observed)
    lags = SeasonalLags(4, [3], 2)(values, observed)
    outputs = SeriesDecoder(2, 4, segment=2)(lags, Memory(lags, None, location * scale))
    model = keras.Model([values, observed], outputs)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    expected = ops.convert_to_numpy(model([*window]))
    np.testing.assert_allclose(ops.convert_to_numpy(again([*window])), expected, rtol=1e-6)


CONTEXT, HORIZON = 8, 4


def history(batch=3, seed=0):
    """Values, whether they are observed, covariates, location and scale."""
    generator = np.random.default_rng(seed)
    observed = (generator.random((batch, CONTEXT)) < 0.8).astype("float32")
    values = generator.normal(size=(batch, CONTEXT)) * observed
    covariates = generator.normal(size=(batch, CONTEXT + HORIZON, 3))
    location, scale = generator.normal(size=(batch, HORIZON)), np.exp(generator.normal(size=(batch, HORIZON)))
    return [ops.convert_to_tensor(x.astype("float32")) for x in (values, observed, covariates, location, scale)]


def step_by_step(network, values, observed, covariates, location, scale, levels):
    """One sample `(batch, horizon)`, by calling the network with ever longer series."""
    values, observed, location, scale = map(ops.convert_to_numpy, (values, observed, location, scale))
    unknown = np.zeros((len(values), network.segment), "float32")
    for start in range(0, HORIZON, network.segment):
        end = CONTEXT + start + network.segment
        outputs = network(np.c_[values, unknown], np.c_[observed, unknown], covariates[:, :end])
        outputs = ops.convert_to_numpy(outputs)[:, -network.segment :]
        mean, deviation = outputs[..., 0], np.log1p(np.exp(outputs[..., 1])) + 1e-3
        drawn = scipy.stats.norm.ppf(levels[:, start : start + network.segment], mean, deviation)
        values, observed = np.c_[values, drawn.astype("float32")], np.c_[observed, unknown + 1]
    return location + scale * values[:, CONTEXT:]


@pytest.mark.parametrize(("cell", "segment"), [("gru", 1), ("lstm", 2), ("simple_rnn", 4)])
def test_samples_are_those_of_a_network_that_is_called_step_by_step(cell, segment):
    network = AutoregressiveRNN("gaussian", units=5, cell=cell, num_layers=2, segment=segment, dropout=0.5)
    arguments, levels = history(), np.random.default_rng(1).uniform(0.01, 0.99, (3, 6, HORIZON)).astype("float32")
    network(*(ops.zeros((1, segment)),) * 2, ops.zeros((1, segment, 3)))
    samples = ops.convert_to_numpy(network.sample(*arguments, ops.convert_to_tensor(levels)))
    assert samples.shape == (3, 6, HORIZON)
    for index in range(6):
        expected = step_by_step(network, *arguments, levels[:, index])
        np.testing.assert_allclose(samples[:, index], expected, rtol=1e-3, atol=1e-3)


def test_an_output_does_not_depend_on_the_values_of_its_segment_and_later():
    network = AutoregressiveRNN("gaussian", units=5, segment=2)
    values, observed, covariates, *_ = history()

    def total(values):
        return ops.sum(network(values, observed, covariates[:, :CONTEXT])[:, 4:6])

    total(values)
    derivative = ops.convert_to_numpy(gradients(total, [values])[0])
    assert not derivative[:, 4:].any() and derivative[:, :4].any()


@pytest.mark.parametrize("distribution", ["student_t", "negative_binomial"])
@pytest.mark.parametrize("segment", [1, 2])
def test_samples_follow_the_distribution_of_the_first_segment(distribution, segment):
    network = AutoregressiveRNN(distribution, units=5, segment=segment)
    values, observed, covariates, location, scale = history()
    scale = 50 * ops.ones_like(scale)
    known = network(*(ops.pad(x, [[0, 0], [0, HORIZON]]) for x in (values, observed)), covariates)
    levels = np.tile(np.linspace(0.05, 0.95, 10, dtype="float32")[:, None], (3, 1, HORIZON))
    samples = network.sample(values, observed, covariates, location, scale, ops.convert_to_tensor(levels))
    expected = DISTRIBUTIONS[distribution]([]).quantiles(
        known[:, CONTEXT : CONTEXT + segment],
        location[:, :segment],
        scale[:, :segment],
        ops.convert_to_tensor(np.swapaxes(levels, 1, 2)[:, :segment]),
    )
    samples = np.swapaxes(ops.convert_to_numpy(samples), 1, 2)[:, :segment]
    np.testing.assert_allclose(samples, ops.convert_to_numpy(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("settings", [{"unroll": True}, {"portable": True}, {"portable": True, "dense": True}])
def test_samples_in_other_loops(settings):
    if settings.get("portable") and keras.config.backend() != "tensorflow":
        pytest.skip("exports are made by TensorFlow")
    network = AutoregressiveRNN("gaussian", units=5)
    arguments = [*history(), ops.full((3, 2, HORIZON), 0.3)]
    network(*(ops.zeros((1, 2)),) * 2, ops.zeros((1, 2, 3)))
    expected = ops.convert_to_numpy(network.sample(*arguments))
    with loop_settings(**settings):
        np.testing.assert_allclose(ops.convert_to_numpy(network.sample(*arguments)), expected, rtol=1e-5, atol=1e-6)


def test_a_network_of_samples_needs_a_distribution():
    with pytest.raises(ValueError, match="must be one of gaussian, student_t, negative_binomial"):
        AutoregressiveRNN("quantiles", units=4)


def test_saving_an_autoregressive_network(tmp_path):
    inputs = [keras.Input(shape) for shape in ((CONTEXT,), (CONTEXT,), (CONTEXT, 3))]
    network = AutoregressiveRNN("student_t", 4, cell="lstm", num_layers=2, segment=2, name="network")
    model = keras.Model(inputs, network(*inputs))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    values, observed, covariates, location, scale = history()
    rows = [values, observed, covariates[:, :CONTEXT]]
    np.testing.assert_array_equal(*(ops.convert_to_numpy(x(rows)) for x in (model, again)))
    levels = ops.full((3, 2, HORIZON), 0.3)
    samples = [
        ops.convert_to_numpy(x.get_layer("network").sample(values, observed, covariates, location, scale, levels))
        for x in (model, again)
    ]
    np.testing.assert_array_equal(*samples)
