import itertools

import pytest
from keras_recurrent.apps import folders
from keras_recurrent.apps.translation import model
from keras_recurrent.apps.translation.config import Config

SUBJECTS = {"a man": "ein Mann", "a dog": "ein Hund", "a child": "ein Kind", "a cat": "eine Katze"}
VERBS = {"sleeps": "schläft", "runs": "rennt", "eats": "isst", "sits": "sitzt"}
PLACES = {"here": "hier", "there": "dort", "outside": "draußen"}


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A folder with 48 sentence pairs, all of them in each split."""
    folder = tmp_path_factory.mktemp("data")
    phrases = list(itertools.product(SUBJECTS.items(), VERBS.items(), PLACES.items()))
    for split in ("train", "val", "test"):
        for index, language in enumerate(("en", "de")):
            lines = [" ".join(words[index] for words in phrase) + "." for phrase in phrases]
            (folder / f"{split}.{language}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def config(data):
    """A translator small enough to learn those pairs in seconds."""
    return Config(
        data=str(data),
        source="de",
        target="en",
        embedding_dim=16,
        encoder_units=16,
        decoder_units=32,
        batch_size=8,
        epochs=25,
        patience=25,
        learning_rate=0.01,
        max_length=20,
    )


@pytest.fixture(scope="session")
def saved(config, tmp_path_factory):
    """The folder of a trained translator."""
    folder = tmp_path_factory.mktemp("models") / "de-en"
    with folders.whole(folder) as partial:
        model.train(config, partial)
    return folder
