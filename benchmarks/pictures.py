"""Draws the gates, states and gradients of a classifier that has to remember a distant negation.

    python benchmarks/pictures.py                      # trains for a minute and writes docs/figures/*.png

The classifier reads the generated data set `negation` with a forward LSTM of 24 units and max pooling.

    python benchmarks/pictures.py --reduce docs/figures/alignment.png

only reduces pictures that other commands drew to a palette and 1,000 pixels, for files below 100 kB.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from keras_recurrent.apps.classification import model
from keras_recurrent.apps.classification.config import Config
from keras_recurrent.apps.shared import figures
from keras_recurrent.apps.shared.models import outputs
from PIL import Image

TEXT = "nobody would say that the film , which my aunt did not see in rome , is wonderful ."


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "docs" / "figures")
    parser.add_argument("--reduce", type=Path, nargs="+", metavar="FILE", help="PNG files to reduce")
    options = parser.parse_args()
    for path in options.reduce or draw(options.epochs, options.output):
        reduce(path)


def reduce(path: Path) -> None:
    """Shrinks a picture to at most 1,000 pixels per side and to as many colours as stay below 100 kB."""
    image = Image.open(path).convert("RGB")
    image.thumbnail((1000, 1000), Image.Resampling.LANCZOS)
    for colours in (256, 128, 96, 64, 32):
        image.quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size < 100_000:
            break


def draw(epochs: int, output: Path) -> list[Path]:
    """Trains the classifier, draws its pictures into a folder, and returns their files."""
    config = Config(units=24, embedding_dim=32, bidirectional=False, pooling="max", epochs=epochs)
    with tempfile.TemporaryDirectory() as folder, outputs.atomic_output(Path(folder) / "model") as partial:
        classifier = model.train(config, partial)
    inspection = classifier.inspect(TEXT)
    gates, norms, gradient = (
        {name: np.array(values) for name, values in group.items()}
        for group in (inspection["gates"], inspection["norms"], {"gradient": inspection["gradient"]})
    )
    output.mkdir(parents=True, exist_ok=True)
    paths = [output / f"{name}.png" for name in ("gates", "states", "gradients")]
    figures.draw_gates(inspection["tokens"], gates, paths[0])
    figures.draw_steps(inspection["tokens"], norms, paths[1])
    figures.draw_steps(inspection["tokens"], gradient, paths[2])
    return paths


if __name__ == "__main__":
    main()
