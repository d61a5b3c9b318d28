"""A pytest plugin that puts the layers of this package in the place of Keras's own, for Keras's tests of them."""

import keras.src.layers
from keras_recurrent import layers

for name in ("SimpleRNN", "LSTM", "GRU", "SimpleRNNCell", "LSTMCell", "GRUCell"):
    setattr(keras.src.layers, name, getattr(layers, name))
