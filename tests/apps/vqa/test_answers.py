import itertools

import numpy as np
import pytest
from keras_recurrent.apps.vqa import answers


def logits_for(*best):
    """Logits whose largest are those of the given answers, the first the largest."""
    logits = np.zeros((1, 8), "float32")
    for place, answer in enumerate(best):
        logits[0, answer] = 10 - place
    return logits


def counts_of(*given):
    """Counts of what annotators said, 8 and 9 for answers that the model does not know, the first the commoner."""
    return np.bincount(given, minlength=10)[np.newaxis].astype("float32")


@pytest.mark.parametrize("given", [(0,) * 10, (0, 0, 1, 2, 3, 3, 3, 8, 8, 9), (0, 1), (1, 0, 0), (2,), (8,), (8, 8, 0)])
def test_vqa_accuracy_is_the_mean_over_all_but_one_annotators(given):
    for answer in range(4):
        found = float(answers.vqa_accuracy(counts_of(*given), logits_for(answer))[0])
        sets = list(itertools.combinations(range(len(given)), len(given) - 1))
        of_sets = [min(sum(given[i] == answer for i in chosen) / 3, 1) for chosen in sets]
        expected = np.mean(of_sets) if len(given) > 1 else float(given[0] == answer)
        assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("given", "answer", "expected"),
    [
        ((1, 1, 2), 1, 1),
        ((1, 1, 2), 2, 0),
        ((1, 2), 2, 1),
        ((8, 8, 1), 1, 0),
        ((8, 9, 1), 1, 1),
        ((8,), 0, 0),
        ((3,), 3, 1),
    ],
)
def test_accuracy_wants_the_commonest(given, answer, expected):
    assert float(answers.accuracy(counts_of(*given), logits_for(answer))[0]) == expected


def test_top_5():
    for place in range(8):
        ranked = [*range(1, place + 1), 0, *range(place + 1, 8)]
        found = float(answers.top_5_accuracy(counts_of(0, 0, 3), logits_for(*ranked))[0])
        assert found == (place < 5)
    assert float(answers.top_5_accuracy(counts_of(8), logits_for(0))[0]) == 0
    two = answers.top_5_accuracy(np.array([[0.0, 1.0, 0.0, 0.0]], "float32"), np.array([[5.0, 1.0]], "float32"))
    assert float(two[0]) == 1


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_loss_is_the_cross_entropy_of_the_known_answers(label_smoothing):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 8)).astype("float32")
    counts = np.concatenate([counts_of(0, 0, 1, 8), counts_of(8, 8), counts_of(5)])
    targets = counts[:, :8] / np.maximum(counts[:, :8].sum(axis=1, keepdims=True), 1)
    targets = (1 - label_smoothing) * targets + label_smoothing / 8
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -(targets * log_probabilities).sum(axis=1) * [1, 0, 1]
    loss = answers.AnswerCrossentropy(label_smoothing)
    np.testing.assert_allclose(loss.call(counts, logits), expected, rtol=1e-5)
    assert float(loss(counts, logits)) == pytest.approx(expected.mean(), rel=1e-5)
    assert answers.AnswerCrossentropy.from_config(loss.get_config()).label_smoothing == label_smoothing


@pytest.mark.parametrize("function", [answers.AnswerCrossentropy(), *answers.MEASURES])
def test_a_missing_column_is_an_error(function):
    with pytest.raises(ValueError, match="two columns more"):
        function(np.ones((1, 9), "float32"), np.ones((1, 8), "float32"))
