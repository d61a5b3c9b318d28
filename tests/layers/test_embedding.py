"""The scaled embedding."""

import math

import numpy as np
from keras import ops
from keras_recurrent.layers.embedding import ScaledEmbedding


def test_vectors_are_scaled(assert_close):
    embedding = ScaledEmbedding(7, 5)
    tokens = np.array([[2, 0, 6], [1, 1, 3]])
    found = embedding(ops.convert_to_tensor(tokens))
    assert_close(found, ops.convert_to_numpy(embedding.embeddings)[tokens] * math.sqrt(5))
