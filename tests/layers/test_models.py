"""Models of every kind train with our layers as with Keras's."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent import layers

NAMES = ["SimpleRNN", "LSTM", "GRU"]


def sequential(layer):
    return keras.Sequential([keras.Input((None, 3)), keras.layers.Masking(), layer, keras.layers.Dense(1)])


def functional(layer):
    inputs = keras.Input((None, 3))
    return keras.Model(inputs, keras.layers.Dense(1)(layer(keras.layers.Masking()(inputs))))


class Subclassed(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.masking = keras.layers.Masking()
        self.recurrent = layer
        self.dense = keras.layers.Dense(1)

    def call(self, sequences, training=False):
        return self.dense(self.recurrent(self.masking(sequences), training=training))


def data(rng):
    x = rng.normal(size=(16, 6, 3)).astype("float32")
    x[::3, 4:] = 0  # masked
    return x, rng.normal(size=(16, 1)).astype("float32")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param("LSTM", sequential, marks=pytest.mark.rest),
        ("GRU", functional),
        pytest.param("SimpleRNN", Subclassed, marks=pytest.mark.rest),
    ],
)
def test_fit_gives_the_weights_that_keras_gives(name, kind, rng, assert_close):
    x, y = data(rng)
    ours, theirs = (kind(getattr(module, name)(4)) for module in (layers, keras.layers))
    for model in (ours, theirs):
        model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=model is theirs)
        model(x[:1])
    theirs.set_weights([w for w in ours.get_weights() if w.dtype == "float32"])
    start = ours.get_weights()[0]
    for model in (ours, theirs):
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    assert_close([w.value for w in ours.trainable_weights], [w.value for w in theirs.trainable_weights], atol=1e-5)
    assert_close(ours(x), theirs(x), atol=1e-5)
    assert not np.allclose(ours.get_weights()[0], start)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="on JAX everything is compiled, on PyTorch nothing")
@pytest.mark.parametrize("cell", ["GRU", "Bidirectional", pytest.param("stack", marks=pytest.mark.rest)])
@pytest.mark.rest
def test_xla_trains_to_the_same_weights(cell, rng, assert_close):
    make = {
        "Bidirectional": lambda: layers.Bidirectional(layers.GRU(4)),
        "stack": lambda: layers.Recurrent(
            [layers.LayerNormLSTMCell(4), layers.ZoneoutCell(layers.GRUCell(4), rates=0.0), layers.PeepholeLSTMCell(4)]
        ),
    }.get(cell) or (lambda: getattr(layers, cell)(4))
    x, y = data(rng)
    models = []
    for jit_compile in (True, False):
        model = sequential(make())
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile, run_eagerly=not jit_compile)
        models.append(model)
    models[1].set_weights(models[0].get_weights())
    for model in models:
        for _ in range(2):
            model.train_on_batch(x, y)
    assert models[0].jit_compile is True
    assert_close(*([w.value for w in model.trainable_weights] for model in models), atol=1e-5)


@pytest.mark.rest
def test_lengths_that_change_from_batch_to_batch_train_with_auto(rng):
    model = sequential(layers.LSTM(4, recurrent_dropout=0.1))
    model.compile("adam", "mse", jit_compile="auto")
    losses = [model.train_on_batch(*(array[:, :steps] for array in data(rng))) for steps in (6, 1)]
    assert np.isfinite(losses).all()


def test_our_layers_leave_xla_as_it_is():
    model = sequential(layers.LSTM(4))
    assert model.layers[1].supports_jit
    assert keras.src.trainers.trainer.model_supports_jit(model) == keras.src.trainers.trainer.model_supports_jit(
        sequential(keras.layers.LSTM(4))
    )


@pytest.mark.parametrize("name", NAMES)
def test_states_of_a_stateful_layer_survive_saving(name, rng, tmp_path, assert_close):
    x = rng.normal(size=(2, 6, 3)).astype("float32")
    model = keras.Sequential([keras.Input((None, 3), batch_size=2), getattr(layers, name)(4, stateful=True)])
    model(x[:, :3])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_close(loaded(x[:, 3:]), model(x[:, 3:]), atol=1e-6)
    model.save_weights(tmp_path / "model.weights.h5")
    one = keras.Sequential([keras.Input((None, 3), batch_size=1), getattr(layers, name)(4, stateful=True)])
    one.load_weights(tmp_path / "model.weights.h5")  # of another batch size: its states stay as they are
    model.layers[0].reset_state()
    assert_close(one(x[:1]), model(x)[:1], atol=1e-6)
    model.layers[0].reset_state()
    assert not np.allclose(ops.convert_to_numpy(model(x[:, 3:])), ops.convert_to_numpy(loaded(x[:, 3:])))


@pytest.mark.parametrize("score", ["additive", "none"])
def test_functional_model_of_an_encoder_and_a_decoder_is_saved(score, tmp_path, assert_close):
    source, tokens = (keras.Input((None,), dtype="int32") for _ in range(2))
    memory = layers.TextEncoder(20, 4, 5)(source)
    decoder = layers.Decoder(11, 3, 5, score=score)
    model = keras.Model((source, tokens), decoder(tokens, memory))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    inputs = np.array([[5, 6, 3]]), np.array([[2, 7, 8, 9]])
    assert_close(again(inputs), model(inputs))
