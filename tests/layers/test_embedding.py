"""Token embeddings start wide."""

from keras_recurrent.layers.embedding import token_embedding


def test_vectors_start_wide():
    layer = token_embedding(100, 8, name="embedding")
    layer.build()
    (vectors,) = layer.get_weights()
    assert vectors.shape == (100, 8)
    assert 0.7 < vectors.max() < 0.8
    assert -0.8 <= vectors.min() < -0.7
    assert layer.name == "embedding"
