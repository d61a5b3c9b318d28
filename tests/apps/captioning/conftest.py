import pytest
from keras_recurrent.apps.captioning import model
from keras_recurrent.apps.captioning.config import Config
from keras_recurrent.apps.shared.models import folders


@pytest.fixture(scope="session")
def config(pictures):
    """A captioner small enough to learn those pictures in seconds."""
    return Config(
        data=str(pictures),
        image_size=32,
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
def saved(config, tmp_path_factory):
    """The folder of a trained captioner."""
    folder = tmp_path_factory.mktemp("models") / "squares"
    with folders.whole(folder) as partial:
        model.train(config, partial)
    return folder
