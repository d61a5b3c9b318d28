import keras
import numpy as np
import pytest
from keras_recurrent.apps.training import TokenCrossentropy


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_loss_is_the_mean_over_tokens_of_the_smoothed_cross_entropy(label_smoothing):
    random = np.random.default_rng(0)
    logits = random.normal(size=(2, 3, 5)).astype("float32")
    tokens = np.array([[4, 1, 2], [3, 0, 0]])
    weights = np.array([[1, 1, 1], [1, 0, 0]], "float32")

    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    targets = (1 - label_smoothing) * np.eye(5)[tokens] + label_smoothing / 5
    expected = (-(targets * log_probs).sum(-1) * weights).sum() / 4
    loss = TokenCrossentropy(label_smoothing)
    assert float(loss(tokens, logits, sample_weight=weights)) == pytest.approx(expected, rel=1e-6)


def test_loss_configuration():
    loss = keras.losses.deserialize(keras.losses.serialize(TokenCrossentropy(0.2)))
    assert loss.label_smoothing == 0.2
