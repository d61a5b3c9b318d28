"""The encoders: what padding may not change, and what the summary is."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_recurrent.layers import ImageEncoder, SeriesEncoder, TextEncoder

# Elementwise operations and products, which TensorFlow and PyTorch test.
pytestmark = pytest.mark.slow_on_jax

UNITS = 5
CELLS = ["simple_rnn", "lstm", "gru"]
# Each pair of the three arguments at least once.
ENCODERS = [
    pytest.param(("simple_rnn", True, 2), id="simple_rnn-bidirectional-2", marks=pytest.mark.slow_on_jax),
    pytest.param(("lstm", True, 1), id="lstm-bidirectional-1"),
    pytest.param(("lstm", False, 2), id="lstm-forward-2", marks=pytest.mark.slow_on_jax),
    pytest.param(("gru", False, 1), id="gru-forward-1"),
]
SENTENCES = np.array([[5, 6, 7, 3], [8, 4, 9, 3]])


@pytest.fixture(params=CELLS)
def cell(request):
    return request.param


@pytest.fixture(params=ENCODERS)
def encoder(request):
    cell, bidirectional, num_layers = request.param
    return TextEncoder(20, 4, UNITS, cell=cell, bidirectional=bidirectional, num_layers=num_layers)


def arrays(memory):
    return [ops.convert_to_numpy(x) for x in memory]


def test_shapes(encoder):
    memory = encoder(ops.convert_to_tensor(SENTENCES))
    features = 2 * UNITS if encoder.bidirectional else UNITS
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


def test_summary_is_the_last_state_of_each_direction(encoder):
    values, _, summary = arrays(encoder(ops.convert_to_tensor(np.pad(SENTENCES, ((0, 0), (0, 2))))))
    np.testing.assert_allclose(summary[:, :UNITS], values[:, 3, :UNITS], atol=1e-6)
    if encoder.bidirectional:
        np.testing.assert_allclose(summary[:, UNITS:], values[:, 0, UNITS:], atol=1e-6)


def test_each_direction_reads_its_side(cell):
    encoder = TextEncoder(20, 4, UNITS, cell=cell)
    values = arrays(encoder(ops.convert_to_tensor(SENTENCES)))[0]
    changed = SENTENCES.copy()
    changed[:, 2] = 11
    differ = np.any(arrays(encoder(ops.convert_to_tensor(changed)))[0] != values, axis=0)
    assert [bool(np.any(position)) for position in differ[:, :UNITS]] == [False, False, True, True]
    assert [bool(np.any(position)) for position in differ[:, UNITS:]] == [True, True, True, False]


def test_dropout_in_training_only():
    encoder = TextEncoder(20, 4, UNITS, num_layers=2, dropout=0.5)
    tokens = ops.convert_to_tensor(SENTENCES)
    values = arrays(encoder(tokens))[0]
    np.testing.assert_array_equal(arrays(encoder(tokens, training=False))[0], values)
    assert np.any(arrays(encoder(tokens, training=True))[0] != values)


@pytest.mark.parametrize(("cell", "bidirectional"), [("simple_rnn", False), ("lstm", True), ("gru", False)])
def test_recurrent_dropout_is_of_the_states(cell, bidirectional):
    encoder = TextEncoder(20, 4, UNITS, cell=cell, bidirectional=bidirectional, recurrent_dropout=0.5)
    tokens = ops.convert_to_tensor(SENTENCES)
    values = arrays(encoder(tokens))[0]
    trained = arrays(encoder(tokens, training=True))[0]
    np.testing.assert_allclose(trained[:, 0, :UNITS], values[:, 0, :UNITS], atol=1e-6)  # after no state
    assert np.any(np.abs(trained[:, 1:, :UNITS] - values[:, 1:, :UNITS]) > 1e-4)
    assert TextEncoder.from_config(encoder.get_config()).recurrent_dropout == 0.5


@pytest.mark.parametrize(("cell", "bidirectional"), [("lstm", False), ("gru", True)])
def test_embeddings_stand_beside_the_outputs(cell, bidirectional):
    encoder = TextEncoder(20, 4, UNITS, cell=cell, bidirectional=bidirectional, embeddings_in_memory=True)
    tokens = ops.convert_to_tensor(SENTENCES)
    values, mask, summary = arrays(encoder(tokens))
    shapes = tuple(encoder.compute_output_shape(SENTENCES.shape))
    assert shapes == (values.shape, mask.shape, summary.shape)
    np.testing.assert_array_equal(values[..., -4:], ops.convert_to_numpy(encoder.embedding(tokens)))
    features = 2 * UNITS if bidirectional else UNITS
    np.testing.assert_allclose(summary[:, :UNITS], values[:, -1, :UNITS], atol=1e-6)
    assert values.shape[-1] == features + 4
    assert TextEncoder.from_config(encoder.get_config()).embeddings_in_memory


def test_wholly_padded_row_is_finite():
    encoder = TextEncoder(20, 4, UNITS)
    tokens = np.array([[5, 6, 3], [0, 0, 0]])
    assert all(np.all(np.isfinite(x)) for x in arrays(encoder(ops.convert_to_tensor(tokens))))


def test_config_round_trip():
    encoder = TextEncoder(20, 4, UNITS, cell="lstm", num_layers=2, bidirectional=False, dropout=0.1, name="encoder")
    config = encoder.get_config()
    assert TextEncoder.from_config(config).get_config() == config


def test_unknown_cell():
    with pytest.raises(ValueError, match="cell"):
        TextEncoder(20, 4, UNITS, cell="rnn")


SERIES = np.random.default_rng(1).normal(size=(3, 8, 2)).astype("float32")
# Row by row: all steps, padding at the right, padding at the left with a gap.
SERIES_MASK = np.array([[1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0, 1, 1]], bool)


def encode(encoder, series, mask=None, **options):
    return arrays(
        encoder(ops.convert_to_tensor(series), mask=None if mask is None else ops.convert_to_tensor(mask), **options)
    )


def gru(weights, inputs, mask, rate):
    """The outputs of a GRU with Keras's weights, a step at a time: the state before a step is that of `rate` before."""
    kernel, recurrent_kernel, (bias, recurrent_bias) = weights
    outputs = np.zeros((*inputs.shape[:2], UNITS))
    for row in range(len(inputs)):
        for step in range(inputs.shape[1]):
            h = outputs[row, step - rate] if step >= rate else np.zeros(UNITS)
            z, r, g = np.split(inputs[row, step] @ kernel + bias, 3)
            z_h, r_h, g_h = np.split(h @ recurrent_kernel + recurrent_bias, 3)
            z, r = 1 / (1 + np.exp(-z - z_h)), 1 / (1 + np.exp(-r - r_h))
            h_new = z * h + (1 - z) * np.tanh(g + r * g_h)
            outputs[row, step] = h_new if mask[row, step] else h
    return outputs


@pytest.mark.parametrize("is_masked", [True, False])
@pytest.mark.parametrize(
    ("num_layers", "dilations", "residual", "segment", "right_padded"),
    [
        (1, None, False, 1, False),
        (2, [1, 3], True, 1, False),
        (2, [2, 1], False, 3, False),
        (1, None, False, 3, True),
        (3, [1, 2, 4], True, 2, False),
    ],
)
def test_series_encoder_is_its_definition(num_layers, dilations, residual, segment, right_padded, is_masked):
    encoder = SeriesEncoder(
        UNITS,
        num_layers=num_layers,
        dilations=dilations,
        residual=residual,
        segment=segment,
        right_padded=right_padded,
    )
    values, mask, summary = encode(encoder, SERIES, SERIES_MASK if is_masked else None)
    inputs, counts = SERIES, SERIES_MASK if is_masked else np.ones_like(SERIES_MASK)
    if segment > 1:
        kernel, bias = encoder.projection.get_weights()
        positions, before = -(-8 // segment), 0 if right_padded else (-8) % segment
        projected, any_counts = np.zeros((3, positions, UNITS)), np.zeros((3, positions), bool)
        for row in range(3):
            for position in range(positions):
                steps = range(position * segment - before, (position + 1) * segment - before)
                window = [SERIES[row, t] if 0 <= t < 8 and counts[row, t] else np.zeros(2) for t in steps]
                projected[row, position] = np.maximum(np.concatenate(window) @ kernel + bias, 0)
                any_counts[row, position] = any(0 <= t < 8 and counts[row, t] for t in steps)
        inputs, counts = projected, any_counts
    for index, layer in enumerate(encoder.layers):
        outputs = gru(layer.get_weights(), inputs, counts, dilations[index] if dilations else 1)
        inputs = inputs + outputs if residual and index else outputs
    last = [np.flatnonzero(row)[-1] for row in counts]
    np.testing.assert_allclose(values, inputs, atol=1e-5)
    np.testing.assert_array_equal(mask, counts)
    np.testing.assert_allclose(summary, outputs[range(3), last], atol=1e-5)
    shapes = tuple(encoder.compute_output_shape(SERIES.shape))
    assert shapes == (values.shape, mask.shape, summary.shape)


@pytest.mark.parametrize(("cell", "dilations"), [("lstm", None), ("gru", [1, 2])])
def test_padding_of_series_changes_nothing(cell, dilations):
    encoder = SeriesEncoder(UNITS, cell=cell, num_layers=2, bidirectional=True, dilations=dilations, residual=True)
    values, _, summary = encode(encoder, SERIES)
    padded = np.pad(SERIES, ((0, 0), (2, 3), (0, 0)), constant_values=7.0)
    counts = np.pad(np.ones((3, 8), bool), ((0, 0), (2, 3)))
    padded_values, _, padded_summary = encode(encoder, padded, counts)
    np.testing.assert_allclose(padded_values[:, 2:10], values, atol=1e-5)
    np.testing.assert_allclose(padded_summary, summary, atol=1e-5)


def test_bidirectional_summary_is_of_the_first_and_the_last_step():
    encoder = SeriesEncoder(UNITS, bidirectional=True, dilations=[3])
    values, _, summary = encode(encoder, SERIES, SERIES_MASK)
    for row, steps in enumerate(map(np.flatnonzero, SERIES_MASK)):
        np.testing.assert_allclose(summary[row, :UNITS], values[row, steps[-1], :UNITS], atol=1e-6)
        np.testing.assert_allclose(summary[row, UNITS:], values[row, steps[0], UNITS:], atol=1e-6)


def test_dropout_of_series_in_training_only():
    encoder = SeriesEncoder(UNITS, num_layers=2, segment=2, dropout=0.5, recurrent_dropout=0.2)
    values = encode(encoder, SERIES)[0]
    np.testing.assert_array_equal(encode(encoder, SERIES, training=False)[0], values)
    assert np.any(encode(encoder, SERIES, training=True)[0] != values)


def test_series_encoder_in_a_model(tmp_path):
    """An unknown number of steps, the mask of a layer before, and a mask as an input."""
    series, mask = keras.Input((None, 2)), keras.Input((None,), dtype="bool")
    arguments = {"cell": "lstm", "num_layers": 2, "dilations": [1, 2], "segment": 3, "residual": True}
    memory = SeriesEncoder(UNITS, **arguments)(series, mask=mask)
    masked = SeriesEncoder(UNITS, name="masked")(layers.Masking()(series))
    model = keras.Model([series, mask], [memory.values, memory.summary, masked.summary])
    assert model.output_shape == [(None, None, UNITS), (None, UNITS), (None, UNITS)]
    x = np.where(SERIES_MASK[..., None], SERIES, 0)
    expected = arrays(model([x, SERIES_MASK]))
    summary = encode(model.layers[-1], x, SERIES_MASK)[2]
    np.testing.assert_allclose(expected[2], summary, atol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for result, wanted in zip(again.predict([x, SERIES_MASK], verbose=0), expected, strict=True):
        np.testing.assert_allclose(result, wanted, atol=1e-5)


def test_series_encoder_refuses():
    with pytest.raises(ValueError, match="dilations"):
        SeriesEncoder(UNITS, num_layers=2, dilations=[1])
    with pytest.raises(ValueError, match="rate"):
        SeriesEncoder(UNITS, dilations=[0])
    with pytest.raises(ValueError, match="segment"):
        SeriesEncoder(UNITS, segment=0)


def small_backbone(trainable=True):
    backbone = keras.Sequential(
        [keras.Input((12, 8, 3)), layers.Conv2D(7, 3, strides=4), layers.BatchNormalization(), layers.Dropout(0.5)]
    )
    backbone.trainable = trainable
    return backbone


IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 12, 8, 3)).astype("float32")


def test_image_encoder_is_its_formula():
    encoder = ImageEncoder(UNITS, small_backbone())
    values, mask, summary = encoder(ops.convert_to_tensor(IMAGES))
    assert ops.convert_to_numpy(mask).all()
    assert tuple(encoder.compute_output_shape(IMAGES.shape)) == ((2, 6, UNITS), (2, 6), (2, UNITS))
    features = ops.convert_to_numpy(encoder.backbone(IMAGES))
    assert features.shape == (2, 3, 2, 7)
    kernel, bias = encoder.projection.get_weights()
    (place_kernel,) = encoder.place_projection.get_weights()
    scale, offset = encoder.normalization.get_weights()
    for row in range(3):
        for column in range(2):
            cell = features[:, row, column] @ kernel + bias + np.array([2 * column - 1, row - 1]) @ place_kernel
            cell = (cell - cell.mean(axis=1, keepdims=True)) / np.sqrt(cell.var(axis=1, keepdims=True) + 1e-3)
            found = ops.convert_to_numpy(values)[:, 2 * row + column]
            np.testing.assert_allclose(found, scale * cell + offset, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(summary), ops.convert_to_numpy(values).mean(axis=1), atol=1e-5)


def test_feature_maps_instead_of_images():
    backbone = small_backbone()
    encoder = ImageEncoder(UNITS, backbone)
    expected = arrays(encoder(ops.convert_to_tensor(IMAGES))[::2])
    reader = ImageEncoder(UNITS)
    features = backbone(IMAGES)
    reader.build(features.shape)
    reader.copy_reading(encoder)
    for found, wanted in zip(arrays(reader(features)[::2]), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_frozen_backbone_stays_as_it_is():
    """A call in training moves the batch statistics of a backbone that trains, and drops its features, only."""
    for trainable in (True, False):
        encoder = ImageEncoder(UNITS, small_backbone(trainable))
        images = ops.convert_to_tensor(IMAGES)
        values = arrays(encoder(images)[::2])[0]
        before = encoder.backbone.get_weights()
        trained = arrays(encoder(images, training=True)[::2])[0]
        moved = any(np.any(x != y) for x, y in zip(before, encoder.backbone.get_weights(), strict=True))
        assert moved == trainable
        assert np.any(trained != values) == trainable
        assert bool(encoder.backbone.trainable_variables) == trainable


def test_images_of_bytes():
    encoder = ImageEncoder(UNITS, small_backbone())
    images = IMAGES.astype("uint8")
    expected = arrays(encoder(ops.convert_to_tensor(images.astype("float32")))[::2])
    for found, wanted in zip(arrays(encoder(ops.convert_to_tensor(images))[::2]), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_image_encoder_round_trip(tmp_path):
    for backbone in (None, small_backbone(), small_backbone(trainable=False)):
        inputs = keras.Input((12, 8, 3))
        memory = ImageEncoder(UNITS, backbone, dropout=0.1, name="encoder")(inputs)
        model = keras.Model(inputs, [memory.values, memory.summary])
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        assert len(again.trainable_variables) == len(model.trainable_variables)
        for found, wanted in zip(arrays(again(IMAGES)), arrays(model(IMAGES)), strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-6)
