"""The layers by name."""

import pytest
from keras_recurrent.layers import GRU, LSTM, SimpleRNN, sequence_layer


@pytest.mark.parametrize(("name", "layer_class"), [("simple_rnn", SimpleRNN), ("lstm", LSTM), ("gru", GRU)])
def test_sequence_layer(name, layer_class):
    layer = sequence_layer(name, 8, return_sequences=True)
    assert type(layer) is layer_class
    assert layer.units == 8
    assert layer.return_sequences


@pytest.mark.parametrize("name", ["GRU", "rnn", ""])
def test_unknown_name(name):
    with pytest.raises(ValueError, match="`cell` must be one of simple_rnn, lstm, gru"):
        sequence_layer(name, 8)
