import pytest
from keras_recurrent.apps.vqa import model
from keras_recurrent.apps.vqa.config import Config


def questions_of(name):
    """Question, answer and type of a picture of a square, whose name tells what is in it."""
    _, colour, side, _ = name.removesuffix(".png").split("-")
    return [
        ("Which colour is it?", colour, "colour"),
        ("Where is it?", f"On the  {side}", "place"),
        ("Is it on the left?", "yes" if side == "left" else "no", "existence"),
        ("Is there a red square?", "yes" if colour == "red" else "no", "existence"),
    ]


@pytest.fixture(scope="session")
def asked(pictures, tmp_path_factory):
    """A folder with the pictures of squares, and questions about them."""
    folder = tmp_path_factory.mktemp("asked")
    (folder / "images").symlink_to(pictures / "images")
    for split in ("train", "val"):
        lines = ["image\tquestion\tanswer\ttype"]
        for path in sorted((pictures / "images").glob(f"{split}-*")):
            lines += ["\t".join([path.name, *question]) for question in questions_of(path.name)]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def config(asked):
    """A question answerer small enough to learn those in seconds."""
    return Config(
        data=str(asked),
        image_size=32,
        embedding_dim=16,
        question_units=16,
        image_units=32,
        fusion_units=32,
        classifier_units=32,
        batch_size=24,
        epochs=12,
        patience=12,
        learning_rate=0.005,
    )


@pytest.fixture(scope="session")
def saved(config, shared_folder):
    """The folder of a trained question answerer."""
    return shared_folder("answers", lambda folder: model.train(config, folder))
