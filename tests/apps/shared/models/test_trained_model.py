"""What the exports of all apps have in common."""

from pathlib import Path

import pytest
import tensorflow as tf
from keras_recurrent.apps import load


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
