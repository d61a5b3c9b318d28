"""Trains the question answerer with each fusion, with equal sizes and options, and prints a table.

    python benchmarks/fusions.py --output saved_models/fusions                 # generated images: more than a day
    python benchmarks/fusions.py --output DIR --images 40000 -- --epochs 1     # the first 40,000: hours
    python benchmarks/fusions.py --output DIR --fusions add multiply film --splits test --data easy_vqa -- --epochs 5

The models are those of the recipe `shapes-full`. Options after `--` are passed to `keras-recurrent vqa train`. The
units of each fusion are the largest for which the model has no more weights than the one with FiLM. A fusion whose
model exists in the folder is not trained again, and an interrupted training is resumed; the minutes are then those of
the last part, or unknown. All trainings in a folder must have the same options.
"""

import argparse
import csv
import json
import time
from pathlib import Path

from keras_recurrent.apps import cli, recipes
from keras_recurrent.apps.shared.models import folders, outputs
from keras_recurrent.apps.shared.options import read_yaml
from keras_recurrent.apps.vqa.config import Config
from keras_recurrent.apps.vqa.model import build
from keras_recurrent.datasets.images import read_questions
from keras_recurrent.layers.fusion import FUSIONS

# The last two are baselines: one sees only the question, the other only the image.
ROWS = [*FUSIONS, "concatenate-question", "concatenate-image"]
FEATURES = (8, 8, 128)  # of an image; weights are counted without the backbone, which is the same for all


RECIPE = "shapes-full"


def full_config(**options):
    """The configuration of the recipe with other options."""
    return Config(**{**read_yaml(recipes.find("vqa", "train", RECIPE)), **options})


def count_weights(config):
    return build(config, 100, 30, FEATURES).count_params()


def equal_units(name):
    """Returns the units, a multiple of 8, with which the model is about as large as the one with FiLM."""
    target = count_weights(full_config(fusion="film"))
    low, high = 1, 2048
    while high - low > 1:
        middle = (low + high) // 2
        is_small = count_weights(full_config(fusion=name, fusion_units=8 * middle)) <= target
        low, high = (middle, high) if is_small else (low, middle)
    return 8 * low


def check_options(folder, options):
    """Saves the options of the first training in a folder, and exits if later ones differ."""
    path = folder / "options.json"
    if path.exists() and json.loads(path.read_text()) != options:
        raise SystemExit(
            f"the models in {folder} were trained with the options {path.read_text()}; choose another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(options))


def write_folder(data, images, splits, folder):
    """Writes a data set to a new folder that `vqa train` reads, with the first images of the split `train`."""
    if folder.exists():
        return
    with outputs.atomic_output(folder) as partial:
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


def train_and_evaluate(name, folder, splits, options):
    """Trains and evaluates a model unless that is done already, and returns its row of the table."""
    model = folder / name
    fusion, _, modality = name.partition("-")
    if not model.exists():
        command = ["vqa", "train", "--recipe", RECIPE, "--output", str(model)]
        command += ["--fusion", fusion, "--modality", modality or "both"]
        command += ["--fusion-units", str(equal_units(fusion)), "--resume"]
        start = time.monotonic()
        if cli.main([*command, *options]):
            raise SystemExit(f"training of {name} failed")
        (model / "minutes.txt").write_text(f"{(time.monotonic() - start) / 60:.0f}")
    metrics_path = model / "metrics.json"
    metrics = json.loads(metrics_path.read_text()) if metrics_path.exists() else {}
    for split in splits:
        if split not in metrics and cli.main(["vqa", "evaluate", str(model), "--split", split]):
            raise SystemExit(f"evaluation of {name} on {split} failed")
    metrics = json.loads(metrics_path.read_text())
    with open(model / "history.csv", newline="") as file:
        epochs = len(list(csv.DictReader(file)))
    config = Config(**folders.read_config(model, Config.app))
    return [
        name,
        config.fusion_units,
        f"{count_weights(config):,}",
        *(f"{100 * metrics[split]['accuracy']:.1f}" for split in splits),
        epochs,
        (model / "minutes.txt").read_text() if (model / "minutes.txt").exists() else "?",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for the models")
    parser.add_argument("--fusions", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--splits", nargs="+", default=["test", "test_unseen"], help="splits for the evaluation")
    parser.add_argument("--data", default="shapes", help="as in `vqa train`")
    parser.add_argument("--images", type=int, help="number of training images; all by default")
    parser.add_argument("options", nargs="*", help="options of `vqa train`, after --")
    options = parser.parse_args()
    check_options(options.output, [options.data, options.images, *options.options])
    data = options.data
    if options.images:
        data = str(options.output / "data")
        write_folder(options.data, options.images, options.splits, Path(data))
    train_options = ["--data", data, *options.options]
    rows = [train_and_evaluate(name, options.output, options.splits, train_options) for name in options.fusions]
    heads = ["fusion", "units", "weights without the backbone", *(f"{split}, %" for split in options.splits)]
    for row in [[*heads, "epochs", "minutes"], ["---"] * (len(heads) + 2), *rows]:
        print(f"| {' | '.join(map(str, row))} |")


if __name__ == "__main__":
    main()
