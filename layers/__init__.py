"""Recurrent layers for Keras 3, encoders, decoders with attention, and search."""

from .attention import BahdanauAttention, LuongAttention
from .bidirectional import Bidirectional
from .conditional_lm import ConditionalLM
from .decoder import Decoder
from .dilated import Dilated
from .encoders import ImageEncoder, SeriesEncoder, TextEncoder
from .family import sequence_layer
from .fusion import (
    AddFusion,
    CoAttentionFusion,
    ConcatenateFusion,
    FilmFusion,
    GatedFusion,
    LowRankBilinearFusion,
    MultiplyFusion,
    MutanFusion,
    StackedAttentionFusion,
)
from .gru import GRU, GRUCell
from .initializers import Chrono, GateConstants, PerGate
from .inspection import gate_activations, gradient_flow, spectral_radii, state_norms
from .language_model import LanguageModel
from .lstm import LSTM, LSTMCell
from .memory import Memory
from .pooling import AttentionPooling
from .recurrent import Recurrent
from .search import AlignedHypotheses, Hypotheses, beam_search, greedy_search, sample
from .series import SeasonalCopy, SeasonalLags, WindowScaling
from .series_decoder import AutoregressiveRNN, SeriesDecoder
from .simple_rnn import SimpleRNN, SimpleRNNCell
from .smoothing import ExponentialSmoothing
from .stacked import StackedCells
from .variants import (
    LayerNormGRUCell,
    LayerNormLSTMCell,
    LayerNormSimpleRNNCell,
    PeepholeLSTMCell,
    ProjectedLSTMCell,
)
from .wrappers import DropConnectCell, LearnedInitialStateCell, ResidualCell, ZoneoutCell

__all__ = [
    "GRU",
    "LSTM",
    "AddFusion",
    "AlignedHypotheses",
    "AttentionPooling",
    "AutoregressiveRNN",
    "BahdanauAttention",
    "Bidirectional",
    "Chrono",
    "CoAttentionFusion",
    "ConcatenateFusion",
    "ConditionalLM",
    "Decoder",
    "Dilated",
    "DropConnectCell",
    "ExponentialSmoothing",
    "FilmFusion",
    "GRUCell",
    "GateConstants",
    "GatedFusion",
    "Hypotheses",
    "ImageEncoder",
    "LSTMCell",
    "LanguageModel",
    "LayerNormGRUCell",
    "LayerNormLSTMCell",
    "LayerNormSimpleRNNCell",
    "LearnedInitialStateCell",
    "LowRankBilinearFusion",
    "LuongAttention",
    "Memory",
    "MultiplyFusion",
    "MutanFusion",
    "PeepholeLSTMCell",
    "PerGate",
    "ProjectedLSTMCell",
    "Recurrent",
    "ResidualCell",
    "SeasonalCopy",
    "SeasonalLags",
    "SeriesDecoder",
    "SeriesEncoder",
    "SimpleRNN",
    "SimpleRNNCell",
    "StackedAttentionFusion",
    "StackedCells",
    "TextEncoder",
    "WindowScaling",
    "ZoneoutCell",
    "beam_search",
    "gate_activations",
    "gradient_flow",
    "greedy_search",
    "sample",
    "sequence_layer",
    "spectral_radii",
    "state_norms",
]
