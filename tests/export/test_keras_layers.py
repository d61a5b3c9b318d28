"""Models of Keras's layers alone."""

import keras
import numpy as np
import pytest
from keras_recurrent import layers
from keras_recurrent.export import to_keras


@pytest.mark.filterwarnings("ignore:Layer 'sequential'")
@pytest.mark.deploy
def test_to_keras(rng):
    x = keras.Input((None, 5))
    y = layers.LSTM(4, return_sequences=True, bias_initializer=layers.Chrono("lstm", 9), unit_forget_bias=False)(
        keras.layers.Masking()(x)
    )
    y = layers.Bidirectional(layers.GRU(3, return_sequences=True))(y)
    y = keras.layers.Bidirectional(layers.SimpleRNN(3, return_sequences=True))(y)
    y = layers.Recurrent([layers.GRUCell(3), layers.LSTMCell(2)], return_sequences=True)(y)
    inner = keras.Sequential([keras.Input((None, 2)), layers.GRU(3, reset_after=False)])
    model = keras.Model(x, inner(y))
    model.compile("adam", "mse")
    model.set_weights([rng.normal(0, 0.5, weight.shape) for weight in model.get_weights()])

    twin = to_keras(model)
    assert "keras_recurrent" not in str(twin.get_config())
    sequences = rng.normal(size=(3, 6, 5)).astype("float32")
    sequences[1, 4:] = 0
    np.testing.assert_allclose(twin(sequences), model(sequences), atol=1e-6)
    before = model(sequences)
    twin.set_weights([0 * weight for weight in twin.get_weights()])
    np.testing.assert_array_equal(model(sequences), before)


def test_a_layer(rng):
    layer = layers.GRU(4)
    sequences = rng.normal(size=(3, 6, 5)).astype("float32")
    output = layer(sequences)
    twin = to_keras(layer)
    assert type(twin) is keras.layers.GRU
    np.testing.assert_allclose(twin(sequences), output, atol=1e-6)


def test_what_keras_lacks():
    zoneout = layers.Recurrent(layers.ZoneoutCell(layers.LSTMCell(4), rates=0.1), name="mine")
    model = keras.Sequential([keras.Input((None, 3)), zoneout], name="model")
    with pytest.raises(ValueError, match=r"'model/mine/zoneout_cell.*' cannot become a layer of Keras, .* no Zoneout"):
        to_keras(model)
    with pytest.raises(ValueError, match="must be built"):
        to_keras(layers.GRU(4))
