"""Writes a tiny model of every app, or of those given, and what it predicts: see README.md."""

import io
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

TEXTS = ["ein Hund schläft.", "eine Katze rennt.", ""]
QUESTIONS = ["Which colour is it?", "Is it red?"]
COLOURS = {"red": (230, 30, 30), "blue": (30, 30, 230)}
SMALL = {"epochs": 1, "learning_rate": 0.05}
TEXT = {**SMALL, "embedding_dim": 4, "cell": "gru"}
IMAGE = {**TEXT, "image_size": 8, "image_units": 4, "backbone": "backbone.keras"}
OPTIONS = {
    "translation": {**TEXT, "source": "de", "target": "en", "encoder_units": 4, "decoder_units": 4, "max_length": 8},
    "captioning": {**IMAGE, "decoder_units": 4, "max_length": 8},
    "vqa": {**IMAGE, "question_units": 4, "fusion_units": 4, "classifier_units": 4},
    "classification": {**TEXT, "units": 4, "lowercase": True},
    "forecasting": {
        **SMALL,
        **{"horizon": 2, "context": 4, "segment": 2, "cell": "gru", "encoder_units": 4, "decoder_units": 4},
    },
    "generation": {**TEXT, "units": 8, "max_length": 8},
    "long_memory": {**SMALL, "task": "parity", "lag": 4, "units": 4, "cell": "lstm", "steps_per_epoch": 2},
}
COLUMNS = {"forecasting": {"known": ("promotion",), "static": ("kind",)}}  # of the models here


def image():
    """An encoded image of noise."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), "uint8")).save(file, "png")
    return file.getvalue()


def series():
    """A table of two series in long form, with a column known ahead and a static one."""
    rows = ["unique_id,ds,y,promotion,kind"]
    for name, kind in (("a", "small"), ("bb", "large")):
        for day in range(23):
            value = day % 7 + len(name) if day < 21 else ""
            rows.append(f"{name},2024-01-{day + 1:02},{value},{day % 3},{kind}")
    return "\n".join(rows) + "\n"


def predictions(app, model):
    """What a model of `app` says, as JSON has it."""
    if app == "translation":
        results = model.explain(TEXTS)
    elif app == "captioning":
        results = model.explain([image()])
    elif app == "vqa":
        results = model.explain([image()] * 2, QUESTIONS)
    elif app == "classification":
        results = model.explain(["EIN Hund", "eine Katze", ""])
    elif app == "forecasting":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "series.csv"
            path.write_text(series(), encoding="utf-8")
            forecasts = model.forecast(model.read(path)[0])
        results = [[forecast.id, str(forecast.times[0]), forecast.quantiles.tolist()] for forecast in forecasts]
    elif app == "generation":
        results = [prediction._asdict() for prediction in model.follow("aba")]
    else:
        results = [model.solve(["7 1 0 3", "4 1 2 2"]), model.measure()]
    return json.loads(json.dumps(results))


def write_data(folder):
    """Writes the files that the models are trained on."""
    import keras

    (folder / "images").mkdir(parents=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (8, 8), colour).save(folder / "images" / f"{name}.png")
    rows = [*COLOURS] * 2
    files = {
        "captioning.tsv": ["image\tcaption", *(f"{name}.png\ta {name} square." for name in rows)],
        "vqa.tsv": ["image\tquestion\tanswer", *(f"{name}.png\tWhich colour is it?\t{name}" for name in rows)],
        "classification.tsv": ["text\tlabel", *["ein Hund\tdog", "eine Katze\tcat"] * 2],
        "generation.txt": ["abab", "aba", "bab"],
        "translation.de": ["ein Hund schläft.", "eine Katze rennt."],
        "translation.en": ["a dog sleeps.", "a cat runs."],
    }
    for name, lines in files.items():
        app, kind = name.split(".")
        (folder / app).mkdir(exist_ok=True)
        for split in ("train", "val"):
            (folder / app / f"{split}.{kind}").write_text("\n".join(lines) + "\n", encoding="utf-8")
        if not (folder / app / "images").exists():
            (folder / app / "images").symlink_to(folder / "images")
    (folder / "forecasting").mkdir()
    (folder / "forecasting" / "train.csv").write_text(series(), encoding="utf-8")
    keras.utils.set_random_seed(0)
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 4, strides=4)]).save("backbone.keras")


def main(output, *apps):
    import importlib

    import tensorflow as tf

    output = Path(output).absolute()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_data(Path(folder) / "data")
        file = output / "predictions.json"
        results = json.loads(file.read_text(encoding="utf-8")) if apps else {}
        for app in apps or OPTIONS:
            package = f"keras_recurrent.apps.{app}"
            data = {} if app == "long_memory" else {"data": f"data/{app}"}
            options = {**OPTIONS[app], **COLUMNS.get(app, {}), **data}
            config = importlib.import_module(f"{package}.config").Config(**options)
            shutil.rmtree(output / app, ignore_errors=True)
            (output / app).mkdir(parents=True)
            tf.config.run_functions_eagerly(True)
            model = importlib.import_module(f"{package}.model").train(config, output / app)
            tf.config.run_functions_eagerly(False)
            results[app] = predictions(app, model)
            for name in ("figures", "training"):
                shutil.rmtree(output / app / name, ignore_errors=True)
        text = json.dumps(results, ensure_ascii=False, indent=1)
        file.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
