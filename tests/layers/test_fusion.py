"""The fusions against their formulas in NumPy, one position of one example at a time."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent.layers import Memory
from keras_recurrent.layers.fusion import FUSIONS, FilmFusion

# Elementwise operations and products, which TensorFlow and PyTorch test.
pytestmark = pytest.mark.slow_on_jax

BATCH, CELLS, WORDS, UNITS = 3, 9, 4, 5
IMAGE, QUESTION = 6, 7  # features
OPTIONS = {
    **{name: (name, {}) for name in FUSIONS},
    "mutan-2": ("mutan", {"rank": 2}),
    "film-1": ("film", {"blocks": 1}),
    "stacked-1": ("stacked_attention", {"hops": 1}),
    "stacked-3": ("stacked_attention", {"hops": 3}),
}


@pytest.fixture(
    params=[
        pytest.param(option, id=name, marks=() if name in FUSIONS else pytest.mark.slow_on_jax)
        for name, option in OPTIONS.items()
    ]
)
def fusion(request, rng):
    name, options = request.param
    layer = FUSIONS[name](UNITS, **options)
    layer.build(*SHAPES)
    for weight in layer.weights:
        value = rng.normal(0, 0.7, weight.shape)
        weight.assign(np.abs(value) if weight.name == "moving_variance" else value)
    return layer


SHAPES = [
    Memory((BATCH, CELLS, IMAGE), (BATCH, CELLS), (BATCH, IMAGE)),
    Memory((BATCH, WORDS, QUESTION), (BATCH, WORDS), (BATCH, QUESTION)),
]


@pytest.fixture
def arrays(rng):
    """The image and the question as arrays."""
    words = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1]], "bool")
    masks = [np.ones((BATCH, CELLS), "bool"), words]
    return [
        Memory(rng.normal(size=shape.values).astype("float32"), mask, rng.normal(size=shape.summary).astype("float32"))
        for shape, mask in zip(SHAPES, masks, strict=True)
    ]


def tensors(memories):
    return [Memory(*map(ops.convert_to_tensor, memory)) for memory in memories]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    exponentials = np.exp(x - x.max())
    return exponentials / exponentials.sum()


def numbers(layer):
    return [weight.astype("float64") for weight in layer.get_weights()]


def affine(layer, x):
    kernel, *bias = numbers(layer)
    return sum(bias, x @ kernel)


def add(f, image, question):
    return affine(f.image_projection, image.summary) + affine(f.question_projection, question.summary)


def multiply(f, image, question):
    return affine(f.image_projection, image.summary) * affine(f.question_projection, question.summary)


def concatenate(f, image, question):
    return np.maximum(affine(f.projection, np.concatenate([image.summary, question.summary])), 0)


def gated(f, image, question):
    z = sigmoid(affine(f.gate, np.concatenate([image.summary, question.summary])))
    v = np.tanh(affine(f.image_projection, image.summary))
    return z * v + (1 - z) * np.tanh(affine(f.question_projection, question.summary))


def mlb(f, image, question):
    v = np.tanh(affine(f.image_projection, image.summary))
    return affine(f.pooling, v * np.tanh(affine(f.question_projection, question.summary)))


def mutan(f, image, question):
    v = np.tanh(affine(f.image_projection, image.summary))
    q = np.tanh(affine(f.question_projection, question.summary))
    total = 0
    for r in range(f.rank):
        of_r = slice(r * UNITS, (r + 1) * UNITS)
        (m, m_bias), (n, n_bias) = numbers(f.image_factors), numbers(f.question_factors)
        total = total + (v @ m[:, of_r] + m_bias[of_r]) * (q @ n[:, of_r] + n_bias[of_r])
    return total


def film(f, image, question, looks=None):
    modulations = affine(f.modulation, question.summary).reshape(f.blocks, 2, UNITS)
    cells = image.values.reshape(3, 3, IMAGE)
    for (scale, shift), narrow, wide, normalization in zip(
        modulations, f.narrow, f.wide, f.normalizations, strict=True
    ):
        mean, variance = numbers(normalization)
        cells = np.maximum(affine(narrow, cells), 0)
        (kernel,) = numbers(wide)
        padded = np.pad(cells, ((1, 1), (1, 1), (0, 0)))
        looked = np.zeros_like(cells)
        for row in range(3):
            for column in range(3):
                x = np.einsum("ijf,ijfu->u", padded[row : row + 3, column : column + 3], kernel)
                x = (x - mean) / np.sqrt(variance + 1e-3)
                looked[row, column] = np.maximum((1 + scale) * x + shift, 0)
        cells = cells + looked
    found = np.maximum(affine(f.closing, cells), 0).reshape(9, UNITS)
    if looks is not None:
        alive = found[:, found.max(axis=0) > 0]
        looks.append(np.bincount(alive.argmax(axis=0), minlength=9) / alive.shape[1])
    return found.max(axis=0)


def stacked_attention(f, image, question, looks=None):
    cells = np.tanh(affine(f.image_projection, image.values))
    u = np.tanh(affine(f.question_projection, question.summary))
    for attention in f.attentions:
        query, key, bias, score = numbers(attention)
        scores = [(np.tanh(cell @ key + bias + u @ query) @ score)[0] for cell in cells]
        weights = softmax(np.array(scores))
        if looks is not None:
            looks.append(weights)
        u = u + weights @ cells
    return u


def co_attention(f, image, question, looks=None):
    words = question.values[question.mask]
    affinity = np.tanh(affine(f.affinity, words) @ image.values.T)
    of_cells = affine(f.image_projection, image.values) + affinity.T @ affine(f.question_projection, words)
    of_words = affine(f.question_projection, words) + affinity @ affine(f.image_projection, image.values)
    of_cells = softmax(affine(f.image_score, np.tanh(of_cells))[:, 0])
    of_words = softmax(affine(f.question_score, np.tanh(of_words))[:, 0])
    if looks is not None:
        looks.append(of_cells)
    found = affine(f.image_result, of_cells @ image.values)
    return np.tanh(found + affine(f.question_result, of_words @ words))


ORACLES = [add, multiply, concatenate, gated, mlb, mutan, film, stacked_attention, co_attention]
ORACLES = {oracle.__name__: oracle for oracle in ORACLES}


def oracle_of(fusion):
    (name,) = [name for name, cls in FUSIONS.items() if cls is type(fusion)]
    return ORACLES[name]


def row(memory, index):
    return Memory(*(x[index] if x.dtype == bool else x[index].astype("float64") for x in memory))


def test_fusion_is_its_formula(fusion, arrays, assert_close):
    found = fusion(*tensors(arrays))
    assert tuple(found.shape) == fusion.compute_output_shape(*SHAPES) == (BATCH, UNITS)
    expected = [oracle_of(fusion)(fusion, *(row(memory, index) for memory in arrays)) for index in range(BATCH)]
    assert_close(found, np.stack(expected), atol=1e-4, rtol=1e-4)


LOOKING = {name: option for name, option in OPTIONS.items() if hasattr(FUSIONS[option[0]], "attend")}


@pytest.mark.parametrize("fusion", LOOKING.values(), ids=LOOKING, indirect=True)
def test_where_it_looks(fusion, arrays, assert_close):
    found = fusion.attend(*tensors(arrays))
    for index in range(BATCH):
        looks = []
        oracle_of(fusion)(fusion, *(row(memory, index) for memory in arrays), looks)
        assert_close(found[index], np.stack(looks), atol=1e-5)


def test_questions_that_share_images(fusion, arrays, assert_close):
    image, question = tensors(arrays)
    owners = np.arange(BATCH)[::-1] // 2
    own = Memory(*(ops.take(part, owners, axis=0) for part in image))
    shared = Memory(*(part[: owners.max() + 1] for part in image))
    assert_close(fusion(shared, question, ops.array(owners)), fusion(own, question), atol=1e-5)
    if hasattr(fusion, "attend"):
        looks = fusion.attend(shared, question, ops.array(owners))
        assert_close(looks, fusion.attend(own, question), atol=1e-5)


def test_padding_of_the_question_counts_for_nothing(fusion, arrays, assert_close):
    image, question = arrays
    changed = question._replace(values=np.where(question.mask[..., np.newaxis], question.values, 9).astype("float32"))
    assert_close(fusion(*tensors([image, changed])), fusion(*tensors(arrays)), atol=1e-5)


def test_every_variable_learns_from_image_and_question(fusion, arrays, gradients, rng):
    weights = rng.normal(size=(BATCH, UNITS)).astype("float32")
    image, question = tensors(arrays)

    def loss(values, summary, question_values, question_summary):
        fused = fusion(
            image._replace(values=values, summary=summary),
            question._replace(values=question_values, summary=question_summary),
        )
        # So that each input counts for each fusion.
        rest = sum(ops.sum(x) for x in (values, summary, question_values, question_summary))
        return ops.sum(ops.multiply(fused, weights)) + 0 * rest

    inputs = [x for memory in arrays for x in (memory.values, memory.summary)]
    *variables, values, summary, words, question_summary = gradients(loss, fusion.trainable_variables, inputs)
    assert all(np.all(np.isfinite(gradient)) and np.any(gradient != 0) for gradient in variables)
    assert np.any(values != 0) or np.any(summary != 0)
    assert np.any(words != 0) or np.any(question_summary != 0)


@pytest.mark.parametrize("name", FUSIONS)
def test_saved_in_a_functional_model(name, tmp_path, arrays, assert_close):
    inputs = [[keras.Input(shape[1:], dtype=dtype) for shape, dtype in zip(m, KINDS, strict=True)] for m in SHAPES]
    fusion = FUSIONS[name](UNITS)
    model = keras.Model(inputs, fusion(*(Memory(*memory) for memory in inputs)))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    values = [list(memory) for memory in arrays]
    assert_close(again(values), model(values))
    assert again.layers[-1].get_config() == fusion.get_config()


KINDS = ["float32", "bool", "float32"]


def test_film_learns_with_the_statistics_of_its_batch(arrays, assert_close):
    inputs = [[keras.Input(shape[1:], dtype=dtype) for shape, dtype in zip(m, KINDS, strict=True)] for m in SHAPES]
    fusion = FilmFusion(UNITS, blocks=1)
    model = keras.Model(inputs, fusion(*(Memory(*memory) for memory in inputs)))
    values = [list(memory) for memory in arrays]
    found = model(values, training=True)
    cells = fusion.wide[0](fusion.narrow[0](ops.reshape(arrays[0].values, (BATCH, 3, 3, IMAGE))))
    mean, variance = ops.moments(cells, axes=(0, 1, 2))
    assert_close(fusion.normalizations[0].moving_mean, 0.1 * mean)
    fusion.normalizations[0].set_weights([ops.convert_to_numpy(mean), ops.convert_to_numpy(variance)])
    assert_close(model(values), found, atol=1e-4)


def test_film_learns_without_the_empty_questions_that_fill_a_batch(arrays, assert_close):
    image, question = arrays
    fusion, owners = FilmFusion(UNITS), np.arange(BATCH)
    expected = fusion(*tensors(arrays), owners, training=True)
    moving = [ops.convert_to_numpy(weight) for weight in fusion.non_trainable_weights]
    for weight in fusion.non_trainable_weights:
        weight.assign(ops.ones_like(weight) if weight.name == "moving_variance" else ops.zeros_like(weight))
    filled = Memory(*(np.concatenate([array, np.zeros_like(array)]) for array in question))
    outputs = fusion(*tensors((image, filled)), np.append(owners, [0] * BATCH), training=True)
    assert_close(outputs[:BATCH], expected)
    for weight, value in zip(fusion.non_trainable_weights, moving, strict=True):
        assert_close(weight, value)


def test_film_needs_a_square():
    image = Memory((2, 8, IMAGE), (2, 8), (2, IMAGE))
    with pytest.raises(ValueError, match=r"must form a square\. Received: 8 cells"):
        FilmFusion(UNITS).build(image, SHAPES[1])


@pytest.mark.parametrize("name", FUSIONS)
def test_mixed_precision(name, arrays):
    fusion = FUSIONS[name](UNITS, dtype="mixed_bfloat16")
    found = fusion(*tensors(arrays))
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
