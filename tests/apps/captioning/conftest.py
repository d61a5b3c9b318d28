import pytest
from keras_recurrent.apps.captioning import model
from keras_recurrent.apps.captioning.config import Config


@pytest.fixture(scope="session")
def config(pictures):
    """A captioner small enough to learn those pictures in seconds."""
    return Config(
        data=str(pictures),
        image_size=16,
        embedding_dim=16,
        image_units=32,
        decoder_units=32,
        batch_size=20,
        epochs=20,
        patience=20,
        learning_rate=0.01,
        input_feeding=False,  # which is quicker
        max_length=12,
    )


@pytest.fixture(scope="session")
def saved(config, shared_folder):
    """The folder of a trained captioner."""
    return shared_folder("squares", lambda folder: model.train(config, folder))
