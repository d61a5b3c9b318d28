import itertools

import numpy as np
import pytest
from keras_recurrent.apps import folders
from keras_recurrent.apps.captioning import model
from keras_recurrent.apps.captioning.config import Config
from PIL import Image

COLOURS = {"red": (230, 30, 30), "green": (30, 180, 30), "blue": (30, 30, 230)}
SIDES = {"left": 4, "right": 18}
SIZE = 32


def draw(colour, side, top):
    picture = Image.new("RGB", (SIZE, SIZE), (220, 220, 220))
    picture.paste(COLOURS[colour], (SIDES[side], top, SIDES[side] + 10, top + 10))
    return picture


def truth(colour, side):
    return f"a {colour} square on the {side}."


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder with 60 pictures of a square, two captions each; the two splits differ in how high it stands."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "images").mkdir()
    tops = {"train": range(2, 22, 2), "val": range(3, 23, 5)}
    for split, heights in tops.items():
        lines = ["image\tcaption"]
        for colour, side, top in itertools.product(COLOURS, SIDES, heights):
            name = f"{split}-{colour}-{side}-{top}.png"
            draw(colour, side, top).save(folder / "images" / name)
            lines += [f"{name}\t{truth(colour, side)}", f"{name}\ton the {side} a {colour} square."]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def config(pictures):
    """A captioner small enough to learn those pictures in seconds."""
    return Config(
        data=str(pictures),
        image_size=SIZE,
        embedding_dim=16,
        image_units=32,
        decoder_units=32,
        batch_size=20,
        epochs=20,
        patience=20,
        learning_rate=0.01,
        max_length=12,
    )


@pytest.fixture(scope="session")
def saved(config, tmp_path_factory):
    """The folder of a trained captioner."""
    folder = tmp_path_factory.mktemp("models") / "squares"
    with folders.whole(folder) as partial:
        model.train(config, partial)
    return folder


@pytest.fixture(scope="session")
def contents(pictures):
    """The encoded pictures of the validation split, by name."""
    return {path.name: path.read_bytes() for path in sorted((pictures / "images").glob("val-*"))}


@pytest.fixture
def backbone_file(tmp_path):
    """A `.keras` file with a backbone that has batch normalisation."""
    import keras
    from keras import layers

    path = tmp_path / "backbone.keras"
    keras.utils.set_random_seed(3)
    network = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 5, strides=4, activation="relu"),
            layers.BatchNormalization(),
        ]
    )
    network(np.random.default_rng(0).uniform(0, 255, (16, SIZE, SIZE, 3)), training=True)
    network.save(path)
    return path
