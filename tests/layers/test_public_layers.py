"""What all public layers have in common, and a table that no public name may be missing from."""

import inspect
import runpy
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent import layers
from keras_recurrent.layers import LSTMCell, Memory, family

UNITS, FEATURES, VOCABULARY = 4, 3, 9


def memory(positions=4):
    mask = np.ones((2, positions), "bool")
    mask[1, -1] = False
    values, summary = np.ones((2, positions, FEATURES), "float32"), np.ones((2, FEATURES), "float32")
    return Memory(ops.convert_to_tensor(values), ops.convert_to_tensor(mask), ops.convert_to_tensor(summary))


def sequences():
    return (ops.ones((2, 5, FEATURES)),)


def tokens():
    return (ops.array([[5, 6, 3, 0]]),)


def step():
    """The inputs and the states of a cell with one state."""
    return ops.ones((2, FEATURES)), ops.ones((2, UNITS))


def lstm_step():
    return ops.ones((2, FEATURES)), [ops.ones((2, UNITS))] * 2


def conditional_lm():
    encoder = layers.TextEncoder(VOCABULARY, FEATURES, UNITS)
    return layers.ConditionalLM(encoder, layers.Decoder(VOCABULARY, FEATURES, UNITS))


def fusion(cls):
    return lambda: cls(UNITS), lambda: (memory(), memory(3))


# For each class: how to make one, and the arguments of a call.
CLASSES = {
    "SimpleRNN": (lambda: layers.SimpleRNN(UNITS), sequences),
    "LSTM": (lambda: layers.LSTM(UNITS), sequences),
    "GRU": (lambda: layers.GRU(UNITS), sequences),
    "Recurrent": (lambda: layers.Recurrent(LSTMCell(UNITS)), sequences),
    "Bidirectional": (lambda: layers.Bidirectional(layers.GRU(UNITS)), sequences),
    "Dilated": (lambda: layers.Dilated(layers.GRU(UNITS, return_sequences=True), rate=2), sequences),
    "SimpleRNNCell": (lambda: layers.SimpleRNNCell(UNITS), step),
    "LSTMCell": (lambda: LSTMCell(UNITS), lstm_step),
    "GRUCell": (lambda: layers.GRUCell(UNITS), step),
    "PeepholeLSTMCell": (lambda: layers.PeepholeLSTMCell(UNITS), lstm_step),
    "ProjectedLSTMCell": (lambda: layers.ProjectedLSTMCell(UNITS, projection_units=UNITS), lstm_step),
    "LayerNormSimpleRNNCell": (lambda: layers.LayerNormSimpleRNNCell(UNITS), step),
    "LayerNormLSTMCell": (lambda: layers.LayerNormLSTMCell(UNITS), lstm_step),
    "LayerNormGRUCell": (lambda: layers.LayerNormGRUCell(UNITS), step),
    "ZoneoutCell": (lambda: layers.ZoneoutCell(LSTMCell(UNITS), rates=[0.1, 0.2], seed=1), lstm_step),
    "DropConnectCell": (lambda: layers.DropConnectCell(LSTMCell(UNITS), rate=0.5, seed=1), lstm_step),
    "ResidualCell": (lambda: layers.ResidualCell(layers.GRUCell(FEATURES)), lambda: (ops.ones((2, FEATURES)),) * 2),
    "LearnedInitialStateCell": (lambda: layers.LearnedInitialStateCell(layers.GRUCell(UNITS)), step),
    "StackedCells": (
        lambda: layers.StackedCells([layers.GRUCell(UNITS), layers.SimpleRNNCell(UNITS)]),
        lambda: (ops.ones((2, FEATURES)), [ops.ones((2, UNITS))] * 2),
    ),
    "WindowScaling": (layers.WindowScaling, lambda: (ops.ones((2, 6)), ops.ones((2, 6)))),
    "ExponentialSmoothing": (
        lambda: layers.ExponentialSmoothing(4, [2, 3]),
        lambda: (ops.ones((2, 6)), ops.ones((2, 6))),
    ),
    "SeasonalLags": (lambda: layers.SeasonalLags(4, [2]), lambda: (ops.ones((2, 6)), ops.ones((2, 6)))),
    "SeasonalCopy": (layers.SeasonalCopy, lambda: (ops.ones((2, 4, 3)),) * 3),
    "SeriesDecoder": (lambda: layers.SeriesDecoder(2, UNITS), lambda: (ops.ones((2, 5, FEATURES)), memory())),
    "AutoregressiveRNN": (
        lambda: layers.AutoregressiveRNN("student_t", UNITS),
        lambda: (ops.ones((2, 5)), ops.ones((2, 5)), ops.ones((2, 5, FEATURES))),
    ),
    "LuongAttention": (layers.LuongAttention, lambda: (ops.ones((2, 1, UNITS)), memory(), ops.ones((2, 4, UNITS)))),
    "BahdanauAttention": (
        lambda: layers.BahdanauAttention(UNITS),
        lambda: (ops.ones((2, 1, UNITS)), memory(), ops.ones((2, 4, UNITS))),
    ),
    "AttentionPooling": (lambda: layers.AttentionPooling(UNITS), lambda: (memory(),)),
    "TextEncoder": (lambda: layers.TextEncoder(VOCABULARY, FEATURES, UNITS), tokens),
    "SeriesEncoder": (
        lambda: layers.SeriesEncoder(UNITS, num_layers=2, dilations=[1, 2], residual=True, segment=2),
        sequences,
    ),
    "ImageEncoder": (lambda: layers.ImageEncoder(UNITS), lambda: (ops.ones((2, 3, 3, FEATURES)),)),
    "Decoder": (lambda: layers.Decoder(VOCABULARY, FEATURES, UNITS), lambda: (ops.array([[2, 5], [2, 6]]), memory())),
    "ConditionalLM": (conditional_lm, lambda: ((ops.array([[5, 6, 3]]), ops.array([[2, 7]])),)),
    "LanguageModel": (lambda: layers.LanguageModel(VOCABULARY, UNITS), tokens),
    "AddFusion": fusion(layers.AddFusion),
    "MultiplyFusion": fusion(layers.MultiplyFusion),
    "ConcatenateFusion": fusion(layers.ConcatenateFusion),
    "GatedFusion": fusion(layers.GatedFusion),
    "LowRankBilinearFusion": fusion(layers.LowRankBilinearFusion),
    "MutanFusion": fusion(layers.MutanFusion),
    "FilmFusion": fusion(layers.FilmFusion),
    "StackedAttentionFusion": fusion(layers.StackedAttentionFusion),
    "CoAttentionFusion": fusion(layers.CoAttentionFusion),
    "PerGate": (lambda: layers.PerGate("orthogonal", gates=2), lambda: ((4, 8),)),
    "GateConstants": (lambda: layers.GateConstants([0, 1]), lambda: ((8,),)),
    "Chrono": (lambda: layers.Chrono("lstm", max_steps=9, seed=1), lambda: ((8,),)),
}
# Functions and NamedTuples, and the file that tests them.
OTHERS = {
    "AlignedHypotheses": "test_conditional_lm.py",
    "Hypotheses": "test_search.py",
    "Memory": "test_decoder.py",
    "beam_search": "test_search.py",
    "gate_activations": "test_inspection.py",
    "gradient_flow": "test_inspection.py",
    "greedy_search": "test_search.py",
    "sample": "test_search.py",
    "sequence_layer": "test_family.py",
    "spectral_radii": "test_inspection.py",
    "state_norms": "test_inspection.py",
}
# Keras's own arguments that it does not keep under their names.
KERAS_ARGUMENTS = {"Bidirectional": {"weights", "backward_layer", "layer"}}


def arguments_of(cls):
    """The names of the arguments of a constructor, those of its bases in this package included."""
    names = set()
    for base in cls.__mro__:
        if base.__module__.startswith(layers.__name__) and "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters.values()
            names |= {p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD} - {"self"}
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return names - KERAS_ARGUMENTS.get(cls.__name__, set())


def build(name, call):
    """An object of the class that is built for the arguments of a call."""
    made = CLASSES[name][0]()
    if name.endswith("Attention"):  # a decoder builds them
        queries, memory, _ = call
        made.build(queries.shape, memory.values.shape)
    return made


def test_every_public_name_is_in_a_table():
    assert CLASSES.keys() | OTHERS.keys() == set(layers.__all__)
    for name, file in OTHERS.items():
        assert name in (Path(__file__).parent / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CLASSES)
def test_attributes_have_the_names_of_the_arguments(name):
    made, cls = CLASSES[name][0](), getattr(layers, name)
    config = made.get_config()
    arguments = arguments_of(cls) - ({"cell"} if name in ("SimpleRNN", "LSTM", "GRU") else set())
    assert arguments or name in ("LuongAttention", "SeasonalCopy")
    for argument in arguments:
        # `use_cudnn` is an argument of Keras's LSTM and GRU alone, and Keras saves no regularizer that is None.
        if argument != "use_cudnn" or name != "SimpleRNN":
            assert hasattr(made, argument), argument
            assert argument in config or (argument, made.activity_regularizer) == ("activity_regularizer", None)


@pytest.mark.parametrize("name", CLASSES)
def test_configuration_makes_the_same_layer(name, assert_close):
    call = CLASSES[name][1]()
    made = build(name, call)
    expected = made(*call)
    again = type(made).from_config(made.get_config())
    assert again.get_config().keys() == made.get_config().keys()
    if isinstance(made, keras.layers.Layer):
        if name.endswith("Attention"):
            again.build(call[0].shape, call[1].values.shape)
        again(*call)
        again.set_weights(made.get_weights())
        assert_close(again(*call), expected)


@pytest.mark.parametrize("name", CLASSES)
def test_registered_under_its_name(name):
    made = CLASSES[name][0]()
    assert keras.saving.get_registered_name(type(made)) == f"keras_recurrent>{name}"


def test_the_family_is_read_without_keras():
    path = Path(inspect.getsourcefile(family))
    names = runpy.run_path(str(path))
    assert names["SEQUENCE_LAYERS"] == family.SEQUENCE_LAYERS
    assert "import keras" not in path.read_text(encoding="utf-8")


@pytest.fixture
def toy_cell(monkeypatch):
    """A cell of its own, under the name `"leaky"`."""
    from keras_recurrent.layers.cell import RecurrentCell
    from keras_recurrent.layers.recurrent import CellLayer

    @keras.saving.register_keras_serializable(package="tests")
    class LeakyCell(RecurrentCell):
        chrono_signs = (1, 0)
        gates = 2
        gate_names = ("keep", "candidate")

        def step(self, projected, inner, states):
            (h,) = states
            keep, candidate = ops.split(projected + inner, 2, axis=-1)
            keep, candidate = ops.sigmoid(keep), self.activation(candidate)
            return [keep * h + (1 - keep) * candidate], (keep, candidate)

    @keras.saving.register_keras_serializable(package="tests")
    class Leaky(CellLayer):
        cell_class = LeakyCell

    monkeypatch.setitem(family.SEQUENCE_LAYERS, "leaky", "Leaky")
    monkeypatch.setattr(sys.modules["keras_recurrent.layers"], "Leaky", Leaky, raising=False)
    return Leaky


@pytest.mark.slow_on_jax
def test_a_new_cell_needs_its_file_and_the_family(toy_cell, assert_close):
    layer = layers.sequence_layer("leaky", UNITS, bias_initializer=layers.Chrono("leaky", 9), dropout=0.1)
    assert layer(ops.ones((2, 5, FEATURES)), training=True).shape == (2, UNITS)
    assert (layer.units, layer.dropout, layer.cell.name) == (UNITS, 0.1, "leaky_cell")
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()
    assert set(layers.gate_activations(layer, np.ones((2, 5, FEATURES)))) == {"keep", "candidate"}
    assert set(layers.state_norms(layer, np.ones((2, 5, FEATURES)))) == {"h"}
    assert set(layers.spectral_radii(layer)) == {"keep", "candidate"}
    with pytest.raises(ValueError, match="derivative written by hand"):
        layers.Bidirectional(layers.sequence_layer("leaky", UNITS))
    encoder = layers.TextEncoder(VOCABULARY, FEATURES, UNITS, cell="leaky")
    for options in ({"query": "before_step"}, {"input_feeding": True}):
        decoder = layers.Decoder(VOCABULARY, FEATURES, UNITS, cell="leaky", **options)
        model = layers.ConditionalLM(encoder, decoder)
        source, target = ops.array([[5, 6, 3]]), ops.array([[2, 7]])
        logits = model((source, target))
        memory = model.encoder(source)
        _, state, _ = decoder.step(target[:, 0], decoder.initial_state(memory), memory)
        assert_close(decoder.step(target[:, 1], state, memory)[0], logits[:, 1], atol=1e-5)
    model = layers.LanguageModel(VOCABULARY, UNITS, cell="leaky")
    assert model(ops.array([[2, 7]])).shape == (1, 2, VOCABULARY)
