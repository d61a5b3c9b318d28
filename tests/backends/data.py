"""Small data sets, on which an epoch has about ten batches, and the commands that train on them."""

import random

import numpy as np
from PIL import Image

TRAINING = ["--epochs", "1", "--seed", "3", "--learning-rate", "0.0005"]
SIZES = {
    "translation": ["--encoder-units", "8", "--decoder-units", "8", "--batch-size", "6"],
    "captioning": ["--image-units", "8", "--decoder-units", "8", "--batch-size", "4", "--image-size", "16"],
    "vqa": [
        *("--image-units", "8", "--question-units", "8", "--fusion-units", "8", "--classifier-units", "8"),
        *("--batch-size", "6", "--image-size", "16", "--fusion", "add"),
    ],
}
COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}


def write_data(app, folder):
    """Writes a data set for an application, and returns the arguments of a training on it, without `--output`."""
    if app == "long_memory":
        return [app, "train", "--lag", "10", "--units", "8", "--batch-size", "6", "--steps-per-epoch", "10", *TRAINING]
    folder.mkdir()
    if app == "forecasting":
        (folder / "train.csv").write_text("\n".join(["unique_id,ds,y,promotion", *sales_rows()]) + "\n")
        sizes = ["--horizon", "4", "--context", "8", "--segment", "2", "--encoder-units", "8", "--decoder-units", "8"]
        sizes += ["--batch-size", "6", "--windows-per-epoch", "58"]
        return [app, "train", "--data", str(folder), "--known", "promotion", *sizes, *TRAINING]
    generator = random.Random(0)
    words = ["a", "dog", "cat", "sleeps", "runs", "here", "there"]
    texts = [" ".join(generator.choices(words, k=generator.randint(2, 9))) for _ in range(70)]
    options = SIZES.get(app, ["--units", "8", "--batch-size", "6"])
    if app == "translation":
        write_splits(folder, "en", texts)
        write_splits(folder, "xx", [text[::-1] for text in texts])
        options = ["--source", "en", "--target", "xx", "--tokenizer", "characters", *options]
    elif app == "generation":
        write_splits(folder, "txt", texts)
    elif app == "classification":
        rows = [f"{text}\t{'dog' if 'dog' in text else 'none'}" for text in texts]
        write_splits(folder, "tsv", ["text\tlabel", *rows])
    else:
        rows = caption_rows if app == "captioning" else question_rows
        write_splits(folder, "tsv", rows(pictures(folder)))
        options = ["--backbone", "small", *options]
    return [app, "train", "--data", str(folder), *options, "--embedding-dim", "8", *TRAINING]


def sales_rows():
    """The rows of five series of different lengths with a missing value, and a column known ahead."""
    generator = np.random.default_rng(0)
    for series in range(5):
        days = 40 + 5 * series
        for day in range(days + 4):
            promotion = int(generator.random() < 0.2)
            value = (series + 1) * (3 + day % 7 + promotion + generator.normal(0, 0.5))
            date = np.datetime64("2024-01-01") + day
            yield f"s{series},{date},{'' if day == 11 or day >= days else f'{value:.3f}'},{promotion}"


def write_splits(folder, kind, lines):
    """Writes `train` and `validation`, each with these lines."""
    for split in ("train", "validation"):
        (folder / f"{split}.{kind}").write_text("\n".join(lines) + "\n")


def pictures(folder):
    """Draws 40 noisy pictures of one colour, and returns their names and colours.

    Without noise, normalized activations are equal to 0, where rounding errors choose the gradient of a `relu`.
    """
    (folder / "images").mkdir()
    drawn = []
    for index in range(40):
        name = random.Random(index).choice([*COLOURS])
        pixels = np.random.default_rng(index).normal(COLOURS[name], 30, (16, 16, 3)).clip(0, 255).astype("uint8")
        Image.fromarray(pixels).save(folder / "images" / f"{index}.png")
        drawn.append((f"{index}.png", name))
    return drawn


def caption_rows(drawn):
    return ["image\tcaption", *(f"{name}\ta {colour} picture {'of ' * (len(name) % 3)}" for name, colour in drawn)]


def question_rows(drawn):
    """One or two questions about each picture, so that batches of questions do not divide by four."""
    colours = [f"{name}\twhat colour is it ?\t{colour}" for name, colour in drawn]
    yes_or_no = [f"{name}\tis it red ?\t{'yes' if colour == 'red' else 'no'}" for name, colour in drawn[::2]]
    return ["image\tquestion\tanswer", *colours, *yes_or_no]
