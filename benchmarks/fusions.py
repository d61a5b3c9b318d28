"""Trains the question answerer with each fusion, all of one size and in the same way, and prints a table of them.

    python benchmarks/fusions.py --output saved_models/fusions                 # the generated pictures: more than a day
    python benchmarks/fusions.py --output DIR --images 40000 -- --epochs 1     # the first of them: hours
    python benchmarks/fusions.py --output DIR --fusions add multiply film --splits test --data easy_vqa -- --epochs 5

What stands behind `--` are options of `keras-recurrent vqa train`. The units of a fusion are chosen so that the whole
model has nearly as many weights as that with FiLM and the default sizes, and no more. A fusion whose model is in the
folder already is not trained again, and a training that was interrupted goes on; its minutes are then those of the
last part, or unknown. A folder takes the options of its first training alone, so that all are trained alike.
"""

import argparse
import csv
import json
import time
from pathlib import Path

from keras_recurrent.apps import cli
from keras_recurrent.apps.shared.models import folders
from keras_recurrent.apps.vqa.config import Config
from keras_recurrent.apps.vqa.model import build
from keras_recurrent.datasets.images import read_questions
from keras_recurrent.layers.fusion import FUSIONS

# The last two are blind: one does not see the picture, the other not the question.
ROWS = [*FUSIONS, "concatenate-question", "concatenate-image"]
FEATURES = (8, 8, 128)  # of an image, for the count of weights alone; those of the backbone are the same for all


def weights(config):
    return build(config, 100, 30, FEATURES).count_params()


def equal_units(name):
    """The units, a multiple of 8, with which a fusion makes the model as large as FiLM's is."""
    wanted = weights(Config(fusion="film"))
    low, high = 1, 2048
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if weights(Config(fusion=name, fusion_units=8 * middle)) <= wanted else (low, middle)
    return 8 * low


def check_options(folder, options):
    """Notes the options of a folder's first training, and stops before a training with others."""
    path = folder / "options.json"
    if path.exists() and json.loads(path.read_text()) != options:
        raise SystemExit(f"the models in {folder} are trained with the options {path.read_text()}; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(options))


def part(data, images, splits, folder):
    """Writes a data set as a folder that `vqa train` reads, of its split `train` so many images, where none is yet."""
    if folder.exists():
        return
    with folders.whole(folder) as partial:
        (partial / "images").mkdir()
        for split in dict.fromkeys(("train", "validation", *splits)):
            examples = read_questions(data, split)
            rows = ["image\tquestion\tanswer\ttype"]
            for number, example in enumerate(examples[:images] if split == "train" else examples):
                name = f"{split}-{number}{Path(example.image.name).suffix}"
                (partial / "images" / name).write_bytes(example.image.read())
                rows += [
                    f"{name}\t{q.text}\t{answer}\t{q.kind or ''}" for q in example.questions for answer in q.answers
                ]
            (partial / f"{split}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def learned(name, folder, splits, options):
    """Trains and evaluates one, where that is not done yet; returns its row of the table."""
    model = folder / name
    fusion, _, modality = name.partition("-")
    if not model.exists():
        command = ["vqa", "train", "--output", str(model), "--fusion", fusion, "--modality", modality or "both"]
        command += ["--fusion-units", str(equal_units(fusion)), "--resume"]
        begun = time.monotonic()
        if cli.main([*command, *options]):
            raise SystemExit(f"{name} was not trained")
        (model / "minutes.txt").write_text(f"{(time.monotonic() - begun) / 60:.0f}")
    metrics = model / "metrics.json"
    known = json.loads(metrics.read_text()) if metrics.exists() else {}
    for split in splits:
        if split not in known and cli.main(["vqa", "evaluate", str(model), "--split", split]):
            raise SystemExit(f"{name} was not evaluated on {split}")
    known = json.loads(metrics.read_text())
    with open(model / "history.csv", newline="") as file:
        epochs = len(list(csv.DictReader(file)))
    config = Config(**folders.read_config(model, Config.app))
    return [
        name,
        config.fusion_units,
        f"{weights(config):,}",
        *(f"{100 * known[split]['accuracy']:.1f}" for split in splits),
        epochs,
        (model / "minutes.txt").read_text() if (model / "minutes.txt").exists() else "?",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for the models")
    parser.add_argument("--fusions", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--splits", nargs="+", default=["test", "test_unseen"], help="to evaluate on")
    parser.add_argument("--data", default=Config.data, help="as in `vqa train`")
    parser.add_argument("--images", type=int, help="images to train with, the first of the data; all by default")
    parser.add_argument("options", nargs="*", help="behind --, options of `vqa train`")
    options = parser.parse_args()
    check_options(options.output, [options.data, options.images, *options.options])
    data = options.data
    if options.images:
        data = str(options.output / "data")
        part(options.data, options.images, options.splits, Path(data))
    train_options = ["--data", data, *options.options]
    rows = [learned(name, options.output, options.splits, train_options) for name in options.fusions]
    heads = ["fusion", "units", "weights but the backbone's", *(f"{split}, %" for split in options.splits)]
    for row in [[*heads, "epochs", "minutes"], ["---"] * (len(heads) + 2), *rows]:
        print(f"| {' | '.join(map(str, row))} |")


if __name__ == "__main__":
    main()
