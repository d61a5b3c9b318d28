import numpy as np
import pytest
from keras_recurrent.apps.translation.figures import draw_alignment


def test_alignment_shows_its_weights(drawn, tmp_path):
    weights = np.array([[0.9, 0.1, 0], [0.2, 0.3, 0.5]])
    draw_alignment(["ein", "Hund", "."], ["a", "강아지"], weights, tmp_path / "alignment.png")
    axes, bar = drawn[0].axes
    np.testing.assert_array_equal(axes.images[0].get_array(), weights)
    assert axes.images[0].get_clim() == (0, 1)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["ein", "Hund", "."]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "강아지"]
    assert (axes.get_xlabel(), axes.get_ylabel(), bar.get_ylabel()) == (
        "source token",
        "target token",
        "attention weight",
    )
    assert drawn[0].get_suptitle() == "Attention of each target token to the source"


@pytest.mark.rest
@pytest.mark.parametrize("count", [1, 100])
def test_sizes_of_alignments(count, drawn, tmp_path):
    tokens = ["Donaudampfschifffahrtsgesellschaft", "a"] * count
    draw_alignment(tokens, tokens[:count], np.eye(count, 2 * count), tmp_path / "alignment.png")
    assert len(drawn) == 1  # `drawn` checks the size
