"""What the fast loop promises beyond the right numbers."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_recurrent import layers
from keras_recurrent.layers import GRUCell, LSTMCell, Recurrent, ResidualCell

NAMES = ["SimpleRNN", "LSTM", "GRU"]


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="counts the operations of a TensorFlow graph")
@pytest.mark.parametrize("recurrent_dropout", [0.0, 0.2])
@pytest.mark.parametrize("name", NAMES)
def test_one_product_a_step_each_way(name, recurrent_dropout):
    import tensorflow as tf

    layer = getattr(layers, name)(4, return_sequences=True, recurrent_dropout=recurrent_dropout)
    layer.build((2, None, 3))

    @tf.function(input_signature=[tf.TensorSpec((2, None, 3))])
    def gradients(sequences):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(sequences, training=True))
        return tape.gradient(loss, [weight.value for weight in layer.trainable_weights])

    graph = gradients.get_concrete_function().graph
    functions = {function.signature.name: function for function in graph.as_graph_def().library.function}
    loops = [node for node in graph.as_graph_def().node if node.op in ("While", "StatelessWhile")]
    counts = [sum(node.op == "MatMul" for node in functions[loop.attr["body"].func.name].node_def) for loop in loops]
    assert counts == [1, 1]


@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_no_steps_leave_the_initial_state(name, return_sequences, rng):
    layer = getattr(layers, name)(4, return_sequences=return_sequences, return_state=True)
    states = [rng.normal(size=(2, 4)).astype("float32") for _ in layer.state_size]
    output, *last = layer(np.zeros((2, 0, 3), "float32"), initial_state=[ops.convert_to_tensor(s) for s in states])
    for found, expected in zip(last, states, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(found), expected)
    if return_sequences:
        assert output.shape == (2, 0, 4)
    else:
        np.testing.assert_array_equal(ops.convert_to_numpy(output), states[0])


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="lengths known at run time are TensorFlow's")
@pytest.mark.parametrize(("name", "training"), [("SimpleRNN", True), ("LSTM", False), ("GRU", True)])
def test_no_steps_known_at_run_time(name, training):
    import tensorflow as tf

    layer = getattr(layers, name)(4, return_state=True)
    call = tf.function(lambda x: layer(x, training=training), input_signature=[tf.TensorSpec((2, None, 3))])
    assert all((x.numpy() == 0).all() for x in call(tf.zeros((2, 0, 3))))


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        pytest.param("SimpleRNN", "mixed_bfloat16", marks=pytest.mark.rest),
        ("LSTM", "mixed_float16"),
        pytest.param("GRU", "mixed_bfloat16", marks=pytest.mark.rest),
    ],
)
def test_mixed_precision(name, policy, rng):
    if keras.config.backend() == "torch" and policy == "mixed_float16":
        pytest.skip("PyTorch has no half-precision products on a CPU that are worth testing")
    layer = getattr(layers, name)(4, dtype=policy)
    model = keras.Sequential([keras.Input((None, 3)), layer, keras.layers.Dense(1, dtype="float32")])
    model.compile("adam", "mse")
    x, y = rng.normal(size=(64, 6, 3)), rng.normal(size=(64, 1))
    history = [model.train_on_batch(x, y) for _ in range(10)]
    assert np.isfinite(history).all()
    assert history[-1] < history[0]
    assert {weight.dtype for weight in layer.weights if weight.trainable} == {"float32"}
    assert keras.backend.standardize_dtype(layer(x.astype("float32")).dtype) == layer.compute_dtype


@pytest.mark.parametrize("name", NAMES)
def test_stateful_layer_carries_sets_and_resets_its_states(name, rng, assert_close):
    sequences = rng.normal(size=(2, 6, 3)).astype("float32")
    stateful = getattr(layers, name)(4, stateful=True)
    whole = getattr(layers, name)(4, return_state=True)
    stateful.build((2, 3, 3))
    whole.build((2, 6, 3))
    whole.set_weights(stateful.get_weights()[:3])
    expected, *states = whole(sequences)
    stateful(sequences[:, :3])
    assert_close(stateful(sequences[:, 3:]), expected, atol=1e-6)

    stateful.reset_state()
    assert_close(stateful(sequences[:, :3]), whole(sequences[:, :3])[0], atol=1e-6)
    stateful.reset_state(states=[ops.convert_to_numpy(state) for state in states])
    assert_close(stateful(sequences[:, :3]), whole(sequences[:, :3], initial_state=states)[0], atol=1e-6)
    with pytest.raises(ValueError, match="states"):
        stateful.reset_state(states=[np.zeros((2, 4))] * 3)
    with pytest.raises(ValueError, match="states"):
        whole.reset_state(states=[np.zeros((2, 4))])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mask": np.ones((2, 4), bool)}, "mask"),
        ({"initial_state": [np.zeros((2, 4), "float32")]}, "initial_state"),
        ({"initial_state": [np.zeros((2, 5), "float32")] * 2}, "initial_state"),
        ({"initial_state": [np.zeros((3, 4), "float32")] * 2}, "initial_state"),
    ],
)
def test_arguments_of_a_call_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        layers.LSTM(4)(np.zeros((2, 5, 3), "float32"), **arguments)


def test_wrong_rank():
    with pytest.raises(ValueError, match="ndim=3"):
        layers.LSTM(4)(np.zeros((2, 3), "float32"))


def test_residual_cells_stack(rng, assert_close):
    cells = [ResidualCell(LSTMCell(3)), ResidualCell(GRUCell(3))]
    stack = Recurrent(keras.layers.StackedRNNCells(cells), return_sequences=True)
    sequences = rng.normal(size=(2, 5, 3)).astype("float32")
    outputs = stack(sequences)
    for cell in cells:
        sequences = Recurrent(cell, return_sequences=True)(sequences)
    assert_close(outputs, sequences, atol=1e-5)
