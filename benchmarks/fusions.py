"""Trains the question answerer with each fusion, all of one size and in the same way, and prints them in a table.

    python benchmarks/fusions.py --output saved_models/fusions                 # the generated pictures: hours
    python benchmarks/fusions.py --output DIR --fusions add multiply film --splits test -- --epochs 5 --data easy_vqa

What stands behind `--` are options of `keras-recurrent vqa train`. The units of a fusion are chosen so that the whole
model has nearly as many weights as that with FiLM and the default sizes, and no more. A fusion whose model is in the
folder already is not trained again, if it was trained as the others, and a training that was interrupted goes on; its
minutes are then those of the last part, or unknown.
"""

import argparse
import csv
import dataclasses
import json
import time
from pathlib import Path

from keras_recurrent.apps import cli, folders
from keras_recurrent.apps.vqa.config import Config
from keras_recurrent.apps.vqa.model import build
from keras_recurrent.layers.fusion import FUSIONS

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


def learned(name, folder, splits, options):
    """Trains and evaluates one, where that is not done yet; returns its configuration and its row of the table."""
    model = folder / name
    units = equal_units(name)
    if not model.exists():
        command = ["vqa", "train", "--output", str(model), "--fusion", name, "--fusion-units", str(units), "--resume"]
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
    return config, [
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
    parser.add_argument("--fusions", nargs="+", choices=FUSIONS, default=list(FUSIONS))
    parser.add_argument("--splits", nargs="+", default=["test", "test_unseen"], help="to evaluate on")
    parser.add_argument("options", nargs="*", help="behind --, options of `vqa train`")
    options = parser.parse_args()
    configs, rows = zip(
        *(learned(name, options.output, options.splits, options.options) for name in options.fusions), strict=True
    )
    alike = {dataclasses.replace(config, fusion="film", fusion_units=1) for config in configs}
    if len(alike) > 1:
        raise SystemExit(f"{options.output} holds models that were trained otherwise than others; choose a new folder")
    heads = ["fusion", "units", "weights but the backbone's", *(f"{split}, %" for split in options.splits)]
    for row in [[*heads, "epochs", "minutes"], ["---"] * (len(heads) + 2), *rows]:
        print(f"| {' | '.join(map(str, row))} |")


if __name__ == "__main__":
    main()
