"""SavedModels of several functions."""

import keras
import pytest
import tensorflow as tf
from keras_recurrent.export import export_model
from keras_recurrent.export.formats import write_saved_model
from tensorflow.core.protobuf import saved_model_pb2


@pytest.fixture
def saved_model(tmp_path):
    """A SavedModel of two signatures, which share a dense layer and a lookup table."""
    dense = keras.layers.Dense(2)
    dense.build((None, 3))
    initializer = tf.lookup.KeyValueTensorInitializer(["a", "b"], [1.0, 2.0])
    table = tf.lookup.StaticHashTable(initializer, 0.0)
    vector = [tf.TensorSpec([None, 3], name="x"), tf.TensorSpec([None], tf.string, name="key")]
    scale = tf.function(lambda x, key: dense(x) * table.lookup(key)[:, None], input_signature=vector, autograph=False)
    signatures = {
        "serving_default": (lambda x, key: {"scaled": scale(x, key)}, vector),
        "sums": (lambda x, key: {"sum": tf.reduce_sum(scale(x, key), axis=1)}, vector),
    }
    write_saved_model(tmp_path / "model", signatures, [table])
    inputs = {"x": tf.ones((3, 3)), "key": tf.constant(["b", "a", "c"])}
    return tmp_path / "model", inputs, scale(**inputs)


def test_signatures_are_also_methods(saved_model):
    folder, inputs, scaled = saved_model
    loaded = tf.saved_model.load(folder)
    expected = {"serving_default": {"scaled": scaled}, "sums": {"sum": tf.reduce_sum(scaled, axis=1)}}
    assert set(loaded.signatures) == set(expected)
    for name, outputs in expected.items():
        for answer in (loaded.signatures[name](**inputs), getattr(loaded, name)(**inputs)):
            tf.nest.map_structure(tf.debugging.assert_near, dict(answer), outputs)
    tf.debugging.assert_near(loaded.serve(**inputs)["scaled"], scaled)


def test_what_signatures_share_is_stored_once(saved_model):
    folder, *_ = saved_model
    shapes = [shape for name, shape in tf.train.list_variables(folder / "variables" / "variables") if shape]
    assert sorted(shapes) == [[2], [3, 2]]
    content = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    functions = content.meta_graphs[0].graph_def.library.function
    assert sum(node.op == "MatMul" for function in functions for node in function.node_def) == 1


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def save(*arguments, **options):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", save)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(OSError, match="No space left"):
        export_model(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())
