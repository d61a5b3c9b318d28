from pathlib import Path

import keras
import pytest
import tensorflow as tf
from keras_recurrent.apps import load
from keras_recurrent.apps.shared.models.export import write_saved_model


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(type(keras.export.ExportArchive()), "write_out", full)
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    signature = [tf.TensorSpec((None, 3))]
    with pytest.raises(OSError, match="No space left"):
        write_saved_model(tmp_path / "export", {"serving_default": (layer, signature)}, [layer])
    assert not list(tmp_path.iterdir())


@pytest.mark.rest
@pytest.mark.parametrize("app", ["captioning", "classification", "generation", "long_memory", "translation", "vqa"])
def test_an_export_stores_each_weight_once(app, tmp_path):
    trained = load(Path(__file__).parents[2] / "data" / app)
    trained.export(tmp_path / "export")
    entries = dict(tf.train.list_variables(tmp_path / "export" / "variables" / "variables"))
    entries.pop("_CHECKPOINTABLE_OBJECT_GRAPH")
    stored = sorted(tuple(shape) for shape in entries.values())
    weights = sorted(tuple(weight.shape) for weight in trained.model.weights if "seed" not in weight.path)
    assert stored == weights
