import keras
import pytest
import tensorflow as tf
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
