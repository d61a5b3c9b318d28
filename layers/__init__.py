"""Recurrent layers for Keras 3, and what decoding needs: attention, decoder, search."""

from .attention import BahdanauAttention, LuongAttention
from .conditional_lm import ConditionalLM
from .decoder import Decoder
from .embedding import ScaledEmbedding
from .encoders import TextEncoder
from .family import sequence_layer
from .gru import GRU, GRUCell
from .lstm import LSTM, LSTMCell
from .memory import Memory
from .recurrent import Recurrent
from .search import Hypotheses, beam_search, greedy_search
from .simple_rnn import SimpleRNN, SimpleRNNCell

__all__ = [
    "GRU",
    "LSTM",
    "BahdanauAttention",
    "ConditionalLM",
    "Decoder",
    "GRUCell",
    "Hypotheses",
    "LSTMCell",
    "LuongAttention",
    "Memory",
    "Recurrent",
    "ScaledEmbedding",
    "SimpleRNN",
    "SimpleRNNCell",
    "TextEncoder",
    "beam_search",
    "greedy_search",
    "sequence_layer",
]
