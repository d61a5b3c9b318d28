"""Fused kernels run where they can, and compute what the loop does.

Without a GPU there are no fused kernels. Then PyTorch runs the same function on the CPU, JAX its own reference of the
kernel, and TensorFlow a loop of Keras in place of Keras's kernel. `test_on_a_gpu` runs the kernels themselves.
"""

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent import layers
from keras_recurrent.layers import backprop, fused, keras_internals, loop
from keras_recurrent.layers.loop import loop_settings

BACKEND = keras.config.backend()
# The layers and masks for which a backend has a kernel.
KERNELS = {
    "tensorflow": {("LSTM", False), ("GRU", False), ("LSTM", True), ("GRU", True)},
    "jax": {("LSTM", False), ("LSTM", True)},
    "torch": {("LSTM", False), ("GRU", False)},
}[BACKEND]
UNITS = 4
LENGTHS = np.array([5, 3, 0, 1])
MASK = np.arange(5) < LENGTHS[:, None]


def _of_tensorflow(monkeypatch):
    def run(name, inputs, states, mask, kernel, recurrent_kernel, bias, **options):
        equations = [options.pop("activation"), options.pop("recurrent_activation")]
        assert equations == [keras.activations.tanh, keras.activations.sigmoid]
        assert options == {"return_sequences": True}
        if mask is not None:  # cuDNN takes the lengths of rows that are not empty
            lengths = np.sum(mask, 1)
            assert np.array_equal(mask, np.arange(mask.shape[1]) < lengths[:, None])
            assert np.all(lengths > 0)
        layer = getattr(keras.layers, name.upper())(states[0].shape[-1], use_cudnn=False)

        def step(x, states):
            with keras.StatelessScope(zip(layer.cell.variables, [kernel, recurrent_kernel, bias], strict=False)):
                return layer.cell(x, states)

        layer.build(inputs.shape)
        last, outputs, states = keras_internals.backend.rnn(step, inputs, list(states), mask=mask)
        return last, outputs if mask is None else ops.where(mask[..., None], outputs, 7.0), states

    monkeypatch.setattr(keras_internals.backend, "cudnn_ok", lambda *args, **options: True)
    monkeypatch.setattr(
        keras_internals.backend, "lstm", lambda x, h, c, mask, **options: run("lstm", x, [h, c], mask, **options)
    )
    monkeypatch.setattr(
        keras_internals.backend, "gru", lambda x, h, mask, **options: run("gru", x, [h], mask, **options)
    )


def _of_jax(monkeypatch):
    import jax
    from jax.experimental import rnn

    def lstm(inputs, h, c, weights, lengths, **options):
        assert options.pop("dropout") == 0.0
        weights = rnn.unpack_lstm_weights(weights, **options)
        sizes = (options["input_size"], options["hidden_size"], options["num_layers"], 0.0, options["bidirectional"])
        return rnn.lstm_ref(inputs, h, c, *weights, lengths, *sizes)

    monkeypatch.setattr(rnn, "lstm", lstm)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def _of_torch(monkeypatch):
    monkeypatch.setattr(loop, "_is_on_gpu_torch", lambda inputs: True)


STAND_INS = {"tensorflow": _of_tensorflow, "jax": _of_jax, "torch": _of_torch}


@pytest.fixture
def calls(monkeypatch):
    """A list to which each call of a fused kernel adds the cell."""
    calls, run = [], fused.run

    def record(kernel, cell, *arguments):
        result = run(kernel, cell, *arguments)
        calls.append(cell)
        return result

    monkeypatch.setattr(fused, "run", record)
    return calls


@pytest.fixture
def kernels(monkeypatch, calls):
    """`calls`, on a machine that seems to have a GPU."""
    STAND_INS[BACKEND](monkeypatch)
    return calls


def both(layer, shape, gradients, rng, mask=None, training=True):
    """Returns `[(outputs, gradients), (outputs, gradients)]` of a layer: with fused kernels, and without."""
    sizes = keras.tree.flatten(layer.state_size)
    inputs = [rng.normal(size=s).astype("float32") for s in (shape, *((shape[0], size) for size in sizes))]
    weights = None

    def call(x, *states):
        nonlocal weights
        outputs = layer(x, initial_state=list(states), mask=mask, training=training)
        weights = weights or [rng.normal(size=output.shape).astype("float32") for output in outputs]
        return outputs

    def loss(*inputs):
        return sum(ops.sum(ops.multiply(output, weight)) for output, weight in zip(call(*inputs), weights, strict=True))

    results = []
    for is_fused in (True, False):
        with loop_settings(right_padded=True, fused=is_fused):
            outputs = call(*map(ops.convert_to_tensor, inputs))
            results.append((list(outputs), gradients(loss, layer.trainable_variables, inputs)))
    return results


def make(name, **options):
    bias = {"bias_initializer": "glorot_uniform"}
    if name == "LSTM":
        bias["unit_forget_bias"] = False
    return getattr(layers, name)(UNITS, **{**bias, "return_sequences": True, "return_state": True, **options})


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_results_and_derivatives(name, masked, go_backwards, kernels, gradients, assert_close, rng):
    layer = make(name, go_backwards=go_backwards)
    layer.build((4, 5, 3))
    with_kernel, with_loop = both(layer, (4, 5, 3), gradients, rng, mask=MASK if masked else None)
    assert len(kernels) == (2 if (name, masked) in KERNELS else 0)  # for the outputs, and for the derivatives
    assert_close(with_kernel, with_loop, atol=1e-5)


@pytest.mark.parametrize("options", [{"zero_output_for_mask": True}, {"return_sequences": False}, {"stateful": True}])
def test_options_of_the_layer(options, kernels, assert_close, rng):
    layer = make("LSTM", **options)
    layer.build((4, 5, 3))
    sequences = ops.convert_to_tensor(rng.normal(size=(4, 5, 3)).astype("float32"))
    results = []
    for is_fused in (True, False):
        with loop_settings(right_padded=True, fused=is_fused):
            results.append(layer(sequences, mask=MASK))
            if layer.stateful:
                layer.reset_state()
    assert len(kernels) == (("LSTM", True) in KERNELS)
    assert_close(*results, atol=1e-5)


class OtherCell(layers.LSTMCell):
    def step(self, projected, inner, states):
        return super().step(2 * projected, inner, states)


LOOPS = {
    "activation": lambda: layers.LSTM(UNITS, activation="relu"),
    "recurrent_activation": lambda: layers.GRU(UNITS, recurrent_activation="hard_sigmoid"),
    "use_bias": lambda: layers.LSTM(UNITS, use_bias=False),
    "reset_after": lambda: layers.GRU(UNITS, reset_after=False),
    "recurrent_dropout": lambda: layers.LSTM(UNITS, recurrent_dropout=0.5),
    "unroll": lambda: layers.LSTM(UNITS, unroll=True),
    "use_cudnn": lambda: layers.LSTM(UNITS, use_cudnn=False),
    "simple_rnn": lambda: layers.SimpleRNN(UNITS),
    "layer_norm": lambda: layers.Recurrent(layers.LayerNormLSTMCell(UNITS)),
    "zoneout": lambda: layers.Recurrent(layers.ZoneoutCell(layers.LSTMCell(UNITS), 0.1)),
    "drop_connect": lambda: layers.Recurrent(layers.DropConnectCell(layers.LSTMCell(UNITS), 0.1)),
    "subclass": lambda: layers.Recurrent(OtherCell(UNITS)),
    "bidirectional": lambda: layers.Bidirectional(layers.LSTM(UNITS, recurrent_dropout=0.5)),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loop_for_other_equations(name, kernels):
    LOOPS[name]()(ops.ones((2, 3, 4)), training=True)
    assert not kernels


@pytest.mark.parametrize("settings", [{"unroll": True}, {"portable": True}, {"fused": False}])
def test_loop_for_other_settings(settings, kernels):
    if "portable" in settings and BACKEND != "tensorflow":
        pytest.skip("exports require TensorFlow")
    with loop_settings(**settings):
        layers.LSTM(UNITS)(ops.ones((2, 3, 4)))
    assert not kernels


def test_loop_for_masks_without_a_promise(kernels):
    layers.LSTM(UNITS)(ops.ones((4, 5, 3)), mask=MASK)
    assert not kernels


def test_loop_for_an_inspection(kernels):
    with backprop.nudging(lambda cell, shapes: [ops.zeros(shape) for shape in shapes]):
        layers.LSTM(UNITS)(ops.ones((2, 3, 4)), training=True)
        layers.Bidirectional(layers.LSTM(UNITS))(ops.ones((2, 3, 4)), training=True)
    assert not kernels


def test_loop_if_the_kernel_does_not_exist(kernels, monkeypatch, assert_close):
    def fail(*arguments):
        raise NotImplementedError

    layer = layers.LSTM(UNITS)
    sequences = ops.ones((2, 3, 4))
    expected = layer(sequences)
    monkeypatch.setattr(fused, "fused_kernel", lambda *arguments: fail)
    assert_close(layer(sequences), expected)
    assert len(kernels) == 1


def test_kernel_at_inference_with_recurrent_dropout(kernels):
    layers.LSTM(UNITS, recurrent_dropout=0.5)(ops.ones((2, 3, 4)))
    assert len(kernels) == 1


def test_kernel_with_dropout_of_the_inputs(kernels, rng):
    layer = layers.LSTM(UNITS, dropout=0.5, seed=0)
    sequences = ops.convert_to_tensor(rng.normal(size=(2, 3, 8)).astype("float32"))
    outputs = [ops.convert_to_numpy(layer(sequences, training=training)) for training in (True, False)]
    assert len(kernels) == 2
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3


def test_kernels_inside_of_wrappers(kernels):
    stack = layers.Recurrent([layers.LSTMCell(3), layers.ResidualCell(layers.LSTMCell(3))])
    stack(ops.ones((2, 5, 4)))
    assert len(kernels) == 2


def test_both_directions(kernels, assert_close, rng):
    """On a GPU with kernels, one loop for both directions is slower than a kernel each."""
    layer = layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True, return_state=True))
    sequences = ops.convert_to_tensor(rng.normal(size=(4, 5, 3)).astype("float32"))
    mask = MASK if ("LSTM", True) in KERNELS else None
    with loop_settings(right_padded=True):
        outputs = layer(sequences, mask=mask)
    assert kernels == [layer.forward_layer.cell, layer.backward_layer.cell]
    with loop_settings(fused=False):
        assert_close(outputs, layer(sequences, mask=mask), atol=1e-5)
    assert len(kernels) == 2


@pytest.mark.skipif(("LSTM", True) not in KERNELS, reason="no kernel with masks")
def test_encoder_that_is_right_padded(kernels, assert_close):
    tokens = ops.convert_to_tensor(np.array([[4, 5, 6, 0], [4, 5, 6, 7], [0, 0, 0, 0]], "int32"))
    encoders = [
        layers.TextEncoder(9, 3, UNITS, cell="lstm", num_layers=2, right_padded=promise) for promise in (True, False)
    ]
    memories = [encoders[0](tokens)]
    assert len(kernels) == 4
    encoders[1].build(tokens.shape)
    encoders[1].set_weights(encoders[0].get_weights())
    memories.append(encoders[1](tokens))
    assert len(kernels) == 4
    assert_close(*memories, atol=1e-5)
    copy = layers.TextEncoder.from_config(encoders[0].get_config())
    assert copy.right_padded


def test_mixed_precision(kernels):
    """The kernels take weights in the dtype of the inputs; JAX's is for float32."""
    layer = layers.LSTM(UNITS, dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(layer(ops.ones((2, 3, 4))).dtype) == "bfloat16"
    assert len(kernels) == (BACKEND != "jax")


def test_without_a_gpu(calls):
    if has_gpu():
        pytest.skip("this machine has a GPU")
    layers.LSTM(UNITS)(ops.ones((2, 3, 4)))
    assert not calls
    assert not loop.fused_excludes_xla()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="XLA and cuDNN exclude each other on TensorFlow alone")
def test_xla_on_tensorflow(kernels):
    import tensorflow as tf

    cell, choices = layers.LSTMCell(UNITS), []

    def choose(x):
        choices.append(fused.kernel_for(cell, x) is not None)
        return x

    for function in (
        choose,
        tf.function(choose),
        tf.function(choose, jit_compile=True),
        tf.function(tf.function(choose), jit_compile=True),
    ):
        function(tf.ones((2, 3, 4)))
    assert choices == [True, True, False, False]
    model = keras.Sequential([keras.Input((3, 4)), layers.sequence_layer("lstm", UNITS)])
    count = len(kernels)
    model.compile("sgd", "mse", jit_compile=True)
    model.train_on_batch(np.ones((2, 3, 4)), np.ones((2, UNITS)))
    assert model.jit_compile
    assert len(kernels) == count


@pytest.mark.skipif(BACKEND != "tensorflow", reason="XLA and cuDNN exclude each other on TensorFlow alone")
def test_choice_of_xla_on_tensorflow(kernels):
    """As Keras's layers, ours switch off the choice of XLA by `compile`; those of decoders and encoders do not."""
    supports = {
        layers.LSTM(UNITS): False,
        layers.GRU(UNITS): False,
        layers.LSTM(UNITS, use_cudnn=False): True,
        layers.LSTM(UNITS, recurrent_dropout=0.1): True,
        layers.GRU(UNITS, reset_after=False): True,
        layers.SimpleRNN(UNITS): True,
        layers.sequence_layer("lstm", UNITS): True,
    }
    for layer, expected in supports.items():
        assert layer.supports_jit == expected, layer
    model = keras.Sequential([keras.Input((5, 3)), layers.LSTM(UNITS)])
    model.compile()
    assert not model.jit_compile


@pytest.mark.skipif(BACKEND != "jax", reason="several devices require JAX")
def test_loop_on_several_devices(kernels):
    import jax

    devices = [f"cpu:{device.id}" for device in jax.devices("cpu")]
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False))
    try:
        assert loop.fused_kernel("lstm", ops.ones((2, 3, 4)), False) is None
    finally:
        keras.distribution.set_distribution(None)
    assert loop.fused_kernel("lstm", ops.ones((2, 3, 4)), False) is not None


@pytest.mark.skipif(BACKEND != "jax", reason="JAX's kernel")
def test_call_of_the_kernel_of_jax(monkeypatch):
    """The arguments are those of JAX's function, and its derivative exists; JAX computes shapes without a GPU."""
    import jax
    from jax.experimental import rnn

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    sizes = "compute_rnn_workspace_reserve_space_sizes"
    monkeypatch.setattr(rnn.gpu_rnn, sizes, lambda *arguments: (8, 8), raising=False)
    run = loop.fused_kernel("lstm", ops.ones((4, 5, 3)), True)

    def loss(inputs, states, weights):
        outputs, last = run(inputs, states, MASK, weights)
        assert outputs.shape == (4, 5, UNITS)
        assert [state.shape for state in last] == [(4, UNITS)] * 2
        return outputs.sum() + sum(state.sum() for state in last)

    shapes = [(4, 5, 3), [(4, UNITS)] * 2, [(3, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)]]
    arguments = keras.tree.map_shape_structure(lambda shape: jax.ShapeDtypeStruct(shape, "float32"), shapes)
    gradients = jax.eval_shape(jax.grad(loss, argnums=(0, 1, 2)), *arguments)
    assert keras.tree.flatten(gradients) == keras.tree.flatten(arguments)


def has_gpu():
    return {
        "tensorflow": lambda: __import__("tensorflow").config.list_physical_devices("GPU"),
        "jax": lambda: __import__("jax").default_backend() == "gpu",
        "torch": lambda: __import__("torch").cuda.is_available(),
    }[BACKEND]()


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_on_a_gpu(name, masked, go_backwards, calls, gradients, assert_close, rng):
    if not has_gpu():
        pytest.skip("requires a GPU")
    layer = make(name, go_backwards=go_backwards)
    layer.build((4, 5, 3))
    with_kernel, with_loop = both(layer, (4, 5, 3), gradients, rng, mask=MASK if masked else None)
    assert len(calls) == (2 if (name, masked) in KERNELS else 0)
    assert_close(with_kernel, with_loop, atol=5e-3)  # products in TF32
