"""Models that earlier code wrote are loaded, and predict what they predicted."""

import json
from pathlib import Path

import numpy as np
import pytest
from keras import tree
from keras_recurrent.apps import load

from .data.write import predictions

FOLDER = Path(__file__).parent / "data"
EXPECTED = json.loads((FOLDER / "predictions.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("app", ["translation", "captioning", "vqa", "classification", "generation", "long_memory"])
def test_a_model_that_earlier_code_wrote_predicts_the_same(app, eagerly):
    results = predictions(app, load(FOLDER / app))
    leaves = zip(tree.flatten_with_path(results), tree.flatten_with_path(EXPECTED[app]), strict=True)
    for (path, actual), (expected_path, expected) in leaves:
        assert path == expected_path
        if isinstance(expected, float):
            np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)
        else:
            assert actual == expected
